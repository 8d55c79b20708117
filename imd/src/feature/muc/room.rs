//! A room's state: who is affiliated, who is in it, what was said last. Events change it through the functions
//! of the neighbouring files, which are pure: state and event in, deliveries out.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use imd_proto::{Element, Jid, ns};
use imd_store::UnixMillis;

use super::history::History;
use super::names;
use super::relay::Relayed;
use super::role::{Affiliation, Role, Standing, initial_role};
use super::settings::Settings;

/// An entry of the affiliation lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Affiliated {
    /// Never `None`.
    pub affiliation: Affiliation,
    /// The nickname reserved for them.
    pub nick: Option<String>,
    /// The reason given when it was set.
    pub reason: Option<String>,
}

/// One of an occupant's clients.
#[derive(Debug, Clone)]
pub struct Client {
    /// Its full address.
    pub jid: Jid,
    /// What it said in its last presence, without what the room adds.
    pub presence: Vec<Element>,
}

/// Somebody in the room: one person under one nickname, with one client or more.
#[derive(Debug, Clone)]
pub struct Occupant {
    /// The nickname.
    pub nick: String,
    /// The address in the room: the room's with the nickname.
    pub address: Jid,
    /// The real bare address.
    pub jid: Jid,
    /// The role.
    pub role: Role,
    /// The id that stays the same under all nicknames (XEP-0421).
    pub id: String,
    /// The clients; the last one spoke last.
    pub clients: Vec<Client>,
    /// The presence that others see, serialised: without and with the real address.
    pub shown: [Option<Arc<str>>; 2],
}

/// The subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// Its text.
    pub text: String,
    /// The message that set it, serialised, with the time.
    pub xml: Arc<str>,
}

/// A room.
#[derive(Debug)]
pub struct Room {
    /// The bare address.
    pub jid: Jid,
    /// The configuration.
    pub settings: Settings,
    /// The subject; absent: never set.
    pub subject: Option<Subject>,
    /// When it was created.
    pub created_at: UnixMillis,
    /// The affiliation lists by bare address (an outcast may be a whole domain).
    pub affiliations: BTreeMap<String, Affiliated>,
    /// Who is in the room, by nickname.
    pub occupants: BTreeMap<String, Occupant>,
    /// Nicknames by full address.
    pub nicks: HashMap<Jid, String>,
    /// The last messages.
    pub history: History,
    /// Requests between occupants that wait for their answers.
    pub relayed: Relayed,
    /// The most occupants that the server allows.
    pub server_max: u32,
}

impl Room {
    /// A room without anybody.
    #[must_use]
    pub fn new(jid: Jid, settings: Settings, created_at: UnixMillis, server_max: u32) -> Self {
        Self {
            jid,
            settings,
            subject: None,
            created_at,
            affiliations: BTreeMap::new(),
            occupants: BTreeMap::new(),
            nicks: HashMap::new(),
            history: History::default(),
            relayed: Relayed::default(),
            server_max,
        }
    }

    /// The affiliation of an address: its own, or that of its domain where that is banned.
    #[must_use]
    pub fn affiliation(&self, jid: &Jid) -> Affiliation {
        if let Some(entry) = self.affiliations.get(jid.bare_str()) {
            return entry.affiliation;
        }
        match self.affiliations.get(jid.domain()) {
            Some(entry) if entry.affiliation == Affiliation::Outcast => Affiliation::Outcast,
            _ => Affiliation::None,
        }
    }

    /// The occupant with this full address.
    #[must_use]
    pub fn occupant(&self, jid: &Jid) -> Option<&Occupant> {
        self.occupants.get(self.nicks.get(jid)?)
    }

    /// Affiliation and role of an address.
    #[must_use]
    pub fn standing(&self, jid: &Jid) -> Standing {
        let in_room = self.occupant(jid).or_else(|| {
            // Whoever writes from another client of the same person acts as that person.
            self.occupants.values().find(|o| o.jid.same_bare(jid))
        });
        Standing {
            affiliation: self.affiliation(jid),
            role: in_room.map_or(Role::None, |o| o.role),
        }
    }

    /// The role with which an affiliation enters.
    #[must_use]
    pub fn entry_role(&self, affiliation: Affiliation) -> Role {
        initial_role(affiliation, self.settings.moderated)
    }

    /// Who has reserved a nickname: a bare address.
    #[must_use]
    pub fn reserved_for(&self, nick: &str) -> Option<&str> {
        self.affiliations
            .iter()
            .find(|(_, entry)| entry.nick.as_deref() == Some(nick))
            .map(|(jid, _)| jid.as_str())
    }

    /// Whether somebody else has a nickname, in the room or reserved.
    #[must_use]
    pub fn nick_is_taken(&self, nick: &str, by_other_than: &Jid) -> bool {
        let other = |jid: &str| jid != by_other_than.bare_str();
        self.occupants
            .get(nick)
            .is_some_and(|o| other(o.jid.as_str()))
            || self.reserved_for(nick).is_some_and(other)
    }

    /// Whether real addresses are shown to somebody of this role.
    #[must_use]
    pub fn shows_addresses_to(&self, role: Role) -> bool {
        self.settings.non_anonymous() || role == Role::Moderator
    }

    /// The addresses of all clients of all occupants.
    #[must_use]
    pub fn everybody(&self) -> Vec<Jid> {
        self.clients_of(|_| true)
    }

    /// The addresses of all clients of the occupants that a test picks.
    pub fn clients_of(&self, pick: impl Fn(&Occupant) -> bool) -> Vec<Jid> {
        let mut jids = Vec::with_capacity(self.nicks.len());
        for occupant in self.occupants.values().filter(|o| pick(o)) {
            jids.extend(occupant.clients.iter().map(|c| c.jid.clone()));
        }
        jids
    }

    /// How many may be in the room.
    #[must_use]
    pub fn max_occupants(&self) -> u32 {
        self.settings
            .max_occupants
            .unwrap_or(self.server_max)
            .min(self.server_max)
    }

    /// The hats of a person (XEP-0317).
    #[must_use]
    pub fn hats(&self, bare: &str) -> Option<Element> {
        let mut worn = self
            .settings
            .hats
            .iter()
            .filter(|h| h.jid == bare)
            .peekable();
        worn.peek()?;
        let hats = worn.map(|hat| {
            Element::new("hat", names::HATS)
                .with_attr("uri", hat.uri.as_str())
                .with_attr("title", hat.title.as_str())
        });
        Some(Element::new("hats", names::HATS).with_children(hats))
    }

    /// The id of a person in this room (XEP-0421 §3): the same for ever, and unlike those in other rooms.
    #[must_use]
    pub fn occupant_id(&self, jid: &Jid) -> String {
        let key = ring::hmac::Key::new(
            ring::hmac::HMAC_SHA256,
            self.settings.occupant_key.as_bytes(),
        );
        let tag = ring::hmac::sign(&key, jid.bare_str().as_bytes());
        tag.as_ref()
            .iter()
            .take(20)
            .map(|b| format!("{b:02x}"))
            .collect()
    }

    /// The address of a nickname in the room; the room's own where the nickname cannot stand in an address.
    #[must_use]
    pub fn address_of(&self, nick: &str) -> Jid {
        self.jid
            .with_resource(nick)
            .unwrap_or_else(|_| self.jid.clone())
    }
}

/// An `<occupant-id/>`.
#[must_use]
pub fn occupant_id_element(id: &str) -> Element {
    Element::new("occupant-id", names::OCCUPANT_ID).with_attr("id", id)
}

/// A `<status/>` of `<x/>` (XEP-0045 §15.6).
#[must_use]
pub fn status(code: u16) -> Element {
    Element::new("status", ns::MUC_USER).with_attr("code", code.to_string())
}
