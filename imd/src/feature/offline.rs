//! Offline messages, given out with the first presence that wants them (XEP-0160).

use std::sync::Arc;

use async_trait::async_trait;
use imd_proto::{Element, Stanza, ns};

use super::{Feature, time};
use crate::route;
use crate::server::Server;
use crate::session::{Queued, Session};

pub(super) struct Offline;

/// Messages read and sent in one go.
const BATCH: u32 = 100;

#[async_trait]
impl Feature for Offline {
    fn server_features(&self) -> Vec<&'static str> {
        vec!["msgoffline"]
    }

    async fn available(&self, server: &Arc<Server>, session: &Arc<Session>, _: &Stanza) {
        {
            let mut state = session.state();
            let wanted = state.presence.as_ref().is_some_and(|p| p.priority >= 0);
            if !wanted || std::mem::replace(&mut state.offline_delivered, true) {
                return;
            }
        }
        // A message that came just before is on its way to the disk, and must not wait for the login after this.
        let _ = server.store.append(Vec::new()).await.await;
        let mut after = 0;
        loop {
            let messages = match server.store.offline(&session.user, after, BATCH).await {
                Ok(messages) => messages,
                Err(error) => {
                    tracing::warn!(user = %session.user, %error, "cannot read offline messages");
                    return;
                }
            };
            let Some(last) = messages.last() else { return };
            after = last.id;
            for message in &messages {
                let Some(mut element) = route::read_stored(&message.stanza) else {
                    continue;
                };
                let delay = Element::new("delay", ns::DELAY)
                    .with_attr("from", server.config.domain.as_str())
                    .with_attr("stamp", time::format(message.stamp));
                element.push(delay);
                if session
                    .outbound
                    .push(Queued::whole(element.to_xml_in(ns::CLIENT).into()))
                    .is_err()
                {
                    // What did not fit waits for the next login.
                    return;
                }
            }
            // In the session's queue they are safe: what the client does not acknowledge is queued again.
            if let Err(error) = server
                .store
                .delete_offline_through(&session.user, after)
                .await
            {
                tracing::warn!(user = %session.user, %error, "cannot delete delivered offline messages");
                return;
            }
        }
    }
}
