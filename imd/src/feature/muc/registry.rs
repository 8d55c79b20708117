//! The rooms that are in memory, and the list of all there are.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use imd_proto::{Jid, StanzaError, ns, xml};
use imd_store::{ArchiveFilter, ArchivePaging};
use tokio::sync::OnceCell;

use super::history::{self, is_shown_later};
use super::info::Listed;
use super::message::is_subject;
use super::names;
use super::outbox::Outbox;
use super::role::Affiliation;
use super::room::{Affiliated, Room, Subject};
use super::settings::{MAX_HISTORY, Settings};
use crate::feature::store_error;
use crate::route;
use crate::server::Server;

/// Rooms that stay in memory although nobody is in them.
const IDLE_ROOMS: usize = 256;

/// A room in memory, or the place where one could be.
pub struct Handle {
    /// The bare address.
    pub jid: Jid,
    /// The room; absent when it does not exist or is not loaded. Whoever holds it decides what happens next.
    pub state: tokio::sync::Mutex<Option<Room>>,
    /// What the room has yet to send.
    pub outbox: Outbox,
}

/// The rooms.
#[derive(Default)]
pub struct Registry {
    loaded: Mutex<HashMap<Jid, Arc<Handle>>>,
    index: OnceCell<RwLock<BTreeMap<String, Listed>>>,
}

impl Registry {
    /// The place of a room.
    pub fn handle(&self, jid: &Jid) -> Arc<Handle> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let handle = loaded.entry(jid.clone()).or_insert_with(|| {
            Arc::new(Handle {
                jid: jid.clone(),
                state: tokio::sync::Mutex::new(None),
                outbox: Outbox::default(),
            })
        });
        Arc::clone(handle)
    }

    /// All rooms in memory.
    #[must_use]
    pub fn handles(&self) -> Vec<Arc<Handle>> {
        let loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        loaded.values().cloned().collect()
    }

    /// Done with a room for now: forget it if it does not exist, or is empty and others need the memory.
    pub fn release(&self, handle: &Arc<Handle>) {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        // The map's own reference and the caller's: nobody else is about to use it.
        if Arc::strong_count(handle) > 2 || !handle.outbox.is_idle() {
            return;
        }
        let crowded = loaded.len() > IDLE_ROOMS;
        let forget = match handle.state.try_lock() {
            Ok(slot) => match slot.as_ref() {
                None => true,
                Some(room) => crowded && room.occupants.is_empty(),
            },
            Err(_) => false,
        };
        if forget
            && loaded
                .get(&handle.jid)
                .is_some_and(|h| Arc::ptr_eq(h, handle))
        {
            loaded.remove(&handle.jid);
        }
    }

    /// The list of all rooms. The first time it is read from the store, and what a restart has ended is cleared
    /// away: rooms that were not to be kept, and rooms that were never configured.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn index(
        &self,
        server: &Server,
    ) -> Result<&RwLock<BTreeMap<String, Listed>>, StanzaError> {
        self.index
            .get_or_try_init(|| async {
                let rooms = server.store.rooms().await.map_err(|e| store_error(&e))?;
                let mut index = BTreeMap::new();
                for room in rooms {
                    let settings = settings(&room.jid, &room.config)?;
                    if settings.persistent && !settings.locked {
                        index.insert(room.jid, listed(&settings));
                    } else if let Err(error) = server.store.delete_room(&room.jid).await {
                        tracing::warn!(room = room.jid, %error, "cannot delete a temporary room");
                    }
                }
                Ok(RwLock::new(index))
            })
            .await
    }

    /// How many rooms there are.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn count(&self, server: &Server) -> Result<usize, StanzaError> {
        let index = self.index(server).await?;
        Ok(index.read().unwrap_or_else(PoisonError::into_inner).len())
    }

    /// Enter a room in the list, or what has changed in it.
    pub fn list(&self, jid: &Jid, settings: &Settings) {
        if let Some(index) = self.index.get() {
            let mut index = index.write().unwrap_or_else(PoisonError::into_inner);
            index.insert(jid.as_str().to_owned(), listed(settings));
        }
    }

    /// Take a room off the list.
    pub fn unlist(&self, jid: &Jid) {
        if let Some(index) = self.index.get() {
            let mut index = index.write().unwrap_or_else(PoisonError::into_inner);
            index.remove(jid.as_str());
        }
    }
}

fn listed(settings: &Settings) -> Listed {
    Listed {
        name: settings.name.clone(),
        public: settings.public && !settings.locked,
    }
}

fn settings(jid: &str, config: &str) -> Result<Settings, StanzaError> {
    serde_json::from_str(config).map_err(|error| {
        tracing::error!(room = jid, %error, "the configuration of a room cannot be read");
        StanzaError::new(imd_proto::Condition::InternalServerError)
    })
}

/// Read a room from the store; absent when there is none.
///
/// # Errors
/// When the store fails or the record is damaged.
pub async fn load(server: &Server, jid: &Jid) -> Result<Option<Room>, StanzaError> {
    let failed = |e| store_error(&e);
    let Some(kept) = server.store.room(jid.as_str()).await.map_err(failed)? else {
        return Ok(None);
    };
    let settings = settings(jid.as_str(), &kept.config)?;
    let most = server.config.rooms.max_occupants;
    let mut room = Room::new(jid.clone(), settings, kept.created_at, most);
    room.subject = kept.subject.as_deref().and_then(subject);
    for entry in server
        .store
        .affiliations(jid.as_str())
        .await
        .map_err(failed)?
    {
        let affiliated = Affiliated {
            affiliation: Affiliation::from(entry.affiliation),
            nick: entry.nick,
            reason: entry.reason,
        };
        room.affiliations.insert(entry.jid, affiliated);
    }
    let paging = ArchivePaging {
        backwards: true,
        max: MAX_HISTORY,
        ..ArchivePaging::default()
    };
    let page = server
        .store
        .archive_page(jid.as_str(), ArchiveFilter::default(), paging)
        .await
        .map_err(failed)?;
    for entry in &page.entries {
        let shown = route::read_stored(&entry.stanza).is_some_and(|message| {
            let retracted = message.child("retracted", names::RETRACT).is_some();
            (retracted || is_shown_later(&message)) && !is_subject(&message)
        });
        if shown {
            room.history.push(history::from_archive(jid, entry));
        }
    }
    Ok(Some(room))
}

/// The subject as the store keeps it: the message that set it.
fn subject(kept: &str) -> Option<Subject> {
    let limits = xml::Limits {
        stanza_bytes: usize::MAX,
        ..xml::Limits::default()
    };
    let message = xml::parse_document(kept, limits).ok()?;
    Some(Subject {
        text: message.child_text("subject").unwrap_or_default(),
        xml: message.to_xml_in(ns::CLIENT).into(),
    })
}

/// A room as the store keeps it.
#[must_use]
pub fn record(room: &Room) -> imd_store::Room {
    let subject = room.subject.as_ref();
    imd_store::Room {
        jid: room.jid.as_str().to_owned(),
        config: room.settings.to_json(),
        subject: subject
            .and_then(|s| route::read_client_xml(&s.xml))
            .map(|message| message.to_xml()),
        created_at: room.created_at,
    }
}
