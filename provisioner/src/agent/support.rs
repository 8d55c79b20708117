//! The support file: what somebody needs who helps from afar, and nothing of who is on the box.

use std::fmt::Write as _;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::journal::{self, Line, Redactor};
use super::status;
use crate::acme::service;
use crate::backup::outcome::Outcomes;
use crate::disk;
use crate::firstboot::state::BoxState;
use crate::imd_config::FEDERATION_PORT;
use crate::settings::apply::Machine;
use crate::settings::keys::KEYS;

/// Settings whose values say where the box is, or whose it is: only that they are set is told.
const PRIVATE: [&str; 6] = [
    "hostname",
    "domain",
    "wifi",
    "ssh.authorized_keys",
    "federation.allow",
    "backup",
];
/// Programs whose answers are in the file.
const COMMANDS: [&[&str]; 5] = [
    &[
        "systemctl",
        "--failed",
        "--no-legend",
        "--no-pager",
        "--plain",
    ],
    &[
        "systemctl",
        "list-timers",
        "--no-legend",
        "--no-pager",
        "--plain",
        "perch-*",
    ],
    &["networkctl", "--no-legend", "--no-pager", "list"],
    &["timedatectl", "timesync-status", "--no-pager"],
    &[
        "journalctl",
        "--boot",
        "--priority=warning",
        "--lines=400",
        "--no-pager",
        "--quiet",
        "--output=short-iso",
        "--no-hostname",
    ],
];
/// Files of the kernel's, and what the disk says of itself.
const FILES: [&str; 6] = [
    "/proc/uptime",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/mounts",
    "/etc/os-release",
    disk::look::SEEN,
];
/// The ports that a box listens on (`docs/operator/ports.md`).
const PORTS: [u16; 5] = [80, 443, 5222, 5223, FEDERATION_PORT];
/// Asked for by the box anyway, for the time.
const KNOWN_NAME: &str = "2.debian.pool.ntp.org";

/// What went wrong since the start, and what the box knows of its connections.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SupportFacts {
    /// Errors, newest first.
    pub errors: Vec<Line>,
    /// The ports of a box, and whether a program listens there.
    pub ports: Vec<(u16, bool)>,
    /// Whether names of the internet are found.
    pub resolves: bool,
    /// The machine's addresses on the network.
    pub addresses: Vec<String>,
    /// Whether people here can talk with those of other servers.
    pub federation: Federation,
}

/// How far the box is on the way to other servers. Whether its port is open from outside it cannot tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Federation {
    /// It is turned off.
    Off,
    /// The domain is one that is known in the local network only.
    NoDomain,
    /// The chat server does not listen for other servers.
    NoPort,
    /// The DNS does not know the domain, or does not answer.
    NoName,
    /// The domain's certificate is one of the box's own authority, which other servers do not know.
    NoCertificate,
    /// All that the box can see is there.
    Ready,
}

/// The text of the file.
///
/// # Errors
/// The box's state cannot be read.
pub fn file(machine: Machine<'_>) -> Result<String> {
    let redactor = Redactor::of(machine.files)?;
    let status = status::look(machine.files, machine.system)?;
    let mut text = String::new();
    let mut add = |title: &str, content: &str| {
        // Writing into a text cannot fail.
        let _ = writeln!(text, "== {title}\n{}\n", redactor.redact(content));
    };
    add(
        "box",
        &format!(
            "version {}\nslot {}\nuptime {} s\nclock {} ({})",
            status.version,
            status.slot.as_deref().unwrap_or("-"),
            status.uptime,
            status.clock,
            if status.clock_is_synchronised {
                "synchronised"
            } else {
                "alone"
            },
        ),
    );
    add("settings", &settings(&BoxState::load(machine.files)?));
    for (kind, outcome) in &Outcomes::load(machine.files).0 {
        let error = outcome.error.clone();
        // What the other computer said has its names in it.
        let said = outcome.target.map(|kind| kind.to_string()).or(error);
        let said = said.unwrap_or_else(|| "good".to_owned());
        add(&format!("backup: {kind} at {}", outcome.at), &said);
    }
    for path in FILES {
        add(path, &machine.files.read(path)?.unwrap_or_default());
    }
    for command in COMMANDS {
        let said = machine.system.run(command, None);
        let said = said.unwrap_or_else(|error| format!("{error:#}"));
        add(&command.join(" "), &said);
    }
    Ok(text)
}

fn settings(state: &BoxState) -> String {
    let lines = KEYS.iter().filter_map(|key| {
        let value = (key.show)(&state.settings)?;
        let is_private = PRIVATE.iter().any(|private| key.name.starts_with(private));
        let shown = if is_private {
            "(set)".to_owned()
        } else {
            value
        };
        Some(format!("{} = {shown}", key.name))
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// What the page shows of errors and connections.
///
/// # Errors
/// The box's state cannot be read.
pub fn facts(machine: Machine<'_>) -> Result<SupportFacts> {
    let listening = listening(machine);
    Ok(SupportFacts {
        // A machine without a journal has no errors to show.
        errors: journal::errors(machine).unwrap_or_default(),
        ports: PORTS
            .iter()
            .map(|port| (*port, listening.contains(port)))
            .collect(),
        resolves: resolves(machine, "A", KNOWN_NAME),
        addresses: addresses(machine),
        federation: federation(machine, &BoxState::load(machine.files)?, &listening),
    })
}

fn federation(machine: Machine<'_>, state: &BoxState, listening: &[u16]) -> Federation {
    let domain = state.domain();
    if !state.settings.federation.is_on() {
        return Federation::Off;
    }
    if !domain.is_public() {
        return Federation::NoDomain;
    }
    if !listening.contains(&FEDERATION_PORT) {
        return Federation::NoPort;
    }
    // Where other servers look: a record that names the server, or the domain's own address (RFC 6120 §3.2).
    let service = format!("_xmpp-server._tcp.{}", domain.as_str());
    let is_known = [
        ("SRV", service.as_str()),
        ("A", domain.as_str()),
        ("AAAA", domain.as_str()),
    ]
    .into_iter()
    .any(|(kind, name)| resolves(machine, kind, name));
    if !is_known {
        return Federation::NoName;
    }
    if !machine.files.path(service::FILE).is_file() {
        return Federation::NoCertificate;
    }
    Federation::Ready
}

fn resolves(machine: Machine<'_>, kind: &str, name: &str) -> bool {
    let kind = format!("--type={kind}");
    let command = ["resolvectl", "query", "--legend=no", kind.as_str(), name];
    machine.system.run(&command, None).is_ok()
}

/// Ports that some program listens on (proc_net(5): state `0A`).
fn listening(machine: Machine<'_>) -> Vec<u16> {
    let mut found = Vec::new();
    for path in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let text = machine.files.read(path).ok().flatten().unwrap_or_default();
        for line in text.lines().skip(1) {
            let words: Vec<&str> = line.split_whitespace().collect();
            if let (Some(local), Some(&"0A")) = (words.get(1), words.get(3))
                && let Some((_, port)) = local.rsplit_once(':')
                && let Ok(port) = u16::from_str_radix(port, 16)
            {
                found.push(port);
            }
        }
    }
    found
}

/// The machine's addresses on the network.
pub fn addresses(machine: Machine<'_>) -> Vec<String> {
    let said = machine
        .system
        .run(&["ip", "-brief", "address", "show", "up"], None);
    let said = said.unwrap_or_default();
    said.lines()
        .filter(|line| !line.starts_with("lo "))
        .flat_map(|line| line.split_whitespace().skip(2))
        .filter_map(|word| word.split('/').next())
        .map(str::to_owned)
        .collect()
}
