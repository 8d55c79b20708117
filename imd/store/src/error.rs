//! What can go wrong in a store. Every variant is something a caller may branch on.

use std::path::PathBuf;

/// The result of every store operation.
pub type Result<T> = std::result::Result<T, StoreError>;

/// Why an operation of the store did not happen. Nothing was changed when one of these is returned.
///
/// Cloneable because one failed commit answers every caller whose work was in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The thing to create is there already.
    #[error("{what} already exists")]
    Exists {
        /// What it is, e.g. `account "alice"`.
        what: String,
    },
    /// The thing to change is not there.
    #[error("{what} does not exist")]
    Absent {
        /// What it is, e.g. `account "alice"`.
        what: String,
    },
    /// A bound (roster size, offline queue, quota) would be exceeded.
    #[error("{what}: the limit of {limit} is reached")]
    Limit {
        /// Which bound, e.g. `offline messages of "alice"`.
        what: String,
        /// The bound, in the unit that `what` says.
        limit: u64,
    },
    /// The feature is switched off in the configuration.
    #[error("{what} is switched off")]
    Off {
        /// Which feature, e.g. `full-text search`.
        what: String,
    },
    /// No space is left. Reads go on, and writes work again once there is space.
    #[error("{}: no space left on the disk; free some and it continues by itself", path.display())]
    Full {
        /// The database file.
        path: PathBuf,
    },
    /// The file or its file system cannot be written. Reads go on.
    #[error("{}: the database or its file system is read-only", path.display())]
    ReadOnly {
        /// The database file.
        path: PathBuf,
    },
    /// The file is not a sound database.
    #[error(
        "{path}: the database is damaged: {detail}. To restore: stop imd, move {path} and the files \
         {path}-wal and {path}-shm aside, copy the newest backup to {path}, and start imd",
        path = path.display()
    )]
    Damaged {
        /// The database file.
        path: PathBuf,
        /// What the integrity check found.
        detail: String,
    },
    /// The file was written by a newer program.
    #[error(
        "{}: the database has schema version {found}, this imd knows up to {known}; start the newer imd \
         again, or restore a backup made before the update",
        path.display()
    )]
    Newer {
        /// The database file.
        path: PathBuf,
        /// The file's schema version.
        found: u32,
        /// The newest version this program knows.
        known: u32,
    },
    /// The store has been closed (the daemon is shutting down).
    #[error("{}: the store is closed", path.display())]
    Closed {
        /// The database file.
        path: PathBuf,
    },
    /// Anything else the database or the operating system reports.
    #[error("{}: {detail}", path.display())]
    Backend {
        /// The database file.
        path: PathBuf,
        /// The message of the database or the operating system.
        detail: String,
    },
}

impl StoreError {
    /// True for the conditions that pass by themselves or by an administrator's action, and that a
    /// client should be told as `resource-constraint` (RFC 6120 §8.3.3.18).
    pub fn is_resource_constraint(&self) -> bool {
        matches!(
            self,
            Self::Full { .. } | Self::ReadOnly { .. } | Self::Closed { .. } | Self::Limit { .. }
        )
    }

    /// The error for creating a thing that is there already.
    pub fn exists(what: impl Into<String>) -> Self {
        Self::Exists { what: what.into() }
    }

    /// The error for changing a thing that is not there.
    pub fn absent(what: impl Into<String>) -> Self {
        Self::Absent { what: what.into() }
    }

    /// The error for going beyond a bound.
    pub fn limit(what: impl Into<String>, limit: u64) -> Self {
        Self::Limit {
            what: what.into(),
            limit,
        }
    }
}
