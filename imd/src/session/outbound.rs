//! The bounded queue of stanzas to a client, and the stanzas that a resumable client has not acknowledged.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use imd_proto::{Jid, StreamError};
use tokio::sync::Notify;

use super::queued::{Addressee, Batch, Queued};

/// Why a connection has to end.
#[derive(Debug, Clone)]
pub enum End {
    /// Tell the client with this stream error.
    Error(StreamError),
    /// Another connection resumes the session (XEP-0198); say nothing more.
    Resumed,
}

/// A stanza was not queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PushError {
    /// The client does not read, and its queue is full: the session is about to end.
    Full,
    /// The session has ended.
    Ended,
}

/// What [`Outbound::take`] has left.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// More waits to be written.
    pub more: bool,
    /// The client is to be asked what it has got, unless it has been.
    pub asks: bool,
}

/// Unacknowledged stanzas after which a client is asked for an acknowledgement, whatever they are.
const ASK_AFTER: usize = 16;
/// The most stanzas that are held back for a client that nobody looks at.
const HELD_STANZAS: usize = 100;
/// Bytes in the queue beyond which nothing is held back.
const HELD_BYTES: usize = 64 * 1024;

/// Stanzas on their way to one client. One connection at a time takes them out.
#[derive(Debug)]
pub struct Outbound {
    client: Addressee,
    queue: Mutex<Queue>,
    /// There is a reason to end: for those who look at nothing else of the queue.
    ends: AtomicBool,
    /// The connection waits for a change. Only then it is woken, and not for what comes while it works anyway.
    asleep: AtomicBool,
    /// Wakes all who wait for a reason to end, such as a connection that is busy writing.
    ending: Notify,
    /// The most bytes that may wait, unacknowledged ones included.
    limit: usize,
}

#[derive(Debug, Default)]
struct Queue {
    /// Oldest first. Those that were written and not acknowledged are in front.
    stanzas: VecDeque<Queued>,
    /// How many of the stanzas were written.
    written: usize,
    /// How many of those must not be missed.
    missed: usize,
    /// What the client gets or has got of them.
    bytes: usize,
    /// What keeping them takes.
    kept: usize,
    /// Whether what is written waits for an acknowledgement.
    managed: bool,
    /// The client is asked what it has got, whatever it is.
    asks_always: bool,
    /// How many stanzas the client has acknowledged, modulo 2^32 (XEP-0198 §4).
    acked: u32,
    end: Option<End>,
    ended: bool,
    /// There is something to write.
    changed: bool,
    /// Whom to wake when there is something to write.
    waker: Option<Waker>,
}

impl Queue {
    fn asks(&self) -> bool {
        self.written >= ASK_AFTER || self.missed > 0 || (self.asks_always && self.written > 0)
    }

    fn waiting(&self) -> usize {
        self.stanzas.len() - self.written
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl Outbound {
    /// An empty queue to a client that holds `limit` bytes at the most.
    #[must_use]
    pub fn new(client: Jid, limit: usize) -> Self {
        Self {
            client: client.into(),
            queue: Mutex::default(),
            ends: AtomicBool::new(false),
            asleep: AtomicBool::new(false),
            ending: Notify::new(),
            limit,
        }
    }

    /// Whom the stanzas are for.
    #[must_use]
    pub fn client(&self) -> &Addressee {
        &self.client
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Every critical section below leaves the queue consistent before it can panic.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whom to wake for a change, once the queue is not locked any more.
    fn sleeper(&self, queue: &mut Queue) -> Option<Waker> {
        match self.asleep.swap(false, Ordering::AcqRel) {
            true => queue.waker.take(),
            false => None,
        }
    }

    /// Queue a serialised stanza.
    ///
    /// # Errors
    /// When the queue is full, which also asks the connection to end, or when the session has ended.
    pub fn push(&self, stanza: Queued) -> Result<(), PushError> {
        self.enqueue(stanza, false)
    }

    /// Queue a stanza that need not wake the client (XEP-0352). It goes out with the next one that does, or when more
    /// waits than may be held back.
    ///
    /// # Errors
    /// As for [`Outbound::push`].
    pub fn hold(&self, stanza: Queued) -> Result<(), PushError> {
        self.enqueue(stanza, true)
    }

    fn enqueue(&self, stanza: Queued, hold: bool) -> Result<(), PushError> {
        let bytes = stanza.bytes(&self.client);
        let mut queue = self.queue();
        if queue.ended {
            return Err(PushError::Ended);
        }
        if queue.bytes + bytes > self.limit {
            drop(queue);
            self.end_stuck();
            return Err(PushError::Full);
        }
        queue.bytes += bytes;
        queue.kept += stanza.kept();
        queue.stanzas.push_back(stanza);
        if hold && queue.waiting() < HELD_STANZAS && queue.bytes < HELD_BYTES {
            return Ok(());
        }
        queue.changed = true;
        let waker = self.sleeper(&mut queue);
        drop(queue);
        wake(waker);
        Ok(())
    }

    /// Wait until there is something to write or a reason to end. Only one task is woken: that of the connection.
    pub fn poll_changed(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut queue = self.queue();
        if std::mem::take(&mut queue.changed) || queue.end.is_some() {
            return Poll::Ready(());
        }
        let known = queue.waker.as_ref();
        if !known.is_some_and(|waker| waker.will_wake(cx.waker())) {
            queue.waker = Some(cx.waker().clone());
        }
        self.asleep.store(true, Ordering::Release);
        Poll::Pending
    }

    /// The connection works, for whatever reason, and will ask again for changes before it waits.
    pub fn awake(&self) {
        self.asleep.store(false, Ordering::Release);
    }

    #[cfg(test)]
    pub(super) async fn changed(&self) {
        std::future::poll_fn(|cx| self.poll_changed(cx)).await;
    }

    /// Nobody waits for a change any more. A task that has ended would stay in memory for as long as it is to be woken.
    pub fn let_go(&self) {
        let waker = self.queue().waker.take();
        drop(waker);
    }

    /// Take up to `max_bytes` of what waits, at least one stanza, to be written now. With stream management it is also
    /// kept until acknowledged.
    pub fn take(&self, max_bytes: usize, batch: &mut dyn Batch) -> Taken {
        let mut queue = self.queue();
        let mut taken = 0;
        while taken < max_bytes && queue.waiting() > 0 {
            let written = queue.written;
            let stanza = &queue.stanzas[written];
            batch.add(stanza, &self.client);
            let (bytes, kept) = (stanza.bytes(&self.client), stanza.kept());
            let missed = usize::from(stanza.is_missed());
            taken += bytes;
            if queue.managed {
                queue.written += 1;
                queue.missed += missed;
            } else {
                queue.stanzas.pop_front();
                queue.bytes -= bytes;
                queue.kept -= kept;
            }
        }
        let more = queue.waiting() > 0;
        if !more {
            queue.changed = false;
        }
        if queue.stanzas.is_empty() {
            // An idle session holds no buffer.
            queue.stanzas = VecDeque::new();
        }
        Taken {
            more,
            asks: queue.asks(),
        }
    }

    /// Bytes of memory that what waits takes, with what is not acknowledged. A text that others get, too, counts in part.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.queue().kept
    }

    /// Ask the connection to end, because too much waits for its client.
    pub fn end_stuck(&self) {
        self.end(End::Error(StreamError::with_text(
            imd_proto::StreamCondition::ResourceConstraint,
            "too much waits for this client, which does not read",
        )));
    }

    /// From now on keep what is written until it is acknowledged.
    pub fn manage(&self) {
        self.queue().managed = true;
    }

    /// The client says how many stanzas it has handled since stream management began (XEP-0198 §4).
    ///
    /// # Errors
    /// With the number of stanzas sent when the client acknowledges more than those.
    pub fn acknowledge(&self, handled: u32) -> Result<(), u32> {
        let mut guard = self.queue();
        let queue = &mut *guard;
        let newly = handled.wrapping_sub(queue.acked) as usize;
        if newly > queue.written {
            let sent = queue
                .acked
                .wrapping_add(u32::try_from(queue.written).unwrap_or(u32::MAX));
            return Err(sent);
        }
        for stanza in queue.stanzas.drain(..newly) {
            queue.bytes -= stanza.bytes(&self.client);
            queue.kept -= stanza.kept();
            queue.missed -= usize::from(stanza.is_missed());
        }
        queue.written -= newly;
        queue.acked = handled;
        if queue.stanzas.is_empty() {
            queue.stanzas = VecDeque::new();
        }
        Ok(())
    }

    /// How many stanzas the client has acknowledged, modulo 2^32.
    #[must_use]
    pub fn acked(&self) -> u32 {
        self.queue().acked
    }

    /// Go on where a queue before the restart ended. All its stanzas may have been written. Each has a text of its own now,
    /// and counts with all of it.
    pub fn restore(&self, acked: u32, stanzas: impl Iterator<Item = Arc<str>>) {
        let mut guard = self.queue();
        let queue = &mut *guard;
        queue.managed = true;
        queue.acked = acked;
        queue.stanzas = stanzas.map(Queued::whole).collect();
        queue.written = queue.stanzas.len();
        queue.missed = queue.stanzas.iter().filter(|s| s.is_missed()).count();
        queue.bytes = queue.stanzas.iter().map(|s| s.bytes(&self.client)).sum();
        queue.kept = queue.stanzas.iter().map(Queued::kept).sum();
    }

    /// From now on ask at once about everything: a phone that is woken by pushes is not to be woken for what it has got.
    pub fn ask_always(&self) {
        self.queue().asks_always = true;
    }

    /// Whether the client is to be asked what it has got: something that it must not miss, or much else.
    #[must_use]
    pub fn asks(&self) -> bool {
        self.queue().asks()
    }

    /// What the client has not acknowledged or not got, oldest first.
    #[must_use]
    pub fn unacknowledged_stanzas(&self) -> Vec<Arc<str>> {
        let queue = self.queue();
        let stanzas = queue.stanzas.iter();
        stanzas.map(|stanza| stanza.text(&self.client)).collect()
    }

    /// What was written but not acknowledged is to be written again, after a resumption.
    pub fn rewind(&self) {
        let mut queue = self.queue();
        queue.written = 0;
        queue.missed = 0;
        queue.end = None;
        self.ends.store(false, Ordering::Release);
        queue.changed = true;
        let waker = self.sleeper(&mut queue);
        drop(queue);
        wake(waker);
        self.ending.notify_waiters();
    }

    /// Ask the connection to end.
    pub fn end(&self, end: End) {
        let mut queue = self.queue();
        queue.end.get_or_insert(end);
        self.ends.store(true, Ordering::Release);
        let waker = self.sleeper(&mut queue);
        drop(queue);
        wake(waker);
        self.ending.notify_waiters();
    }

    /// Wait until there is a reason to end.
    pub async fn ending(&self) {
        self.until(|| self.has_end()).await;
    }

    /// Wait until something is the case that comes with a reason to end, or with a resumption.
    pub async fn until(&self, case: impl Fn() -> bool) {
        loop {
            // Made before it is looked, so that it notices what happens afterwards.
            let told = self.ending.notified();
            if case() {
                return;
            }
            told.await;
        }
    }

    /// Whether the session cannot go on, as when too much waits for it. A resumption is no such reason.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        matches!(self.queue().end, Some(End::Error(_)))
    }

    /// Whether there is a reason to end.
    #[must_use]
    pub fn has_end(&self) -> bool {
        self.ends.load(Ordering::Acquire)
    }

    /// Let what was held back go out.
    pub fn wake(&self) {
        let mut queue = self.queue();
        queue.changed = true;
        let waker = self.sleeper(&mut queue);
        drop(queue);
        wake(waker);
    }

    /// The reason to end, once.
    pub fn take_end(&self) -> Option<End> {
        let mut queue = self.queue();
        self.ends.store(false, Ordering::Release);
        queue.end.take()
    }

    /// The session is over: refuse more, and give back what the client never acknowledged or never got.
    pub fn close(&self) -> Vec<Arc<str>> {
        let mut queue = self.queue();
        queue.ended = true;
        let stanzas = std::mem::take(&mut queue.stanzas);
        (queue.written, queue.missed) = (0, 0);
        (queue.bytes, queue.kept) = (0, 0);
        drop(queue);
        let stanzas = stanzas.iter();
        stanzas.map(|stanza| stanza.text(&self.client)).collect()
    }
}

#[cfg(test)]
#[path = "outbound_tests.rs"]
mod tests;
