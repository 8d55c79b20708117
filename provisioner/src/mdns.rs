//! Asks the local network for a host name by multicast DNS (RFC 6762 §5.1: a one-shot query, answered by unicast to
//! the port it came from). This runs before avahi starts, so that avahi announces the right name from the start.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How long to wait for the first address. A box without a cable must come up all the same, and waits only once.
const NETWORK_PATIENCE: Duration = Duration::from_secs(45);
/// Times to ask: one multicast packet is easily lost.
const ATTEMPTS: u32 = 3;
const ANSWER_PATIENCE: Duration = Duration::from_millis(700);
const PORT: u16 = 5353;
const TYPE_ANY: u16 = 255;
/// Class IN with the bit that asks for a unicast answer (RFC 6762 §5.4).
const CLASS_IN_UNICAST: u16 = 0x8001;

/// Whether another machine answers to `<name>.local`.
///
/// # Errors
/// No network came up, or it cannot be asked.
pub fn is_taken(name: &str) -> Result<bool> {
    let query = query(name);
    let sockets = sockets()?;
    let mut sent = false;
    for _ in 0..ATTEMPTS {
        for (socket, group) in &sockets {
            sent |= socket.send_to(&query, group).is_ok();
        }
        let deadline = Instant::now() + ANSWER_PATIENCE;
        while Instant::now() < deadline {
            for (socket, _) in &sockets {
                let mut packet = [0; 1500];
                if let Ok((length, _)) = socket.recv_from(&mut packet)
                    && is_answer(packet.get(..length).unwrap_or_default(), name)
                {
                    return Ok(true);
                }
            }
        }
    }
    if sent {
        Ok(false)
    } else {
        bail!("no network took a query for {name}.local")
    }
}

/// A socket with its multicast group for each address of this machine, once there is one.
fn sockets() -> Result<Vec<(UdpSocket, SocketAddr)>> {
    let deadline = Instant::now() + NETWORK_PATIENCE;
    loop {
        let sockets: Vec<_> = addresses().into_iter().filter_map(open).collect();
        if !sockets.is_empty() {
            return Ok(sockets);
        }
        if Instant::now() >= deadline {
            bail!("no network within {} seconds", NETWORK_PATIENCE.as_secs());
        }
        std::thread::park_timeout(Duration::from_millis(250));
    }
}

/// Binding to an interface's address makes its multicast leave by that interface.
fn open((address, interface): (IpAddr, u32)) -> Option<(UdpSocket, SocketAddr)> {
    let (own, group): (SocketAddr, SocketAddr) = match address {
        IpAddr::V4(_) => (
            (address, 0).into(),
            (Ipv4Addr::new(224, 0, 0, 251), PORT).into(),
        ),
        IpAddr::V6(own) => {
            let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);
            (
                SocketAddrV6::new(own, 0, 0, interface).into(),
                SocketAddrV6::new(group, PORT, 0, interface).into(),
            )
        }
    };
    let socket = UdpSocket::bind(own).ok()?;
    socket
        .set_read_timeout(Some(Duration::from_millis(50)))
        .ok()?;
    Some((socket, group))
}

/// IPv4 and link-local IPv6 addresses of interfaces that are up and can multicast, with the interface's number.
fn addresses() -> Vec<(IpAddr, u32)> {
    use nix::net::if_::InterfaceFlags;
    let wanted =
        InterfaceFlags::IFF_UP | InterfaceFlags::IFF_RUNNING | InterfaceFlags::IFF_MULTICAST;
    let Ok(interfaces) = nix::ifaddrs::getifaddrs() else {
        return Vec::new();
    };
    interfaces
        .filter(|one| {
            one.flags.contains(wanted) && !one.flags.contains(InterfaceFlags::IFF_LOOPBACK)
        })
        .filter_map(|one| {
            let address = one.address?;
            if let Some(v4) = address.as_sockaddr_in() {
                return Some((IpAddr::V4(v4.ip()), 0));
            }
            let v6 = address.as_sockaddr_in6()?;
            v6.ip()
                .is_unicast_link_local()
                .then(|| (IpAddr::V6(v6.ip()), v6.scope_id()))
        })
        .collect()
}

fn query(name: &str) -> Vec<u8> {
    // Header: id 0, flags 0, one question.
    let mut packet = vec![0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in [name, "local"] {
        packet.push(u8::try_from(label.len()).unwrap_or(63));
        packet.extend(label.as_bytes());
    }
    packet.push(0);
    packet.extend(TYPE_ANY.to_be_bytes());
    packet.extend(CLASS_IN_UNICAST.to_be_bytes());
    packet
}

/// Whether a packet is a response that has a record of `<name>.local`.
fn is_answer(packet: &[u8], name: &str) -> bool {
    answers(packet).is_some_and(|names| {
        names
            .iter()
            .any(|found| found.eq_ignore_ascii_case(&format!("{name}.local")))
    })
}

/// The names of the answer records of a response; `None` for a query or a damaged packet.
fn answers(packet: &[u8]) -> Option<Vec<String>> {
    let word = |at: usize| Some(u16::from_be_bytes([*packet.get(at)?, *packet.get(at + 1)?]));
    if word(2)? & 0x8000 == 0 {
        return None;
    }
    let (questions, records) = (word(4)?, word(6)?);
    let mut at = 12;
    for _ in 0..questions {
        at = read_name(packet, at)?.1 + 4;
    }
    let mut names = Vec::new();
    for _ in 0..records {
        let (name, next) = read_name(packet, at)?;
        names.push(name);
        // Type, class and time to live take eight bytes, then comes the data's length.
        at = next + 10 + usize::from(word(next + 8)?);
    }
    Some(names)
}

/// Reads a name and tells where the next field starts (RFC 1035 §4.1.4).
fn read_name(packet: &[u8], mut at: usize) -> Option<(String, usize)> {
    let mut labels: Vec<String> = Vec::new();
    let mut end = None;
    // A packet can point in circles.
    for _ in 0..64 {
        let length = usize::from(*packet.get(at)?);
        match length {
            0 => return Some((labels.join("."), end.unwrap_or(at + 1))),
            1..=63 => {
                let label = packet.get(at + 1..at + 1 + length)?;
                labels.push(String::from_utf8_lossy(label).into_owned());
                at += 1 + length;
            }
            _ => {
                end = end.or(Some(at + 2));
                at = (length & 0x3f) << 8 | usize::from(*packet.get(at + 1)?);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a responder sends: the question again, then one A record whose name points back to it.
    fn response(name: &str) -> Vec<u8> {
        let mut packet = query(name);
        packet[2] = 0x84;
        packet[7] = 1;
        packet.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 10, 0, 4, 10, 0, 0, 1]);
        packet
    }

    #[test]
    fn an_answer_for_the_name_means_taken() {
        assert!(is_answer(&response("perch"), "perch"));
        assert!(is_answer(&response("PERCH"), "perch"));
    }

    #[test]
    fn an_answer_for_another_name_or_a_query_does_not() {
        assert!(!is_answer(&response("perch-2"), "perch"));
        assert!(!is_answer(&query("perch"), "perch"));
    }

    #[test]
    fn damaged_packets_are_no_answer_and_do_not_hang() {
        let whole = response("perch");
        for length in 0..whole.len() - 14 {
            assert!(!is_answer(&whole[..length], "perch"), "{length} bytes");
        }
        let mut circle = vec![0, 0, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 0];
        circle.extend([0xc0, 12]);
        assert!(!is_answer(&circle, "perch"));
    }
    #[test]
    fn any_bytes_are_read_without_a_panic() {
        let whole = response("perch");
        for at in 0..whole.len() {
            for value in 0..=255 {
                let mut packet = whole.clone();
                packet[at] = value;
                let _ = is_answer(&packet, "perch");
            }
        }
    }
}
