//! [`UpkeepStore`] in SQLite.

use std::path::Path;

use async_trait::async_trait;

use super::SqliteStore;
use crate::{Result, StoreError, StoreSize, UpkeepStore};

#[async_trait]
impl UpkeepStore for SqliteStore {
    async fn back_up(&self, to: &Path) -> Result<()> {
        let to = to.to_path_buf();
        // Refusing an existing file here gives a plain error; SQLite itself refuses only those with content.
        if to.exists() {
            return Err(StoreError::exists(format!("the file {}", to.display())));
        }
        super::create_private(&to)?;
        let path = to.display().to_string();
        let outcome = self
            .readers
            .run_outside(move |connection| {
                connection.execute("VACUUM INTO ?", [&path])?;
                Ok(())
            })
            .await;
        if outcome.is_err() {
            // Half a copy is of no use; what went wrong is told by `outcome`.
            let _ = std::fs::remove_file(&to);
        }
        outcome
    }

    async fn size(&self) -> Result<StoreSize> {
        self.read(|connection| {
            let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, u64>(0));
            let page = number("PRAGMA page_size")?;
            Ok(StoreSize {
                bytes: page * number("PRAGMA page_count")?,
                free_bytes: page * number("PRAGMA freelist_count")?,
                archived: number("SELECT count(*) FROM archive")?,
            })
        })
        .await
    }

    async fn can_write(&self) -> Result<()> {
        self.write(|tx| {
            tx.execute(
                "INSERT OR REPLACE INTO store_state VALUES ('last-probe', unixepoch())",
                [],
            )?;
            Ok(())
        })
        .await
    }

    async fn close(&self) -> Result<()> {
        self.readers.close().await;
        self.writer.close().await;
        Ok(())
    }
}
