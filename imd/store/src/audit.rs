//! What administrators did, and what people reported (XEP-0377).

use async_trait::async_trait;

use crate::{Result, UnixMillis};

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// Its number; ignored when recording.
    pub id: u64,
    /// When.
    pub time: UnixMillis,
    /// Who: a JID, `cli`, `api:<token name>`.
    pub actor: String,
    /// What: a verb, e.g. `account.remove`, `report.spam`.
    pub action: String,
    /// On whom or what; empty: on the box.
    pub target: String,
    /// More, in words or JSON; empty: nothing.
    pub detail: String,
}

/// The log of administration.
#[async_trait]
pub trait AuditStore {
    /// Adds a line and returns its number.
    async fn record_audit(&self, entry: AuditEntry) -> Result<u64>;

    /// Up to `max` lines with numbers smaller than `before` (`None`: the newest), newest first, whose action begins with `action` (empty: all).
    async fn audit(&self, action: &str, before: Option<u64>, max: u32) -> Result<Vec<AuditEntry>>;

    /// Deletes lines older than `before` and says how many.
    async fn delete_audit_older(&self, before: UnixMillis) -> Result<u64>;
}
