//! [`SettingStore`] in SQLite.

use async_trait::async_trait;
use rusqlite::OptionalExtension as _;

use super::SqliteStore;
use crate::{Result, SettingStore};

#[async_trait]
impl SettingStore for SqliteStore {
    async fn setting(&self, key: &str) -> Result<Option<String>> {
        let key = key.to_owned();
        self.read(move |connection| {
            let mut statement =
                connection.prepare_cached("SELECT value FROM settings WHERE key = ?")?;
            Ok(statement.query_row([&key], |row| row.get(0)).optional()?)
        })
        .await
    }

    async fn set_setting(&self, key: &str, value: Option<String>) -> Result<()> {
        let key = key.to_owned();
        self.write(move |tx| {
            match &value {
                Some(value) => tx.execute(
                    "INSERT OR REPLACE INTO settings VALUES (?, ?)",
                    (&key, value),
                )?,
                None => tx.execute("DELETE FROM settings WHERE key = ?", [&key])?,
            };
            Ok(())
        })
        .await
    }

    async fn setting_or(&self, key: &str, first: String) -> Result<String> {
        let key = key.to_owned();
        self.write(move |tx| {
            tx.execute(
                "INSERT OR IGNORE INTO settings VALUES (?, ?)",
                (&key, &first),
            )?;
            Ok(
                tx.query_row("SELECT value FROM settings WHERE key = ?", [&key], |row| {
                    row.get(0)
                })?,
            )
        })
        .await
    }

    async fn settings(&self, prefix: &str) -> Result<Vec<(String, String)>> {
        let prefix = prefix.to_owned();
        self.read(move |connection| {
            let sql = "SELECT key, value FROM settings WHERE key >= ?1 AND substr(key, 1, length(?1)) = ?1 ORDER BY key";
            let mut statement = connection.prepare_cached(sql)?;
            let settings = statement.query_map([&prefix], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(settings.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }
}
