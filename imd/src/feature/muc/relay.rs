//! IQ requests between occupants, and pings to oneself (XEP-0410).
//!
//! The one who is asked sees the room as the asker, so its answer comes here and goes on to the real one.

use std::collections::VecDeque;

use imd_proto::{Condition, Element, Jid, Stanza, StanzaError, ns};

use super::delivery::{Delivery, Effects};
use super::room::Room;

/// Requests of one room that may wait; when there are more, the oldest is forgotten.
const MAX_WAITING: usize = 1000;

/// A request that waits for its answer.
#[derive(Debug, Clone)]
struct Waiting {
    /// The id that the one who is asked sees.
    id: String,
    /// The client that asked.
    asker: Jid,
    /// The id that the asker chose.
    asker_id: String,
    /// The address in the room of the one who is asked.
    asked: Jid,
    /// The real bare address of the one who is asked.
    answerer: Jid,
}

/// Requests on their way between occupants.
#[derive(Debug, Default)]
pub struct Relayed {
    waiting: VecDeque<Waiting>,
    last: u64,
}

/// Requests that the account answers, whatever its clients do.
fn is_for_account(payload: &Element) -> bool {
    payload.is("vCard", ns::VCARD) || payload.ns() == ns::PUBSUB
}

/// A request of an occupant to a nickname.
///
/// # Errors
/// `not-acceptable` for those who are not in the room (XEP-0410 §3.2 counts on it), but `bad-request` for service
/// discovery (XEP-0045 §6.6), `item-not-found` where nobody has the nickname.
pub fn request(room: &mut Room, stanza: &Stanza, nick: &str) -> Result<Effects, StanzaError> {
    let payload = stanza.element.first_child();
    let Some(sender) = room.occupant(&stanza.from) else {
        let text = "only occupants of the room can ask occupants";
        let discovery = [ns::DISCO_INFO, ns::DISCO_ITEMS];
        return Err(if payload.is_some_and(|p| discovery.contains(&p.ns())) {
            StanzaError::with_text(Condition::BadRequest, text)
        } else {
            StanzaError::with_text(Condition::NotAcceptable, text)
                .of_type(imd_proto::ErrorType::Cancel)
        });
    };
    if sender.nick == nick && payload.is_some_and(|p| p.is("ping", ns::PING)) {
        return Ok(Effects::reply(stanza.result(), &stanza.from));
    }
    let from = sender.address.clone();
    let target = room
        .occupants
        .get(nick)
        .ok_or_else(|| StanzaError::new(Condition::ItemNotFound))?;
    let to = match (payload, target.clients.last()) {
        (Some(payload), _) if is_for_account(payload) => target.jid.clone(),
        (_, Some(client)) => client.jid.clone(),
        (_, None) => target.jid.clone(),
    };
    let (asked, answerer) = (target.address.clone(), target.jid.clone());
    room.relayed.last += 1;
    let id = format!("r{}", room.relayed.last);
    let waiting = Waiting {
        id: id.clone(),
        asker: stanza.from.clone(),
        asker_id: stanza.id().unwrap_or_default().to_owned(),
        asked,
        answerer,
    };
    if room.relayed.waiting.len() >= MAX_WAITING {
        room.relayed.waiting.pop_front();
    }
    room.relayed.waiting.push_back(waiting);
    let mut element = stanza.element.clone();
    element.set_attr("from", from.as_str());
    element.set_attr("id", id);
    Ok(Effects::reply(element, &to))
}

/// An answer to a request that was passed on; anything else is dropped.
pub fn answer(room: &mut Room, stanza: &Stanza) -> Effects {
    let at = room
        .relayed
        .waiting
        .iter()
        .position(|w| Some(w.id.as_str()) == stanza.id() && w.answerer.same_bare(&stanza.from));
    let Some(waiting) = at.and_then(|at| room.relayed.waiting.remove(at)) else {
        return Effects::default();
    };
    let mut element = stanza.element.clone();
    element.set_attr("from", waiting.asked.as_str());
    element.set_attr("id", waiting.asker_id);
    vec![Delivery::one(element, &waiting.asker)].into()
}
