//! What waits for all clients together. A bound for each client alone would let thousands that do not read fill the memory.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::route::directory::Directory;

/// By how many bytes a second what waits can grow.
const GROWTH: usize = 50_000_000;
/// The most rounds after which it is looked again.
const SELDOM: usize = 100;

/// The sum of all queues to clients, as it was when it was looked at last.
pub struct Queues {
    most: usize,
    waiting: AtomicUsize,
}

impl Queues {
    /// With so many bytes at the most.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            most,
            waiting: AtomicUsize::new(0),
        }
    }

    /// Look at all queues; if they are too large together, end the sessions with the largest ones until an eighth of the bound is
    /// free. How many were ended.
    pub fn look(&self, directory: &Directory) -> usize {
        let mut waiting = directory.waiting_bytes();
        let mut ended = 0;
        if waiting > self.most {
            let mut all: Vec<_> = directory
                .all()
                .into_iter()
                .map(|session| (session.outbound.kept(), session))
                .collect();
            all.sort_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
            for (bytes, session) in all {
                if waiting <= self.most / 8 * 7 {
                    break;
                }
                session.outbound.end_stuck();
                waiting = waiting.saturating_sub(bytes);
                ended += 1;
            }
            tracing::warn!(ended, "too much waited for clients that do not read");
        }
        self.waiting.store(waiting, Ordering::Relaxed);
        ended
    }

    /// After how many rounds of so long it has to be looked again: before the room that was left can be full.
    #[must_use]
    pub fn rounds(&self, round: Duration) -> u32 {
        let room = self
            .most
            .saturating_sub(self.waiting.load(Ordering::Relaxed));
        let millis = usize::try_from(round.as_millis()).unwrap_or(usize::MAX);
        let grown = (GROWTH / 1000).saturating_mul(millis).max(1);
        u32::try_from((room / grown).clamp(1, SELDOM)).unwrap_or(1)
    }

    /// Whether there is hardly any room left.
    #[must_use]
    pub fn are_full(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) >= self.most / 16 * 15
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::session::{Queued, Session};

    #[test]
    fn those_for_whom_most_waits_are_ended_first() {
        let directory = Directory::default();
        let sessions: Vec<Arc<Session>> = [400, 300, 200, 100]
            .iter()
            .map(|bytes| {
                let session = Session::new(format!("a{bytes}@b/c").parse().unwrap(), 1000);
                session.send_xml("x".repeat(*bytes).as_str().into());
                directory.enter(&session, 1).unwrap();
                session
            })
            .collect();
        let failed = || -> Vec<_> {
            let failed = sessions.iter().map(|s| s.outbound.has_failed());
            failed.collect()
        };
        assert_eq!(Queues::new(1000).look(&directory), 0);
        assert_eq!(failed(), [false; 4]);
        let queues = Queues::new(600);
        assert_eq!(queues.look(&directory), 2);
        assert_eq!(failed(), [true, true, false, false]);
        assert!(!queues.are_full());
    }

    #[test]
    fn it_is_looked_the_more_often_the_less_room_is_left() {
        let round = Duration::from_millis(50);
        let queues = Queues::new(256 << 20);
        for (waiting, rounds) in [(0, 100), (200 << 20, 23), (255 << 20, 1), (300 << 20, 1)] {
            queues.waiting.store(waiting, Ordering::Relaxed);
            assert_eq!(queues.rounds(round), rounds, "{waiting}");
        }
    }

    #[test]
    fn a_text_that_thousands_got_is_in_the_memory_once() {
        let directory = Directory::default();
        let text = Queued::shared("x".repeat(900).as_str().into(), 100);
        for number in 0..100 {
            let session = Session::new(format!("a{number}@b/c").parse().unwrap(), 1000);
            session.outbound.manage();
            session.outbound.push(text.clone()).unwrap();
            session.outbound.take(usize::MAX, &mut String::new());
            directory.enter(&session, 1).unwrap();
        }
        let queues = Queues::new(10_000);
        assert_eq!(queues.look(&directory), 0);
        assert_eq!(queues.waiting.load(Ordering::Relaxed), 100 * (64 + 9));
    }

    #[test]
    fn with_hardly_any_room_left_queues_are_full() {
        let directory = Directory::default();
        let session = Session::new("a@b/c".parse().unwrap(), 1000);
        session.send_xml("x".repeat(950).as_str().into());
        directory.enter(&session, 1).unwrap();
        let queues = Queues::new(1000);
        assert!(!queues.are_full());
        assert_eq!(queues.look(&directory), 0);
        assert!(queues.are_full());
    }
}
