//! Configuration taking effect, and the end of a room (XEP-0045 §10.2, §10.9).

use imd_proto::{Element, Jid, ns};

use super::announce::{self, Notice};
use super::delivery::Delivery;
use super::join;
use super::names;
use super::role::{Affiliation, Role};
use super::room::{Room, status};
use super::settings::Settings;

/// Put a configuration in the place of the old one and tell everybody what matters (XEP-0045 §10.2.1).
pub fn configure(room: &mut Room, settings: Settings) -> Vec<Delivery> {
    let old = std::mem::replace(&mut room.settings, settings);
    let new = &room.settings;
    let mut codes = Vec::new();
    match (old.archive, new.archive) {
        (false, true) => codes.push(170),
        (true, false) => codes.push(171),
        _ => {}
    }
    match (old.non_anonymous(), new.non_anonymous()) {
        (false, true) => codes.push(172),
        (true, false) => codes.push(173),
        _ => {}
    }
    let mut silent = old.clone();
    silent.archive = new.archive;
    silent.whois = new.whois;
    silent.locked = new.locked;
    if silent != *new {
        codes.insert(0, 104);
    }
    let mut deliveries = Vec::new();
    if !codes.is_empty() && !old.locked {
        let x = Element::new("x", ns::MUC_USER).with_children(codes.into_iter().map(status));
        let message = Element::new("message", ns::CLIENT)
            .with_attr("from", room.jid.as_str())
            .with_attr("type", "groupchat")
            .with_child(x);
        deliveries.push(Delivery::new(message, room.everybody()));
    }
    if room.settings.members_only && !old.members_only {
        deliveries.extend(throw_out_strangers(room));
    }
    if old.moderated && !room.settings.moderated {
        deliveries.extend(give_voice(room));
    }
    // Whether real addresses are shown has changed, or hats have: what newcomers see must follow.
    let nicks: Vec<String> = room.occupants.keys().cloned().collect();
    if old.hats != room.settings.hats {
        for nick in nicks {
            deliveries.extend(announce::to_all(room, &nick, &Notice::default()));
        }
    }
    deliveries
}

/// XEP-0045 §10.2.1: a room that becomes members-only keeps members only.
fn throw_out_strangers(room: &mut Room) -> Vec<Delivery> {
    let strangers: Vec<String> = room
        .occupants
        .values()
        .filter(|o| room.affiliation(&o.jid) < Affiliation::Member)
        .map(|o| o.nick.clone())
        .collect();
    let notice = Notice::code(322);
    strangers
        .iter()
        .flat_map(|nick| join::remove(room, nick, &[], &notice))
        .collect()
}

/// In a room that is not moderated any more, all may speak.
fn give_voice(room: &mut Room) -> Vec<Delivery> {
    let mut nicks = Vec::new();
    for occupant in room.occupants.values_mut() {
        if occupant.role == Role::Visitor {
            occupant.role = Role::Participant;
            nicks.push(occupant.nick.clone());
        }
    }
    nicks
        .iter()
        .flat_map(|nick| announce::to_all(room, nick, &Notice::default()))
        .collect()
}

/// The end: everybody is sent away, and told of another room where there is one. `destroy` is as the owner sent it.
pub fn destroy(room: &mut Room, destroy: &Element) -> Vec<Delivery> {
    let venue = destroy.attr("jid").and_then(|jid| jid.parse::<Jid>().ok());
    let mut told =
        Element::new("destroy", ns::MUC_USER).with_opt_attr("jid", venue.as_ref().map(Jid::as_str));
    for name in ["reason", "password"] {
        if let Some(text) = destroy.child_text(name) {
            told.push(Element::new(name, ns::MUC_USER).with_text(text));
        }
    }
    let mut deliveries = Vec::new();
    let x = |affiliation: Affiliation| {
        Element::new("x", ns::MUC_USER)
            .with_child(announce::item(affiliation, Role::None))
            .with_child(told.clone())
            .with_child(status(110))
    };
    // Each is told of its own end only: nobody is left to whom the others' would matter.
    for occupant in std::mem::take(&mut room.occupants).into_values() {
        let presence = Element::new("presence", ns::CLIENT)
            .with_attr("from", occupant.address.as_str())
            .with_attr("type", "unavailable")
            .with_child(x(Affiliation::None));
        let to = occupant.clients.into_iter().map(|c| c.jid).collect();
        deliveries.push(Delivery::new(presence, to));
    }
    room.nicks.clear();
    deliveries
}

/// An owner's `<destroy/>` without address and with a reason.
#[must_use]
pub fn destroy_element(reason: Option<&str>) -> Element {
    let mut destroy = Element::new("destroy", names::OWNER);
    if let Some(reason) = reason {
        destroy.push(Element::new("reason", names::OWNER).with_text(reason));
    }
    destroy
}
