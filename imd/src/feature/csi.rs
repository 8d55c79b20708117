//! Client state indication (XEP-0352): the namespace; the stream keeps the state.

use async_trait::async_trait;
use imd_proto::Element;

use super::Feature;

/// The namespace.
pub const NS: &str = "urn:xmpp:csi:0";

pub(super) struct ClientState;

#[async_trait]
impl Feature for ClientState {
    fn stream_features(&self) -> Vec<Element> {
        vec![Element::new("csi", NS)]
    }
}
