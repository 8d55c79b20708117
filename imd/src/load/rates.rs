//! How fast an account and an address may send. Whoever sends faster is read later; nothing is refused or lost.
//!
//! What is counted are bytes, at least [`LEAST`] for each element, and in hard times ([`super::strain`]) a multiple of that.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use tokio::sync::Notify;

use crate::config::Limits;
use crate::sasl::guard::network;

/// What an element costs at the least, in bytes: a small one is nearly as much work as one of this size.
const LEAST: usize = 1024;
/// What a connection costs its address, and a login its account, in bytes.
const ENTRY: usize = 32 * 1024;

type Keyed<K> = RateLimiter<K, HashMapStateStore<K>, DefaultClock>;

/// Buckets (the generic cell rate algorithm) of all accounts and addresses.
pub struct Rates {
    accounts: Bucket<Arc<str>>,
    addresses: Bucket<IpAddr>,
    /// Whether loopback addresses have no bucket.
    loopback_exempt: bool,
    /// By which everything is multiplied.
    strain: AtomicU32,
    /// Something has been counted since this was looked at last.
    used: AtomicBool,
    pub(super) woken: Notify,
}

struct Bucket<K: std::hash::Hash + Eq + Clone> {
    keyed: Keyed<K>,
    burst: NonZeroU32,
    clock: DefaultClock,
}

impl<K: std::hash::Hash + Eq + Clone> Bucket<K> {
    fn new(rate: usize, burst: usize) -> Self {
        let number = |bytes| {
            NonZeroU32::new(u32::try_from(bytes).unwrap_or(u32::MAX)).unwrap_or(NonZeroU32::MIN)
        };
        let burst = number(burst.max(rate));
        let quota = Quota::per_second(number(rate)).allow_burst(burst);
        Self {
            keyed: RateLimiter::hashmap(quota),
            burst,
            clock: DefaultClock::default(),
        }
    }

    /// Takes so much out, or says how long that has to wait.
    fn take(&self, key: &K, cost: u32) -> Result<(), Duration> {
        // More than the bucket holds would never come to be in it.
        let cost = NonZeroU32::new(cost)
            .unwrap_or(NonZeroU32::MIN)
            .min(self.burst);
        match self.keyed.check_key_n(key, cost) {
            Ok(Err(not_until)) => Err(not_until.wait_time_from(self.clock.now())),
            Ok(Ok(())) | Err(_) => Ok(()),
        }
    }
}

impl Rates {
    /// By the settings.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self {
            accounts: Bucket::new(limits.account_rate, limits.account_burst),
            addresses: Bucket::new(limits.address_rate, limits.address_burst),
            loopback_exempt: limits.loopback_exempt,
            strain: AtomicU32::new(1),
            used: AtomicBool::new(false),
            woken: Notify::new(),
        }
    }

    /// What an element of so many bytes costs.
    #[must_use]
    pub fn cost(bytes: usize) -> usize {
        bytes.max(LEAST)
    }

    /// Count elements that have come from an account and an address and cost so much ([`Rates::cost`]). How long nothing more
    /// should be read; they are then to be counted again. `None`: they are counted.
    #[must_use]
    pub fn count(&self, account: &Arc<str>, address: IpAddr, cost: usize) -> Option<Duration> {
        self.note();
        let strain = self.strain();
        let cost = u32::try_from(cost).unwrap_or(u32::MAX);
        let cost = cost.saturating_mul(strain);
        let own = self.accounts.take(account, cost);
        own.and_then(|()| self.of_address(address, cost)).err()
    }

    /// Count a login of an account, once there is room for it.
    pub async fn login(&self, account: &str) {
        let account = account.into();
        while let Some(wait) = self.login_wait(&account) {
            tokio::time::sleep(wait).await;
        }
    }

    fn login_wait(&self, account: &Arc<str>) -> Option<Duration> {
        self.note();
        let cost = (ENTRY as u32).saturating_mul(self.strain());
        self.accounts.take(account, cost).err()
    }

    /// Count a connection from an address, once there is room for it.
    pub async fn connection(&self, address: IpAddr) {
        while let Some(wait) = self.connection_wait(address) {
            tokio::time::sleep(wait).await;
        }
    }

    fn connection_wait(&self, address: IpAddr) -> Option<Duration> {
        self.of_address(address, ENTRY as u32).err()
    }

    fn of_address(&self, address: IpAddr, cost: u32) -> Result<(), Duration> {
        if self.loopback_exempt && address.to_canonical().is_loopback() {
            return Ok(());
        }
        self.addresses.take(&network(address), cost)
    }

    fn note(&self) {
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
            self.woken.notify_one();
        }
    }

    /// Whether anything has been counted since the last call.
    pub(super) fn take_used(&self) -> bool {
        self.used.swap(false, Ordering::Relaxed)
    }

    /// By which everything is multiplied at present: 1 unless the daemon cannot keep up.
    #[must_use]
    pub fn strain(&self) -> u32 {
        self.strain.load(Ordering::Relaxed)
    }

    pub(super) fn set_strain(&self, strain: u32) {
        self.strain.store(strain.max(1), Ordering::Relaxed);
    }

    /// Forget accounts and addresses whose buckets are full again.
    pub fn forget(&self) {
        self.accounts.keyed.retain_recent();
        self.accounts.keyed.shrink_to_fit();
        self.addresses.keyed.retain_recent();
        self.addresses.keyed.shrink_to_fit();
    }

    /// Buckets that are kept.
    #[must_use]
    pub fn remembered(&self) -> usize {
        self.accounts.keyed.len() + self.addresses.keyed.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates() -> Rates {
        Rates::new(&Limits {
            account_rate: 64 << 10,
            account_burst: 256 << 10,
            address_rate: 64 << 10,
            address_burst: 512 << 10,
            loopback_exempt: false,
            ..Limits::default()
        })
    }

    fn address(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    /// How many small elements are taken before one has to wait.
    fn taken(rates: &Rates, account: &str, from: u8) -> usize {
        let account = account.into();
        (0..10_000)
            .take_while(|_| {
                rates
                    .count(&account, address(from), Rates::cost(100))
                    .is_none()
            })
            .count()
    }

    #[test]
    fn an_account_that_floods_waits_and_others_do_not() {
        let rates = rates();
        let burst = taken(&rates, "flood", 1);
        assert!((256..300).contains(&burst), "{burst}");
        let wait = rates
            .count(&"flood".into(), address(1), Rates::cost(100))
            .unwrap();
        assert!(wait <= Duration::from_millis(20), "{wait:?}");
        assert!(
            rates
                .count(&"calm".into(), address(1), Rates::cost(100))
                .is_none()
        );
    }

    #[test]
    fn many_accounts_of_one_address_share_its_bucket() {
        let rates = rates();
        let all: usize = (0..8).map(|n| taken(&rates, &format!("flood{n}"), 1)).sum();
        assert!((512..600).contains(&all), "{all}");
        assert!(taken(&rates, "elsewhere", 2) >= 256);
    }

    #[test]
    fn in_hard_times_a_burst_is_shorter() {
        let rates = rates();
        rates.set_strain(16);
        let burst = taken(&rates, "flood", 1);
        assert!((16..20).contains(&burst), "{burst}");
    }

    #[test]
    fn an_element_larger_than_the_bucket_waits_for_a_full_one_and_not_for_ever() {
        let rates = rates();
        assert_eq!(rates.count(&"a".into(), address(1), 10 << 20), None);
        let wait = rates.count(&"a".into(), address(1), 10 << 20).unwrap();
        assert!(wait <= Duration::from_secs(4), "{wait:?}");
    }

    #[test]
    fn loopback_has_no_bucket_of_its_own_when_it_is_exempt() {
        let rates = Rates::new(&Limits {
            address_rate: 1024,
            address_burst: 1024,
            ..Limits::default()
        });
        for _ in 0..100 {
            assert_eq!(rates.connection_wait([127, 0, 0, 1].into()), None);
        }
        assert!(rates.connection_wait(address(1)).is_none());
        assert!(rates.connection_wait(address(1)).is_some());
    }

    #[test]
    fn logins_of_one_account_again_and_again_have_to_wait() {
        let rates = rates();
        let waits: Vec<_> = (0..9).map(|_| rates.login_wait(&"again".into())).collect();
        assert!(waits[..8].iter().all(Option::is_none), "{waits:?}");
        assert!(waits[8].is_some(), "{waits:?}");
    }
}
