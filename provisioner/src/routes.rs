//! The kernel's routes of IPv4, from which is read what networks the box is in and whether it has a gateway.

use std::net::Ipv4Addr;

use crate::files::Files;

/// Routes of the main table (`fib_route_seq_show` in Linux's net/ipv4/fib_trie.c).
const TABLE: &str = "/proc/net/route";

/// A route that leaves the box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv4Route {
    /// Where it leads.
    pub destination: Ipv4Addr,
    /// Length of the destination's prefix in bits; 0: everywhere.
    pub length: u32,
    /// `RTF_…` of linux/route.h.
    pub flags: u32,
}

/// All but those of the loopback device. None if that cannot be told.
#[must_use]
pub fn ipv4(files: &Files) -> Vec<Ipv4Route> {
    let text = files.read(TABLE).ok().flatten().unwrap_or_default();
    text.lines().skip(1).filter_map(read).collect()
}

/// Interface, destination, gateway, flags, …, mask: numbers as they lie in memory, in hexadecimal digits.
fn read(line: &str) -> Option<Ipv4Route> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let number = |at: usize| u32::from_str_radix(words.get(at)?, 16).ok();
    let route = Ipv4Route {
        destination: Ipv4Addr::from(number(1)?.to_ne_bytes()),
        flags: number(3)?,
        length: u32::from_be_bytes(number(7)?.to_ne_bytes()).leading_ones(),
    };
    (words.first() != Some(&"lo")).then_some(route)
}
