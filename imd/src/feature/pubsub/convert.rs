//! What follows from a change of an account's nodes for older protocols that keep the same things elsewhere.

use imd_proto::{Element, StanzaError};

use super::bookmarks;
use super::host::Host;
use crate::feature::avatar;

/// An item was published by somebody who may.
pub(super) async fn published(host: &Host<'_>, node: &str, id: &str, payload: Option<&Element>) {
    let Some(payload) = payload.filter(|_| host.user.is_some()) else {
        return;
    };
    let outcome: Result<(), StanzaError> = match node {
        bookmarks::NS => {
            bookmarks::changed(host).await;
            Ok(())
        }
        bookmarks::OLD => bookmarks::take(host, payload).await,
        avatar::METADATA => avatar::metadata_published(host, id, payload).await,
        _ => Ok(()),
    };
    if let Err(error) = outcome {
        tracing::warn!(account = %host.jid, node, ?error, "cannot keep an older protocol in step");
    }
}

/// Items of a node were removed.
pub(super) async fn retracted(host: &Host<'_>, node: &str) {
    if host.user.is_some() && node == bookmarks::NS {
        bookmarks::changed(host).await;
    }
}
