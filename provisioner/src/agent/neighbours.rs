//! The networks that the box is in itself, from the kernel's tables of routes: whoever is in one of them is its neighbour.
//!
//! A phone at home has an address of RFC 1918 by IPv4, and by IPv6 very often a global one; avahi announces the box's global
//! address, too, so that it is the one that the phone uses.

use std::net::{IpAddr, Ipv6Addr};

use crate::files::Files;
use crate::routes::{self, Ipv4Route};

/// IPv6 routes of all tables (`rt6_info_route` in Linux's net/ipv6/route.c).
const V6_ROUTES: &str = "/proc/net/ipv6_route";
/// Flags of a route (linux/route.h).
const UP: u32 = 0x1;
const GATEWAY: u32 = 0x2;
const REJECT: u32 = 0x200;
/// Larger networks are no links: a tunnel that takes half of the internet has a route without a gateway, too.
const SHORTEST_V4: u32 = 16;
const SHORTEST_V6: u32 = 48;

/// A network whose machines are reached without a router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OnLink {
    network: IpAddr,
    /// Length of the prefix in bits.
    length: u32,
}

impl OnLink {
    /// The network of this address and this length of its prefix in bits.
    #[must_use]
    pub fn new(network: IpAddr, length: u32) -> Self {
        Self { network, length }
    }

    /// Whether an address is in it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.network, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let other = network.to_bits() ^ address.to_bits();
                other.checked_shr(32 - self.length).unwrap_or(0) == 0
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let other = network.to_bits() ^ address.to_bits();
                other.checked_shr(128 - self.length).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

/// The networks that the box is in now. None if that cannot be told.
#[must_use]
pub fn look(files: &Files) -> Vec<OnLink> {
    let v6 = files.read(V6_ROUTES).ok().flatten().unwrap_or_default();
    let v4 = routes::ipv4(files).into_iter().filter_map(v4_route);
    v4.chain(v6.lines().filter_map(v6_route)).collect()
}

fn v4_route(route: Ipv4Route) -> Option<OnLink> {
    let Ipv4Route {
        destination,
        length,
        flags,
    } = route;
    (is_link(flags) && length >= SHORTEST_V4).then_some(OnLink::new(destination.into(), length))
}

/// Destination and its length, source and its length, next hop, metric, references, uses, flags, interface.
fn v6_route(line: &str) -> Option<OnLink> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let number = |at: usize| u32::from_str_radix(words.get(at)?, 16).ok();
    let network = Ipv6Addr::from_bits(u128::from_str_radix(words.first()?, 16).ok()?);
    let length = number(1)?;
    let is_link = is_link(number(8)?) && words.get(9) != Some(&"lo") && !network.is_multicast();
    (is_link && (SHORTEST_V6..=128).contains(&length)).then_some(OnLink {
        network: network.into(),
        length,
    })
}

fn is_link(flags: u32) -> bool {
    flags & UP != 0 && flags & (GATEWAY | REJECT) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_endian = "little")]
    #[test]
    fn neighbours_are_told_from_the_rest_of_the_world() {
        let folder = tempfile::tempdir().unwrap();
        let tables = [
            (
                "route",
                "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
                 end0\t00000000\t0101A8C0\t0003\t0\t0\t1024\t00000000\t0\t0\t0\n\
                 end0\t007100CB\t00000000\t0001\t0\t0\t1024\t00FFFFFF\t0\t0\t0\n\
                 tun0\t00000000\t00000000\t0001\t0\t0\t0\t00000080\t0\t0\t0\n",
            ),
            (
                "ipv6_route",
                "20010db8000000010000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000400 00000001 00000000 00000001     end0\n\
                 20010db8000000020000000000000000 40 00000000000000000000000000000000 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003     end0\n\
                 00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003     end0\n\
                 20010db8000000030000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo\n\
                 ff000000000000000000000000000000 08 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000004 00000000 00000001     end0\n\
                 a line that nobody understands\n",
            ),
        ];
        std::fs::create_dir_all(folder.path().join("proc/net")).unwrap();
        for (name, text) in tables {
            std::fs::write(folder.path().join("proc/net").join(name), text).unwrap();
        }
        let networks = look(&Files::new(folder.path()));
        assert_eq!(networks.len(), 2, "{networks:?}");
        for (address, is_neighbour) in [
            ("203.0.113.9", true),
            ("::ffff:203.0.113.9", true),
            ("203.0.114.9", false),
            ("192.0.2.1", false),
            ("2001:db8:0:1::7", true),
            ("2001:db8:0:1:ffff:ffff:ffff:ffff", true),
            // Behind the router, although the box has a route there.
            ("2001:db8:0:2::7", false),
            ("2001:db8:0:3::7", false),
            ("2001:db8:1:1::7", false),
        ] {
            let address: IpAddr = address.parse().unwrap();
            let found = networks.iter().any(|network| network.contains(address));
            assert_eq!(found, is_neighbour, "{address}");
        }
    }

    #[test]
    fn without_tables_there_are_no_networks() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(look(&Files::new(folder.path())), []);
    }
}
