//! [`OfflineStore`] in SQLite, and putting a message into a queue as part of a larger write.

use std::sync::Arc;

use async_trait::async_trait;

use super::SqliteStore;
use super::accounts::{account_id, find_account};
use super::fault::Fault;
use super::tx::Tx;
use super::with_offline::WithOffline;
use crate::{OfflineEntry, OfflineMessage, OfflineStore, Result, StoreError};

/// Queues the message, or fails with `Absent` or `Limit`.
pub(super) fn push(
    tx: &Tx,
    entry: &OfflineEntry,
    with_offline: &WithOffline,
) -> std::result::Result<(), Fault> {
    let account = account_id(tx, &entry.user)?;
    let count: u32 = tx
        .prepare_cached("SELECT count(*) FROM offline WHERE account = ?")?
        .query_row([account], |row| row.get(0))?;
    if count >= entry.max {
        return Err(StoreError::limit(
            format!("offline messages of \"{}\"", entry.user),
            entry.max.into(),
        )
        .into());
    }
    tx.prepare_cached("INSERT INTO offline (account, stamp, stanza) VALUES (?, ?, ?)")?
        .execute((account, entry.stamp, &entry.stanza))?;
    with_offline.note(&entry.user);
    Ok(())
}

#[async_trait]
impl OfflineStore for SqliteStore {
    async fn offline(&self, user: &str, after: u64, max: u32) -> Result<Vec<OfflineMessage>> {
        if !self.with_offline.may_have(user) {
            return Ok(Vec::new());
        }
        let user = user.to_owned();
        self.read(move |connection| {
            let Some(account) = find_account(connection, &user)? else { return Ok(Vec::new()) };
            let sql = "SELECT id, stamp, stanza FROM offline WHERE account = ? AND id > ? ORDER BY id LIMIT ?";
            let mut statement = connection.prepare_cached(sql)?;
            let messages = statement.query_map((account, after, max), |row| {
                Ok(OfflineMessage { id: row.get(0)?, stamp: row.get(1)?, stanza: row.get(2)? })
            })?;
            Ok(messages.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    async fn delete_offline_through(&self, user: &str, id: u64) -> Result<u64> {
        if !self.with_offline.may_have(user) {
            return Ok(0);
        }
        let (name, with_offline) = (user.to_owned(), Arc::clone(&self.with_offline));
        let (deleted, nothing_after) = self
            .write(move |tx| {
                let Some(account) = find_account(tx, &name)? else {
                    return Ok((0, with_offline.newest(&name)));
                };
                let sql = "DELETE FROM offline WHERE account = ? AND id <= ?";
                let deleted = tx.prepare_cached(sql)?.execute((account, id))? as u64;
                let sql = "SELECT 1 FROM offline WHERE account = ?";
                if tx.prepare_cached(sql)?.exists([account])? {
                    return Ok((deleted, None));
                }
                Ok((deleted, with_offline.newest(&name)))
            })
            .await?;
        if let Some(newest) = nothing_after {
            self.with_offline.forget(user, newest);
        }
        Ok(deleted)
    }

    async fn count_offline(&self, user: &str) -> Result<u64> {
        let user = user.to_owned();
        self.read(move |connection| {
            let Some(account) = find_account(connection, &user)? else {
                return Ok(0);
            };
            let sql = "SELECT count(*) FROM offline WHERE account = ?";
            Ok(connection
                .prepare_cached(sql)?
                .query_row([account], |row| row.get(0))?)
        })
        .await
    }
}
