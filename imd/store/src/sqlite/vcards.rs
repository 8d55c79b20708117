//! [`VcardStore`] in SQLite.

use async_trait::async_trait;
use rusqlite::OptionalExtension as _;

use super::SqliteStore;
use crate::{Result, VcardStore};

#[async_trait]
impl VcardStore for SqliteStore {
    async fn vcard(&self, owner: &str) -> Result<Option<String>> {
        let owner = owner.to_owned();
        self.read(move |connection| {
            let mut statement =
                connection.prepare_cached("SELECT vcard FROM vcards WHERE owner = ?")?;
            Ok(statement.query_row([&owner], |row| row.get(0)).optional()?)
        })
        .await
    }

    async fn set_vcard(&self, owner: &str, vcard: Option<String>) -> Result<()> {
        let owner = owner.to_owned();
        self.write(move |tx| {
            match &vcard {
                Some(vcard) => tx.execute(
                    "INSERT OR REPLACE INTO vcards VALUES (?, ?)",
                    (&owner, vcard),
                )?,
                None => tx.execute("DELETE FROM vcards WHERE owner = ?", [&owner])?,
            };
            Ok(())
        })
        .await
    }
}
