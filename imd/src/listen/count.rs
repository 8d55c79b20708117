//! How many connections come from one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

type Counts = Arc<Mutex<HashMap<IpAddr, u32>>>;

/// Counts connections by address; loopback is exempt.
#[derive(Debug, Clone)]
pub(super) struct PerAddress {
    counts: Counts,
    most: u32,
}

impl PerAddress {
    /// With this many connections of one address at the most.
    pub(super) fn new(most: u32) -> Self {
        Self {
            counts: Counts::default(),
            most,
        }
    }

    /// Count a connection; absent when its address has as many as it may.
    pub(super) fn enter(&self, address: IpAddr) -> Option<Counted> {
        let counts = Arc::clone(&self.counts);
        if address.to_canonical().is_loopback() {
            return Some(Counted {
                counts,
                address: None,
            });
        }
        let mut map = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = map.entry(address).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        drop(map);
        Some(Counted {
            counts,
            address: Some(address),
        })
    }
}

/// One of the connections from an address, until dropped.
#[derive(Debug)]
pub(super) struct Counted {
    counts: Counts,
    address: Option<IpAddr>,
}

impl Drop for Counted {
    fn drop(&mut self) {
        let Some(address) = self.address else { return };
        let mut map = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = map.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                map.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_bounded_number_of_connections_at_one_time() {
        let counts = PerAddress::new(1);
        let (one, other) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        let held = counts.enter(one).unwrap();
        assert!(counts.enter(one).is_none());
        assert!(counts.enter(other).is_some());
        drop(held);
        assert!(counts.enter(one).is_some());
    }
}
