//! [`PushStore`] in SQLite.

use async_trait::async_trait;
use rusqlite::OptionalExtension as _;

use super::SqliteStore;
use super::accounts::{account_id, find_account};
use crate::{PushRegistration, PushStore, Result, StoreError};

#[async_trait]
impl PushStore for SqliteStore {
    async fn enable_push(&self, registration: PushRegistration, max: u32) -> Result<()> {
        self.with_push.note(&registration.user);
        self.write(move |tx| {
            let PushRegistration { user, service, node, options, client, created_at, failures } = &registration;
            let account = account_id(tx, user)?;
            let sql = "INSERT OR REPLACE INTO push (account, service, node, options, client, created_at, failures)
                       VALUES (?, ?, ?, ?, ?, ?, ?)";
            tx.execute(sql, (account, service, node, options, client, created_at, failures))?;
            let count: u32 = tx.query_row("SELECT count(*) FROM push WHERE account = ?", [account], |row| row.get(0))?;
            if count > max {
                return Err(StoreError::limit(format!("push registrations of \"{user}\""), max.into()).into());
            }
            Ok(())
        })
        .await
    }

    async fn disable_push(&self, user: &str, service: &str, node: Option<&str>) -> Result<u64> {
        let (user, service, node) = (user.to_owned(), service.to_owned(), node.map(str::to_owned));
        self.write(move |tx| {
            let Some(account) = find_account(tx, &user)? else { return Ok(0) };
            let sql = "DELETE FROM push WHERE account = ?1 AND service = ?2 AND (?3 IS NULL OR node = ?3)";
            Ok(tx.execute(sql, (account, &service, &node))? as u64)
        })
        .await
    }

    async fn push_registrations(&self, user: &str) -> Result<Vec<PushRegistration>> {
        if !self.with_push.may_have(user) {
            return Ok(Vec::new());
        }
        let user = user.to_owned();
        self.read_short(move |connection| {
            let Some(account) = find_account(connection, &user)? else { return Ok(Vec::new()) };
            let sql = "SELECT service, node, options, client, created_at, failures FROM push WHERE account = ?
                       ORDER BY service, node";
            let mut statement = connection.prepare_cached(sql)?;
            let registrations = statement.query_map([account], |row| {
                Ok(PushRegistration {
                    user: user.clone(),
                    service: row.get(0)?,
                    node: row.get(1)?,
                    options: row.get(2)?,
                    client: row.get(3)?,
                    created_at: row.get(4)?,
                    failures: row.get(5)?,
                })
            })?;
            Ok(registrations.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    async fn record_push(
        &self,
        user: &str,
        service: &str,
        node: &str,
        succeeded: bool,
    ) -> Result<Option<u32>> {
        let (user, service, node) = (user.to_owned(), service.to_owned(), node.to_owned());
        self.write(move |tx| {
            let Some(account) = find_account(tx, &user)? else {
                return Ok(None);
            };
            let sql = "UPDATE push SET failures = iif(?, 0, failures + 1)
                       WHERE account = ? AND service = ? AND node = ? RETURNING failures";
            let mut statement = tx.prepare_cached(sql)?;
            Ok(statement
                .query_row((succeeded, account, &service, &node), |row| row.get(0))
                .optional()?)
        })
        .await
    }
}
