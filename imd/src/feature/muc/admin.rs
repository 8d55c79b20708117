//! Lists of affiliations and roles, read and changed (XEP-0045 §8.2 to §8.5, §9, §10.3 to §10.8).
//!
//! A request is checked as a whole, then stored, then applied: all of its items or none.

use imd_proto::{Condition, Element, Jid, StanzaError, ns};
use imd_store::AffiliationChange;

use super::announce::{self, Notice};
use super::delivery::Delivery;
use super::join;
use super::names;
use super::role::{Affiliation, Role, Standing, may_set_affiliation, may_set_role, role_after};
use super::room::{Affiliated, Room};

/// What is changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// The role of an occupant.
    Role {
        /// Its nickname.
        nick: String,
        /// What it becomes; `None` is a kick.
        role: Role,
    },
    /// The affiliation of an address.
    Affiliation {
        /// The bare address.
        jid: Jid,
        /// What it becomes.
        affiliation: Affiliation,
        /// The nickname reserved for it; absent leaves a reserved one as it is.
        nick: Option<String>,
    },
}

/// One item of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What is changed.
    pub what: What,
    /// Why.
    pub reason: Option<String>,
}

/// People on all lists of one room together.
const MAX_AFFILIATIONS: usize = 20_000;

fn bad(text: impl Into<String>) -> StanzaError {
    StanzaError::with_text(Condition::BadRequest, text)
}

/// Read the items of a request.
///
/// # Errors
/// With what is wrong in the first item that is.
pub fn read(room: &Room, query: &Element) -> Result<Vec<Change>, StanzaError> {
    let items: Vec<_> = query
        .children()
        .filter(|c| c.is("item", names::ADMIN))
        .map(|item| read_item(room, item))
        .collect::<Result<_, _>>()?;
    if items.is_empty() {
        return Err(bad("the query has no <item/>"));
    }
    Ok(items)
}

fn read_item(room: &Room, item: &Element) -> Result<Change, StanzaError> {
    let nick = item.attr("nick").map(str::to_owned);
    let reason = item.child_text("reason").filter(|r| !r.is_empty());
    let what = match (item.attr("affiliation"), item.attr("role")) {
        (Some(name), None) => {
            let affiliation = Affiliation::from_name(name).ok_or_else(|| {
                bad(format!(
                    "affiliation cannot be {name:?}; accepted are outcast, none, member, admin and owner"
                ))
            })?;
            let (jid, nick) = match (item.attr("jid"), nick) {
                (Some(text), nick) => {
                    let jid: Jid = text.parse().map_err(|e| {
                        StanzaError::with_text(Condition::JidMalformed, format!("{text:?}: {e}"))
                    })?;
                    (jid.to_bare(), nick)
                }
                (None, Some(nick)) => match room.occupants.get(&nick) {
                    Some(occupant) => (occupant.jid.clone(), None),
                    None => return Err(nobody(&nick)),
                },
                (None, None) => return Err(bad("an item needs a jid or a nick")),
            };
            What::Affiliation {
                jid,
                affiliation,
                nick,
            }
        }
        (None, Some(name)) => {
            let role = Role::from_name(name).ok_or_else(|| {
                bad(format!(
                    "role cannot be {name:?}; accepted are none, visitor, participant and moderator"
                ))
            })?;
            let nick = match (nick, item.attr("jid").and_then(|j| j.parse().ok())) {
                (Some(nick), _) => nick,
                (None, Some(jid)) => room
                    .occupant(&jid)
                    .map(|o| o.nick.clone())
                    .ok_or_else(|| StanzaError::new(Condition::ItemNotFound))?,
                (None, None) => return Err(bad("an item with a role needs a nick")),
            };
            What::Role { nick, role }
        }
        _ => return Err(bad("an item has either an affiliation or a role")),
    };
    Ok(Change { what, reason })
}

fn nobody(nick: &str) -> StanzaError {
    StanzaError::with_text(
        Condition::ItemNotFound,
        format!("nobody has the nickname {nick:?}"),
    )
}

/// Whether somebody may make all of these changes.
///
/// # Errors
/// With what XEP-0045 §8 to §10 say for the first one that is refused.
pub fn check(room: &Room, actor: &Jid, changes: &[Change]) -> Result<(), StanzaError> {
    let own = room.standing(actor);
    for change in changes {
        match &change.what {
            What::Role { nick, role } => {
                let target = room.occupants.get(nick).ok_or_else(|| nobody(nick))?;
                let standing = Standing {
                    affiliation: room.affiliation(&target.jid),
                    role: target.role,
                };
                may_set_role(own, standing, *role)?;
            }
            What::Affiliation {
                jid,
                affiliation,
                nick,
            } => {
                check_affiliation(room, actor, own.affiliation, jid, *affiliation)?;
                if let Some(nick) = nick
                    && room.nick_is_taken(nick, jid)
                {
                    let text = format!("somebody else has the nickname {nick:?}");
                    return Err(StanzaError::with_text(Condition::Conflict, text));
                }
            }
        }
    }
    keeps_an_owner(room, changes)
}

fn check_affiliation(
    room: &Room,
    actor: &Jid,
    own: Affiliation,
    jid: &Jid,
    to: Affiliation,
) -> Result<(), StanzaError> {
    let banned = to == Affiliation::Outcast;
    if jid.local().is_none() && to > Affiliation::None {
        return Err(bad(format!("{jid} is a domain, which can only be banned")));
    }
    let target = room
        .affiliations
        .get(jid.as_str())
        .map_or(Affiliation::None, |entry| entry.affiliation);
    may_set_affiliation(own, target, to)?;
    let own_domain = jid.local().is_none() && jid.domain() == actor.domain();
    if banned && (jid.same_bare(actor) || own_domain) {
        return Err(StanzaError::with_text(
            Condition::Conflict,
            "you cannot ban yourself",
        ));
    }
    Ok(())
}

/// Whether the lists stay within their bound.
///
/// # Errors
/// `resource-constraint` when they would not.
pub fn fits(room: &Room, changes: &[Change]) -> Result<(), StanzaError> {
    let grows = |change: &&Change| match &change.what {
        What::Affiliation {
            jid, affiliation, ..
        } => *affiliation != Affiliation::None && !room.affiliations.contains_key(jid.as_str()),
        What::Role { .. } => false,
    };
    let new = changes.iter().filter(grows).count();
    if new > 0 && room.affiliations.len() + new > MAX_AFFILIATIONS {
        let text = format!("the room's lists hold {MAX_AFFILIATIONS} people");
        return Err(StanzaError::with_text(Condition::ResourceConstraint, text));
    }
    Ok(())
}

/// XEP-0045 §10.3: a room does not lose its last owner.
fn keeps_an_owner(room: &Room, changes: &[Change]) -> Result<(), StanzaError> {
    let mut owners: std::collections::BTreeSet<&str> = room
        .affiliations
        .iter()
        .filter(|(_, entry)| entry.affiliation == Affiliation::Owner)
        .map(|(jid, _)| jid.as_str())
        .collect();
    let had = !owners.is_empty();
    for change in changes {
        if let What::Affiliation {
            jid, affiliation, ..
        } = &change.what
        {
            if *affiliation == Affiliation::Owner {
                owners.insert(jid.as_str());
            } else {
                owners.remove(jid.as_str());
            }
        }
    }
    if had && owners.is_empty() {
        let text = "the room would have no owner";
        return Err(StanzaError::with_text(Condition::Conflict, text));
    }
    Ok(())
}

/// What the store has to change.
#[must_use]
pub fn stored(changes: &[Change]) -> Vec<AffiliationChange> {
    let each = |change: &Change| match &change.what {
        What::Affiliation {
            jid,
            affiliation,
            nick,
        } => Some(AffiliationChange {
            jid: jid.as_str().to_owned(),
            affiliation: affiliation.stored(),
            nick: nick.clone(),
            reason: change.reason.clone(),
        }),
        What::Role { .. } => None,
    };
    changes.iter().filter_map(each).collect()
}

/// Make the changes and tell everybody. `actor`: who did it; absent: the server.
pub fn apply(room: &mut Room, actor: Option<&Jid>, changes: Vec<Change>) -> Vec<Delivery> {
    let actor = actor.and_then(|jid| {
        let occupant = room.occupant(jid);
        occupant
            .or_else(|| room.occupants.values().find(|o| o.jid.same_bare(jid)))
            .map(|o| o.nick.clone())
    });
    let mut deliveries = Vec::new();
    for Change { what, reason } in changes {
        match what {
            What::Role { nick, role } => {
                let notice = Notice::default().by(actor.clone(), reason);
                deliveries.extend(set_role(room, &nick, role, notice));
            }
            What::Affiliation {
                jid,
                affiliation,
                nick,
            } => {
                let notice = Notice::default().by(actor.clone(), reason);
                deliveries.extend(set_affiliation(room, &jid, affiliation, nick, notice));
            }
        }
    }
    deliveries
}

fn set_role(room: &mut Room, nick: &str, role: Role, mut notice: Notice) -> Vec<Delivery> {
    if role == Role::None {
        notice.statuses.push(307);
        return join::remove(room, nick, &[], &notice);
    }
    match room.occupants.get_mut(nick) {
        Some(occupant) => occupant.role = role,
        None => return Vec::new(),
    }
    announce::to_all(room, nick, &notice)
}

fn set_affiliation(
    room: &mut Room,
    jid: &Jid,
    to: Affiliation,
    nick: Option<String>,
    notice: Notice,
) -> Vec<Delivery> {
    let key = jid.as_str().to_owned();
    let old = room.affiliations.remove(&key);
    let before = old
        .as_ref()
        .map_or(Affiliation::None, |entry| entry.affiliation);
    if to != Affiliation::None {
        let entry = Affiliated {
            affiliation: to,
            nick: nick.or_else(|| old.and_then(|entry| entry.nick)),
            reason: notice.reason.clone(),
        };
        room.affiliations.insert(key, entry);
    }
    let meant: Vec<String> = room
        .occupants
        .values()
        .filter(|o| match jid.local() {
            Some(_) => o.jid.same_bare(jid),
            None => o.jid.domain() == jid.domain() && room.affiliation(&o.jid) == to,
        })
        .map(|o| o.nick.clone())
        .collect();
    if meant.is_empty() {
        return absent(room, jid, to);
    }
    meant
        .iter()
        .flat_map(|nick| affiliated(room, nick, before, to, notice.clone()))
        .collect()
}

/// Show the new affiliation of somebody in the room, or throw them out (XEP-0045 §9.1, §9.4).
fn affiliated(
    room: &mut Room,
    nick: &str,
    before: Affiliation,
    to: Affiliation,
    mut notice: Notice,
) -> Vec<Delivery> {
    if to == Affiliation::Outcast {
        notice.statuses.push(301);
        return join::remove(room, nick, &[], &notice);
    }
    if to == Affiliation::None && room.settings.members_only {
        notice.statuses.push(321);
        return join::remove(room, nick, &[], &notice);
    }
    let moderated = room.settings.moderated;
    if let Some(occupant) = room.occupants.get_mut(nick) {
        occupant.role = role_after(before, to, occupant.role, moderated);
    }
    announce::to_all(room, nick, &notice)
}

/// Tell those who see real addresses of a change for somebody who is not in the room.
fn absent(room: &Room, jid: &Jid, to: Affiliation) -> Vec<Delivery> {
    let item = announce::item(to, Role::None).with_attr("jid", jid.as_str());
    let message = Element::new("message", ns::CLIENT)
        .with_attr("from", room.jid.as_str())
        .with_child(Element::new("x", ns::MUC_USER).with_child(item));
    let to = room.clients_of(|o| room.shows_addresses_to(o.role));
    if to.is_empty() {
        return Vec::new();
    }
    vec![Delivery::new(message, to)]
}
