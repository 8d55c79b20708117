//! A few threads that read, each with its own read-only connection, so that neither a slow query nor
//! the disk blocks the runtime or the writer.

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

/// The way to the reading threads.
pub(super) struct Readers {
    queue: Arc<Queue>,
    room: Arc<Semaphore>,
    path: PathBuf,
    threads: Vec<JoinHandle<()>>,
    /// Each thread holds a receiver until it has closed its connection.
    alive: watch::Sender<()>,
}

impl Readers {
    /// Starts one thread for each connection.
    pub(super) fn start(connections: Vec<Connection>, path: &Path) -> std::io::Result<Self> {
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
        Ok(Self {
            queue,
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

    /// Takes no more reads, and returns when those that wait are done and the connections are closed.
    pub(super) async fn close(&self) {
        self.queue.close();
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
