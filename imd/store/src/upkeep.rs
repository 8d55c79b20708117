//! Care for the database as a whole.

use std::path::Path;

use async_trait::async_trait;

use crate::Result;

/// Figures about the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StoreSize {
    /// Bytes of the database file, without its write-ahead log.
    pub bytes: u64,
    /// Bytes of it that are free for new content.
    pub free_bytes: u64,
    /// Entries in all archives.
    pub archived: u64,
}

/// Backup, figures and closing.
#[async_trait]
pub trait UpkeepStore {
    /// Writes a consistent copy of the database to `to` while work goes on. `Exists` when there is a file of that name.
    async fn back_up(&self, to: &Path) -> Result<()>;

    /// Present figures.
    async fn size(&self) -> Result<StoreSize>;

    /// True when a small write can be committed now: for health checks and to notice that space has returned.
    async fn can_write(&self) -> Result<()>;

    /// Finishes the queued writes, moves the log into the database file and closes. Later calls fail with `Closed`.
    async fn close(&self) -> Result<()>;
}
