//! What the server itself does with rooms: for groups of people, the administrator and the command line.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, PoisonError};

use imd_proto::{Element, Jid, StanzaError, ns};
use imd_store::{AffiliationChange, now_millis};

use super::admin::{self, Change};
use super::announce::{self};
use super::delivery::{Delivery, Effects};
use super::registry::{self, Handle};
use super::role::{Affiliation, Role};
use super::room::{Affiliated, Room, status};
use super::settings::Settings;
use super::{Rooms, outbox, owner, turn::Turn};
use crate::feature::store_error;
use crate::server::Server;

/// What the administrator sees of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overview {
    /// The bare address.
    pub jid: String,
    /// The name that people read; empty: none.
    pub name: String,
    /// Whether it is in the list of rooms.
    pub public: bool,
    /// How many are in it.
    pub occupants: usize,
}

/// What the server does to a room.
enum Deed<'a> {
    Change(Vec<Change>),
    Configure(Box<dyn FnOnce(&mut Settings) + Send + 'a>),
    Destroy(Element),
}

impl Rooms {
    /// All rooms, by address.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn overview(&self, server: &Arc<Server>) -> Result<Vec<Overview>, StanzaError> {
        let index: BTreeMap<_, _> = {
            let index = self.registry.index(server).await?;
            index.read().unwrap_or_else(PoisonError::into_inner).clone()
        };
        let mut occupants = BTreeMap::new();
        for handle in self.registry.handles() {
            if let Some(room) = handle.state.lock().await.as_ref() {
                occupants.insert(room.jid.as_str().to_owned(), room.occupants.len());
            }
        }
        let each = |(jid, listed): (String, super::info::Listed)| Overview {
            occupants: occupants.get(&jid).copied().unwrap_or_default(),
            jid,
            name: listed.name,
            public: listed.public,
        };
        Ok(index.into_iter().map(each).collect())
    }

    /// Make a room with its first affiliations. It is ready at once.
    ///
    /// # Errors
    /// `conflict` when there is one of that address; when the store fails.
    pub async fn create(
        &self,
        server: &Arc<Server>,
        jid: &Jid,
        settings: Settings,
        affiliations: &[(Jid, Affiliation)],
    ) -> Result<(), StanzaError> {
        self.registry.index(server).await?;
        let handle = self.registry.handle(&jid.to_bare());
        let created = self
            .create_in(server, &handle, settings, affiliations)
            .await;
        self.registry.release(&handle);
        created
    }

    async fn create_in(
        &self,
        server: &Arc<Server>,
        handle: &Arc<Handle>,
        settings: Settings,
        affiliations: &[(Jid, Affiliation)],
    ) -> Result<(), StanzaError> {
        let mut slot = handle.state.lock().await;
        let settings = Settings {
            locked: false,
            occupant_key: server.random_id::<32>(),
            ..settings
        };
        let most = server.config.rooms.max_occupants;
        let mut room = Room::new(handle.jid.clone(), settings, now_millis(), most);
        let mut stored = Vec::new();
        for (jid, affiliation) in affiliations {
            let entry = Affiliated {
                affiliation: *affiliation,
                nick: None,
                reason: None,
            };
            room.affiliations.insert(jid.bare_str().to_owned(), entry);
            stored.push(AffiliationChange {
                jid: jid.bare_str().to_owned(),
                affiliation: affiliation.stored(),
                nick: None,
                reason: None,
            });
        }
        let created = server
            .store
            .create_room(registry::record(&room), stored)
            .await;
        created.map_err(|e| store_error(&e))?;
        self.registry.list(&room.jid, &room.settings);
        *slot = Some(room);
        Ok(())
    }

    /// Change affiliations and roles without asking who may.
    ///
    /// # Errors
    /// `item-not-found` when there is no such room; when the store fails.
    pub async fn change(
        &self,
        server: &Arc<Server>,
        jid: &Jid,
        changes: Vec<Change>,
    ) -> Result<(), StanzaError> {
        self.by_server(server, jid, Deed::Change(changes)).await
    }

    /// Change the configuration without asking who may.
    ///
    /// # Errors
    /// `item-not-found` when there is no such room; when the store fails.
    pub async fn configure(
        &self,
        server: &Arc<Server>,
        jid: &Jid,
        change: impl FnOnce(&mut Settings) + Send,
    ) -> Result<(), StanzaError> {
        self.by_server(server, jid, Deed::Configure(Box::new(change)))
            .await
    }

    /// The configuration of a room.
    ///
    /// # Errors
    /// `item-not-found` when there is no such room; when the store fails.
    pub async fn settings(&self, server: &Arc<Server>, jid: &Jid) -> Result<Settings, StanzaError> {
        let handle = self.registry.handle(&jid.to_bare());
        let found = self.settings_in(server, &handle).await;
        self.registry.release(&handle);
        found
    }

    async fn settings_in(
        &self,
        server: &Arc<Server>,
        handle: &Arc<Handle>,
    ) -> Result<Settings, StanzaError> {
        let mut slot = handle.state.lock().await;
        let mut turn = self.turn(server, handle, &mut slot);
        turn.load().await?;
        Ok(turn.room()?.settings.clone())
    }

    /// A room in somebody's hands, while its state is locked.
    pub(super) fn turn<'a>(
        &'a self,
        server: &'a Arc<Server>,
        handle: &'a Arc<Handle>,
        slot: &'a mut Option<Room>,
    ) -> Turn<'a> {
        Turn {
            rooms: self,
            server,
            handle,
            slot,
        }
    }

    /// An account is gone for good: rooms in memory forget it, as the store has. Bans stay.
    pub async fn forget(&self, server: &Arc<Server>, account: &Jid) {
        for handle in self.registry.handles() {
            let mut slot = handle.state.lock().await;
            let Some(room) = slot.as_mut() else { continue };
            let known = room.affiliations.get(account.bare_str());
            if known.is_none_or(|entry| entry.affiliation == Affiliation::Outcast) {
                continue;
            }
            let change = Change {
                what: admin::What::Affiliation {
                    jid: account.to_bare(),
                    affiliation: Affiliation::None,
                    nick: None,
                },
                reason: None,
            };
            let deliveries = admin::apply(room, None, vec![change]);
            let _ = outbox::send(server, &handle, Effects::from(deliveries)).await;
        }
    }

    /// Send an account out of all rooms but those in `keep` (bare addresses): it may not be in them any more.
    pub async fn expel(&self, server: &Arc<Server>, account: &Jid, keep: &HashSet<String>) {
        for handle in self.registry.handles() {
            if keep.contains(handle.jid.as_str()) {
                continue;
            }
            let mut slot = handle.state.lock().await;
            let Some(room) = slot.as_mut() else { continue };
            let kicks: Vec<Change> = room
                .occupants
                .values()
                .filter(|occupant| occupant.jid.same_bare(account))
                .map(|occupant| Change {
                    what: admin::What::Role {
                        nick: occupant.nick.clone(),
                        role: Role::None,
                    },
                    reason: Some("this account may not be here any more".to_owned()),
                })
                .collect();
            if kicks.is_empty() {
                continue;
            }
            let deliveries = admin::apply(room, None, kicks);
            let _ = outbox::send(server, &handle, Effects::from(deliveries)).await;
            self.tidy(server, &handle, &mut slot).await;
        }
    }

    /// End a room and everything in it.
    ///
    /// # Errors
    /// `item-not-found` when there is no such room; when the store fails.
    pub async fn destroy(
        &self,
        server: &Arc<Server>,
        jid: &Jid,
        reason: Option<&str>,
    ) -> Result<(), StanzaError> {
        let destroy = owner::destroy_element(reason);
        self.by_server(server, jid, Deed::Destroy(destroy)).await
    }

    async fn by_server(
        &self,
        server: &Arc<Server>,
        jid: &Jid,
        deed: Deed<'_>,
    ) -> Result<(), StanzaError> {
        let handle = self.registry.handle(&jid.to_bare());
        let done = self.carry_out(server, &handle, deed).await;
        // Also after an error: otherwise each address that somebody makes up would stay in memory.
        self.registry.release(&handle);
        done
    }

    async fn carry_out(
        &self,
        server: &Arc<Server>,
        handle: &Arc<Handle>,
        deed: Deed<'_>,
    ) -> Result<(), StanzaError> {
        let mut slot = handle.state.lock().await;
        let mut turn = self.turn(server, handle, &mut slot);
        turn.load().await?;
        let deliveries = match deed {
            Deed::Destroy(destroy) => turn.destroy(&destroy).await?,
            Deed::Configure(change) => {
                let mut settings = turn.room()?.settings.clone();
                change(&mut settings);
                let mut record = registry::record(turn.room()?);
                record.config = settings.to_json();
                let saved = server.store.save_room(record).await;
                saved.map_err(|e| store_error(&e))?;
                self.registry.list(&handle.jid, &settings);
                owner::configure(turn.room()?, settings)
            }
            Deed::Change(changes) => {
                turn.store_changes(&changes).await?;
                admin::apply(turn.room()?, None, changes)
            }
        };
        let _ = outbox::send(server, handle, Effects::from(deliveries)).await;
        self.tidy(server, handle, &mut slot).await;
        Ok(())
    }

    /// The server stops: every occupant is told that it is out of the room (XEP-0045 §15.6.2, status 332), so that a session
    /// that is resumed after the restart enters again.
    pub async fn close(&self, server: &Arc<Server>) {
        for handle in self.registry.handles() {
            let mut slot = handle.state.lock().await;
            let Some(room) = slot.as_mut() else { continue };
            let mut deliveries = Vec::new();
            for occupant in std::mem::take(&mut room.occupants).into_values() {
                let affiliation = room.affiliation(&occupant.jid);
                let x = Element::new("x", ns::MUC_USER)
                    .with_child(announce::item(affiliation, Role::None))
                    .with_children([status(110), status(332)]);
                let presence = Element::new("presence", ns::CLIENT)
                    .with_attr("from", occupant.address.as_str())
                    .with_attr("type", "unavailable")
                    .with_child(x);
                let to = occupant.clients.into_iter().map(|c| c.jid).collect();
                deliveries.push(Delivery::new(presence, to));
            }
            room.nicks.clear();
            let _ = outbox::send(server, &handle, Effects::from(deliveries)).await;
        }
    }
}
