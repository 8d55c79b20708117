//! A name server on loopback that knows a few names: addresses (A), services (SRV), and texts (TXT) that come and go.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::thread;

use anyhow::{Context, Result};

/// What is known of a name.
#[derive(Debug, Clone)]
pub enum Record {
    /// An address.
    A(Ipv4Addr),
    /// Where a service is: port and host.
    Srv(u16, String),
    /// What a file has as its first line, while it is there.
    TextFile(PathBuf),
}

impl Record {
    fn kind(&self) -> u16 {
        match self {
            Self::A(_) => 1,
            Self::Srv(..) => 33,
            Self::TextFile(_) => 16,
        }
    }

    fn data(&self) -> Option<Vec<u8>> {
        Some(match self {
            Self::A(address) => address.octets().to_vec(),
            Self::Srv(port, host) => {
                let mut data = vec![0, 10, 0, 10];
                data.extend(port.to_be_bytes());
                data.extend(encode(host));
                data
            }
            Self::TextFile(path) => {
                let text = std::fs::read_to_string(path).ok()?;
                let line = text.lines().next()?;
                let mut data = vec![u8::try_from(line.len()).ok()?];
                data.extend(line.as_bytes());
                data
            }
        })
    }
}

/// Starts a name server that answers until the program ends; returns its port on 127.0.0.1.
///
/// # Errors
///
/// No socket could be had.
pub fn start(records: Vec<(String, Record)>) -> Result<u16> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).context("bind the name server")?;
    let port = socket
        .local_addr()
        .context("the name server's port")?
        .port();
    // Some ask over TCP from the start. Another program may have the port there; who asks then hears nothing.
    if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        let records = records.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let records = records.clone();
                thread::spawn(move || converse(&records, stream));
            }
        });
    }
    thread::spawn(move || {
        let mut packet = [0; 1500];
        while let Ok((length, asker)) = socket.recv_from(&mut packet) {
            if let Some(answer) = answer(&records, &packet[..length]) {
                // Who does not get the answer asks again.
                socket.send_to(&answer, asker).ok();
            }
        }
    });
    Ok(port)
}

/// Answers over TCP, where each message has its length in front (RFC 1035 §4.2.2), until the other side ends.
fn converse(records: &[(String, Record)], mut stream: TcpStream) -> Option<()> {
    loop {
        let mut length = [0; 2];
        stream.read_exact(&mut length).ok()?;
        let mut packet = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut packet).ok()?;
        let answer = answer(records, &packet)?;
        let mut message = u16::try_from(answer.len()).ok()?.to_be_bytes().to_vec();
        message.extend(answer);
        stream.write_all(&message).ok()?;
    }
}

fn encode(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        bytes.push(u8::try_from(label.len()).unwrap_or(63));
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes
}

/// The answer to one question (RFC 1035 §4); absent when it is none.
fn answer(records: &[(String, Record)], query: &[u8]) -> Option<Vec<u8>> {
    let (mut at, mut labels) = (12, Vec::new());
    loop {
        let length = usize::from(*query.get(at)?);
        if length == 0 {
            break;
        }
        let label = query.get(at + 1..at + 1 + length)?;
        labels.push(String::from_utf8_lossy(label).to_lowercase());
        at += 1 + length;
    }
    let question = query.get(12..at + 5)?;
    let name = labels.join(".");
    let kind = u16::from_be_bytes([*query.get(at + 1)?, *query.get(at + 2)?]);
    let known = records.iter().any(|(known, _)| *known == name);
    let found: Vec<_> = records
        .iter()
        .filter(|(known, record)| *known == name && record.kind() == kind)
        .filter_map(|(_, record)| Some((record.kind(), record.data()?)))
        .collect();
    let mut out = query.get(..2)?.to_vec();
    // An authoritative answer; "no such name" where nothing at all is known of it.
    out.extend([0x84 | (query.get(2)? & 1), if known { 0x80 } else { 0x83 }]);
    out.extend([0, 1]);
    out.extend(u16::try_from(found.len()).ok()?.to_be_bytes());
    out.extend([0, 0, 0, 0]);
    out.extend(question);
    for (kind, data) in found {
        out.extend([0xc0, 12]);
        out.extend(kind.to_be_bytes());
        out.extend([0, 1, 0, 0, 0, 60]);
        out.extend(u16::try_from(data.len()).ok()?.to_be_bytes());
        out.extend(data);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_answered_with_its_place_and_an_unknown_name_with_none() {
        let records = vec![(
            "_xmpp-server._tcp.a.test".to_owned(),
            Record::Srv(5269, "h.a.test".to_owned()),
        )];
        let query = |name: &str| {
            let mut query = vec![7, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
            query.extend(encode(name));
            query.extend([0, 33, 0, 1]);
            answer(&records, &query).unwrap_or_default()
        };
        let found = query("_xmpp-server._tcp.A.test");
        assert_eq!(found[7], 1);
        assert!(found.ends_with(&[
            0, 10, 0, 10, 0x14, 0x95, 1, b'h', 1, b'a', 4, b't', b'e', b's', b't', 0
        ]));
        let absent = query("b.test");
        assert_eq!((absent[3] & 0xf, absent[7]), (3, 0));
    }
}
