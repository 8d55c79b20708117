//! What is said in a room (XEP-0045 §7.4, §7.5, §8.1) and how it is archived.

use std::sync::Arc;

use imd_proto::{Condition, Element, Jid, MessageType, Stanza, StanzaError, ns};
use imd_store::{ArchiveEntry, ArchiveId, UnixMillis};

use super::delivery::{Delivery, Effects};
use super::history::{self, Past};
use super::join::has_voice;
use super::names;
use super::role::Role;
use super::room::{Occupant, Room, Subject, occupant_id_element};
use crate::feature::{archive, push};

/// When something is said, and under which id it is archived.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// The time.
    pub now: UnixMillis,
    /// An id greater than all before.
    pub id: ArchiveId,
    /// Whether the server archives at all.
    pub archiving: bool,
}

/// The answer to those who speak without being in the room (XEP-0045 §7.4).
fn outsider() -> StanzaError {
    StanzaError::with_text(
        Condition::NotAcceptable,
        "only occupants may send to the room",
    )
}

/// Whether a message is a subject (XEP-0045 §8.1): it has one and says nothing else.
#[must_use]
pub fn is_subject(message: &Element) -> bool {
    message.child("subject", ns::CLIENT).is_some()
        && message.child("body", ns::CLIENT).is_none()
        && message.child("thread", ns::CLIENT).is_none()
}

/// Whether somebody may say this to all.
///
/// # Errors
/// `not-acceptable` for outsiders, `forbidden` for those without voice or who may not set the subject.
pub fn may_speak<'a>(room: &'a Room, stanza: &Stanza) -> Result<&'a Occupant, StanzaError> {
    let sender = room.occupant(&stanza.from).ok_or_else(outsider)?;
    let subject = is_subject(&stanza.element);
    if subject && sender.role != Role::Moderator && !room.settings.change_subject {
        let text = "only moderators set the subject of this room";
        return Err(StanzaError::with_text(Condition::Forbidden, text));
    }
    if !has_voice(sender.role) {
        let text = "you have no voice in this room";
        return Err(StanzaError::with_text(Condition::Forbidden, text));
    }
    Ok(sender)
}

/// A message to all.
///
/// # Errors
/// As for [`may_speak`].
pub fn groupchat(room: &mut Room, stanza: &Stanza, moment: Moment) -> Result<Effects, StanzaError> {
    let sender = may_speak(room, stanza)?;
    let element = clean(&stanza.element, &room.jid, sender);
    let sender_jid = stanza.from.clone();
    Ok(broadcast(room, element, Some(&sender_jid), moment))
}

/// A message as others see it: from the occupant, without what only the room may say.
fn clean(message: &Element, room: &Jid, sender: &Occupant) -> Element {
    let mut element = message.clone();
    element.remove_children(|c| {
        (c.is("stanza-id", ns::STANZA_ID) && c.attr("by") == Some(room.as_str()))
            || c.is("x", ns::MUC_USER)
            || c.is("occupant-id", names::OCCUPANT_ID)
            || c.is("hats", names::HATS)
            || c.is("delay", ns::DELAY)
    });
    element.remove_attr("to");
    element.set_attr("from", sender.address.as_str());
    element.push(occupant_id_element(&sender.id));
    element
}

/// Send a message of the room or of an occupant to everybody, archive it and remember it.
pub fn broadcast(
    room: &mut Room,
    mut element: Element,
    sender: Option<&Jid>,
    moment: Moment,
) -> Effects {
    let kept = history::is_shown_later(&element);
    let wakes = push::is_worth_it(&element, MessageType::Chat);
    let archived = moment.archiving && room.settings.archive && is_archived(&element);
    let entry = archived.then(|| entry(room, &element, sender, moment));
    if archived {
        archive::mark(&mut element, &room.jid, Some(moment.id));
    }
    let xml: Arc<str> = element.to_xml_in(ns::CLIENT).into();
    if is_subject(&element) {
        room.subject = Some(Subject {
            text: element.child_text("subject").unwrap_or_default(),
            xml: history::delayed(&xml, &room.jid, moment.now),
        });
    } else if kept {
        room.history.push(Past {
            id: moment.id,
            time: moment.now,
            xml: history::delayed(&xml, &room.jid, moment.now),
        });
    }
    Effects {
        archive: entry.into_iter().collect(),
        deliveries: vec![Delivery {
            xml,
            to: room.everybody(),
            complete: false,
            wakes,
        }],
        author: sender.cloned(),
    }
}

/// Whether a message is worth keeping (XEP-0334 hints, and more than that somebody types).
fn is_archived(message: &Element) -> bool {
    let hint = |name| message.child(name, ns::HINTS).is_some();
    !hint("no-store") && !hint("no-permanent-store") && archive::has_content(message)
}

fn entry(room: &Room, element: &Element, sender: Option<&Jid>, moment: Moment) -> ArchiveEntry {
    let mut kept = element.clone();
    if let Some(sender) = sender {
        // Always last, so that it can be taken off for those who may not see it.
        let item = Element::new("item", ns::MUC_USER)
            .with_attr("jid", sender.as_str())
            .with_attr("affiliation", room.affiliation(sender).as_str());
        kept.push(Element::new("x", ns::MUC_USER).with_child(item));
    }
    let nick = sender.and_then(|jid| room.nicks.get(jid));
    let origin = element.child("origin-id", ns::STANZA_ID);
    ArchiveEntry {
        id: moment.id,
        owner: room.jid.as_str().to_owned(),
        with: room.jid.as_str().to_owned(),
        with_resource: nick.cloned(),
        time: moment.now,
        stanza: kept.to_xml(),
        message_id: element.attr("id").map(str::to_owned),
        origin_id: origin.and_then(|o| o.attr("id")).map(str::to_owned),
        groupchat: true,
        body: element.child_text("body"),
    }
}

/// A private message on its way.
#[derive(Debug)]
pub struct Private {
    /// The message as its receiver sees it.
    pub element: Element,
    /// The receiver's clients in the room.
    pub clients: Vec<Jid>,
    /// The receiver's real bare address.
    pub receiver: Jid,
}

/// A private message (XEP-0045 §7.5).
///
/// # Errors
/// `not-acceptable` for outsiders, `forbidden` where the configuration does not let them, `item-not-found`
/// where nobody has the nickname.
pub fn private(room: &Room, stanza: &Stanza, nick: &str) -> Result<Private, StanzaError> {
    if stanza.type_attr() == Some("groupchat") {
        let text = "a message of type groupchat goes to the room, not to an occupant";
        return Err(StanzaError::with_text(Condition::BadRequest, text));
    }
    let sender = room.occupant(&stanza.from).ok_or_else(outsider)?;
    let target = room.occupants.get(nick).ok_or_else(|| {
        StanzaError::with_text(Condition::ItemNotFound, "nobody has this nickname")
    })?;
    let allowed = room.settings.private_messages;
    // Moderators can be answered where only moderators may begin.
    let answers = target.role == Role::Moderator && allowed.allow(Role::Moderator);
    if !answers && !allowed.allow(sender.role) {
        let text = "the room's configuration does not let you send private messages";
        return Err(StanzaError::with_text(Condition::Forbidden, text));
    }
    let mut element = clean(&stanza.element, &room.jid, sender);
    element.push(Element::new("x", ns::MUC_USER));
    Ok(Private {
        element,
        clients: target.clients.iter().map(|c| c.jid.clone()).collect(),
        receiver: target.jid.clone(),
    })
}

/// Errors after which a client counts as gone: it cannot be reached, and not only for this message.
#[must_use]
pub fn means_gone(error: &Stanza) -> bool {
    const GONE: &[&str] = &[
        "gone",
        "internal-server-error",
        "item-not-found",
        "jid-malformed",
        "recipient-unavailable",
        "redirect",
        "remote-server-not-found",
        "remote-server-timeout",
        "service-unavailable",
    ];
    let conditions = error.element.child("error", ns::CLIENT);
    conditions.is_none_or(|e| {
        e.children()
            .any(|c| c.ns() == ns::STANZA_ERRORS && GONE.contains(&c.name()))
    })
}
