//! Rooms (XEP-0045), on a domain of their own.
//!
//! A room's events are dealt with one after the other, by whoever holds its state: [`turn`] reads the stanza,
//! the pure functions of [`join`], [`message`], [`invite`], [`admin`], [`owner`], [`moderation`] and [`relay`]
//! change the [`room::Room`] and say what is to be sent, and [`outbox`] sends it in that order; a message's author gets
//! it back when it is in the archive on the disk. What a change needs in the store is written before it takes effect.
//!
//! [`registry`] loads rooms when they are first used and forgets empty ones.

pub mod admin;
mod announce;
mod avatar;
mod delivery;
mod fan_out;
mod form;
mod history;
mod info;
mod invite;
mod join;
mod lists;
mod manage;
mod message;
mod moderation;
mod names;
mod outbox;
mod owner;
mod register;
mod registry;
mod relay;
pub mod role;
mod room;
mod service;
pub mod settings;
mod turn;

use std::sync::Arc;

use async_trait::async_trait;
use imd_proto::{Jid, Stanza};
use imd_store::Commit;

pub use manage::Overview;

use super::Service;
use crate::server::Server;
use registry::Registry;

/// The service that has the rooms.
#[derive(Default)]
pub struct Rooms {
    registry: Registry,
}

#[async_trait]
impl Service for Rooms {
    async fn stanza(&self, server: &Arc<Server>, stanza: Stanza) -> Option<Commit> {
        let to = stanza.to.clone()?;
        if to.local().is_none() {
            service::stanza(self, server, &stanza).await;
            return None;
        }
        self.room(server, stanza, &to).await
    }

    fn name(&self) -> Option<String> {
        Some("Rooms".to_owned())
    }
}

impl Rooms {
    /// A stanza for a room or an occupant.
    async fn room(&self, server: &Arc<Server>, stanza: Stanza, to: &Jid) -> Option<Commit> {
        let handle = self.registry.handle(&to.to_bare());
        let mut slot = handle.state.lock().await;
        let mut turn = self.turn(server, &handle, &mut slot);
        let commit = turn.take(&stanza, to).await;
        drop(slot);
        self.registry.release(&handle);
        commit
    }
}
