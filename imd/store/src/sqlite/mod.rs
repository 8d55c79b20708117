//! The SQLite backend: one file in WAL mode, synced at each commit; one thread that writes
//! ([`writer`]), a few that read ([`readers`]); one file for each trait.

mod accounts;
mod archive;
mod archive_change;
mod archive_query;
mod audit;
mod backup;
mod blocks;
mod connections;
mod fault;
mod few;
mod group_contacts;
mod groups;
mod invites;
mod offline;
mod order;
mod pace;
mod packed;
mod private;
mod pubsub;
mod push;
mod queue;
mod readers;
mod rooms;
mod roster;
mod schema;
mod search;
mod sessions;
mod settings;
#[cfg(test)]
mod tests;
mod tokens;
mod tx;
mod upkeep;
mod uploads;
mod vcards;
mod with_offline;
mod writer;

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use self::fault::Fault;
use self::few::Few;
use self::readers::Readers;
use self::tx::Tx;
use self::with_offline::WithOffline;
use self::writer::Writer;
use crate::{ArchiveId, ArchiveIds, Result, Store, StoreError};

/// How long a transaction waits for another process (`imd user add` beside the daemon).
const BUSY: Duration = Duration::from_secs(10);

/// How to open a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SqliteOptions {
    /// Index the bodies of archived messages for full-text search.
    pub full_text: bool,
    /// Check the file for damage first: all of it, or, where it is large, what is needed to log in.
    pub check: bool,
}

impl Default for SqliteOptions {
    /// No full-text search; the file is checked.
    fn default() -> Self {
        Self {
            full_text: false,
            check: true,
        }
    }
}

/// A store in one SQLite file. Dropping it finishes the queued writes.
pub struct SqliteStore {
    path: PathBuf,
    full_text: bool,
    ids: ArchiveIds,
    with_blocks: Few,
    with_offline: Arc<WithOffline>,
    with_prefs: Few,
    with_push: Few,
    // Dropped in this order: the last connection to close removes the write-ahead log.
    readers: Readers,
    writer: Writer,
}

impl Store for SqliteStore {}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteStore")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl SqliteStore {
    /// Opens the database file, creating it (readable by its owner only) where it is absent; its folder
    /// must exist. Blocks while it checks the file and brings its schema up to date. `Damaged`, `Newer`,
    /// `ReadOnly` and the like name the file; the daemon must not start then.
    pub fn open(path: &Path, options: SqliteOptions) -> Result<Self> {
        let at = |fault: Fault| fault.at(path);
        let io = |error: std::io::Error| StoreError::Backend {
            path: path.into(),
            detail: error.to_string(),
        };
        create_private(path)?;
        let connection = prepare(path, options).map_err(at)?;
        let (pending, last) = order::load(&connection).map_err(at)?;
        let few = |table| Few::load(&connection, table).map_err(|e| at(e.into()));
        let (with_blocks, with_prefs, with_push) =
            (few("blocks")?, few("archive_prefs")?, few("push")?);
        let with_offline = WithOffline::load(&connection).map_err(|e| at(e.into()))?;
        Ok(Self {
            path: path.into(),
            full_text: options.full_text,
            ids: ArchiveIds::starting_after(Some(ArchiveId(last))),
            with_blocks,
            with_offline: Arc::new(with_offline),
            with_prefs,
            with_push,
            writer: Writer::start(connection, path, options.full_text, pending).map_err(io)?,
            readers: Readers::start(path, BUSY).map_err(at)?,
        })
    }

    /// Reads all of a copy that [`UpkeepStore::back_up`](crate::UpkeepStore::back_up) has made: `Damaged` where it is not sound,
    /// `Newer` where its schema is unknown. Changes nothing. Blocks, for minutes where the copy is large.
    pub fn verify(copy: &Path) -> Result<crate::StoreSize> {
        backup::verify(copy)
    }

    /// The uploaded files that a copy of a database knows, complete ones only: their ids and bytes.
    pub fn uploads_in(copy: &Path) -> Result<Vec<(String, u64)>> {
        backup::uploads(copy)
    }

    /// Runs work in the next transaction of the writer and returns once that is committed and synced.
    async fn write<T: Send + 'static>(
        &self,
        work: impl Fn(&Tx) -> std::result::Result<T, Fault> + Send + 'static,
    ) -> Result<T> {
        let answered = self.writer.submit(0, false, work).await;
        answered.await.unwrap_or_else(|_| Err(self.writer.closed()))
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> std::result::Result<T, Fault> + Send + 'static,
    ) -> Result<T> {
        self.readers.run(work).await
    }

    /// As [`Self::read`], for a few rows that are found by their keys: the runtime itself reads them. The work may be done again.
    async fn read_short<T: Send + 'static>(
        &self,
        work: impl Fn(&Connection) -> std::result::Result<T, Fault> + Send + 'static,
    ) -> Result<T> {
        self.readers.run_short(work).await
    }
}

/// Creates the file with mode 0600 where it is absent. Made by root (`imd user add`), it is given to the
/// owner of its folder, who is the one the daemon runs as; SQLite gives its log files the same owner.
fn create_private(path: &Path) -> Result<()> {
    let failed = |error: std::io::Error| match error.kind() {
        ErrorKind::ReadOnlyFilesystem => StoreError::ReadOnly { path: path.into() },
        ErrorKind::StorageFull => StoreError::Full { path: path.into() },
        _ => StoreError::Backend {
            path: path.into(),
            detail: error.to_string(),
        },
    };
    match OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
    {
        Ok(file) => {
            let folder = path
                .parent()
                .filter(|folder| !folder.as_os_str().is_empty())
                .unwrap_or(Path::new("."));
            let folder = folder.metadata().map_err(failed)?;
            let file = file.metadata().map_err(failed)?;
            if file.uid() == 0 && folder.uid() != 0 {
                std::os::unix::fs::chown(path, Some(folder.uid()), Some(folder.gid()))
                    .map_err(failed)?;
            }
            Ok(())
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(failed(error)),
    }
}

fn prepare(path: &Path, options: SqliteOptions) -> std::result::Result<Connection, Fault> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    keep_statements(&connection, 128)?;
    if connection.is_readonly(rusqlite::MAIN_DB)? {
        return Err(StoreError::ReadOnly { path: path.into() }.into());
    }
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
    if mode != "wal" {
        let detail =
            format!("the file system does not allow SQLite's WAL mode (it stays in {mode:?})");
        return Err(StoreError::Backend {
            path: path.into(),
            detail,
        }
        .into());
    }
    // A message changes pages all over the indexes. A log of up to 16 MiB lets those that change again and
    // again be written to their place once, which an SD card cares about more than about the space.
    connection.execute_batch(
        "PRAGMA synchronous = FULL;
         PRAGMA foreign_keys = ON;
         PRAGMA temp_store = MEMORY;
         PRAGMA cache_size = -8192;
         PRAGMA journal_size_limit = 67108864;
         PRAGMA wal_autocheckpoint = 4000;
         PRAGMA trusted_schema = OFF;",
    )?;
    if options.check {
        schema::check(&connection, path)?;
    }
    schema::migrate(&mut connection, path)?;
    let transaction = connection.transaction()?;
    search::switch(&transaction, options.full_text)?;
    transaction.commit()?;
    // What the check and the steps of a new schema have read and compiled is not what people need next: a megabyte on a small box.
    connection.flush_prepared_statement_cache();
    connection.execute_batch("PRAGMA shrink_memory;")?;
    Ok(connection)
}

/// Compile each statement once, however it is called: without the guarantee of the same plan SQLite compiles one anew
/// whenever a parameter in its `WHERE` has another value than the time before.
fn keep_statements(connection: &Connection, most: usize) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(most);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

/// A list of texts from its JSON form.
fn json_texts(json: &str) -> rusqlite::Result<Vec<String>> {
    serde_json::from_str(json).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(error))
    })
}
