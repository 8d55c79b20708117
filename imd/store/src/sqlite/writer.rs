//! The one thread that writes. It takes what waits into one transaction, syncs it with one commit, and only then answers: many
//! messages share one sync of the disk (group commit), and how many is up to [`pace`](super::pace).

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::archive::find_jid;
use super::fault::Fault;
use super::order::Pending;
use super::pace::Pace;
use super::queue::{Next, Queue, Waiting};
use super::search;
use super::tx::{Job, Tx};
use crate::{Result, StoreError};

/// Most bytes of content that wait, in KiB; more callers are held up.
const QUEUE_KIB: u32 = 16 << 10;
/// What a job counts at least, in KiB, so that no more than 2,048 of them wait.
const JOB_KIB: u32 = 8;
/// How often the thread looks, while nothing comes, whether something has waited for long.
const LOOK: Duration = Duration::from_secs(30);
/// How long messages wait for the text index.
const TEXT_LONGEST: Duration = Duration::from_secs(900);

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

/// A read inside a transaction that is rolled back: for a disk that takes no more, where what waits for its order can
/// only be seen so.
struct Peek<F> {
    owner: String,
    read: Option<F>,
    _done: oneshot::Sender<()>,
}

impl<F: FnOnce(&Connection) + Send> Job for Peek<F> {
    fn run(&mut self, tx: &Tx) -> std::result::Result<(), Fault> {
        if let Some(owner) = find_jid(tx, &self.owner)? {
            tx.order(owner)?;
        }
        if let Some(read) = self.read.take() {
            read(tx);
        }
        // Failing is what rolls the savepoint back.
        Err(StoreError::Off {
            what: "writing".to_owned(),
        }
        .into())
    }

    fn finish(self: Box<Self>, _outcome: Result<()>) {}
}

struct Queued {
    job: Box<dyn Job>,
    bytes: usize,
    may_wait: bool,
    _room: OwnedSemaphorePermit,
}

impl Waiting for Queued {
    fn bytes(&self) -> usize {
        self.bytes
    }

    fn may_wait(&self) -> bool {
        self.may_wait
    }
}

/// The way to the writing thread.
pub(super) struct Writer {
    queue: Arc<Queue<Queued>>,
    room: Arc<Semaphore>,
    /// Entries that are not in the order of their archives yet.
    unordered: Arc<AtomicUsize>,
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
        pending: Pending,
    ) -> std::io::Result<Self> {
        let queue = Arc::new(Queue::new());
        let unordered = Arc::new(AtomicUsize::new(pending.count()));
        let (end, ended) = oneshot::channel();
        let mut thread = Thread {
            tx: Tx::new(connection, path, full_text, pending),
            queue: Arc::clone(&queue),
            unordered: Arc::clone(&unordered),
            pace: Pace::new(),
            last: Instant::now(),
            text_due: full_text,
            text_since: None,
        };
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || {
                thread.run();
                drop(thread);
                // Nobody may be waiting for the end.
                let _ = end.send(());
            })?;
        Ok(Self {
            queue,
            room: Arc::new(Semaphore::new(QUEUE_KIB as usize)),
            unordered,
            path: path.to_path_buf(),
            thread: Mutex::new(Some(thread)),
            ended: Mutex::new(Some(ended)),
        })
    }

    /// Queues work that holds about `bytes` of content, waiting while the queue is full, and returns
    /// where its outcome will arrive, once committed. The receiver fails where the store is closed.
    /// Work that `may_wait` is committed together with what comes soon after.
    pub(super) async fn submit<T: Send + 'static>(
        &self,
        bytes: usize,
        may_wait: bool,
        work: impl Fn(&Tx) -> std::result::Result<T, Fault> + Send + 'static,
    ) -> oneshot::Receiver<Result<T>> {
        let (answer, answered) = oneshot::channel();
        let call = Call {
            work,
            value: None,
            answer,
        };
        self.put(bytes, may_wait, Box::new(call)).await;
        answered
    }

    async fn put(&self, bytes: usize, may_wait: bool, job: Box<dyn Job>) {
        let kib = u32::try_from(bytes / 1024 + 1)
            .unwrap_or(QUEUE_KIB)
            .clamp(JOB_KIB, QUEUE_KIB);
        // A queue that is closed drops the job with its sender, which the caller notices.
        if let Ok(room) = Arc::clone(&self.room).acquire_many_owned(kib).await {
            self.queue.put(Queued {
                job,
                bytes,
                may_wait,
                _room: room,
            });
        }
    }

    /// Returns once what was submitted before is committed or has failed, and the entries of `owner` are in their order and,
    /// if wanted, in the text index; at once where nothing waits.
    pub(super) async fn settle(&self, owner: &str, text: bool) -> Result<()> {
        if self.is_idle() && self.unordered.load(Ordering::Acquire) == 0 && !text {
            return Ok(());
        }
        let owner = owner.to_owned();
        let work = move |tx: &Tx| {
            let Some(owner) = find_jid(tx, &owner)? else {
                return Ok(());
            };
            tx.order(owner)?;
            match text {
                true => search::index_owner(tx, owner),
                false => Ok(()),
            }
        };
        let answered = self.submit(0, false, work).await;
        answered.await.unwrap_or_else(|_| Err(self.closed()))
    }

    /// Puts the entries of all archives in their order that are not, but for those that come meanwhile.
    pub(super) async fn settle_all(&self) -> Result<()> {
        for _ in 0..=self.unordered() / super::order::STEP {
            if self.unordered() == 0 {
                break;
            }
            let step = |tx: &Tx| {
                tx.begin_round();
                tx.order_some()
            };
            let done = self.submit(0, false, step).await.await;
            done.unwrap_or_else(|_| Err(self.closed()))?;
        }
        Ok(())
    }

    /// Runs a read on the writer's connection with the entries of `owner` in their order, and takes that back. The read is
    /// dropped where that cannot be done.
    pub(super) async fn peek(&self, owner: &str, read: impl FnOnce(&Connection) + Send + 'static) {
        let (done, is_done) = oneshot::channel();
        let peek = Peek {
            owner: owner.to_owned(),
            read: Some(read),
            _done: done,
        };
        self.put(0, false, Box::new(peek)).await;
        // Its sender is only ever dropped.
        let _ = is_done.await;
    }

    /// Whether nothing waits to be written or is being written. Queued work holds its room until it is done.
    pub(super) fn is_idle(&self) -> bool {
        self.room.available_permits() == QUEUE_KIB as usize && !self.queue.is_closed()
    }

    /// How many entries are not in the order of their archives yet.
    pub(super) fn unordered(&self) -> usize {
        self.unordered.load(Ordering::Acquire)
    }

    pub(super) fn closed(&self) -> StoreError {
        StoreError::Closed {
            path: self.path.clone(),
        }
    }

    /// Takes no more work, and returns when what was queued is written and the file is closed.
    pub(super) async fn close(&self) {
        self.queue.close();
        let ended = lock(&self.ended).take();
        if let Some(ended) = ended {
            // An error means that the thread has ended already.
            let _ = ended.await;
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue.close();
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

/// What the writing thread has.
struct Thread {
    tx: Tx,
    queue: Arc<Queue<Queued>>,
    unordered: Arc<AtomicUsize>,
    pace: Pace,
    /// When the last commit ended.
    last: Instant,
    /// Whether idle moments are used to bring the text index up to date.
    text_due: bool,
    /// Since when messages wait for the text index.
    text_since: Option<Instant>,
}

impl Thread {
    fn run(&mut self) {
        loop {
            let in_round = self.tx.begin_round_if_due(false);
            let patience = match in_round || self.text_due {
                true => Some(Duration::ZERO),
                false if self.tx.unordered() > 0 || self.text_since.is_some() => Some(LOOK),
                false => None,
            };
            let (pace, last) = (self.pace, self.last);
            match self.queue.next(|| pace.gather(last.elapsed()), patience) {
                Next::Batch(batch) => self.write(batch),
                Next::Idle => self.idle(),
                Next::Closed => break,
            }
        }
    }

    /// What is done while nothing comes.
    fn idle(&mut self) {
        if self.tx.begin_round_if_due(true) {
            self.write(Vec::new());
        } else if self.text_due {
            self.text_due = search::catch_up(&self.tx).unwrap_or_else(|fault| {
                let error = fault.at(self.tx.path());
                tracing::warn!(%error, "the text index stays incomplete for now");
                false
            });
        } else if self.text_since.is_some_and(|t| t.elapsed() > TEXT_LONGEST) {
            (self.text_due, self.text_since) = (true, None);
        }
    }

    /// Writes a batch and, if there is a round, a part of that.
    fn write(&mut self, batch: Vec<Queued>) {
        if self.tx.full_text() && !batch.is_empty() {
            self.text_since.get_or_insert_with(Instant::now);
        }
        let mut step = self.tx.begin_round_if_due(false).then_some(Step);
        self.commit(batch, &mut step);
    }

    fn commit(&mut self, mut batch: Vec<Queued>, step: &mut Option<Step>) {
        let mut jobs: Vec<&mut dyn Job> = Vec::with_capacity(batch.len() + 1);
        jobs.extend(
            batch
                .iter_mut()
                .map(|queued| &mut *queued.job as &mut dyn Job),
        );
        jobs.extend(step.iter_mut().map(|step| step as &mut dyn Job));
        let done = self.tx.commit(&mut jobs);
        // Before anybody hears of it: who then reads must find that what it wrote is to be put into its order first.
        self.unordered.store(self.tx.unordered(), Ordering::Release);
        let before = std::mem::replace(&mut self.last, Instant::now());
        match done.map_err(|fault| fault.at(self.tx.path())) {
            Ok(done) => {
                let gathering = batch.iter().filter(|queued| queued.may_wait).count();
                if !batch.is_empty() {
                    let since = self.last.duration_since(before);
                    let cut = gathering < batch.len();
                    self.pace.committed(gathering, cut, done.sync, since);
                }
                if step.is_some() && done.outcomes.last().is_some_and(Result::is_err) {
                    self.tx.put_round_off();
                }
                let outcomes = done.outcomes.into_iter();
                batch
                    .into_iter()
                    .zip(outcomes)
                    .for_each(|(queued, outcome)| queued.job.finish(outcome));
            }
            // One job too large for the space left must not take the small ones with it.
            Err(StoreError::Full { .. }) if batch.len() > 1 || step.is_some() => {
                if step.is_some() {
                    self.tx.put_round_off();
                }
                for queued in batch {
                    self.commit(vec![queued], &mut None);
                }
            }
            Err(error) => batch
                .into_iter()
                .for_each(|queued| queued.job.finish(Err(error.clone()))),
        }
    }
}

/// A part of the round that puts all entries in their order.
struct Step;

impl Job for Step {
    fn run(&mut self, tx: &Tx) -> std::result::Result<(), Fault> {
        tx.order_some()
    }

    fn finish(self: Box<Self>, _outcome: Result<()>) {}
}
