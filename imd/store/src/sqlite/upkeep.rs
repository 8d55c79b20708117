//! [`UpkeepStore`] in SQLite.

use std::path::Path;

use async_trait::async_trait;
use rusqlite::Connection;

use super::fault::Fault;
use super::{SqliteStore, backup};
use crate::{Result, StoreError, StoreSize, UpkeepStore};

#[async_trait]
impl UpkeepStore for SqliteStore {
    async fn back_up(&self, to: &Path) -> Result<()> {
        let (from, to) = (self.path.clone(), to.to_path_buf());
        // On a thread of its own: it takes minutes, and readers have others to serve.
        let copying = tokio::task::spawn_blocking(move || backup::copy(&from, &to));
        copying.await.unwrap_or_else(|_| {
            Err(StoreError::Backend {
                path: self.path.clone(),
                detail: "the copying ended early".to_owned(),
            })
        })
    }

    async fn size(&self) -> Result<StoreSize> {
        let unordered = self.writer.unordered() as u64;
        let size = self.read(size).await?;
        Ok(StoreSize {
            archived: size.archived + unordered,
            ..size
        })
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

/// The figures of a database; entries that are not in their order yet are not counted.
pub(super) fn size(connection: &Connection) -> std::result::Result<StoreSize, Fault> {
    let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, u64>(0));
    let page = number("PRAGMA page_size")?;
    Ok(StoreSize {
        bytes: page * number("PRAGMA page_count")?,
        free_bytes: page * number("PRAGMA freelist_count")?,
        archived: number("SELECT count(*) FROM entries")?,
    })
}
