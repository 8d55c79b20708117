//! The log of administration, and of what people reported.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Administrator, Refusal};
use crate::feature::time;

/// The most lines at once.
const MOST: u32 = 1000;

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogLine {
    /// Its number, which grows.
    pub id: u64,
    /// When.
    pub time: String,
    /// Who: an address, `cli`, `socket:UID`, `api:TOKEN-NAME`.
    pub actor: String,
    /// What, such as `account.remove`.
    pub action: String,
    /// On whom or what; empty: on the server.
    pub target: String,
    /// More, in words or JSON; empty: nothing.
    pub detail: String,
}

impl Administrator {
    /// Up to `max` lines (1 to 1000), newest first, those before the number `before`, whose action begins with `action`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn log(
        &self,
        action: &str,
        before: Option<u64>,
        max: u32,
    ) -> Result<Vec<LogLine>, Refusal> {
        let max = max.clamp(1, MOST);
        let lines = self.server.store.audit(action, before, max).await?;
        let line = |entry: imd_store::AuditEntry| LogLine {
            id: entry.id,
            time: time::format(entry.time),
            actor: entry.actor,
            action: entry.action,
            target: entry.target,
            detail: entry.detail,
        };
        Ok(lines.into_iter().map(line).collect())
    }
}
