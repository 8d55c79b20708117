//! One stanza's turn in a room: read it, ask the pure functions, write to the store, send what follows.

mod iq;
mod message;
mod presence;

use std::sync::Arc;

use imd_proto::{Condition, Element, Jid, Kind, Stanza, StanzaError, ns};
use imd_store::{Commit, now_millis};

use super::admin::{self, Change};
use super::delivery::{Delivery, Effects};
use super::message::Moment;
use super::registry::{self, Handle};
use super::room::Room;
use super::{Rooms, outbox};
use crate::feature::store_error;
use crate::server::Server;

/// What a handler answers.
type Outcome = Result<Effects, StanzaError>;

/// The holder of a room's state, for one stanza.
pub struct Turn<'a> {
    /// All rooms.
    pub rooms: &'a Rooms,
    /// The server.
    pub server: &'a Arc<Server>,
    /// The room's place.
    pub handle: &'a Arc<Handle>,
    /// The room, once loaded; absent when there is none.
    pub slot: &'a mut Option<Room>,
}

impl Turn<'_> {
    /// Deal with a stanza.
    pub async fn take(&mut self, stanza: &Stanza, to: &Jid) -> Option<Commit> {
        let outcome = match self.load().await {
            Ok(()) => match stanza.kind {
                Kind::Presence => self.presence(stanza, to).await,
                Kind::Message => self.message(stanza, to).await,
                Kind::Iq => self.iq(stanza, to).await,
            },
            Err(error) => Err(error),
        };
        let effects = match outcome {
            Ok(effects) => effects,
            Err(error) => refusal(stanza, &error),
        };
        let commit = outbox::send(self.server, self.handle, effects).await;
        self.rooms.tidy(self.server, self.handle, self.slot).await;
        commit
    }

    pub(in crate::feature::muc) async fn load(&mut self) -> Result<(), StanzaError> {
        if self.slot.is_none() {
            // Before the first room: temporary rooms of the last run are cleared away.
            self.rooms.registry.index(self.server).await?;
            *self.slot = registry::load(self.server, &self.handle.jid).await?;
        }
        Ok(())
    }

    /// The room.
    pub(in crate::feature::muc) fn room(&mut self) -> Result<&mut Room, StanzaError> {
        self.slot
            .as_mut()
            .ok_or_else(|| StanzaError::with_text(Condition::ItemNotFound, "there is no such room"))
    }

    /// Now, and the next archive id.
    fn moment(&self) -> Moment {
        Moment {
            now: now_millis(),
            id: self.server.store.archive_ids().next(),
            archiving: self.server.config.archive.enabled,
        }
    }

    /// Write the room's record.
    async fn save(&mut self) -> Result<(), StanzaError> {
        let record = registry::record(self.room()?);
        let saved = self.server.store.save_room(record).await;
        saved.map_err(|e| store_error(&e))
    }

    /// Store changes that have been checked, then make them.
    async fn change(
        &mut self,
        actor: &Jid,
        changes: Vec<Change>,
    ) -> Result<Vec<Delivery>, StanzaError> {
        self.store_changes(&changes).await?;
        Ok(admin::apply(self.room()?, Some(actor), changes))
    }

    pub(in crate::feature::muc) async fn store_changes(
        &mut self,
        changes: &[Change],
    ) -> Result<(), StanzaError> {
        let stored = admin::stored(changes);
        if stored.is_empty() {
            return Ok(());
        }
        admin::fits(self.room()?, changes)?;
        let jid = self.handle.jid.as_str();
        let done = self.server.store.change_affiliations(jid, stored).await;
        done.map_err(|e| store_error(&e))
    }
}

/// The answer that reports an error; nothing to those who must not be answered (RFC 6120 §8.3.1).
fn refusal(stanza: &Stanza, error: &StanzaError) -> Effects {
    let quiet = stanza.is_error()
        || (stanza.kind == Kind::Iq && !stanza.is_request())
        || (stanza.kind == Kind::Presence && stanza.type_attr() == Some("unavailable"));
    if quiet {
        return Effects::default();
    }
    let mut reply = stanza.error(error);
    if stanza.kind == Kind::Presence {
        reply.push(Element::new("x", ns::MUC));
    }
    Effects::reply(reply, &stanza.from)
}

/// RFC 6120 §8.2.3: a request has an id and exactly one child.
///
/// # Errors
/// `bad-request` otherwise.
pub fn well_formed(stanza: &Stanza) -> Result<(), StanzaError> {
    let bad = |text| Err(StanzaError::with_text(Condition::BadRequest, text));
    if stanza.id().is_none() {
        return bad("an IQ needs an id");
    }
    if stanza.element.children().count() != 1 {
        return bad("an IQ of type get or set needs exactly one child element");
    }
    Ok(())
}

impl Rooms {
    /// After each event: a room that is not to be kept ends with its last occupant.
    pub(super) async fn tidy(
        &self,
        server: &Arc<Server>,
        handle: &Arc<Handle>,
        slot: &mut Option<Room>,
    ) {
        let Some(room) = slot.as_ref() else { return };
        let stays = room.settings.persistent && !room.settings.locked;
        if stays || !room.occupants.is_empty() {
            return;
        }
        if let Err(error) = server.store.delete_room(handle.jid.as_str()).await {
            tracing::warn!(room = %handle.jid, %error, "cannot delete a temporary room");
        }
        self.registry.unlist(&handle.jid);
        *slot = None;
    }
}
