//! Slows down who guesses passwords: after some failures, the answer to each further attempt from the same address,
//! or for the same account, comes later and later. Nobody is locked out.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Addresses, and accounts, of which failures are remembered.
const REMEMBERED: usize = 10_000;
/// The time in which one failure is forgotten.
const FORGET: Duration = Duration::from_secs(60);
/// The first delay; it doubles with each further failure.
const FIRST_DELAY: Duration = Duration::from_millis(250);
/// The longest delay of an address: well within the time a login may take.
const ADDRESS_DELAY: Duration = Duration::from_secs(5);
/// The longest delay of an account: its owner, too, waits so long while somebody else is guessing.
const ACCOUNT_DELAY: Duration = Duration::from_secs(2);

/// Failed logins.
#[derive(Debug, Default)]
pub struct Guard {
    addresses: Mutex<Table<IpAddr>>,
    accounts: Mutex<Table<String>>,
}

impl Guard {
    /// How long the answer to an attempt has to wait. `free`: failures that cost nothing.
    #[must_use]
    pub fn delay(&self, address: IpAddr, account: Option<&str>, free: u32) -> Duration {
        let now = Instant::now();
        let failures = lock(&self.addresses).failures(&network(address), now);
        let by_address = delay(failures, free, ADDRESS_DELAY);
        let by_account = account.map_or(Duration::ZERO, |account| {
            let failures = lock(&self.accounts).failures(account, now);
            delay(failures, free, ACCOUNT_DELAY)
        });
        by_address.max(by_account)
    }

    /// An attempt has failed.
    pub fn failed(&self, address: IpAddr, account: Option<&str>) {
        let now = Instant::now();
        lock(&self.addresses).add(network(address), now);
        if let Some(account) = account {
            lock(&self.accounts).add(account.to_owned(), now);
        }
    }

    /// An account's owner has come in: the account's failures are forgotten, the address's are not, so that a thief
    /// with an account of their own gains nothing by it.
    pub fn succeeded(&self, account: &str) {
        lock(&self.accounts).entries.remove(account);
    }
}

fn lock<K>(table: &Mutex<Table<K>>) -> std::sync::MutexGuard<'_, Table<K>> {
    // Every change of a table is one call that cannot stop half-way.
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What counts as one address: a household has one of IPv4, but 2^64 of IPv6.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) >> 64 << 64;
            IpAddr::V6(network.into())
        }
        address => address,
    }
}

fn delay(failures: u32, free: u32, most: Duration) -> Duration {
    match failures.checked_sub(free) {
        None | Some(0) => Duration::ZERO,
        Some(over) => FIRST_DELAY
            .saturating_mul(1 << (over - 1).min(16))
            .min(most),
    }
}

#[derive(Debug)]
struct Table<K> {
    /// Failures, and when they were counted down last.
    entries: HashMap<K, (u32, Instant)>,
}

impl<K> Default for Table<K> {
    fn default() -> Self {
        Self {
            entries: HashMap::new(),
        }
    }
}

impl<K: Hash + Eq + Clone> Table<K> {
    fn failures<Q>(&mut self, key: &Q, now: Instant) -> u32
    where
        K: std::borrow::Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let Some(entry) = self.entries.get_mut(key) else {
            return 0;
        };
        count_down(entry, now);
        entry.0
    }

    fn add(&mut self, key: K, now: Instant) {
        if self.entries.len() >= REMEMBERED && !self.entries.contains_key(&key) {
            self.make_room(now);
        }
        let entry = self.entries.entry(key).or_insert((0, now));
        count_down(entry, now);
        entry.0 = entry.0.saturating_add(1);
    }

    /// Forget what is forgotten anyway, and if that is nothing, the least guilty.
    fn make_room(&mut self, now: Instant) {
        self.entries.retain(|_, entry| {
            count_down(entry, now);
            entry.0 > 0
        });
        if self.entries.len() >= REMEMBERED {
            let least = self
                .entries
                .iter()
                .min_by_key(|(_, (failures, _))| *failures);
            if let Some(key) = least.map(|(key, _)| key.clone()) {
                self.entries.remove(&key);
            }
        }
    }
}

fn count_down(entry: &mut (u32, Instant), now: Instant) {
    let passed = now.saturating_duration_since(entry.1).as_secs() / FORGET.as_secs();
    if passed > 0 {
        entry.0 = entry
            .0
            .saturating_sub(u32::try_from(passed).unwrap_or(u32::MAX));
        entry.1 = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn delays_begin_after_some_failures_and_double_up_to_a_bound() {
        let guard = Guard::default();
        let mut delays = Vec::new();
        for _ in 0..12 {
            delays.push(guard.delay(address("192.0.2.1"), None, 3).as_millis());
            guard.failed(address("192.0.2.1"), None);
        }
        assert_eq!(
            delays,
            [0, 0, 0, 0, 250, 500, 1000, 2000, 4000, 5000, 5000, 5000]
        );
        assert_eq!(guard.delay(address("192.0.2.2"), None, 3), Duration::ZERO);
    }

    #[test]
    fn an_account_is_guarded_from_many_addresses_until_its_owner_comes() {
        let guard = Guard::default();
        for last in 0..20 {
            guard.failed(address(&format!("192.0.2.{last}")), Some("alice"));
        }
        let delay = guard.delay(address("198.51.100.1"), Some("alice"), 3);
        assert_eq!(delay, ACCOUNT_DELAY);
        guard.succeeded("alice");
        let delay = guard.delay(address("198.51.100.1"), Some("alice"), 3);
        assert_eq!(delay, Duration::ZERO);
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one_address() {
        let guard = Guard::default();
        for last in 0..5 {
            guard.failed(address(&format!("2001:db8::{last}")), None);
        }
        assert!(guard.delay(address("2001:db8::ffff"), None, 3) > Duration::ZERO);
        assert_eq!(
            guard.delay(address("2001:db8:0:1::1"), None, 3),
            Duration::ZERO
        );
    }

    #[test]
    fn failures_are_forgotten_with_time_and_the_table_is_bounded() {
        let mut table = Table::default();
        let now = Instant::now();
        for number in 0..REMEMBERED + 10 {
            table.add(number, now);
        }
        assert_eq!(table.entries.len(), REMEMBERED);
        let key = *table.entries.keys().next().unwrap();
        assert_eq!(table.failures(&key, now), 1);
        assert_eq!(table.failures(&key, now + FORGET), 0);
        table.make_room(now + FORGET);
        assert!(table.entries.is_empty());
    }
}
