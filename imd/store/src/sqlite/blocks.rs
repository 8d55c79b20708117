//! [`BlockStore`] in SQLite.

use async_trait::async_trait;
use rusqlite::Connection;

use super::SqliteStore;
use super::accounts::{account_id, find_account};
use super::fault::Fault;
use crate::{BlockStore, Result, StoreError};

fn list(connection: &Connection, account: i64) -> std::result::Result<Vec<String>, Fault> {
    let mut statement =
        connection.prepare_cached("SELECT jid FROM blocks WHERE account = ? ORDER BY jid")?;
    Ok(statement
        .query_map([account], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?)
}

#[async_trait]
impl BlockStore for SqliteStore {
    fn may_have_blocked(&self, user: &str) -> bool {
        self.with_blocks.may_have(user)
    }

    async fn blocked(&self, user: &str) -> Result<Vec<String>> {
        if !self.may_have_blocked(user) {
            return Ok(Vec::new());
        }
        let user = user.to_owned();
        self.read_short(move |connection| {
            find_account(connection, &user)?
                .map_or(Ok(Vec::new()), |account| list(connection, account))
        })
        .await
    }

    async fn block(&self, user: &str, jids: &[String], max: u32) -> Result<Vec<String>> {
        self.with_blocks.note(user);
        let (user, jids) = (user.to_owned(), jids.to_vec());
        self.write(move |tx| {
            let account = account_id(tx, &user)?;
            let mut added = Vec::new();
            for jid in &jids {
                let sql = "INSERT OR IGNORE INTO blocks VALUES (?, ?)";
                if tx.prepare_cached(sql)?.execute((account, jid))? > 0 {
                    added.push(jid.clone());
                }
            }
            let sql = "SELECT count(*) FROM blocks WHERE account = ?";
            let count: u32 = tx
                .prepare_cached(sql)?
                .query_row([account], |row| row.get(0))?;
            if count > max && !added.is_empty() {
                return Err(StoreError::limit(
                    format!("blocked addresses of \"{user}\""),
                    max.into(),
                )
                .into());
            }
            Ok(added)
        })
        .await
    }

    async fn unblock(&self, user: &str, jids: &[String]) -> Result<Vec<String>> {
        let (user, jids) = (user.to_owned(), jids.to_vec());
        self.write(move |tx| {
            let Some(account) = find_account(tx, &user)? else {
                return Ok(Vec::new());
            };
            let mut removed = Vec::new();
            for jid in &jids {
                let sql = "DELETE FROM blocks WHERE account = ? AND jid = ?";
                if tx.prepare_cached(sql)?.execute((account, jid))? > 0 {
                    removed.push(jid.clone());
                }
            }
            Ok(removed)
        })
        .await
    }

    async fn unblock_all(&self, user: &str) -> Result<Vec<String>> {
        let user = user.to_owned();
        self.write(move |tx| {
            let Some(account) = find_account(tx, &user)? else {
                return Ok(Vec::new());
            };
            let removed = list(tx, account)?;
            tx.prepare_cached("DELETE FROM blocks WHERE account = ?")?
                .execute([account])?;
            Ok(removed)
        })
        .await
    }
}
