//! Read-only connections: how one is opened, and those that are kept for reads without a thread.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use tokio::sync::watch;

use super::fault::Fault;
use super::keep_statements;

/// Opens a connection that can only read. `wait`: for another process that has locked the database. `cache_kib`: the most
/// memory for pages.
pub(super) fn open_reader(
    path: &Path,
    wait: Duration,
    cache_kib: u32,
) -> std::result::Result<Connection, Fault> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(wait)?;
    keep_statements(&connection, 64)?;
    connection.execute_batch(&format!(
        "PRAGMA cache_size = -{cache_kib}; PRAGMA temp_store = MEMORY;"
    ))?;
    Ok(connection)
}

/// A few connections that wait for nothing. Each is opened when it is first needed: one takes 0.2 MB.
pub(super) struct Connections {
    path: PathBuf,
    state: Mutex<State>,
}

struct State {
    free: Vec<Living>,
    /// How many more may be opened.
    unopened: usize,
    /// Each connection holds a receiver until it is closed; absent once nothing is read any more.
    alive: Option<watch::Sender<()>>,
}

/// A connection with a sign of its life.
type Living = (Connection, watch::Receiver<()>);

impl Connections {
    /// `most`: at the same time. `alive`: has a receiver for each that is open.
    pub(super) fn new(path: &Path, most: usize, alive: watch::Sender<()>) -> Self {
        let state = State {
            free: Vec::new(),
            unopened: most,
            alive: Some(alive),
        };
        Self {
            path: path.to_path_buf(),
            state: Mutex::new(state),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One of them, unless all are in use, or one more cannot be opened.
    pub(super) fn take(&self) -> Option<Taken<'_>> {
        let living = self.next()?;
        Some(Taken {
            all: self,
            living: Some(living),
        })
    }

    fn next(&self) -> Option<Living> {
        let mut state = self.lock();
        if let Some(living) = state.free.pop() {
            return Some(living);
        }
        let sign = state.alive.as_ref()?.subscribe();
        state.unopened = state.unopened.checked_sub(1)?;
        drop(state);
        match open_reader(&self.path, Duration::ZERO, 512) {
            Ok(connection) => Some((connection, sign)),
            // Too many open files, or a lock: the next one tries again.
            Err(_) => {
                self.lock().unopened += 1;
                None
            }
        }
    }

    /// Closes those that are free now, and the others when they come back.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.alive = None;
        state.free.clear();
    }
}

/// A connection that goes back, also from a read that panics.
pub(super) struct Taken<'a> {
    all: &'a Connections,
    living: Option<Living>,
}

impl Taken<'_> {
    pub(super) fn connection(&self) -> Option<&Connection> {
        self.living.as_ref().map(|(connection, _)| connection)
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let mut state = self.all.lock();
        if state.alive.is_some() {
            state.free.extend(self.living.take());
        }
    }
}
