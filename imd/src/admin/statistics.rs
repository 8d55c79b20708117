//! Figures about the server.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use imd_store::now_millis;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Administrator, Refusal};
use crate::session::Session;

/// Figures of this moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Statistics {
    /// The XMPP domain.
    pub domain: String,
    /// The version of the program.
    pub version: String,
    /// Since the daemon started.
    pub uptime_seconds: u64,
    /// Accounts.
    pub people: u64,
    /// People with a session.
    pub people_online: usize,
    /// Sessions.
    pub sessions: usize,
    /// Sessions that have a connection.
    pub connected: usize,
    /// Groups.
    pub groups: usize,
    /// Rooms.
    pub rooms: usize,
    /// People in rooms, once for each room.
    pub occupants: usize,
    /// Invitations that can be used.
    pub invitations: usize,
    /// Bytes of the database, without its log.
    pub database_bytes: u64,
    /// Bytes of it that are free for new content.
    pub database_free_bytes: u64,
    /// Messages in all archives.
    pub archived: u64,
    /// Uploaded files and slots.
    pub uploads: u64,
    /// Their bytes.
    pub upload_bytes: u64,
}

/// What can be asked every minute: it costs the disk nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Pulse {
    /// People with a session.
    pub people_online: usize,
    /// Sessions.
    pub sessions: usize,
    /// Messages that were given to the archive since the daemon started; none where nothing is archived.
    pub messages: u64,
    /// Since the daemon started.
    pub uptime_seconds: u64,
}

impl Administrator {
    /// The figures that are in memory.
    #[must_use]
    pub fn pulse(&self) -> Pulse {
        let server = &self.server;
        let sessions = server.directory.all();
        Pulse {
            people_online: people(&sessions),
            sessions: sessions.len(),
            messages: server.load.messages.load(Ordering::Relaxed),
            uptime_seconds: server.started.elapsed().as_secs(),
        }
    }

    /// Figures of this moment.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn statistics(&self) -> Result<Statistics, Refusal> {
        let server = &self.server;
        let sessions = server.directory.all();
        let rooms = server.rooms.overview(server).await?;
        let size = server.store.size().await?;
        let uploads = server.store.upload_usage(None).await?;
        let now = now_millis();
        let invites = server.store.invites().await?;
        Ok(Statistics {
            domain: server.config.domain.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_seconds: server.started.elapsed().as_secs(),
            people: server.store.count_accounts().await?,
            people_online: people(&sessions),
            sessions: sessions.len(),
            connected: sessions.iter().filter(|s| s.is_connected()).count(),
            groups: server.store.groups().await?.len(),
            occupants: rooms.iter().map(|room| room.occupants).sum(),
            rooms: rooms.len(),
            invitations: invites.iter().filter(|i| i.is_usable(now)).count(),
            database_bytes: size.bytes,
            database_free_bytes: size.free_bytes,
            archived: size.archived,
            uploads: uploads.files,
            upload_bytes: uploads.bytes,
        })
    }
}

/// How many people these sessions are of.
fn people(sessions: &[Arc<Session>]) -> usize {
    let mut names: Vec<&str> = sessions.iter().map(|s| &*s.user).collect();
    names.sort_unstable();
    names.dedup();
    names.len()
}
