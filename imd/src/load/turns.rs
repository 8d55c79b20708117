//! Logins take turns, so that a storm of them leaves the processor to those who are online.
//!
//! A login is worked at only while it has a turn, and gives it back whenever it waits for its peer, so a peer that says nothing
//! holds none. Who has begun goes before who has not, and networks take turns among each other. The next
//! turn begins when tasks that were ready before have run.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::sasl::guard::network;

/// Turns of those who have begun for one of those who have not.
const BEGUN_FIRST: u32 = 16;
/// How long a wait is remembered: nobody has waited since.
const REMEMBERED: Duration = Duration::from_secs(2);

/// Who works and who waits.
pub struct Turns(Arc<Shared>);

struct Shared {
    line: Mutex<Line>,
    at_once: usize,
    began: Instant,
    /// The last wait, and when it ended, in milliseconds.
    waited: AtomicU64,
    waited_at: AtomicU64,
}

#[derive(Default)]
struct Line {
    working: usize,
    begun: Lane,
    new: Lane,
    /// Turns that have gone to `begun` since the last for `new`.
    in_a_row: u32,
}

/// Those who wait, by network.
#[derive(Default)]
struct Lane {
    waiting: HashMap<IpAddr, VecDeque<Arc<Place>>>,
    /// Networks that have somebody who waits.
    order: VecDeque<IpAddr>,
}

/// A place in the line.
struct Place {
    since: Instant,
    state: Mutex<State>,
}

enum State {
    Waiting(Waker),
    Granted,
    Gone,
}

impl Lane {
    fn push(&mut self, network: IpAddr, place: Arc<Place>) {
        let of_network = self.waiting.entry(network).or_default();
        if of_network.is_empty() {
            self.order.push_back(network);
        }
        of_network.push_back(place);
    }

    fn pop(&mut self) -> Option<Arc<Place>> {
        let network = self.order.pop_front()?;
        let of_network = self.waiting.get_mut(&network)?;
        let place = of_network.pop_front();
        if of_network.is_empty() {
            self.waiting.remove(&network);
        } else {
            self.order.push_back(network);
        }
        if self.order.is_empty() {
            // A line that is over gives its memory back.
            *self = Self::default();
        }
        place
    }

    fn is_empty(&self) -> bool {
        self.order.is_empty()
    }
}

impl Line {
    fn next(&mut self) -> Option<Arc<Place>> {
        let new = self.begun.is_empty() || (self.in_a_row >= BEGUN_FIRST && !self.new.is_empty());
        self.in_a_row = if new { 0 } else { self.in_a_row + 1 };
        if new {
            self.new.pop()
        } else {
            self.begun.pop()
        }
    }
}

impl Turns {
    /// With so many logins worked at at the same moment.
    #[must_use]
    pub fn new(at_once: usize) -> Self {
        Self(Arc::new(Shared {
            line: Mutex::default(),
            at_once: at_once.max(1),
            began: Instant::now(),
            waited: AtomicU64::new(0),
            waited_at: AtomicU64::new(0),
        }))
    }

    /// Work at somebody's login, by turns.
    pub fn take<F: Future>(&self, peer: IpAddr, work: F) -> Turn<'_, F> {
        Turn {
            turns: &self.0,
            network: network(peer),
            place: None,
            begun: false,
            work: Box::pin(work),
        }
    }

    /// How long the last turn was waited for; nothing when that is over.
    #[must_use]
    pub fn wait(&self) -> Duration {
        let ended = self.0.waited_at.load(Ordering::Relaxed);
        if Duration::from_millis(self.0.now().saturating_sub(ended)) > REMEMBERED {
            return Duration::ZERO;
        }
        Duration::from_millis(self.0.waited.load(Ordering::Relaxed))
    }
}

impl Shared {
    fn now(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        // Every change leaves the line consistent before it can panic.
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The turn goes to the next who still wants it.
    fn pass(&self) {
        let mut line = self.line();
        while let Some(place) = line.next() {
            let mut state = place.state.lock().unwrap_or_else(PoisonError::into_inner);
            if let State::Waiting(_) = &*state
                && let State::Waiting(waker) = std::mem::replace(&mut *state, State::Granted)
            {
                drop(line);
                let waited = place.since.elapsed().as_millis() as u64;
                self.waited.store(waited, Ordering::Relaxed);
                self.waited_at.store(self.now(), Ordering::Relaxed);
                waker.wake();
                return;
            }
        }
        line.working -= 1;
    }
}

/// Work that is done by turns.
pub struct Turn<'a, F> {
    turns: &'a Arc<Shared>,
    network: IpAddr,
    place: Option<Arc<Place>>,
    begun: bool,
    work: Pin<Box<F>>,
}

impl<F> Turn<'_, F> {
    /// Whether it has a turn now; else it has a place in the line.
    fn has_turn(&mut self, waker: &Waker) -> bool {
        if let Some(place) = &self.place {
            let mut state = place.state.lock().unwrap_or_else(PoisonError::into_inner);
            if let State::Waiting(old) = &mut *state {
                old.clone_from(waker);
                return false;
            }
            drop(state);
            self.place = None;
            return true;
        }
        let mut line = self.turns.line();
        if line.working < self.turns.at_once {
            line.working += 1;
            return true;
        }
        let place = Arc::new(Place {
            since: Instant::now(),
            state: Mutex::new(State::Waiting(waker.clone())),
        });
        self.place = Some(Arc::clone(&place));
        let lane = if self.begun {
            &mut line.begun
        } else {
            &mut line.new
        };
        lane.push(self.network, place);
        false
    }
}

/// Passes the turn on, also when the work panics: not at once, but when tasks that are ready have run and the runtime has looked
/// for what has come. A login that is ready would else follow another without an end.
struct Passing<'a>(&'a Arc<Shared>);

impl Drop for Passing<'_> {
    fn drop(&mut self) {
        let waker = Arc::new(Pass(Arc::clone(self.0))).into();
        // Outside of a runtime this wakes at once.
        let mut later = std::pin::pin!(tokio::task::yield_now());
        if later
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_ready()
        {
            self.0.pass();
        }
    }
}

/// Passes a turn on when it is woken.
struct Pass(Arc<Shared>);

impl std::task::Wake for Pass {
    fn wake(self: Arc<Self>) {
        self.0.pass();
    }
}

impl<F: Future> Future for Turn<'_, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        if !self.has_turn(cx.waker()) {
            return Poll::Pending;
        }
        self.begun = true;
        let _passing = Passing(self.turns);
        self.work.as_mut().poll(cx)
    }
}

impl<F> Drop for Turn<'_, F> {
    fn drop(&mut self) {
        let Some(place) = self.place.take() else {
            return;
        };
        let mut state = place.state.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *state, State::Gone);
        drop(state);
        if matches!(before, State::Granted) {
            self.turns.pass();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::atomic::AtomicUsize;

    use super::*;

    fn address(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    /// A turn that is held until told otherwise, by a task that never ends a poll: a place of work that is taken.
    fn occupied(turns: &Turns) -> Passing<'_> {
        turns.0.line().working += 1;
        Passing(&turns.0)
    }

    fn poll<F: Future>(turn: &mut Pin<Box<Turn<'_, F>>>) -> Poll<F::Output> {
        turn.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    }

    /// Polls all until all are ready; the order in which they were.
    fn order(turns: &Turns, peers: &[u8]) -> Vec<usize> {
        let held = occupied(turns);
        let mut logins: Vec<_> = peers
            .iter()
            .map(|peer| Some(Box::pin(turns.take(address(*peer), async {}))))
            .collect();
        for login in logins.iter_mut().flatten() {
            assert!(poll(login).is_pending());
        }
        drop(held);
        let mut done = Vec::new();
        while done.len() < peers.len() {
            for (number, place) in logins.iter_mut().enumerate() {
                if let Some(login) = place
                    && poll(login).is_ready()
                {
                    done.push(number);
                    *place = None;
                    break;
                }
            }
        }
        done
    }

    #[test]
    fn networks_take_turns_whatever_the_number_of_their_logins() {
        let turns = Turns::new(1);
        assert_eq!(order(&turns, &[1, 1, 1, 1, 2, 3]), [0, 4, 5, 1, 2, 3]);
        assert_eq!(turns.0.line().working, 0);
    }

    #[test]
    fn who_has_begun_goes_first_but_not_for_ever() {
        let turns = Turns::new(1);
        let polls = AtomicUsize::new(0);
        let twice = || {
            let mut first = true;
            let polls = &polls;
            poll_fn(move |_| {
                polls.fetch_add(1, Ordering::Relaxed);
                if std::mem::take(&mut first) {
                    Poll::Pending
                } else {
                    Poll::Ready(())
                }
            })
        };
        let mut begun: Vec<_> = (0..18)
            .map(|n| Box::pin(turns.take(address(n), twice())))
            .collect();
        for login in &mut begun {
            assert!(poll(login).is_pending());
        }
        let held = occupied(&turns);
        let mut new = Box::pin(turns.take(address(100), async {}));
        assert!(poll(&mut new).is_pending());
        for login in &mut begun {
            assert!(poll(login).is_pending(), "it waits for its turn");
        }
        drop(held);
        let ready: Vec<_> = begun[..16]
            .iter_mut()
            .map(|login| poll(login).is_ready())
            .collect();
        assert_eq!(ready, [true; 16]);
        assert!(
            poll(&mut begun[16]).is_pending(),
            "it is the newcomer's turn"
        );
        assert!(poll(&mut new).is_ready());
        assert!(poll(&mut begun[16]).is_ready() && poll(&mut begun[17]).is_ready());
        assert_eq!(polls.load(Ordering::Relaxed), 36);
    }

    #[test]
    fn who_goes_away_takes_no_turn_along() {
        let turns = Turns::new(1);
        let held = occupied(&turns);
        let mut logins: Vec<_> = (0..3)
            .map(|n| Box::pin(turns.take(address(n), async {})))
            .collect();
        for login in &mut logins {
            assert!(poll(login).is_pending());
        }
        let mut last = logins.remove(2);
        let granted = logins.remove(0);
        // The second goes while it waits, the first when it has its turn and has not used it.
        drop(logins);
        drop(held);
        assert!(poll(&mut last).is_pending());
        drop(granted);
        assert!(poll(&mut last).is_ready());
        assert_eq!(turns.0.line().working, 0);
    }

    #[test]
    fn who_waits_for_its_peer_holds_no_turn() {
        let turns = Turns::new(1);
        let mut silent = Box::pin(turns.take(address(1), std::future::pending::<()>()));
        assert!(poll(&mut silent).is_pending());
        let mut other = Box::pin(turns.take(address(2), async {}));
        assert!(poll(&mut other).is_ready());
    }

    #[tokio::test]
    async fn all_of_a_storm_come_in_and_the_work_is_bounded() {
        let turns = Arc::new(Turns::new(2));
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut storm = tokio::task::JoinSet::new();
        for number in 0..200_u8 {
            let (turns, now, most) = (Arc::clone(&turns), Arc::clone(&now), Arc::clone(&most));
            storm.spawn(async move {
                let work = async {
                    for _ in 0..5 {
                        let working = now.fetch_add(1, Ordering::SeqCst) + 1;
                        most.fetch_max(working, Ordering::SeqCst);
                        now.fetch_sub(1, Ordering::SeqCst);
                        tokio::task::yield_now().await;
                    }
                };
                turns.take(address(number), work).await;
            });
        }
        while storm.join_next().await.is_some() {}
        assert!((1..=2).contains(&most.load(Ordering::SeqCst)));
        // The last turns are passed on.
        tokio::task::yield_now().await;
        assert_eq!(turns.0.line().working, 0);
        assert!(turns.0.line().begun.is_empty() && turns.0.line().new.is_empty());
    }

    /// A task that is online is ready as often as it can be; each login needs many turns.
    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn who_is_online_has_its_turn_between_any_two_of_logins() {
        let turns = Arc::new(Turns::new(1));
        let worked = Arc::new(AtomicUsize::new(0));
        let mut storm = tokio::task::JoinSet::new();
        for number in 0..50 {
            let (turns, worked) = (Arc::clone(&turns), Arc::clone(&worked));
            storm.spawn(async move {
                let work = async {
                    for _ in 0..10 {
                        worked.fetch_add(1, Ordering::SeqCst);
                        tokio::task::yield_now().await;
                    }
                };
                turns.take(address(number), work).await;
            });
        }
        let online = tokio::spawn(async move {
            let (mut before, mut most) = (worked.load(Ordering::SeqCst), 0);
            while before < 500 {
                tokio::task::yield_now().await;
                let now = worked.load(Ordering::SeqCst);
                most = most.max(now - before);
                before = now;
            }
            most
        });
        while storm.join_next().await.is_some() {}
        let most = online.await.unwrap();
        assert!(most <= 4, "{most} turns of logins in a row");
    }
}
