//! [`PrivateStore`] in SQLite.

use async_trait::async_trait;
use rusqlite::OptionalExtension as _;

use super::SqliteStore;
use super::accounts::{account_id, find_account};
use crate::{PrivateStore, Result, StoreError};

#[async_trait]
impl PrivateStore for SqliteStore {
    async fn private_xml(&self, user: &str, name: &str, namespace: &str) -> Result<Option<String>> {
        let (user, name, namespace) = (user.to_owned(), name.to_owned(), namespace.to_owned());
        self.read(move |connection| {
            let Some(account) = find_account(connection, &user)? else {
                return Ok(None);
            };
            let sql =
                "SELECT xml FROM private_xml WHERE account = ? AND namespace = ? AND name = ?";
            let mut statement = connection.prepare_cached(sql)?;
            Ok(statement
                .query_row((account, &namespace, &name), |row| row.get(0))
                .optional()?)
        })
        .await
    }

    async fn set_private_xml(
        &self,
        user: &str,
        name: &str,
        namespace: &str,
        xml: String,
        max: u32,
    ) -> Result<()> {
        let (user, name, namespace) = (user.to_owned(), name.to_owned(), namespace.to_owned());
        self.write(move |tx| {
            let account = account_id(tx, &user)?;
            let sql = "INSERT OR REPLACE INTO private_xml (account, namespace, name, xml) VALUES (?, ?, ?, ?)";
            tx.execute(sql, (account, &namespace, &name, &xml))?;
            let sql = "SELECT count(*) FROM private_xml WHERE account = ?";
            let count: u32 = tx.query_row(sql, [account], |row| row.get(0))?;
            if count > max {
                return Err(StoreError::limit(format!("private elements of \"{user}\""), max.into()).into());
            }
            Ok(())
        })
        .await
    }
}
