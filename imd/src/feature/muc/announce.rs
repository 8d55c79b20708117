//! Presence of occupants as others see it (XEP-0045 §7.2.2, §7.6, §7.14, §8.2, §9): who gets which variant.

use std::sync::Arc;

use imd_proto::{Element, Jid, ns};

use super::delivery::Delivery;
use super::role::{Affiliation, Role};
use super::room::{Client, Occupant, Room, occupant_id_element, status};

/// What a presence says besides who it is about.
#[derive(Debug, Clone, Default)]
pub struct Notice {
    /// Status codes for everybody.
    pub statuses: Vec<u16>,
    /// Status codes for the occupant itself, besides 110.
    pub own_statuses: Vec<u16>,
    /// The nickname of whoever did it.
    pub actor: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// The nickname that it has from now on.
    pub new_nick: Option<String>,
    /// The end of the room.
    pub destroy: Option<Element>,
}

impl Notice {
    /// With one status code for everybody.
    #[must_use]
    pub fn code(code: u16) -> Self {
        Self {
            statuses: vec![code],
            ..Self::default()
        }
    }

    /// Who did it and why.
    #[must_use]
    pub fn by(mut self, actor: Option<String>, reason: Option<String>) -> Self {
        self.actor = actor;
        self.reason = reason;
        self
    }
}

/// The three ways in which an occupant's presence is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum View {
    Anonymous,
    WithAddress,
    Own,
}

/// An `<item/>` of `<x/>`.
#[must_use]
pub fn item(affiliation: Affiliation, role: Role) -> Element {
    Element::new("item", ns::MUC_USER)
        .with_attr("affiliation", affiliation.as_str())
        .with_attr("role", role.as_str())
}

fn presence(
    room: &Room,
    occupant: &Occupant,
    gone: Option<&[Element]>,
    standing: (Affiliation, Role),
    view: View,
    notice: &Notice,
) -> Element {
    let mut presence =
        Element::new("presence", ns::CLIENT).with_attr("from", occupant.address.as_str());
    if gone.is_some() {
        presence.set_attr("type", "unavailable");
    }
    let last = occupant.clients.last();
    let said = gone.unwrap_or_else(|| last.map_or(&[], |c| c.presence.as_slice()));
    presence = presence.with_children(said.iter().cloned());
    presence.push(occupant_id_element(&occupant.id));
    if let Some(hats) = room.hats(occupant.jid.as_str()) {
        presence.push(hats);
    }
    let mut item = item(standing.0, standing.1);
    if view != View::Anonymous {
        let full = last.map_or(&occupant.jid, |c| &c.jid);
        item.set_attr("jid", full.as_str());
    }
    if let Some(nick) = &notice.new_nick {
        item.set_attr("nick", nick.as_str());
    }
    if let Some(actor) = &notice.actor {
        item.push(Element::new("actor", ns::MUC_USER).with_attr("nick", actor.as_str()));
    }
    if let Some(reason) = &notice.reason {
        item.push(Element::new("reason", ns::MUC_USER).with_text(reason.as_str()));
    }
    let mut x = Element::new("x", ns::MUC_USER).with_child(item);
    x = x.with_children(notice.destroy.clone());
    if view == View::Own {
        x.push(status(110));
        x = x.with_children(notice.own_statuses.iter().map(|code| status(*code)));
    }
    x = x.with_children(notice.statuses.iter().map(|code| status(*code)));
    presence.with_child(x)
}

/// Whether others see the presence of this role.
fn is_broadcast(room: &Room, role: Role) -> bool {
    room.settings.presence_broadcast.contains(&role)
}

/// Show an occupant, as it is now, to all others. To be called whenever it has changed.
pub fn to_others(room: &mut Room, nick: &str, notice: &Notice) -> Vec<Delivery> {
    let Some(occupant) = room.occupants.get(nick) else {
        return Vec::new();
    };
    let standing = (room.affiliation(&occupant.jid), occupant.role);
    let make = |view| {
        let element = presence(room, occupant, None, standing, view, notice);
        Arc::<str>::from(element.to_xml_in(ns::CLIENT))
    };
    let shown = [make(View::Anonymous), make(View::WithAddress)];
    let plain = if notice.statuses.is_empty() && notice.reason.is_none() && notice.actor.is_none() {
        shown.clone()
    } else {
        let plain = Notice::default();
        [View::Anonymous, View::WithAddress]
            .map(|view| presence(room, occupant, None, standing, view, &plain))
            .map(|element| Arc::<str>::from(element.to_xml_in(ns::CLIENT)))
    };
    let deliveries = if is_broadcast(room, occupant.role) {
        split(room, nick, shown)
    } else {
        Vec::new()
    };
    if let Some(occupant) = room.occupants.get_mut(nick) {
        occupant.shown = plain.map(Some);
    }
    deliveries
}

/// The two variants to those who get each, but not to the occupant itself.
fn split(room: &Room, nick: &str, [anonymous, with_address]: [Arc<str>; 2]) -> Vec<Delivery> {
    let sees = |o: &Occupant| room.shows_addresses_to(o.role);
    let mut deliveries = Vec::with_capacity(2);
    for (xml, full) in [(with_address, true), (anonymous, false)] {
        let to = room.clients_of(|o| o.nick != nick && sees(o) == full);
        if !to.is_empty() {
            deliveries.push(Delivery {
                xml,
                to,
                complete: false,
                wakes: false,
            });
        }
    }
    deliveries
}

/// Show an occupant to itself: to one of its clients or to all (XEP-0045 §7.2.2, status 110).
#[must_use]
pub fn to_self(room: &Room, nick: &str, only: Option<&Jid>, notice: &Notice) -> Vec<Delivery> {
    let Some(occupant) = room.occupants.get(nick) else {
        return Vec::new();
    };
    let standing = (room.affiliation(&occupant.jid), occupant.role);
    let element = presence(room, occupant, None, standing, View::Own, notice);
    let to = match only {
        Some(one) => vec![one.clone()],
        None => occupant.clients.iter().map(|c| c.jid.clone()).collect(),
    };
    vec![Delivery::new(element, to)]
}

/// Show an occupant as it is now to all, itself included.
pub fn to_all(room: &mut Room, nick: &str, notice: &Notice) -> Vec<Delivery> {
    let mut deliveries = to_others(room, nick, notice);
    deliveries.extend(to_self(room, nick, None, notice));
    deliveries
}

/// Show those who are in the room to a newcomer (XEP-0045 §7.2.2).
#[must_use]
pub fn roll_call(room: &Room, newcomer: &str, to: &Jid) -> Vec<Delivery> {
    let Some(own) = room.occupants.get(newcomer) else {
        return Vec::new();
    };
    let full = usize::from(room.shows_addresses_to(own.role));
    room.occupants
        .values()
        .filter(|o| o.nick != newcomer && is_broadcast(room, o.role))
        .filter_map(|o| Some(Delivery::raw(Arc::clone(o.shown[full].as_ref()?), to)))
        .collect()
}

/// Tell everybody that an occupant, already taken out of the room, has gone; `said`: its last words in presence.
#[must_use]
pub fn farewell(
    room: &Room,
    occupant: &Occupant,
    affiliation: Affiliation,
    said: &[Element],
    notice: &Notice,
) -> Vec<Delivery> {
    let standing = if notice.new_nick.is_some() {
        (affiliation, occupant.role)
    } else {
        (affiliation, Role::None)
    };
    let make = |view| presence(room, occupant, Some(said), standing, view, notice);
    let mut deliveries = Vec::with_capacity(3);
    let own: Vec<Jid> = occupant.clients.iter().map(|c| c.jid.clone()).collect();
    if !own.is_empty() {
        deliveries.push(Delivery::new(make(View::Own), own));
    }
    if is_broadcast(room, occupant.role) {
        let variants = [View::Anonymous, View::WithAddress]
            .map(|view| Arc::<str>::from(make(view).to_xml_in(ns::CLIENT)));
        deliveries.extend(split(room, &occupant.nick, variants));
    }
    deliveries
}

/// Tell one client of an occupant who stays with others that it has left.
#[must_use]
pub fn client_left(room: &Room, occupant: &Occupant, client: &Client) -> Delivery {
    let alone = Occupant {
        clients: vec![client.clone()],
        ..occupant.clone()
    };
    let standing = (room.affiliation(&occupant.jid), Role::None);
    let notice = Notice::default();
    let element = presence(room, &alone, Some(&[]), standing, View::Own, &notice);
    Delivery::one(element, &client.jid)
}
