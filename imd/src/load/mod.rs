//! What happens when more is asked of the daemon than it can do (`docs/adr/0076` to `0078`): senders are read more slowly
//! ([`rates`], [`strain`]), clients that do not read are ended ([`queues`]), logins take turns ([`turns`]), and newcomers are told when to come again ([`Full`]).

pub mod queues;
pub mod rates;
pub mod strain;
pub mod turns;

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::config::Limits;
use crate::server::Server;
use queues::Queues;
use rates::Rates;
use turns::Turns;

/// When logins wait for so long, no more are let in.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// When whoever is refused for another reason may come again, at the least.
const COME_AGAIN: Duration = Duration::from_secs(30);

/// How often buckets that are full again are forgotten.
const FORGET: Duration = Duration::from_secs(60);
/// Files that are left for the database, the web, and those who log in.
const OTHER_FILES: usize = 400;

/// The bounds that are shared by all connections.
pub struct Load {
    /// How much each account and address may send.
    pub rates: Rates,
    /// Whose login is worked at.
    pub turns: Turns,
    /// What waits for all clients together.
    pub queues: Queues,
    /// Permits to compute a hash that is meant to take long.
    pub hashing: Semaphore,
    /// Messages that were given to the archive since the start.
    pub messages: AtomicU64,
    /// Sessions at one time.
    sessions: usize,
}

/// Nobody more is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full {
    /// Why, for a person.
    pub text: &'static str,
    /// After how many seconds it is worth another try.
    pub retry_after: u64,
}

impl Load {
    /// By the settings; with as many turns at one time as the processors that this process may use.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            rates: Rates::new(limits),
            turns: Turns::new(processors),
            queues: Queues::new(limits.outbound_total_bytes),
            hashing: Semaphore::new(processors),
            messages: AtomicU64::new(0),
            sessions: (limits.sessions as usize).min(files()),
        }
    }

    /// Whether newcomers are refused, with so many sessions online. `chance`: any number; it spreads the times at which
    /// those who are refused come again.
    #[must_use]
    pub fn full(&self, online: usize, chance: u64) -> Option<Full> {
        let (text, wait) = if online >= self.sessions {
            (
                "as many people are online as the server can serve",
                COME_AGAIN,
            )
        } else if self.queues.are_full() {
            ("too much waits for clients that do not read", COME_AGAIN)
        } else {
            let wait = self.turns.wait();
            if wait < LONGEST_WAIT {
                return None;
            }
            ("too many people are logging in at the moment", wait)
        };
        let wait = wait.as_secs().max(1);
        Some(Full {
            text,
            retry_after: wait + chance % wait,
        })
    }
}

/// Look after the bounds for ever.
pub async fn watch(server: &Server) {
    let load = &server.load;
    let forgetting = async {
        let mut ticks = tokio::time::interval(FORGET);
        loop {
            ticks.tick().await;
            load.rates.forget();
        }
    };
    let passed = std::cell::Cell::new(0);
    let look = move || {
        // Looking at all queues costs more than a message: the more room there is, the more seldom.
        passed.set(passed.get() + 1);
        if passed.get() >= load.queues.rounds(strain::PERIOD) {
            passed.set(0);
            load.queues.look(&server.directory);
        }
    };
    tokio::join!(strain::watch(&load.rates, look), forgetting);
}

/// How many sessions the limit of open files leaves room for.
fn files() -> usize {
    use nix::sys::resource::{Resource, getrlimit};
    let soft = getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft);
    usize::try_from(soft)
        .unwrap_or(usize::MAX)
        .saturating_sub(OTHER_FILES)
        .max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_the_most_sessions_newcomers_are_told_when_to_come_again() {
        let load = Load::new(&Limits {
            sessions: 2,
            ..Limits::default()
        });
        assert_eq!(load.full(1, 7), None);
        let full = load.full(2, 7).unwrap();
        assert_eq!(full.retry_after, 37);
        assert!((30..60).contains(&load.full(3, u64::MAX).unwrap().retry_after));
    }
}
