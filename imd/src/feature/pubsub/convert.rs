//! What follows from a change of an account's nodes for older protocols that keep the same things elsewhere.

use imd_proto::Element;

use super::host::Host;

/// An item was published by somebody who may.
pub(super) async fn published(
    _host: &Host<'_>,
    _node: &str,
    _id: &str,
    _payload: Option<&Element>,
) {
}

/// Items of a node were removed.
pub(super) async fn retracted(_host: &Host<'_>, _node: &str) {}
