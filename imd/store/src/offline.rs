//! Messages that wait for a user who is offline (XEP-0160). They are put in by `ArchiveStore::append`.

use async_trait::async_trait;

use crate::{Result, UnixMillis};

/// A message to keep for a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfflineEntry {
    /// The user's prepared localpart.
    pub user: String,
    /// When the server received it, for the delay stamp (XEP-0203).
    pub stamp: UnixMillis,
    /// The stanza as XML.
    pub stanza: String,
    /// The most messages this user may have waiting; one more is refused with `Limit`.
    pub max: u32,
}

/// A message that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfflineMessage {
    /// Its place in the order; greater than that of every earlier one of the user.
    pub id: u64,
    /// When the server received it.
    pub stamp: UnixMillis,
    /// The stanza as XML.
    pub stanza: String,
}

/// Offline queues. `user` is the prepared localpart.
#[async_trait]
pub trait OfflineStore {
    /// The first `max` waiting messages with an id greater than `after` (0: from the beginning), oldest first. They stay until deleted.
    async fn offline(&self, user: &str, after: u64, max: u32) -> Result<Vec<OfflineMessage>>;

    /// Deletes the messages up to and including `id`, once the client has them, and says how many those were. Of messages whose
    /// `append` is not committed yet some may stay.
    async fn delete_offline_through(&self, user: &str, id: u64) -> Result<u64>;

    /// How many messages wait; 0 for an unknown user.
    async fn count_offline(&self, user: &str) -> Result<u64>;
}
