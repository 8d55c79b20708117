//! What waits for the writing thread. Whoever puts something in wakes the thread only when it has nothing to do or when a
//! batch is complete: one wake-up for each commit, not for each message.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::pace::Gather;

/// Most jobs in one transaction.
const BATCH_JOBS: usize = 512;
/// Most bytes of content in one transaction, but for a single larger job.
const BATCH_BYTES: usize = 4 << 20;

/// Something that waits.
pub(super) trait Waiting {
    /// Bytes of its content.
    fn bytes(&self) -> usize;
    /// Whether a batch may gather before it is committed.
    fn may_wait(&self) -> bool;
}

/// What the thread is to do next.
pub(super) enum Next<T> {
    /// Write these.
    Batch(Vec<T>),
    /// Nothing came for so long as was given.
    Idle,
    /// Nothing waits, and nothing will come any more.
    Closed,
}

pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    waiting: VecDeque<T>,
    bytes: usize,
    /// When the first of them came.
    since: Option<Instant>,
    /// Whether one of them may not wait.
    urgent: bool,
    /// With how many the thread wants to be woken; absent: it is at work.
    wanted: Option<usize>,
    closed: bool,
}

impl<T: Waiting> Queue<T> {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                waiting: VecDeque::new(),
                bytes: 0,
                since: None,
                urgent: false,
                wanted: None,
                closed: false,
            }),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts something in; it is dropped where the queue is closed.
    pub(super) fn put(&self, new: T) {
        let mut state = self.lock();
        if state.closed {
            return;
        }
        state.bytes += new.bytes();
        state.urgent |= !new.may_wait();
        state.since.get_or_insert_with(Instant::now);
        state.waiting.push_back(new);
        let complete = state.urgent || state.bytes >= BATCH_BYTES;
        let wake = state
            .wanted
            .is_some_and(|wanted| complete || state.waiting.len() >= wanted);
        if wake {
            state.wanted = None;
            drop(state);
            self.changed.notify_one();
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Takes nothing more; what waits is still given out.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }

    /// Waits for a batch as `gather` wants it, and for `patience` where nothing comes (absent: for ever).
    pub(super) fn next(&self, gather: impl Fn() -> Gather, patience: Option<Duration>) -> Next<T> {
        let begun = Instant::now();
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            let (wanted, rest) = match state.since {
                None if state.closed => return Next::Closed,
                None => match patience.map(|time| time.saturating_sub(now - begun)) {
                    Some(Duration::ZERO) => return Next::Idle,
                    rest => (1, rest),
                },
                Some(since) => {
                    let gather = gather();
                    let rest = gather.wait.saturating_sub(now - since);
                    let enough = gather.enough.min(BATCH_JOBS);
                    if state.urgent
                        || state.closed
                        || rest.is_zero()
                        || state.bytes >= BATCH_BYTES
                        || state.waiting.len() >= enough
                    {
                        return Next::Batch(state.take());
                    }
                    (enough, Some(rest))
                }
            };
            state.wanted = Some(wanted);
            state = match rest {
                None => self
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(rest) => {
                    self.changed
                        .wait_timeout(state, rest)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0
                }
            };
            state.wanted = None;
        }
    }
}

impl<T: Waiting> State<T> {
    fn take(&mut self) -> Vec<T> {
        let mut bytes = 0;
        let mut batch = Vec::with_capacity(self.waiting.len().min(BATCH_JOBS));
        while batch.len() < BATCH_JOBS && bytes < BATCH_BYTES {
            let Some(next) = self.waiting.pop_front() else {
                break;
            };
            bytes += next.bytes();
            batch.push(next);
        }
        self.bytes = self.bytes.saturating_sub(bytes);
        self.urgent = self.waiting.iter().any(|left| !left.may_wait());
        // What is left has waited already, by a little less than this says.
        self.since = (!self.waiting.is_empty()).then_some(self.since).flatten();
        if self.waiting.is_empty() {
            self.waiting.shrink_to(BATCH_JOBS);
        }
        batch
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    struct Thing {
        number: usize,
        urgent: bool,
    }

    impl Waiting for Thing {
        fn bytes(&self) -> usize {
            1
        }

        fn may_wait(&self) -> bool {
            !self.urgent
        }
    }

    const HOUR: Duration = Duration::from_secs(3600);

    fn put(queue: &Queue<Thing>, numbers: std::ops::Range<usize>) {
        for number in numbers {
            let urgent = false;
            queue.put(Thing { number, urgent });
        }
    }

    fn gather(wait: Duration, enough: usize) -> impl Fn() -> Gather {
        move || Gather { wait, enough }
    }

    fn numbers(next: Next<Thing>) -> Vec<usize> {
        match next {
            Next::Batch(batch) => batch.iter().map(|thing| thing.number).collect(),
            Next::Idle | Next::Closed => Vec::new(),
        }
    }

    #[test]
    fn a_batch_is_given_out_when_it_is_complete() {
        let queue = Queue::new();
        put(&queue, 0..3);
        assert_eq!(numbers(queue.next(gather(HOUR, 3), None)), [0, 1, 2]);
    }

    #[test]
    fn a_batch_is_given_out_when_its_time_is_over() {
        let queue = Queue::new();
        put(&queue, 0..3);
        let wait = Duration::from_millis(2);
        assert_eq!(numbers(queue.next(gather(wait, 100), None)), [0, 1, 2]);
    }

    #[test]
    fn what_may_not_wait_takes_along_what_does() {
        let queue = Queue::new();
        put(&queue, 0..1);
        let (number, urgent) = (1, true);
        queue.put(Thing { number, urgent });
        assert_eq!(numbers(queue.next(gather(HOUR, 100), None)), [0, 1]);
    }

    #[test]
    fn a_thread_that_waits_is_woken_by_the_last_of_a_batch() {
        let queue = Arc::new(Queue::new());
        let other = Arc::clone(&queue);
        let waiting = std::thread::spawn(move || numbers(other.next(gather(HOUR, 50), None)));
        put(&queue, 0..50);
        assert_eq!(waiting.join().unwrap().len(), 50);
    }

    #[test]
    fn more_than_a_batch_is_given_out_in_order() {
        let queue = Queue::new();
        put(&queue, 0..BATCH_JOBS + 1);
        let all = gather(Duration::ZERO, 1);
        assert_eq!(numbers(queue.next(&all, None)).len(), BATCH_JOBS);
        assert_eq!(numbers(queue.next(&all, None)), [BATCH_JOBS]);
    }

    #[test]
    fn a_closed_queue_gives_out_what_it_has() {
        let queue = Queue::new();
        put(&queue, 0..1);
        queue.close();
        put(&queue, 1..2);
        assert_eq!(numbers(queue.next(gather(HOUR, 100), None)), [0]);
        assert!(matches!(queue.next(gather(HOUR, 100), None), Next::Closed));
    }

    #[test]
    fn patience_ends_where_nothing_comes() {
        let queue = Queue::<Thing>::new();
        let patience = Some(Duration::from_millis(1));
        assert!(matches!(queue.next(gather(HOUR, 1), patience), Next::Idle));
    }
}
