//! Presence: entering, changing, leaving, and rooms that are made by entering them (XEP-0045 §7.2, §10.1).

use imd_proto::{Condition, Jid, Stanza, StanzaError, ns};
use imd_store::{AffiliationChange, Role as AccountRole, now_millis};

use super::{Outcome, Turn};
use crate::config::MayCreate;
use crate::feature::muc::announce::Notice;
use crate::feature::muc::delivery::Effects;
use crate::feature::muc::join::{self, Joining};
use crate::feature::muc::registry;
use crate::feature::muc::role::Affiliation;
use crate::feature::muc::room::{Affiliated, Room};
use crate::feature::muc::settings::Settings;
use crate::feature::store_error;

/// Bytes of one presence.
const MAX_PRESENCE: usize = 16 * 1024;

impl Turn<'_> {
    pub(super) async fn presence(&mut self, stanza: &Stanza, to: &Jid) -> Outcome {
        match stanza.type_attr() {
            Some("unavailable") => Ok(self.leave(stanza, &Notice::default())),
            Some("error") => Ok(self.leave(stanza, &Notice::code(333))),
            None => self.available(stanza, to).await,
            // A room cannot be subscribed to.
            Some(_) => Ok(Effects::default()),
        }
    }

    fn leave(&mut self, stanza: &Stanza, notice: &Notice) -> Effects {
        let said = if stanza.is_error() {
            Vec::new()
        } else {
            join::said(&stanza.element)
        };
        match self.slot {
            Some(room) => join::leave(room, &stanza.from, &said, notice),
            None => Effects::default(),
        }
    }

    async fn available(&mut self, stanza: &Stanza, to: &Jid) -> Outcome {
        let Some(nick) = to.resource() else {
            let text = "to enter a room, send presence to its address with a nickname";
            return Err(StanzaError::with_text(Condition::JidMalformed, text));
        };
        // Everybody in the room gets it, and it is kept for newcomers.
        if stanza.element.to_xml().len() > MAX_PRESENCE {
            let text = format!("presence in a room has at most {MAX_PRESENCE} bytes");
            return Err(StanzaError::with_text(Condition::PolicyViolation, text));
        }
        let joins = stanza.element.child("x", ns::MUC).is_some();
        if let Some(room) = self.slot {
            match (room.occupant(&stanza.from), joins) {
                (Some(own), true) if own.nick == nick => {} // Let in again: it has lost track.
                (Some(_), _) => return join::update(room, stanza, nick),
                (None, true) => {}
                (None, false) => return Err(join::not_here()),
            }
            let joining = Joining::read(stanza, nick, false);
            join::admit(room, &joining)?;
            if room.affiliation(&stanza.from) < Affiliation::Member {
                self.may_meet_strangers(&stanza.from).await?;
            }
            return Ok(join::enter(self.room()?, joining, now_millis()));
        }
        if !joins {
            return Err(join::not_here());
        }
        self.may_create(&stanza.from).await?;
        let joining = Joining::read(stanza, nick, true);
        let mut room = self.new_room(&stanza.from);
        join::admit(&room, &joining)?;
        let owner = AffiliationChange {
            jid: stanza.from.bare_str().to_owned(),
            affiliation: Affiliation::Owner.stored(),
            nick: None,
            reason: None,
        };
        let record = registry::record(&room);
        let created = self.server.store.create_room(record, vec![owner]).await;
        created.map_err(|e| store_error(&e))?;
        self.rooms.registry.list(&room.jid, &room.settings);
        let effects = join::enter(&mut room, joining, now_millis());
        *self.slot = Some(room);
        Ok(effects)
    }

    fn new_room(&self, owner: &Jid) -> Room {
        let settings = Settings {
            locked: true,
            occupant_key: self.server.random_id::<32>(),
            ..Settings::default()
        };
        let most = self.server.config.rooms.max_occupants;
        let mut room = Room::new(self.handle.jid.clone(), settings, now_millis(), most);
        let affiliated = Affiliated {
            affiliation: Affiliation::Owner,
            nick: None,
            reason: None,
        };
        room.affiliations
            .insert(owner.bare_str().to_owned(), affiliated);
        room
    }

    /// A guest or a child meets people only in rooms that it has been made a member of.
    async fn may_meet_strangers(&self, who: &Jid) -> Result<(), StanzaError> {
        let Some(user) = who.local().filter(|_| self.server.is_local_account(who)) else {
            return Ok(());
        };
        let account = self.server.store.account(user).await;
        let role = account.map_err(|e| store_error(&e))?.map(|a| a.role);
        if role == Some(AccountRole::Limited) {
            let text = "this account enters only rooms that it is a member of";
            return Err(StanzaError::with_text(Condition::NotAllowed, text));
        }
        Ok(())
    }

    /// Whether somebody may make a room.
    async fn may_create(&self, who: &Jid) -> Result<(), StanzaError> {
        let settings = &self.server.config.rooms;
        let refused = |text: &str| Err(StanzaError::with_text(Condition::NotAllowed, text));
        if settings.create != MayCreate::Anyone {
            let Some(user) = who.local().filter(|_| self.server.is_local_account(who)) else {
                return refused("only people of this server make rooms here");
            };
            let account = self.server.store.account(user).await;
            let role = account.map_err(|e| store_error(&e))?.map(|a| a.role);
            let enough = match settings.create {
                MayCreate::Administrators => role == Some(AccountRole::Admin),
                _ => matches!(role, Some(AccountRole::Admin | AccountRole::Member)),
            };
            if !enough {
                return refused("this account may not make rooms; ask the administrator");
            }
        }
        if self.rooms.registry.count(self.server).await? >= settings.max_rooms as usize {
            let text = format!(
                "the server has {} rooms, which is its limit",
                settings.max_rooms
            );
            return Err(StanzaError::with_text(Condition::ResourceConstraint, text));
        }
        Ok(())
    }
}
