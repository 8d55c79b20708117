//! The publish-subscribe service on its own domain: channels that people create, follow and publish to.

use std::sync::Arc;

use async_trait::async_trait;
use imd_proto::{Condition, Element, Kind, Stanza, StanzaError, ns};
use imd_store::Commit;

use super::host::Host;
use super::{COMMON, answer, read};
use crate::feature::{Answer, Reply, Service};
use crate::route;
use crate::server::Server;

/// The service.
pub struct Channels;

impl Channels {
    /// Give it its domain, `pubsub.` before the server's.
    pub fn enter(server: &Server) {
        server.add_service(format!("pubsub.{}", server.config.domain), Arc::new(Self));
    }
}

#[async_trait]
impl Service for Channels {
    async fn stanza(&self, server: &Arc<Server>, stanza: Stanza) -> Option<Commit> {
        if stanza.kind == Kind::Presence {
            return None;
        }
        if !stanza.is_request() {
            if stanza.kind == Kind::Message {
                // It reads no mail.
                let error = StanzaError::new(Condition::ServiceUnavailable);
                server.bounce(&stanza, &error).await;
            }
            return None;
        }
        let reply = match request(server, &stanza).await {
            Ok(Reply::Empty) => stanza.result(),
            Ok(Reply::With(payload)) => stanza.result_with(payload),
            Ok(Reply::Sent) => return None,
            Err(error) => stanza.error(&error),
        };
        let from = stanza.to.clone().unwrap_or_else(|| server.domain.clone());
        if let Ok(reply) = Stanza::stamp(Kind::Iq, reply, from) {
            Box::pin(route::answer(server, reply)).await;
        }
        None
    }

    fn name(&self) -> Option<String> {
        Some("Channels".to_owned())
    }
}

async fn request(server: &Arc<Server>, stanza: &Stanza) -> Answer {
    let to = stanza.to.as_ref().ok_or(Condition::BadRequest)?;
    if to.local().is_some() || !to.is_bare() {
        return Err(Condition::ServiceUnavailable.into());
    }
    let payload = stanza.element.first_child().ok_or(Condition::BadRequest)?;
    let host = Host::service(server, to.clone());
    let set = stanza.type_attr() == Some("set");
    let node = payload.attr("node");
    match (payload.ns(), set) {
        (ns::PUBSUB | ns::PUBSUB_OWNER, _) => answer(&host, &stanza.from, payload, set).await,
        (ns::DISCO_INFO, false) => match node {
            Some(node) => read::node_info(&host, &stanza.from, node)
                .await
                .map(Reply::With),
            None => Ok(Reply::With(info())),
        },
        (ns::DISCO_ITEMS, false) => read::disco_items(&host, &stanza.from, node)
            .await
            .map(Reply::With),
        (ns::PING, false) => Ok(Reply::Empty),
        _ => Err(Condition::ServiceUnavailable.into()),
    }
}

fn info() -> Element {
    let identity = Element::new("identity", ns::DISCO_INFO)
        .with_attr("category", "pubsub")
        .with_attr("type", "service")
        .with_attr("name", "Channels");
    let others = [ns::DISCO_INFO, ns::DISCO_ITEMS, ns::PING];
    Element::new("query", ns::DISCO_INFO)
        .with_child(identity)
        .with_children(
            COMMON
                .iter()
                .chain(&others)
                .map(|f| Element::new("feature", ns::DISCO_INFO).with_attr("var", *f)),
        )
}
