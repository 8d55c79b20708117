//! Copies of the database while it is in use, and whether such a copy is sound.
//!
//! SQLite's online backup API, on a connection of its own that holds one view of the database from beginning to end: what is
//! written meanwhile neither gets into the copy nor makes it begin again. It copies some pages, rests for as long, and syncs what
//! it has written every few MiB, so that those who write beside it never wait for much of it.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::connections::open_reader;
use super::fault::Fault;
use super::{BUSY, schema};
use crate::{StoreError, StoreSize};

/// Pages in one step.
const STEP: i32 = 128;
/// Steps after which what was written is synced.
const SYNC_AFTER: u32 = 8;
/// The shortest rest after a step.
const REST: Duration = Duration::from_millis(2);

/// Copies the database at `from` to the new file `to`. Blocks; a copy that failed is removed.
pub(super) fn copy(from: &Path, to: &Path) -> Result<(), StoreError> {
    // Refusing an existing file here gives a plain error.
    if to.exists() {
        return Err(StoreError::exists(format!("the file {}", to.display())));
    }
    super::create_private(to)?;
    let outcome = copy_pages(from, to);
    if outcome.is_err() {
        // Half a copy is of no use; what went wrong is told by `outcome`.
        let _ = std::fs::remove_file(to);
    }
    outcome
}

fn copy_pages(from: &Path, to: &Path) -> Result<(), StoreError> {
    let sync = |file: &File| {
        file.sync_data().map_err(|error| StoreError::Backend {
            path: to.into(),
            detail: error.to_string(),
        })
    };
    let source = open_reader(from, BUSY, 1024).map_err(|fault| fault.at(from))?;
    let view = hold_view(&source).map_err(|fault| fault.at(from))?;
    let mut target = open_target(to).map_err(|fault| fault.at(to))?;
    let written = File::open(to).map_err(|error| StoreError::Backend {
        path: to.into(),
        detail: error.to_string(),
    })?;
    {
        let copying = Backup::new(&view, &mut target).map_err(|e| Fault::from(e).at(to))?;
        let mut steps = 0;
        loop {
            let began = Instant::now();
            match copying.step(STEP).map_err(|e| Fault::from(e).at(to))? {
                StepResult::Done => break,
                StepResult::More => steps += 1,
                // Somebody else has a lock for a moment.
                _ => {}
            }
            if steps % SYNC_AFTER == 0 {
                sync(&written)?;
            }
            std::thread::sleep(began.elapsed().max(REST));
        }
    }
    // One file, without a log beside it.
    target
        .pragma_update_and_check(None, "journal_mode", "delete", |_| Ok(()))
        .map_err(|error| Fault::from(error).at(to))?;
    drop(target);
    sync(&written)
}

/// A transaction that has begun to read.
fn hold_view(source: &Connection) -> Result<rusqlite::Transaction<'_>, Fault> {
    let view = source.unchecked_transaction()?;
    view.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    Ok(view)
}

fn open_target(to: &Path) -> Result<Connection, Fault> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let target = Connection::open_with_flags(to, flags)?;
    // Nothing of a copy that is cut short is used, so it needs no journal; it is synced by its maker.
    target.pragma_update_and_check(None, "journal_mode", "off", |_| Ok(()))?;
    target.pragma_update(None, "synchronous", "off")?;
    target.pragma_update(None, "cache_size", -1024)?;
    Ok(target)
}

/// Reads all of a copy: `Damaged` where it is not sound, `Newer` where this program does not know its schema. Changes nothing.
pub(super) fn verify(path: &Path) -> Result<StoreSize, StoreError> {
    let read = || -> Result<StoreSize, Fault> {
        let copy = open_copy(path)?;
        schema::known(&copy, path)?;
        schema::check_all(&copy, path)?;
        super::upkeep::size(&copy)
    };
    read().map_err(|fault| fault.at(path))
}

/// The uploaded files that a copy knows, complete ones only: ids and bytes.
pub(super) fn uploads(path: &Path) -> Result<Vec<(String, u64)>, StoreError> {
    let read = || -> Result<Vec<(String, u64)>, Fault> {
        let copy = open_copy(path)?;
        let mut statement =
            copy.prepare("SELECT id, size FROM uploads WHERE complete ORDER BY id")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    };
    read().map_err(|fault| fault.at(path))
}

/// A copy has no log beside it, and SQLite must not make one to read it.
fn open_copy(path: &Path) -> Result<Connection, Fault> {
    let immutable = format!("file:{}?immutable=1", uri_path(path));
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_URI;
    Ok(Connection::open_with_flags(&immutable, flags)?)
}

fn uri_path(path: &Path) -> String {
    let mut out = String::new();
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => {
                out.push(char::from(*byte));
            }
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}
