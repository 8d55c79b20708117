//! Slows down who guesses passwords, without keeping the owner out: every wait ends by itself, a browser that has signed in
//! before is not held up by others' guesses, and a file on the card ends all waits (`agent/unlock.rs`).

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Failures from one address, or for one account, that cost nothing.
const FREE: u32 = 5;
/// The first wait; it doubles with each further failure.
const FIRST: Duration = Duration::from_secs(15);
/// The longest wait.
const LONGEST: Duration = Duration::from_secs(15 * 60);
/// After so long without a failure, all is forgotten.
const FORGET: Duration = Duration::from_secs(3600);
/// Addresses and accounts that are remembered.
const REMEMBERED: usize = 4096;

/// What failures are counted for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Subject {
    Address(IpAddr),
    Account(String),
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    number: u32,
    last: Instant,
}

/// Failed sign-ins. They are in memory: whoever can restart the process needs no password.
#[derive(Debug, Default)]
pub struct Guard {
    failures: Mutex<HashMap<Subject, Failures>>,
}

impl Guard {
    /// How long the next attempt has to wait; zero: it may be made. `known`: the browser has signed in as this account before.
    pub fn wait(
        &self,
        address: Option<IpAddr>,
        account: &str,
        known: bool,
        now: Instant,
    ) -> Duration {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        subjects(address, account)
            .filter(|subject| !known || matches!(subject, Subject::Address(_)))
            .filter_map(|subject| failures.get(&subject))
            .map(|found| rest(*found, now))
            .max()
            .unwrap_or_default()
    }

    /// An attempt has failed.
    pub fn failed(&self, address: Option<IpAddr>, account: &str, now: Instant) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.retain(|_, found| now.duration_since(found.last) < FORGET);
        for subject in subjects(address, account) {
            if failures.len() >= REMEMBERED && !failures.contains_key(&subject) {
                continue;
            }
            let found = failures.entry(subject).or_insert(Failures {
                number: 0,
                last: now,
            });
            found.number += 1;
            found.last = now;
        }
    }

    /// Somebody has come in from there.
    pub fn succeeded(&self, address: Option<IpAddr>, account: &str) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        for subject in subjects(address, account) {
            failures.remove(&subject);
        }
    }

    /// Forgets everything: the owner has asked for it on the card.
    pub fn forget(&self) {
        self.failures
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}

fn subjects(address: Option<IpAddr>, account: &str) -> impl Iterator<Item = Subject> {
    let account = account.chars().take(128).collect();
    let address = address.map(network).map(Subject::Address);
    address.into_iter().chain([Subject::Account(account)])
}

/// A household has one IPv4 address, but 2^64 of IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) >> 64 << 64).into()),
        v4 => v4,
    }
}

fn rest(failures: Failures, now: Instant) -> Duration {
    let Some(over) = failures.number.checked_sub(FREE) else {
        return Duration::ZERO;
    };
    let whole = FIRST.saturating_mul(1 << over.min(16)).min(LONGEST);
    whole.saturating_sub(now.duration_since(failures.last))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOBODY: Option<IpAddr> = None;

    #[test]
    fn waits_grow_and_end() {
        let (guard, start) = (Guard::default(), Instant::now());
        for _ in 0..4 {
            guard.failed(NOBODY, "anna", start);
        }
        assert_eq!(guard.wait(NOBODY, "anna", false, start), Duration::ZERO);
        guard.failed(NOBODY, "anna", start);
        assert_eq!(guard.wait(NOBODY, "anna", false, start), FIRST);
        for _ in 0..20 {
            guard.failed(NOBODY, "anna", start);
        }
        assert_eq!(guard.wait(NOBODY, "anna", false, start), LONGEST);
        assert_eq!(
            guard.wait(NOBODY, "anna", false, start + LONGEST),
            Duration::ZERO
        );
        assert_eq!(guard.wait(NOBODY, "ben", false, start), Duration::ZERO);
    }

    #[test]
    fn guesses_of_others_do_not_hold_up_a_known_browser() {
        let (guard, now) = (Guard::default(), Instant::now());
        let (thief, owner): (IpAddr, IpAddr) = ([10, 0, 0, 9].into(), [10, 0, 0, 2].into());
        for _ in 0..20 {
            guard.failed(Some(thief), "anna", now);
        }
        assert_eq!(guard.wait(Some(owner), "anna", false, now), LONGEST);
        assert_eq!(guard.wait(Some(owner), "anna", true, now), Duration::ZERO);
        assert_eq!(guard.wait(Some(thief), "anna", true, now), LONGEST);
    }

    #[test]
    fn neighbours_of_one_ipv6_network_count_together() {
        let (guard, now) = (Guard::default(), Instant::now());
        for host in 0..5_u16 {
            let address = IpAddr::from([0xfd00, 0, 0, 1, 0, 0, 0, host]);
            guard.failed(Some(address), "anna", now);
        }
        let next = IpAddr::from([0xfd00, 0, 0, 1, 0, 0, 0, 77]);
        assert_eq!(guard.wait(Some(next), "ben", false, now), FIRST);
    }
}
