//! The one thread that writes. It takes all that waits into one transaction, syncs it with one commit,
//! and only then answers: many messages share one sync of the disk (group commit).

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::{Connection, OptionalExtension as _};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::fault::Fault;
use super::search::{self, TextChange};
use crate::{Result, StoreError};

/// Most jobs in one transaction.
const BATCH_JOBS: usize = 512;
/// Most bytes of content in one transaction, but for a single larger job.
const BATCH_BYTES: usize = 4 << 20;
/// Most jobs that wait; more callers are held up.
const QUEUE_JOBS: usize = 2048;
/// Most bytes of content that wait, in KiB.
const QUEUE_KIB: u32 = 16 << 10;
/// Most JIDs whose ids are remembered.
const CACHED_JIDS: usize = 8192;

/// What a job works on: the connection inside its transaction.
pub(super) struct Tx {
    connection: Connection,
    path: PathBuf,
    full_text: bool,
    jids: RefCell<HashMap<String, i64>>,
    /// Changes to the text index, made together at the end of the batch: the index writes a segment at
    /// each savepoint, which would cost more than the messages.
    text_changes: RefCell<Vec<TextChange>>,
}

impl Deref for Tx {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl Tx {
    /// The id of a JID, which is given one where it has none.
    pub(super) fn intern(&self, jid: &str) -> std::result::Result<i64, Fault> {
        if let Some(id) = self.jids.borrow().get(jid) {
            return Ok(*id);
        }
        let known = self
            .prepare_cached("SELECT id FROM jids WHERE jid = ?")?
            .query_row([jid], |row| row.get(0))
            .optional()?;
        let id = match known {
            Some(id) => id,
            None => self
                .prepare_cached("INSERT INTO jids (jid) VALUES (?)")?
                .insert([jid])?,
        };
        let mut jids = self.jids.borrow_mut();
        if jids.len() >= CACHED_JIDS {
            jids.clear();
        }
        jids.insert(jid.to_owned(), id);
        Ok(id)
    }

    /// Notes a change to the text index, to be made in this transaction.
    pub(super) fn change_text(&self, change: TextChange) {
        if self.full_text {
            self.text_changes.borrow_mut().push(change);
        }
    }

    /// Runs one job; what a failing one did is undone, as far as the transaction still exists.
    fn attempt(&self, job: &mut dyn Job) -> std::result::Result<(), Fault> {
        let noted = self.text_changes.borrow().len();
        self.prepare_cached("SAVEPOINT job")?.execute([])?;
        let outcome = catch_unwind(AssertUnwindSafe(|| job.run(self))).unwrap_or_else(|_| {
            Err(StoreError::Backend {
                path: self.path.clone(),
                detail: "a write panicked".to_owned(),
            }
            .into())
        });
        if outcome.is_err() {
            self.forget(noted);
            if !self.is_autocommit() {
                self.prepare_cached("ROLLBACK TO job")?.execute([])?;
            }
        }
        if !self.is_autocommit() {
            self.prepare_cached("RELEASE job")?.execute([])?;
        }
        outcome
    }

    /// Forgets what was learned in work that has been rolled back.
    fn forget(&self, keep_text_changes: usize) {
        self.text_changes.borrow_mut().truncate(keep_text_changes);
        self.jids.borrow_mut().clear();
    }

    /// Runs and commits jobs in one transaction. `Ok` has the outcome of each; `Err` means that nothing
    /// of any of them is in the database.
    fn commit(&self, jobs: &mut [Queued]) -> std::result::Result<Vec<Result<()>>, Fault> {
        if !self.is_autocommit() {
            // The rollback of an earlier batch failed (on a failing disk); this one must not join it.
            self.forget(0);
            self.prepare_cached("ROLLBACK")?.execute([])?;
        }
        self.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let done = self.run_all(jobs).and_then(|outcomes| {
            self.prepare_cached("COMMIT")?.execute([])?;
            Ok(outcomes)
        });
        if done.is_err() {
            self.forget(0);
            if !self.is_autocommit() {
                self.prepare_cached("ROLLBACK")?.execute([])?;
            }
        }
        done
    }

    fn run_all(&self, jobs: &mut [Queued]) -> std::result::Result<Vec<Result<()>>, Fault> {
        let mut outcomes = Vec::with_capacity(jobs.len());
        for queued in jobs {
            match self.attempt(queued.job.as_mut()) {
                Ok(()) => outcomes.push(Ok(())),
                // A full disk and some other errors end the whole transaction.
                Err(fault) if self.is_autocommit() => return Err(fault),
                Err(fault) => outcomes.push(Err(fault.at(&self.path))),
            }
        }
        search::apply(self, &self.text_changes.take())?;
        Ok(outcomes)
    }
}

/// A piece of work for the writer. It may be run again where its first transaction was lost.
pub(super) trait Job: Send {
    fn run(&mut self, tx: &Tx) -> std::result::Result<(), Fault>;
    fn finish(self: Box<Self>, outcome: Result<()>);
}

struct Call<F, T> {
    work: F,
    value: Option<T>,
    answer: oneshot::Sender<Result<T>>,
}

impl<F, T> Job for Call<F, T>
where
    F: Fn(&Tx) -> std::result::Result<T, Fault> + Send,
    T: Send,
{
    fn run(&mut self, tx: &Tx) -> std::result::Result<(), Fault> {
        self.value = Some((self.work)(tx)?);
        Ok(())
    }

    fn finish(self: Box<Self>, outcome: Result<()>) {
        let Self { value, answer, .. } = *self;
        let answered = match (outcome, value) {
            (Ok(()), Some(value)) => answer.send(Ok(value)),
            (Err(error), _) => answer.send(Err(error)),
            // Dropping the sender tells the caller that the store is closed.
            (Ok(()), None) => return,
        };
        // A caller that has gone away does not need the answer.
        drop(answered);
    }
}

struct Queued {
    job: Box<dyn Job>,
    bytes: usize,
    _room: OwnedSemaphorePermit,
}

/// The way to the writing thread.
pub(super) struct Writer {
    jobs: Mutex<Option<mpsc::Sender<Queued>>>,
    room: Arc<Semaphore>,
    path: PathBuf,
    thread: Mutex<Option<JoinHandle<()>>>,
    ended: Mutex<Option<oneshot::Receiver<()>>>,
}

impl Writer {
    /// Starts the thread on an open connection.
    pub(super) fn start(
        connection: Connection,
        path: &Path,
        full_text: bool,
    ) -> std::io::Result<Self> {
        let (jobs, queue) = mpsc::channel(QUEUE_JOBS);
        let (end, ended) = oneshot::channel();
        let tx = Tx {
            connection,
            path: path.to_path_buf(),
            full_text,
            jids: RefCell::default(),
            text_changes: RefCell::default(),
        };
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || {
                run(&tx, queue);
                drop(tx);
                // Nobody may be waiting for the end.
                let _ = end.send(());
            })?;
        Ok(Self {
            jobs: Mutex::new(Some(jobs)),
            room: Arc::new(Semaphore::new(QUEUE_KIB as usize)),
            path: path.to_path_buf(),
            thread: Mutex::new(Some(thread)),
            ended: Mutex::new(Some(ended)),
        })
    }

    /// Queues work that holds about `bytes` of content, waiting while the queue is full, and returns
    /// where its outcome will arrive, once committed. The receiver fails where the store is closed.
    pub(super) async fn submit<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl Fn(&Tx) -> std::result::Result<T, Fault> + Send + 'static,
    ) -> oneshot::Receiver<Result<T>> {
        let (answer, answered) = oneshot::channel();
        let kib = u32::try_from(bytes / 1024 + 1)
            .unwrap_or(QUEUE_KIB)
            .min(QUEUE_KIB);
        let jobs = lock(&self.jobs).clone();
        if let (Some(jobs), Ok(room)) = (jobs, Arc::clone(&self.room).acquire_many_owned(kib).await)
        {
            let job = Box::new(Call {
                work,
                value: None,
                answer,
            });
            // Where the thread is gone the job is dropped with its sender, which the caller notices.
            let _ = jobs
                .send(Queued {
                    job,
                    bytes,
                    _room: room,
                })
                .await;
        }
        answered
    }

    /// Returns once what was submitted before is committed or has failed; at once where nothing waits.
    pub(super) async fn settle(&self) {
        if !self.is_idle() {
            // A closed store has nothing to wait for.
            let _ = self.submit(0, |_| Ok(())).await.await;
        }
    }

    /// Whether nothing waits to be written or is being written. Queued work holds its room until it is done.
    pub(super) fn is_idle(&self) -> bool {
        self.room.available_permits() == QUEUE_KIB as usize && lock(&self.jobs).is_some()
    }

    pub(super) fn closed(&self) -> StoreError {
        StoreError::Closed {
            path: self.path.clone(),
        }
    }

    /// Takes no more work, and returns when what was queued is written and the file is closed.
    pub(super) async fn close(&self) {
        drop(lock(&self.jobs).take());
        let ended = lock(&self.ended).take();
        if let Some(ended) = ended {
            // An error means that the thread has ended already.
            let _ = ended.await;
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(lock(&self.jobs).take());
        if let Some(thread) = lock(&self.thread).take()
            && thread.join().is_err()
        {
            tracing::error!("the store's writing thread had panicked");
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn run(tx: &Tx, mut queue: mpsc::Receiver<Queued>) {
    let mut backfill = tx.full_text;
    loop {
        // While older messages are not in the text index yet, idle moments are used for that.
        let first = if backfill {
            match queue.try_recv() {
                Ok(job) => Some(job),
                Err(mpsc::error::TryRecvError::Disconnected) => None,
                Err(mpsc::error::TryRecvError::Empty) => {
                    backfill = search::backfill(tx).unwrap_or_else(|fault| {
                        tracing::warn!(error = %fault.at(&tx.path), "the text index stays incomplete until the next start");
                        false
                    });
                    continue;
                }
            }
        } else {
            queue.blocking_recv()
        };
        let Some(first) = first else { break };
        let mut bytes = first.bytes;
        let mut batch = vec![first];
        while batch.len() < BATCH_JOBS && bytes < BATCH_BYTES {
            let Ok(next) = queue.try_recv() else { break };
            bytes += next.bytes;
            batch.push(next);
        }
        write(tx, batch);
    }
}

fn write(tx: &Tx, mut batch: Vec<Queued>) {
    match tx.commit(&mut batch).map_err(|fault| fault.at(&tx.path)) {
        Ok(outcomes) => batch
            .into_iter()
            .zip(outcomes)
            .for_each(|(queued, outcome)| queued.job.finish(outcome)),
        // One job too large for the space left must not take the small ones with it.
        Err(StoreError::Full { .. }) if batch.len() > 1 => {
            batch.into_iter().for_each(|queued| write(tx, vec![queued]));
        }
        Err(error) => batch
            .into_iter()
            .for_each(|queued| queued.job.finish(Err(error.clone()))),
    }
}
