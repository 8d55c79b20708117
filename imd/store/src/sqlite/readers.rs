//! A few threads that read, each with its own read-only connection, so that neither a slow query nor
//! the disk blocks the runtime or the writer. Short reads do without (`docs/adr/0091`). All but the first thread start
//! when they are first needed.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

use super::connections::{Connections, open_reader};
use super::fault::Fault;
use crate::{Result, StoreError};

/// Threads that read, at most.
pub(super) const READERS: usize = 3;
/// Short reads at the same time that do without a thread.
pub(super) const SHORT_READS: usize = 2;
/// Most reads that run or wait; more callers are held up.
const WAITING_READS: usize = 1024;
/// Most memory that a thread's connection keeps pages in, in KiB.
const CACHE_KIB: u32 = 1024;

/// Calls its second argument when the thread is free again, before it tells anyone.
type Read = Box<dyn FnOnce(&Connection, &dyn Fn()) + Send>;

/// What waits for the reading threads. Whoever puts something in wakes a thread only where one has nothing to do.
#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    /// Each thread holds a receiver until it has closed its connection.
    alive: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    reads: VecDeque<(Read, OwnedSemaphorePermit)>,
    /// Threads that wait for a read.
    idle: usize,
    /// Threads that read.
    busy: usize,
    /// Threads that were started and did not fail to open the database.
    threads: usize,
    closed: bool,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a read in.
    fn put(&self, read: Read, room: OwnedSemaphorePermit) -> Put {
        let mut state = self.lock();
        if state.closed {
            return Put::Refused;
        }
        state.reads.push_back((read, room));
        if state.reads.len() + state.busy > state.threads && state.threads < READERS {
            state.threads += 1;
            return Put::WantsThread(self.alive.subscribe());
        }
        let wake = state.idle > 0;
        drop(state);
        if wake {
            self.changed.notify_one();
        }
        Put::Taken
    }

    /// The next read; `None` when the queue is closed and empty.
    fn next(&self) -> Option<(Read, OwnedSemaphorePermit)> {
        let mut state = self.lock();
        loop {
            if let Some(next) = state.reads.pop_front() {
                state.busy += 1;
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

/// What became of a read that was put into the queue.
enum Put {
    /// Nothing is read any more.
    Refused,
    Taken,
    /// It waits, and there may be one more thread, which is counted already and whose sign of life this is.
    WantsThread(watch::Receiver<()>),
}

/// The way to the reading threads.
pub(super) struct Readers {
    queue: Arc<Queue>,
    short: Connections,
    room: Arc<Semaphore>,
    path: PathBuf,
    wait: Duration,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Readers {
    /// Starts the first thread. `wait`: for another process that has locked the database.
    pub(super) fn start(path: &Path, wait: Duration) -> std::result::Result<Self, Fault> {
        let connection = open_reader(path, wait, CACHE_KIB)?;
        let queue = Arc::new(Queue::default());
        queue.lock().threads = 1;
        let readers = Self {
            short: Connections::new(path, SHORT_READS, queue.alive.clone()),
            room: Arc::new(Semaphore::new(WAITING_READS)),
            path: path.to_path_buf(),
            wait,
            threads: Mutex::default(),
            queue,
        };
        let living = readers.queue.alive.subscribe();
        readers
            .spawn(living, move || Ok(connection))
            .map_err(|error| StoreError::Backend {
                path: path.into(),
                detail: format!("no thread can be started: {error}"),
            })?;
        Ok(readers)
    }

    /// Starts a thread that reads until the queue is closed, or ends at once where its connection cannot be opened.
    fn spawn(
        &self,
        living: watch::Receiver<()>,
        open: impl FnOnce() -> std::result::Result<Connection, Fault> + Send + 'static,
    ) -> std::io::Result<()> {
        let queue = Arc::clone(&self.queue);
        let thread = std::thread::Builder::new().name("store-reader".to_owned());
        let thread = thread.spawn(move || {
            match open() {
                Ok(connection) => run(&connection, &queue),
                Err(_) => queue.lock().threads -= 1,
            }
            drop(living);
        })?;
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        threads.retain(|thread| !thread.is_finished());
        threads.push(thread);
        Ok(())
    }

    /// One more thread, where there can be one: else those that there are read what waits.
    fn add_thread(&self, living: watch::Receiver<()>) {
        let (path, wait) = (self.path.clone(), self.wait);
        let open = move || open_reader(&path, wait, CACHE_KIB);
        if self.spawn(living, open).is_err() {
            self.queue.lock().threads -= 1;
        }
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
        let job: Read = Box::new(move |connection, done| {
            let seen = view(connection, read);
            done();
            // A caller that has gone away does not need the answer.
            let _ = answer.send(seen.map_err(|fault| fault.at(&path)));
        });
        match self.queue.put(job, room) {
            Put::Refused => return Err(closed()),
            Put::Taken => {}
            Put::WantsThread(living) => self.add_thread(living),
        }
        answered.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Runs a read of a few rows where it is asked for, where a connection is free and nothing goes wrong, else as [`Self::run`].
    pub(super) async fn run_short<T: Send + 'static>(
        &self,
        read: impl Fn(&Connection) -> std::result::Result<T, Fault> + Send + 'static,
    ) -> Result<T> {
        let seen = self.short.take().and_then(|taken| {
            let connection = taken.connection()?;
            let seen = catch_unwind(AssertUnwindSafe(|| view(connection, &read)));
            seen.ok().and_then(std::result::Result::ok)
        });
        match seen {
            Some(seen) => Ok(seen),
            // A thread may wait for what is in the way, or finds out what it is.
            None => self.run(read).await,
        }
    }

    /// How many connections are open.
    #[cfg(test)]
    pub(super) fn open(&self) -> usize {
        self.queue.alive.receiver_count()
    }

    /// Takes no more reads, and returns when those that wait are done and the connections are closed.
    pub(super) async fn close(&self) {
        self.queue.close();
        self.short.close();
        self.queue.alive.closed().await;
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.queue.close();
        let threads = self.threads.get_mut();
        for thread in threads.unwrap_or_else(PoisonError::into_inner).drain(..) {
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
        let done = || queue.lock().busy -= 1;
        // The caller of a read that panics gets an error, because its answer is dropped.
        if catch_unwind(AssertUnwindSafe(|| read(connection, &done))).is_err() {
            done();
            tracing::error!("a read of the store panicked");
        }
    }
}
