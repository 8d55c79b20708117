//! [`AuditStore`] in SQLite.

use async_trait::async_trait;

use super::SqliteStore;
use crate::{AuditEntry, AuditStore, Result, UnixMillis};

#[async_trait]
impl AuditStore for SqliteStore {
    async fn record_audit(&self, entry: AuditEntry) -> Result<u64> {
        self.write(move |tx| {
            let sql = "INSERT INTO audit (time, actor, action, target, detail) VALUES (?, ?, ?, ?, ?) RETURNING id";
            let values = (entry.time, &entry.actor, &entry.action, &entry.target, &entry.detail);
            Ok(tx.prepare_cached(sql)?.query_row(values, |row| row.get(0))?)
        })
        .await
    }

    async fn audit(&self, action: &str, before: Option<u64>, max: u32) -> Result<Vec<AuditEntry>> {
        let action = action.to_owned();
        self.read(move |connection| {
            let sql = "SELECT id, time, actor, action, target, detail FROM audit
                       WHERE id < ? AND substr(action, 1, length(?2)) = ?2 ORDER BY id DESC LIMIT ?";
            let mut statement = connection.prepare_cached(sql)?;
            let before = before.and_then(|id| i64::try_from(id).ok()).unwrap_or(i64::MAX);
            let entries = statement.query_map((before, &action, max), |row| {
                Ok(AuditEntry {
                    id: row.get(0)?,
                    time: row.get(1)?,
                    actor: row.get(2)?,
                    action: row.get(3)?,
                    target: row.get(4)?,
                    detail: row.get(5)?,
                })
            })?;
            Ok(entries.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    async fn delete_audit_older(&self, before: UnixMillis) -> Result<u64> {
        self.write(move |tx| Ok(tx.execute("DELETE FROM audit WHERE time < ?", [before])? as u64))
            .await
    }
}
