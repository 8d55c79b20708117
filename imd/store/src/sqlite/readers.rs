//! A few threads that read, each with its own read-only connection, so that neither a slow query nor
//! the disk blocks the runtime or the writer. Short reads do without (`docs/adr/0091`).

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

use super::fault::Fault;
use crate::{Result, StoreError};

/// Most reads that run or wait; more callers are held up.
const WAITING_READS: usize = 1024;

type Read = Box<dyn FnOnce(&Connection) + Send>;

/// What waits for the reading threads. Whoever puts something in wakes a thread only where one has nothing to do.
#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    reads: VecDeque<(Read, OwnedSemaphorePermit)>,
    /// Threads that wait for a read.
    idle: usize,
    closed: bool,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a read in; false where nothing is taken any more.
    fn put(&self, read: Read, room: OwnedSemaphorePermit) -> bool {
        let mut state = self.lock();
        if state.closed {
            return false;
        }
        state.reads.push_back((read, room));
        let wake = state.idle > 0;
        drop(state);
        if wake {
            self.changed.notify_one();
        }
        true
    }

    /// The next read; `None` when the queue is closed and empty.
    fn next(&self) -> Option<(Read, OwnedSemaphorePermit)> {
        let mut state = self.lock();
        loop {
            if let Some(next) = state.reads.pop_front() {
                return Some(next);
            }
            if state.closed {
                return None;
            }
            state.idle += 1;
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }

    fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }
}

/// A connection with a sign of its life.
type Living = (Connection, watch::Receiver<()>);

/// Connections for reads without a thread; absent once nothing is read any more.
struct Free(Mutex<Option<Vec<Living>>>);

impl Free {
    fn lock(&self) -> MutexGuard<'_, Option<Vec<Living>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One of them, unless all are in use.
    fn take(&self) -> Option<Taken<'_>> {
        let living = self.lock().as_mut()?.pop()?;
        Some(Taken {
            free: self,
            living: Some(living),
        })
    }
}

/// A connection that goes back, also from a read that panics.
struct Taken<'a> {
    free: &'a Free,
    living: Option<Living>,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if let (Some(free), Some(living)) = (self.free.lock().as_mut(), self.living.take()) {
            free.push(living);
        }
    }
}

/// The way to the reading threads.
pub(super) struct Readers {
    queue: Arc<Queue>,
    free: Free,
    room: Arc<Semaphore>,
    path: PathBuf,
    threads: Vec<JoinHandle<()>>,
    /// Each thread holds a receiver until it has closed its connection.
    alive: watch::Sender<()>,
}

impl Readers {
    /// Starts one thread for each connection; those of `free` are for short reads.
    pub(super) fn start(
        connections: Vec<Connection>,
        free: Vec<Connection>,
        path: &Path,
    ) -> std::io::Result<Self> {
        let queue = Arc::new(Queue::default());
        let alive = watch::Sender::new(());
        let mut threads = Vec::new();
        for connection in connections {
            let queue = Arc::clone(&queue);
            let living = alive.subscribe();
            let thread = std::thread::Builder::new().name("store-reader".to_owned());
            threads.push(thread.spawn(move || {
                run(&connection, &queue);
                drop(connection);
                drop(living);
            })?);
        }
        let free = free.into_iter().map(|c| (c, alive.subscribe())).collect();
        Ok(Self {
            queue,
            free: Free(Mutex::new(Some(free))),
            room: Arc::new(Semaphore::new(WAITING_READS)),
            path: path.to_path_buf(),
            threads,
            alive,
        })
    }

    /// Runs a read on one unchanging view of the database.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> std::result::Result<T, Fault> + Send + 'static,
    ) -> Result<T> {
        let closed = || StoreError::Closed {
            path: self.path.clone(),
        };
        let room = Arc::clone(&self.room)
            .acquire_owned()
            .await
            .map_err(|_| closed())?;
        let (answer, answered) = oneshot::channel();
        let path = self.path.clone();
        let job: Read = Box::new(move |connection| {
            // A caller that has gone away does not need the answer.
            let seen = view(connection, read);
            let _ = answer.send(seen.map_err(|fault| fault.at(&path)));
        });
        if !self.queue.put(job, room) {
            return Err(closed());
        }
        answered.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Runs a read of a few rows where it is asked for, where a connection is free and nothing goes wrong, else as [`Self::run`].
    pub(super) async fn run_short<T: Send + 'static>(
        &self,
        read: impl Fn(&Connection) -> std::result::Result<T, Fault> + Send + 'static,
    ) -> Result<T> {
        let seen = self.free.take().and_then(|taken| {
            let (connection, _) = taken.living.as_ref()?;
            let seen = catch_unwind(AssertUnwindSafe(|| view(connection, &read)));
            seen.ok().and_then(std::result::Result::ok)
        });
        match seen {
            Some(seen) => Ok(seen),
            // A thread may wait for what is in the way, or finds out what it is.
            None => self.run(read).await,
        }
    }

    /// Takes no more reads, and returns when those that wait are done and the connections are closed.
    pub(super) async fn close(&self) {
        self.queue.close();
        drop(self.free.lock().take());
        self.alive.closed().await;
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.queue.close();
        for thread in self.threads.drain(..) {
            // Panics of reads are caught and logged; the thread itself has nothing to tell.
            let _ = thread.join();
        }
    }
}

/// Runs a read inside a transaction. Its two statements are compiled once: each of them is needed more often than any other.
fn view<T>(
    connection: &Connection,
    read: impl FnOnce(&Connection) -> std::result::Result<T, Fault>,
) -> std::result::Result<T, Fault> {
    connection.prepare_cached("BEGIN")?.execute([])?;
    let seen = catch_unwind(AssertUnwindSafe(|| read(connection)));
    // It has changed nothing; what fails here would fail again at the next `BEGIN`.
    let ended = connection
        .prepare_cached("COMMIT")
        .and_then(|mut commit| commit.execute([]));
    match seen {
        Ok(seen) => ended.map_err(Fault::from).and(seen),
        Err(panic) => resume_unwind(panic),
    }
}

fn run(connection: &Connection, queue: &Queue) {
    while let Some((read, _room)) = queue.next() {
        // The caller of a read that panics gets an error, because its answer is dropped.
        if catch_unwind(AssertUnwindSafe(|| read(connection))).is_err() {
            tracing::error!("a read of the store panicked");
        }
    }
}
