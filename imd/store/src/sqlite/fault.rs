//! From the errors of SQLite and the operating system to those of the store, which name the file.

use std::io::{ErrorKind, Write as _};
use std::path::Path;

use rusqlite::ErrorCode;

use crate::StoreError;

/// Why a piece of work inside a transaction stopped.
#[derive(Debug)]
pub(super) enum Fault {
    Sql(rusqlite::Error),
    Store(StoreError),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<serde_json::Error> for Fault {
    fn from(error: serde_json::Error) -> Self {
        Self::Sql(rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
    }
}

impl Fault {
    /// The store's error for the database file at `path`.
    pub(super) fn at(self, path: &Path) -> StoreError {
        match self {
            Self::Store(error) => error,
            Self::Sql(error) => sql_error(&error, path),
        }
    }
}

fn sql_error(error: &rusqlite::Error, path: &Path) -> StoreError {
    let path_buf = path.to_path_buf();
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full { path: path_buf },
        Some(ErrorCode::ReadOnly) => StoreError::ReadOnly { path: path_buf },
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Damaged {
            path: path_buf,
            detail: error.to_string(),
        },
        Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            try_disk(path).unwrap_or_else(|| StoreError::Backend {
                path: path_buf,
                detail: error.to_string(),
            })
        }
        _ => StoreError::Backend {
            path: path_buf,
            detail: error.to_string(),
        },
    }
}

/// SQLite reports a full or read-only file system as a plain I/O error in some places; trying to write
/// a block beside the database tells which it is.
fn try_disk(path: &Path) -> Option<StoreError> {
    let probe = path.with_extension("probe");
    let outcome = std::fs::File::create(&probe).and_then(|mut file| {
        file.write_all(&[0; 4096])?;
        file.sync_all()
    });
    // Nothing depends on the probe; one that stays is overwritten by the next.
    let _ = std::fs::remove_file(&probe);
    match outcome.err()?.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            Some(StoreError::Full { path: path.into() })
        }
        ErrorKind::ReadOnlyFilesystem => Some(StoreError::ReadOnly { path: path.into() }),
        _ => None,
    }
}
