//! The bounded queue of stanzas to a client, and the stanzas that a resumable client has not acknowledged.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use imd_proto::StreamError;
use tokio::sync::Notify;

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

/// The most stanzas that are held back for a client that nobody looks at.
const HELD_STANZAS: usize = 100;
/// Bytes in the queue beyond which nothing is held back.
const HELD_BYTES: usize = 64 * 1024;

/// Stanzas on their way to one client.
#[derive(Debug)]
pub struct Outbound {
    queue: Mutex<Queue>,
    wake: Notify,
    /// Wakes a connection that is busy writing when there is a reason to end.
    ending: Notify,
    /// The most bytes that may wait, unacknowledged ones included.
    limit: usize,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Arc<str>>,
    unacked: VecDeque<Arc<str>>,
    bytes: usize,
    /// Whether what is written waits for an acknowledgement.
    managed: bool,
    /// How many stanzas the client has acknowledged, modulo 2^32 (XEP-0198 §4).
    acked: u32,
    end: Option<End>,
    ended: bool,
}

impl Outbound {
    /// An empty queue that holds `limit` bytes at the most.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
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
    pub fn push(&self, xml: Arc<str>) -> Result<(), PushError> {
        self.enqueue(xml, false)
    }

    /// Queue a stanza that need not wake the client (XEP-0352). It goes out with the next one that does, or when more
    /// waits than may be held back.
    ///
    /// # Errors
    /// As for [`Outbound::push`].
    pub fn hold(&self, xml: Arc<str>) -> Result<(), PushError> {
        self.enqueue(xml, true)
    }

    fn enqueue(&self, xml: Arc<str>, hold: bool) -> Result<(), PushError> {
        let mut queue = self.queue();
        if queue.ended {
            return Err(PushError::Ended);
        }
        if queue.bytes + xml.len() > self.limit {
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
        queue.bytes += xml.len();
        queue.waiting.push_back(xml);
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

    /// Take up to `max_bytes` of what waits, at least one stanza, to be written now. With stream management they are also kept
    /// until acknowledged.
    pub fn take(&self, max_bytes: usize, out: &mut Vec<Arc<str>>) -> bool {
        let mut queue = self.queue();
        let mut bytes = 0;
        while let Some(xml) = queue.waiting.pop_front() {
            bytes += xml.len();
            if queue.managed {
                queue.unacked.push_back(Arc::clone(&xml));
            } else {
                queue.bytes -= xml.len();
            }
            out.push(xml);
            if bytes >= max_bytes {
                break;
            }
        }
        if queue.waiting.is_empty() {
            // An idle session holds no buffer.
            queue.waiting = VecDeque::new();
        }
        !queue.waiting.is_empty()
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
        let freed: usize = queue.unacked.drain(..newly).map(|xml| xml.len()).sum();
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
        queue.unacked = stanzas.collect();
        queue.bytes = queue.unacked.iter().map(|xml| xml.len()).sum();
    }

    /// How many written stanzas wait for an acknowledgement.
    #[must_use]
    pub fn unacknowledged(&self) -> usize {
        self.queue().unacked.len()
    }

    /// What the client has not acknowledged or not got, oldest first.
    #[must_use]
    pub fn unacknowledged_stanzas(&self) -> Vec<Arc<str>> {
        let queue = self.queue();
        queue
            .unacked
            .iter()
            .chain(&queue.waiting)
            .cloned()
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
        let mut left: Vec<Arc<str>> = queue.unacked.drain(..).collect();
        left.extend(queue.waiting.drain(..));
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(outbound: &Outbound) -> Vec<String> {
        let mut out = Vec::new();
        outbound.take(usize::MAX, &mut out);
        out.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_not_acknowledged_is_written_again_after_a_resumption() {
        let outbound = Outbound::new(100);
        outbound.manage();
        for text in ["a", "b", "c"] {
            outbound.push(text.into()).unwrap();
        }
        assert_eq!(take(&outbound), ["a", "b", "c"]);
        outbound.push("d".into()).unwrap();
        outbound.acknowledge(1).unwrap();
        outbound.rewind();
        assert_eq!(take(&outbound), ["b", "c", "d"]);
    }

    #[test]
    fn a_client_cannot_acknowledge_more_than_was_sent() {
        let outbound = Outbound::new(100);
        outbound.manage();
        outbound.push("a".into()).unwrap();
        take(&outbound);
        assert_eq!(outbound.acknowledge(2), Err(1));
        assert_eq!(outbound.acknowledge(1), Ok(()));
    }

    #[test]
    fn a_client_that_never_reads_is_ended() {
        let outbound = Outbound::new(10);
        outbound.push("0123456789".into()).unwrap();
        assert_eq!(outbound.push("x".into()), Err(PushError::Full));
        assert!(matches!(outbound.take_end(), Some(End::Error(_))));
        assert_eq!(outbound.close().len(), 1);
        assert_eq!(outbound.push("x".into()), Err(PushError::Ended));
    }

    #[tokio::test]
    async fn what_can_wait_wakes_nobody_until_too_much_waits() {
        let outbound = Outbound::new(1 << 20);
        let woken = async |outbound: &Outbound| {
            tokio::select! { biased; () = outbound.changed() => true, () = async {} => false }
        };
        for _ in 1..HELD_STANZAS {
            outbound.hold("p".into()).unwrap();
        }
        assert!(!woken(&outbound).await);
        outbound.hold("p".into()).unwrap();
        assert!(woken(&outbound).await);
        assert_eq!(take(&outbound).len(), HELD_STANZAS);
        outbound.hold("p".into()).unwrap();
        assert!(!woken(&outbound).await);
        outbound.push("m".into()).unwrap();
        assert!(woken(&outbound).await);
        assert_eq!(take(&outbound), ["p", "m"]);
    }

    #[test]
    fn without_stream_management_written_stanzas_are_forgotten() {
        let outbound = Outbound::new(10);
        outbound.push("0123456789".into()).unwrap();
        take(&outbound);
        outbound.push("0123456789".into()).unwrap();
        assert_eq!(outbound.close().len(), 1);
    }
}
