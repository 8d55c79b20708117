//! What all sessions of a run share: the clock, who is there, what was sent and what came, and what is to be sent next.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Instant;

use crate::histogram::Histogram;
use crate::session::Session;
use crate::tally::Arrival;

/// Counters of a run; differences of two are what happened between.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages written.
    pub sent: u64,
    /// Deliveries that have to come of them.
    pub due: u64,
    /// Deliveries that came, each once.
    pub delivered: u64,
    /// Deliveries that came again.
    pub doubled: u64,
    /// Deliveries that came after a later one.
    pub late: u64,
    /// Messages that the server has acknowledged.
    pub acked: u64,
    /// Messages and presence that came back as errors.
    pub errors: u64,
    /// Sessions whose connection ended by itself.
    pub dropped: u64,
    /// Rooms that have been entered.
    pub joined: u64,
    /// Requests that the server has granted.
    pub granted: u64,
    /// Closed loop: sends that were delivered and acknowledged.
    pub completed: u64,
}

impl Counts {
    /// What happened since `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self {
            sent: self.sent - before.sent,
            due: self.due - before.due,
            delivered: self.delivered - before.delivered,
            doubled: self.doubled - before.doubled,
            late: self.late - before.late,
            acked: self.acked - before.acked,
            errors: self.errors - before.errors,
            dropped: self.dropped - before.dropped,
            joined: self.joined - before.joined,
            granted: self.granted - before.granted,
            completed: self.completed - before.completed,
        }
    }

    /// How many deliveries have not come.
    #[must_use]
    pub fn missing(&self) -> u64 {
        self.due.saturating_sub(self.delivered)
    }
}

/// The closed loop: so many messages are on their way at any time, each from another user.
#[derive(Debug, Default)]
struct Closed {
    /// Who has nothing on its way, longest idle first.
    idle: VecDeque<u32>,
    /// By user: what its message still waits for.
    waiting: Vec<u8>,
    /// Whether acknowledgements are waited for.
    acks: bool,
}

const DELIVERY: u8 = 1;
const ACK: u8 = 2;

/// See the module.
pub struct Board {
    began: Instant,
    counts: Cell<Counts>,
    /// Latencies count for messages whose time of sending is in here, in nanoseconds.
    window: Cell<(u64, u64)>,
    /// From the time a message was to be sent to its delivery.
    pub delivery: RefCell<Histogram>,
    /// The same to the copy that a room gives back to the message's sender, which says that it has taken it.
    pub reflection: RefCell<Histogram>,
    /// The same to its acknowledgement.
    pub acks: RefCell<Histogram>,
    /// By how much the load tool itself was late with sending.
    pub lateness: RefCell<Histogram>,
    sessions: RefCell<Vec<Option<Rc<Session>>>>,
    /// By user: the number of its next message.
    numbers: RefCell<Vec<u32>>,
    closed: RefCell<Option<Closed>>,
    /// Users whose turn it is in the closed loop.
    turns: RefCell<Vec<u32>>,
}

impl Board {
    /// For so many users.
    #[must_use]
    pub fn new(users: u32) -> Self {
        Self {
            began: Instant::now(),
            counts: Cell::default(),
            window: Cell::new((u64::MAX, u64::MAX)),
            delivery: RefCell::default(),
            reflection: RefCell::default(),
            acks: RefCell::default(),
            lateness: RefCell::default(),
            sessions: RefCell::new(vec![None; users as usize]),
            numbers: RefCell::new(vec![0; users as usize]),
            closed: RefCell::default(),
            turns: RefCell::default(),
        }
    }

    /// Nanoseconds since the run began.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.began.elapsed().as_nanos() as u64
    }

    /// The instant of a time of this clock.
    #[must_use]
    pub fn instant(&self, nanos: u64) -> Instant {
        self.began + std::time::Duration::from_nanos(nanos)
    }

    /// The counters.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts.get()
    }

    /// Changes the counters.
    pub fn count(&self, change: impl FnOnce(&mut Counts)) {
        let mut counts = self.counts.get();
        change(&mut counts);
        self.counts.set(counts);
    }

    /// Forgets latencies and counts those of messages sent from `from` until `to`.
    pub fn observe(&self, from: u64, to: u64) {
        self.window.set((from, to));
        for histogram in [&self.delivery, &self.reflection, &self.acks, &self.lateness] {
            histogram.take();
        }
    }

    fn observed(&self, stamp: u64) -> bool {
        let (from, to) = self.window.get();
        (from..to).contains(&stamp)
    }

    /// Puts a session into its user's place.
    pub fn seat(&self, session: &Rc<Session>) {
        if let Some(place) = self.sessions.borrow_mut().get_mut(session.user() as usize) {
            *place = Some(session.clone());
        }
    }

    /// Empties a user's place.
    pub fn leave(&self, user: u32) {
        if let Some(place) = self.sessions.borrow_mut().get_mut(user as usize) {
            *place = None;
        }
    }

    /// A user's session.
    #[must_use]
    pub fn session(&self, user: u32) -> Option<Rc<Session>> {
        self.sessions.borrow().get(user as usize)?.clone()
    }

    /// The number of a user's next message, which is taken by asking.
    pub fn next_number(&self, user: u32) -> u32 {
        let mut numbers = self.numbers.borrow_mut();
        let Some(next) = numbers.get_mut(user as usize) else {
            return 0;
        };
        let number = *next;
        *next += 1;
        number
    }

    /// A message of `sender` came to `user`, that had been stamped with `stamp`.
    pub fn delivered(&self, user: u32, sender: u32, stamp: u64, arrival: Arrival) {
        if arrival == Arrival::Doubled {
            return self.count(|c| c.doubled += 1);
        }
        self.count(|c| {
            c.delivered += 1;
            c.late += u64::from(arrival == Arrival::Late);
        });
        if self.observed(stamp) {
            let took = self.now().saturating_sub(stamp);
            let latency = match user == sender {
                true => &self.reflection,
                false => &self.delivery,
            };
            latency.borrow_mut().record(took);
        }
        self.pass(sender, DELIVERY);
    }

    /// The server has acknowledged a message of `sender`.
    pub fn acked(&self, sender: u32, stamp: u64) {
        self.count(|c| c.acked += 1);
        if self.observed(stamp) {
            let took = self.now().saturating_sub(stamp);
            self.acks.borrow_mut().record(took);
        }
        self.pass(sender, ACK);
    }

    /// Begins the closed loop with `in_flight` messages on their way.
    pub fn close(&self, users: u32, in_flight: u32, acks: bool) {
        let mut closed = Closed {
            idle: (0..users).collect(),
            waiting: vec![0; users as usize],
            acks,
        };
        for _ in 0..in_flight.min(users) {
            self.turn(&mut closed);
        }
        *self.closed.borrow_mut() = Some(closed);
    }

    /// Ends it: what is on its way is the last.
    pub fn open(&self) {
        *self.closed.borrow_mut() = None;
        self.turns.borrow_mut().clear();
    }

    fn turn(&self, closed: &mut Closed) {
        let Some(user) = closed.idle.pop_front() else {
            return;
        };
        if let Some(waiting) = closed.waiting.get_mut(user as usize) {
            *waiting = if closed.acks {
                DELIVERY | ACK
            } else {
                DELIVERY
            };
        }
        self.turns.borrow_mut().push(user);
    }

    /// A message has passed one of its two ends; when it has passed both, the next user sends.
    fn pass(&self, sender: u32, what: u8) {
        let mut closed = self.closed.borrow_mut();
        let Some(closed) = closed.as_mut() else {
            return;
        };
        let Some(waiting) = closed.waiting.get_mut(sender as usize) else {
            return;
        };
        if *waiting & what == 0 {
            return;
        }
        *waiting &= !what;
        if *waiting == 0 {
            self.count(|c| c.completed += 1);
            closed.idle.push_back(sender);
            self.turn(closed);
        }
    }

    /// Whose turn it is, once.
    pub fn next_turn(&self) -> Option<u32> {
        self.turns.borrow_mut().pop()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All whose turn it is.
    fn turns(board: &Board) -> Vec<u32> {
        let mut turns: Vec<_> = std::iter::from_fn(|| board.next_turn()).collect();
        turns.sort_unstable();
        turns
    }

    #[test]
    fn a_send_of_the_closed_loop_is_complete_when_delivered_and_acknowledged() {
        let board = Board::new(4);
        board.close(4, 2, true);
        assert_eq!(turns(&board), [0, 1]);
        board.delivered(1, 0, 0, Arrival::New);
        assert_eq!(turns(&board), [0; 0], "not acknowledged");
        board.delivered(1, 0, 0, Arrival::New);
        assert_eq!(
            turns(&board),
            [0; 0],
            "a second delivery is no acknowledgement"
        );
        board.acked(0, 0);
        assert_eq!(turns(&board), [2]);
        board.acked(1, 0);
        board.delivered(0, 1, 0, Arrival::Doubled);
        assert_eq!(turns(&board), [0; 0], "one that came again does not count");
        board.delivered(0, 1, 0, Arrival::New);
        assert_eq!(turns(&board), [3]);
        assert_eq!(board.counts().completed, 2);
    }

    #[test]
    fn without_stream_management_a_delivery_completes() {
        let board = Board::new(2);
        board.close(2, 1, false);
        assert_eq!(turns(&board), [0]);
        board.delivered(1, 0, 0, Arrival::New);
        assert_eq!(turns(&board), [1]);
    }

    #[test]
    fn only_messages_of_the_window_have_a_latency() {
        let board = Board::new(1);
        board.observe(100, 200);
        for stamp in [99, 100, 199, 200] {
            board.delivered(1, 0, stamp, Arrival::New);
            board.acked(0, stamp);
        }
        let both = [&board.delivery, &board.acks].map(|h| h.borrow().count());
        assert_eq!(both, [2, 2]);
        assert_eq!(board.counts().delivered, 4);
    }

    #[test]
    fn what_comes_back_to_its_sender_is_no_delivery() {
        let board = Board::new(2);
        board.observe(0, 200);
        board.delivered(0, 0, 100, Arrival::New);
        board.delivered(1, 0, 100, Arrival::New);
        let both = [&board.delivery, &board.reflection].map(|h| h.borrow().count());
        assert_eq!(both, [1, 1]);
        assert_eq!(board.counts().delivered, 2);
    }

    #[test]
    fn counts_between_two_moments_are_their_difference() {
        let board = Board::new(1);
        board.count(|c| c.due += 3);
        let before = board.counts();
        board.count(|c| c.due += 5);
        board.delivered(1, 0, 0, Arrival::Late);
        board.delivered(1, 0, 0, Arrival::Doubled);
        let since = board.counts().since(&before);
        assert_eq!((since.missing(), since.late, since.doubled), (4, 1, 1));
    }
}
