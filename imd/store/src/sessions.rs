//! Sessions that wait to be resumed (XEP-0198), kept over a restart of the daemon.

use async_trait::async_trait;

use crate::{Result, UnixMillis};

/// A session to resume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedSession {
    /// The resumption id given to the client.
    pub id: String,
    /// The user's localpart.
    pub user: String,
    /// The resource.
    pub resource: String,
    /// Counters and unacknowledged stanzas in a form of the caller's choice.
    pub state: Vec<u8>,
    /// When it can no longer be resumed.
    pub expires_at: UnixMillis,
}

/// Saved sessions.
#[async_trait]
pub trait SessionStore {
    /// Keeps sessions, replacing those of the same id, all or none.
    async fn save_sessions(&self, sessions: Vec<SavedSession>) -> Result<()>;

    /// Takes out all sessions: those that can still be resumed, and those that have run out (whose
    /// unacknowledged messages must be stored or bounced). The caller owns them from here on.
    async fn take_sessions(&self) -> Result<Vec<SavedSession>>;

    /// Takes out one session; `None` when there is none of that id.
    async fn take_session(&self, id: &str) -> Result<Option<SavedSession>>;
}
