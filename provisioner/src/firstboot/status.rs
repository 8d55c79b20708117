//! Steps: what the box tells its owner on the FAT partition, for a computer that the card is put into.

use std::net::IpAddr;

use anyhow::{Context, Result};

use super::state::BoxState;
use super::{FirstBoot, certificates};
use crate::agent::claim::{self, Claim};
use crate::backup;
use crate::files::{Access, Files};
use crate::system::System;

const STATUS: &str = "/boot/firmware/perch-status.txt";
const AUTHORITY: &str = "/boot/firmware/perch-ca.crt";
/// What the line of addresses begins with.
const ADDRESSES: &str = "Addresses:           ";

/// Step: puts the authority's certificate where every computer can read it.
///
/// # Errors
/// There is none, or the card cannot be written.
pub fn publish_authority(boot: &mut FirstBoot<'_>) -> Result<String> {
    let certificate = boot
        .files
        .read(certificates::AUTHORITY)?
        .context("there is no certificate authority")?;
    let changed = boot.files.replace(
        AUTHORITY,
        format!("{certificate}\n").as_bytes(),
        Access::Fat,
    )?;
    Ok(if changed { "written" } else { "as it was" }.to_owned())
}

/// Step: writes the status.
///
/// # Errors
/// The card cannot be written.
pub fn publish(boot: &mut FirstBoot<'_>) -> Result<String> {
    // CR LF, so that every editor of a card in a computer shows lines.
    let text = render(boot).replace('\n', "\r\n");
    let changed = boot.files.replace(STATUS, text.as_bytes(), Access::Fat)?;
    Ok(if changed { "written" } else { "as it was" }.to_owned())
}

/// Writes the machine's addresses into the status: who finds no `.local` name has nothing else. The last ones stay while there
/// are none, so that the card is written when they change and not whenever a cable is pulled. Returns whether it was written.
///
/// # Errors
/// The card cannot be read or written.
pub fn tell_addresses(files: &Files, system: &dyn System) -> Result<bool> {
    let (Some(text), Some(addresses)) = (files.read(STATUS)?, shown(system.addresses())) else {
        return Ok(false);
    };
    let line = format!("{ADDRESSES}{addresses}");
    let lines: Vec<&str> = text
        .lines()
        .map(|old| match old.starts_with(ADDRESSES) {
            true => line.as_str(),
            false => old,
        })
        .collect();
    let text = format!("{}\r\n", lines.join("\r\n"));
    files.replace(STATUS, text.as_bytes(), Access::Fat)
}

/// The addresses that a browser is given, for people. A global one of IPv6, which providers change from day to day, only where
/// there is no other. `None`: there are none.
fn shown(mut addresses: Vec<IpAddr>) -> Option<String> {
    addresses.retain(|address| match address {
        IpAddr::V4(_) => true,
        // A browser wants to be told by which device these are reached.
        IpAddr::V6(v6) => !v6.is_unicast_link_local(),
    });
    let is_lasting = |address: &IpAddr| match address {
        IpAddr::V4(_) => true,
        IpAddr::V6(v6) => v6.is_unique_local(),
    };
    if addresses.iter().any(is_lasting) {
        addresses.retain(is_lasting);
    }
    addresses.sort_unstable();
    addresses.dedup();
    let texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    (!texts.is_empty()).then(|| texts.join(", "))
}

/// The addresses that an earlier start has left in the status.
fn told_before(files: &Files) -> Option<String> {
    let text = files.read(STATUS).ok().flatten()?;
    let line = text.lines().find_map(|line| line.strip_prefix(ADDRESSES));
    line.map(str::to_owned)
}

/// Who runs the box: named on the card, or by a claim in the browser.
fn administrator(files: &Files, state: &BoxState) -> Option<String> {
    match claim::current(files, state) {
        Ok(Claim::Made { by, .. }) => Some(format!("{by}@{}", state.domain().as_str())),
        _ => None,
    }
}

fn render(boot: &FirstBoot<'_>) -> String {
    let state = &boot.state;
    let domain = state.domain();
    let admin = administrator(boot.files, state).unwrap_or_else(|| {
        "none yet; open the box in a browser, or name one in perch.toml, section [admin]".to_owned()
    });
    // The network comes up later, and perch-address.service writes what it brings.
    let addresses = told_before(boot.files)
        .unwrap_or_else(|| "none yet; is there a cable, or a Wi-Fi network?".to_owned());
    let fingerprint =
        certificates::fingerprint(boot.files).unwrap_or_else(|| "no certificate yet".to_owned());
    let invitations = match state.invitations_printed {
        0 => "none printed".to_owned(),
        number => format!("{number}, in perch-invitations.html beside this file"),
    };
    let mut text = format!(
        "Perch box, as of its last start\n\n\
         Name on the network: {}.local\n\
         {ADDRESSES}{addresses}\n\
         Chat domain:         {}\n\
         Web chat:            https://{}/\n\
         Administrator:       {admin}\n\
         SSH:                 {}\n\
         Invitations:         {invitations}\n\
         Certificate:         perch-ca.crt beside this file; SHA-256 {fingerprint}\n\n",
        state.host_name(),
        domain.as_str(),
        domain.as_str(),
        if state.settings.ssh_enabled == Some(true) {
            "on, by key"
        } else {
            "off"
        },
    );
    for file in boot.state.card.keys() {
        text.push_str(&format!("{file}: applied\n"));
    }
    let asked = boot.card.wishes.restore.is_some();
    text.extend(backup::card::told(boot.files, state, asked));
    text.push_str("Settings (all others have their defaults):\n");
    for line in state.settings.to_toml().lines() {
        text.push_str(&format!("  {line}\n"));
    }
    text.push('\n');
    if !boot.card.skipped.is_empty() {
        text.push_str("Passed over (a chat box has no use for it):\n");
        for part in &boot.card.skipped {
            text.push_str(&format!("  {part}\n"));
        }
        text.push('\n');
    }
    if boot.problems.is_empty() {
        text.push_str("Problems: none\n");
    } else {
        text.push_str(
            "Problems (what is named here was not used; the box keeps its earlier settings):\n",
        );
        for problem in &boot.problems {
            text.push_str(&format!("  {problem}\n"));
        }
    }
    text
}
