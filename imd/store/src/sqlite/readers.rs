//! A few threads that read, each with its own read-only connection, so that neither a slow query nor
//! the disk blocks the runtime or the writer.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

use super::fault::Fault;
use crate::{Result, StoreError};

/// Most reads that run or wait; more callers are held up.
const WAITING_READS: usize = 1024;

type Read = Box<dyn FnOnce(&Connection) + Send>;

/// The way to the reading threads.
pub(super) struct Readers {
    reads: Mutex<Option<mpsc::Sender<(Read, OwnedSemaphorePermit)>>>,
    room: Arc<Semaphore>,
    path: PathBuf,
    threads: Vec<JoinHandle<()>>,
    /// Each thread holds a receiver until it has closed its connection.
    alive: watch::Sender<()>,
}

impl Readers {
    /// Starts one thread for each connection.
    pub(super) fn start(connections: Vec<Connection>, path: &Path) -> std::io::Result<Self> {
        let (reads, queue) = mpsc::channel::<(Read, OwnedSemaphorePermit)>();
        let queue = Arc::new(Mutex::new(queue));
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
            reads: Mutex::new(Some(reads)),
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
            let seen = connection
                .unchecked_transaction()
                .map_err(Fault::from)
                .and_then(|view| read(&view));
            let _ = answer.send(seen.map_err(|fault| fault.at(&path)));
        });
        let reads = self
            .reads
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        reads
            .and_then(|reads| reads.send((job, room)).ok())
            .ok_or_else(closed)?;
        answered.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Takes no more reads, and returns when those that wait are done and the connections are closed.
    pub(super) async fn close(&self) {
        self.stop();
        self.alive.closed().await;
    }

    fn stop(&self) {
        drop(
            self.reads
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.stop();
        for thread in self.threads.drain(..) {
            // Panics of reads are caught and logged; the thread itself has nothing to tell.
            let _ = thread.join();
        }
    }
}

fn run(connection: &Connection, queue: &Mutex<mpsc::Receiver<(Read, OwnedSemaphorePermit)>>) {
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((read, _room)) = next else { break };
        // The caller of a read that panics gets an error, because its answer is dropped.
        if catch_unwind(AssertUnwindSafe(|| read(connection))).is_err() {
            tracing::error!("a read of the store panicked");
        }
    }
}
