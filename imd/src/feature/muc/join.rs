//! Entering, changing and leaving (XEP-0045 §7.2, §7.6, §7.7, §7.14).

use std::sync::Arc;

use imd_proto::{Condition, Element, ErrorType, Jid, Stanza, StanzaError, ns};
use imd_store::UnixMillis;

use super::announce::{self, Notice};
use super::delivery::{Delivery, Effects};
use super::history::Wanted;
use super::names;
use super::role::{Affiliation, Role};
use super::room::{Client, Occupant, Room};

/// Somebody at the door.
#[derive(Debug, Clone)]
pub struct Joining {
    /// The full address.
    pub from: Jid,
    /// The nickname wanted.
    pub nick: String,
    /// What the presence says.
    pub presence: Vec<Element>,
    /// The password given.
    pub password: Option<String>,
    /// How much of the history is wanted.
    pub wanted: Wanted,
    /// Whether the room was made for this one.
    pub created: bool,
}

impl Joining {
    /// Read a presence for a nickname.
    #[must_use]
    pub fn read(stanza: &Stanza, nick: &str, created: bool) -> Self {
        let x = stanza.element.child("x", ns::MUC);
        Self {
            from: stanza.from.clone(),
            nick: nick.to_owned(),
            presence: said(&stanza.element),
            password: x.and_then(|x| x.child_text("password")),
            wanted: x
                .and_then(|x| x.child("history", ns::MUC))
                .map(Wanted::read)
                .unwrap_or_default(),
            created,
        }
    }
}

/// What a presence says, without what only the room may say.
#[must_use]
pub fn said(presence: &Element) -> Vec<Element> {
    let rooms_own = |c: &Element| {
        matches!(c.ns(), ns::MUC | ns::MUC_USER)
            || c.is("occupant-id", names::OCCUPANT_ID)
            || c.is("hats", names::HATS)
            || c.name() == "error"
    };
    presence
        .children()
        .filter(|c| !rooms_own(c))
        .cloned()
        .collect()
}

/// Whether somebody may enter (XEP-0045 §7.2.5 to §7.2.11).
///
/// # Errors
/// With the condition that those sections give.
pub fn admit(room: &Room, joining: &Joining) -> Result<(), StanzaError> {
    let error = |condition, text: &str| Err(StanzaError::with_text(condition, text));
    let affiliation = room.affiliation(&joining.from);
    if affiliation == Affiliation::Outcast {
        return error(Condition::Forbidden, "you are banned from this room");
    }
    if room.settings.locked && affiliation != Affiliation::Owner {
        return error(
            Condition::ItemNotFound,
            "the room is locked until its owner has configured it",
        );
    }
    if room.settings.members_only && affiliation < Affiliation::Member {
        return error(
            Condition::RegistrationRequired,
            "only members may enter this room",
        );
    }
    if let Some(password) = &room.settings.password
        && affiliation != Affiliation::Owner
        && joining.password.as_ref() != Some(password)
    {
        return error(
            Condition::NotAuthorized,
            "the room needs its password, and this is not it",
        );
    }
    check_nick(room, &joining.nick, &joining.from)?;
    let returning = room.occupants.contains_key(&joining.nick);
    let full = room.occupants.len() >= room.max_occupants() as usize;
    if full && !returning && affiliation < Affiliation::Admin {
        let text = format!("the room holds {} occupants", room.max_occupants());
        return Err(
            StanzaError::with_text(Condition::ServiceUnavailable, text).of_type(ErrorType::Wait)
        );
    }
    Ok(())
}

fn check_nick(room: &Room, nick: &str, from: &Jid) -> Result<(), StanzaError> {
    if nick.trim().is_empty() {
        let text = "a nickname needs a character that can be seen";
        return Err(StanzaError::with_text(Condition::NotAcceptable, text));
    }
    if room.nick_is_taken(nick, from) {
        let text = "somebody else has this nickname";
        return Err(StanzaError::with_text(Condition::Conflict, text));
    }
    Ok(())
}

/// Let somebody in who has been admitted. A client that is in the room already is shown everything again.
pub fn enter(room: &mut Room, joining: Joining, now: UnixMillis) -> Effects {
    let Joining { from, nick, .. } = &joining;
    let client = Client {
        jid: from.clone(),
        presence: joining.presence.clone(),
    };
    let affiliation = room.affiliation(from);
    let mut first = false;
    if let Some(occupant) = room.occupants.get_mut(nick) {
        occupant.clients.retain(|c| c.jid != *from);
        occupant.clients.push(client);
    } else {
        first = true;
        let occupant = Occupant {
            nick: nick.clone(),
            address: room.address_of(nick),
            jid: from.to_bare(),
            role: room.entry_role(affiliation),
            id: room.occupant_id(from),
            clients: vec![client],
            shown: [None, None],
        };
        room.occupants.insert(nick.clone(), occupant);
    }
    room.nicks.insert(from.clone(), nick.clone());
    let mut deliveries = avatar_presence(room, from);
    deliveries.extend(announce::roll_call(room, nick, from));
    deliveries.extend(announce::to_others(room, nick, &Notice::default()));
    if !first {
        let plain = announce::to_self(room, nick, None, &Notice::default());
        deliveries.extend(plain.into_iter().map(|mut d| {
            d.to.retain(|jid| jid != from);
            d
        }));
    }
    let mut own_statuses = Vec::new();
    for (code, holds) in [
        (100, room.settings.non_anonymous()),
        (170, room.settings.archive),
        (201, joining.created),
    ] {
        if holds {
            own_statuses.push(code);
        }
    }
    let notice = Notice {
        own_statuses,
        ..Notice::default()
    };
    deliveries.extend(announce::to_self(room, nick, Some(from), &notice));
    let most = room.settings.history as usize;
    let past = room.history.select(&joining.wanted, most, now);
    deliveries.extend(past.into_iter().map(|xml| Delivery::raw(xml, from)));
    deliveries.push(subject(room, from));
    deliveries.into()
}

/// The room's own presence, which tells its avatar (XEP-0486 §3).
fn avatar_presence(room: &Room, to: &Jid) -> Vec<Delivery> {
    match &room.settings.avatar {
        Some(hash) => vec![Delivery::one(avatar_element(room, hash), to)],
        None => Vec::new(),
    }
}

/// The presence that tells the room's avatar; an empty hash says that there is none any more.
#[must_use]
pub fn avatar_element(room: &Room, hash: &str) -> Element {
    let photo = Element::new("photo", ns::VCARD_UPDATE).with_text(hash);
    Element::new("presence", ns::CLIENT)
        .with_attr("from", room.jid.as_str())
        .with_child(Element::new("x", ns::VCARD_UPDATE).with_child(photo))
}

/// The subject, which ends what a newcomer is told (XEP-0045 §7.2.15).
fn subject(room: &Room, to: &Jid) -> Delivery {
    match &room.subject {
        Some(subject) => Delivery::raw(Arc::clone(&subject.xml), to),
        None => Delivery::one(
            Element::new("message", ns::CLIENT)
                .with_attr("from", room.jid.as_str())
                .with_attr("type", "groupchat")
                .with_child(Element::new("subject", ns::CLIENT)),
            to,
        ),
    }
}

/// Another presence of somebody in the room, or another nickname (XEP-0045 §7.6, §7.7).
///
/// # Errors
/// When the nickname cannot be had.
pub fn update(room: &mut Room, stanza: &Stanza, nick: &str) -> Result<Effects, StanzaError> {
    let Some(old) = room.nicks.get(&stanza.from).cloned() else {
        return Err(not_here());
    };
    let renamed = old != nick;
    if renamed {
        check_nick(room, nick, &stanza.from)?;
        if room.occupants.contains_key(nick) {
            let text = "another client of yours has this nickname";
            return Err(StanzaError::with_text(Condition::Conflict, text));
        }
    }
    if let Some(occupant) = room.occupants.get_mut(&old) {
        occupant.clients.retain(|c| c.jid != stanza.from);
        occupant.clients.push(Client {
            jid: stanza.from.clone(),
            presence: said(&stanza.element),
        });
    }
    let mut deliveries = if renamed {
        rename(room, &old, nick)
    } else {
        Vec::new()
    };
    deliveries.extend(announce::to_all(room, nick, &Notice::default()));
    Ok(deliveries.into())
}

/// XEP-0045 §7.6: it goes under the old nickname and, with the caller's next presence, comes under the new one.
fn rename(room: &mut Room, old: &str, new: &str) -> Vec<Delivery> {
    let Some(mut occupant) = room.occupants.remove(old) else {
        return Vec::new();
    };
    let affiliation = room.affiliation(&occupant.jid);
    let notice = Notice {
        new_nick: Some(new.to_owned()),
        ..Notice::code(303)
    };
    let gone = announce::farewell(room, &occupant, affiliation, &[], &notice);
    for client in &occupant.clients {
        room.nicks.insert(client.jid.clone(), new.to_owned());
    }
    occupant.nick = new.to_owned();
    occupant.address = room.address_of(new);
    room.occupants.insert(new.to_owned(), occupant);
    gone
}

/// The answer to those who believe to be in the room and are not.
#[must_use]
pub fn not_here() -> StanzaError {
    StanzaError::with_text(Condition::ItemNotFound, "you are not in this room")
}

/// A client leaves, with its last words in presence; nothing happens when it is not in the room.
pub fn leave(room: &mut Room, from: &Jid, last: &[Element], notice: &Notice) -> Effects {
    let Some(nick) = room.nicks.get(from).cloned() else {
        return Effects::default();
    };
    let Some(occupant) = room.occupants.get_mut(&nick) else {
        return Effects::default();
    };
    if occupant.clients.len() == 1 {
        return remove(room, &nick, last, notice).into();
    }
    room.nicks.remove(from);
    let Some(at) = occupant.clients.iter().position(|c| c.jid == *from) else {
        return Effects::default();
    };
    let client = occupant.clients.remove(at);
    let occupant = occupant.clone();
    let mut deliveries = vec![announce::client_left(room, &occupant, &client)];
    deliveries.extend(announce::to_others(room, &nick, &Notice::default()));
    deliveries.into()
}

/// Take an occupant out of the room with all its clients, and tell everybody.
pub fn remove(room: &mut Room, nick: &str, last: &[Element], notice: &Notice) -> Vec<Delivery> {
    let Some(occupant) = room.occupants.remove(nick) else {
        return Vec::new();
    };
    for client in &occupant.clients {
        room.nicks.remove(&client.jid);
    }
    let affiliation = room.affiliation(&occupant.jid);
    announce::farewell(room, &occupant, affiliation, last, notice)
}

/// Whether a role may speak to all.
#[must_use]
pub fn has_voice(role: Role) -> bool {
    role >= Role::Participant
}
