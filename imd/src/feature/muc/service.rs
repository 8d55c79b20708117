//! Stanzas to the service itself, not to a room (XEP-0045 §6.1 to §6.3).

use std::sync::{Arc, PoisonError};

use imd_proto::{Condition, Element, Kind, Stanza, StanzaError, ns};

use super::{Rooms, info, names};
use crate::route;
use crate::server::Server;

pub(super) async fn stanza(rooms: &Rooms, server: &Arc<Server>, stanza: &Stanza) {
    if stanza.kind == Kind::Presence {
        return; // The service has no presence and wants none.
    }
    if stanza.kind == Kind::Iq && !stanza.is_request() {
        return;
    }
    let answer = match stanza.kind {
        Kind::Iq => answer(rooms, server, stanza).await,
        _ => Err(Condition::ServiceUnavailable.into()),
    };
    let reply = match answer {
        Ok(None) => stanza.result(),
        Ok(Some(payload)) => stanza.result_with(payload),
        Err(_) if stanza.is_error() => return,
        Err(error) => stanza.error(&error),
    };
    if let Some(from) = stanza.to.clone()
        && let Ok(reply) = Stanza::stamp(stanza.kind, reply, from)
    {
        route::answer(server, reply).await;
    }
}

async fn answer(
    rooms: &Rooms,
    server: &Arc<Server>,
    stanza: &Stanza,
) -> Result<Option<Element>, StanzaError> {
    super::turn::well_formed(stanza)?;
    let payload = stanza
        .element
        .first_child()
        .ok_or(StanzaError::new(Condition::BadRequest))?;
    if stanza.type_attr() != Some("get") {
        return Err(Condition::ServiceUnavailable.into());
    }
    if let Some(node) = payload.attr("node") {
        let text = format!("there is no node {node:?}");
        return Err(StanzaError::with_text(Condition::ItemNotFound, text));
    }
    match (payload.name(), payload.ns()) {
        ("query", ns::DISCO_INFO) => Ok(Some(info::service("Rooms"))),
        ("query", ns::DISCO_ITEMS) => {
            let index = rooms.registry.index(server).await?;
            let index = index.read().unwrap_or_else(PoisonError::into_inner);
            info::rooms(&index, payload).map(Some)
        }
        ("ping", ns::PING) => Ok(None),
        ("unique", names::UNIQUE) => {
            let name = server.random_id::<10>();
            Ok(Some(Element::new("unique", names::UNIQUE).with_text(name)))
        }
        _ => Err(Condition::ServiceUnavailable.into()),
    }
}
