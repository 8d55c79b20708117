//! Messages taken back by their author (XEP-0424) or by a moderator (XEP-0425), and what remains of them.

use imd_proto::{Condition, Element, Jid, StanzaError, ns};
use imd_store::{ArchiveEntry, ArchiveId, UnixMillis};

use super::names;
use super::role::Role;
use super::room::{Room, occupant_id_element};
use crate::feature::time;

/// Which message a `<retract/>` in a message takes back; absent when there is none.
///
/// # Errors
/// When it names no message of an archive.
pub fn retracts(message: &Element) -> Result<Option<ArchiveId>, StanzaError> {
    match message.child("retract", names::RETRACT) {
        None => Ok(None),
        Some(retract) => id(retract).map(Some),
    }
}

/// The archive id in the `id` attribute.
///
/// # Errors
/// `item-not-found` when it is none.
pub fn id(element: &Element) -> Result<ArchiveId, StanzaError> {
    element
        .attr("id")
        .and_then(|id| id.parse().ok())
        .ok_or_else(no_message)
}

/// The answer when the archive has no such message.
#[must_use]
pub fn no_message() -> StanzaError {
    StanzaError::with_text(
        Condition::ItemNotFound,
        "the room has no message of that id; the id is that of <stanza-id/>",
    )
}

/// Whether somebody may take back a message of others.
///
/// # Errors
/// `forbidden` for all but moderators.
pub fn may_moderate(room: &Room, actor: &Jid) -> Result<(), StanzaError> {
    if room.standing(actor).role == Role::Moderator {
        return Ok(());
    }
    let text = "only moderators take back messages of others";
    Err(StanzaError::with_text(Condition::Forbidden, text))
}

/// Whether an archived message is this person's own.
#[must_use]
pub fn is_author(room: &Room, message: &Element, jid: &Jid) -> bool {
    message
        .child("occupant-id", names::OCCUPANT_ID)
        .and_then(|o| o.attr("id"))
        == Some(room.occupant_id(jid).as_str())
}

/// By whom and why a message was moderated: `<moderated/>` and `<reason/>`.
fn moderated(room: &Room, actor: &Jid, reason: Option<&str>) -> Vec<Element> {
    let own = room.occupant(actor);
    let by = own.map_or(room.jid.as_str(), |o| o.address.as_str());
    let moderated = Element::new("moderated", names::MODERATE)
        .with_attr("by", by)
        .with_children(own.map(|o| occupant_id_element(&o.id)));
    let mut all = vec![moderated];
    if let Some(reason) = reason {
        all.push(Element::new("reason", names::RETRACT).with_text(reason));
    }
    all
}

/// The message by which occupants learn that a moderator took one back (XEP-0425 §3).
#[must_use]
pub fn announcement(room: &Room, id: ArchiveId, actor: &Jid, reason: Option<&str>) -> Element {
    let retract = Element::new("retract", names::RETRACT)
        .with_attr("id", id.to_string())
        .with_children(moderated(room, actor, reason));
    Element::new("message", ns::CLIENT)
        .with_attr("from", room.jid.as_str())
        .with_attr("type", "groupchat")
        .with_attr("id", format!("moderated-{id}"))
        .with_child(retract)
}

/// What stays in the archive in a message's place (XEP-0424 §5). `moderator`: who took it back, unless its author.
#[must_use]
pub fn tombstone(
    room: &Room,
    entry: &ArchiveEntry,
    message: &Element,
    now: UnixMillis,
    moderator: Option<(&Jid, Option<&str>)>,
) -> Element {
    let mut retracted = Element::new("retracted", names::RETRACT)
        .with_attr("id", entry.id.to_string())
        .with_attr("stamp", time::format(now));
    if let Some((actor, reason)) = moderator {
        retracted = retracted.with_children(moderated(room, actor, reason));
    }
    let keep = message.child("occupant-id", names::OCCUPANT_ID).cloned();
    Element::new("message", ns::CLIENT)
        .with_attr("type", "groupchat")
        .with_opt_attr("from", message.attr("from"))
        .with_opt_attr("id", message.attr("id"))
        .with_children(keep)
        .with_child(retracted)
}
