//! The bounded queue of stanzas to a client, and the stanzas that a resumable client has not acknowledged.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use imd_proto::{Jid, StreamError};
use tokio::sync::Notify;

use super::queued::Queued;

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// More waits to be written.
    pub more: bool,
    /// The client is to be asked for an acknowledgement.
    pub ask: bool,
}

/// Unacknowledged stanzas after which a client is asked for an acknowledgement, whatever they are.
const ASK_AFTER: usize = 16;
/// The most stanzas that are held back for a client that nobody looks at.
const HELD_STANZAS: usize = 100;
/// Bytes in the queue beyond which nothing is held back.
const HELD_BYTES: usize = 64 * 1024;

/// Stanzas on their way to one client.
#[derive(Debug)]
pub struct Outbound {
    /// The client's address.
    client: Jid,
    queue: Mutex<Queue>,
    wake: Notify,
    /// Wakes a connection that is busy writing when there is a reason to end.
    ending: Notify,
    /// The most bytes that may wait, unacknowledged ones included.
    limit: usize,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Queued>,
    unacked: VecDeque<Queued>,
    bytes: usize,
    /// Whether what is written waits for an acknowledgement.
    managed: bool,
    /// The client is asked what it has got, whatever it is.
    asks_always: bool,
    /// How many stanzas the client has acknowledged, modulo 2^32 (XEP-0198 §4).
    acked: u32,
    end: Option<End>,
    ended: bool,
}

impl Queue {
    fn asks(&self) -> bool {
        self.unacked.len() >= ASK_AFTER
            || (self.asks_always && !self.unacked.is_empty())
            || self.unacked.iter().any(Queued::is_missed)
    }
}

impl Outbound {
    /// An empty queue to a client that holds `limit` bytes at the most.
    #[must_use]
    pub fn new(client: Jid, limit: usize) -> Self {
        Self {
            client,
            queue: Mutex::default(),
            wake: Notify::new(),
            ending: Notify::new(),
            limit,
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Every critical section below leaves the queue consistent before it can panic.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
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
            queue.end.get_or_insert_with(|| {
                End::Error(StreamError::with_text(
                    imd_proto::StreamCondition::ResourceConstraint,
                    "too much waits for this client, which does not read",
                ))
            });
            drop(queue);
            self.wake.notify_one();
            self.ending.notify_one();
            return Err(PushError::Full);
        }
        queue.bytes += bytes;
        queue.waiting.push_back(stanza);
        let held = hold && queue.waiting.len() < HELD_STANZAS && queue.bytes < HELD_BYTES;
        drop(queue);
        if !held {
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Wait until there is something to write or a reason to end.
    pub async fn changed(&self) {
        self.wake.notified().await;
    }

    /// Take up to `max_bytes` of what waits, at least one stanza, to be written now: append it as the client gets it. With
    /// stream management it is also kept until acknowledged.
    pub fn take(&self, max_bytes: usize, out: &mut Vec<Queued>) -> Taken {
        let mut queue = self.queue();
        let mut taken = 0;
        while let Some(stanza) = queue.waiting.pop_front() {
            let bytes = stanza.bytes(&self.client);
            taken += bytes;
            if queue.managed {
                queue.unacked.push_back(stanza.clone());
            } else {
                queue.bytes -= bytes;
            }
            out.push(stanza);
            if taken >= max_bytes {
                break;
            }
        }
        if queue.waiting.is_empty() {
            // An idle session holds no buffer.
            queue.waiting = VecDeque::new();
        }
        Taken {
            more: !queue.waiting.is_empty(),
            ask: queue.asks(),
        }
    }

    /// Bytes that wait, unacknowledged ones included.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.queue().bytes
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
        let mut queue = self.queue();
        let newly = handled.wrapping_sub(queue.acked) as usize;
        if newly > queue.unacked.len() {
            let sent = queue
                .acked
                .wrapping_add(u32::try_from(queue.unacked.len()).unwrap_or(u32::MAX));
            return Err(sent);
        }
        let client = &self.client;
        let freed: usize = queue
            .unacked
            .drain(..newly)
            .map(|stanza| stanza.bytes(client))
            .sum();
        queue.bytes -= freed;
        queue.acked = handled;
        if queue.unacked.is_empty() {
            queue.unacked = VecDeque::new();
        }
        Ok(())
    }

    /// How many stanzas the client has acknowledged, modulo 2^32.
    #[must_use]
    pub fn acked(&self) -> u32 {
        self.queue().acked
    }

    /// Go on where a queue before the restart ended. All its stanzas may have been written.
    pub fn restore(&self, acked: u32, stanzas: impl Iterator<Item = Arc<str>>) {
        let mut queue = self.queue();
        queue.managed = true;
        queue.acked = acked;
        queue.unacked = stanzas.map(Queued::whole).collect();
        queue.bytes = queue.unacked.iter().map(|s| s.bytes(&self.client)).sum();
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
        queue
            .unacked
            .iter()
            .chain(&queue.waiting)
            .map(|stanza| stanza.text(&self.client))
            .collect()
    }

    /// Put what was written but not acknowledged back in front, to be written again after a resumption.
    pub fn rewind(&self) {
        let mut queue = self.queue();
        let mut unacked = std::mem::take(&mut queue.unacked);
        unacked.append(&mut queue.waiting);
        queue.waiting = unacked;
        queue.end = None;
        drop(queue);
        self.wake.notify_one();
    }

    /// Ask the connection to end.
    pub fn end(&self, end: End) {
        self.queue().end.get_or_insert(end);
        self.wake.notify_one();
        self.ending.notify_one();
    }

    /// Wait until there is a reason to end.
    pub async fn ending(&self) {
        // A permit may be left over from a reason that a resumption has dealt with.
        while !self.has_end() {
            self.ending.notified().await;
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
        self.queue().end.is_some()
    }

    /// Let whoever waits for a change look again.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// The reason to end, once.
    pub fn take_end(&self) -> Option<End> {
        self.queue().end.take()
    }

    /// The session is over: refuse more, and give back what the client never acknowledged or never got.
    pub fn close(&self) -> Vec<Arc<str>> {
        let mut queue = self.queue();
        queue.ended = true;
        queue.bytes = 0;
        let unacked = std::mem::take(&mut queue.unacked);
        let waiting = std::mem::take(&mut queue.waiting);
        drop(queue);
        let all = unacked.iter().chain(&waiting);
        all.map(|stanza| stanza.text(&self.client)).collect()
    }
}

#[cfg(test)]
#[path = "outbound_tests.rs"]
mod tests;
