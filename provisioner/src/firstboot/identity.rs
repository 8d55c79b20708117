//! Steps: clock and machine ID.

use anyhow::{Context, Result};
use time::OffsetDateTime;
use time::macros::datetime;

use super::FirstBoot;
use crate::files::{Access, Files};
use crate::model::secret::hex;
use crate::system::System;

/// Files whose age says how late it is at least: the image's build, and the last time that timesyncd knew.
const CLOCK_FILES: [&str; 2] = ["/usr/lib/clock-epoch", "/var/lib/systemd/timesync/clock"];
/// For an image without a build time.
const EARLIEST: OffsetDateTime = datetime!(2026-01-01 0:00 UTC);
/// /etc/machine-id is a symbolic link to this, which can be replaced.
const MACHINE_ID: &str = "/data/etc/machine-id";

/// The earliest time that it can be: a Pi has no clock of its own, and certificates are not valid in 1970.
pub fn time_floor(files: &Files) -> OffsetDateTime {
    CLOCK_FILES
        .iter()
        .filter_map(|file| modified(files, file))
        .fold(EARLIEST, OffsetDateTime::max)
}

/// The time when the image was built.
pub fn build_time(files: &Files) -> OffsetDateTime {
    modified(files, "/usr/lib/clock-epoch").map_or(EARLIEST, |built| built.max(EARLIEST))
}

fn modified(files: &Files, path: &str) -> Option<OffsetDateTime> {
    files
        .path(path)
        .metadata()
        .ok()?
        .modified()
        .ok()
        .map(OffsetDateTime::from)
}

/// Step: never lets the clock be before the floor. On a box `perch-clock.service` has seen to it, as the first boot's own has not the
/// right; what it could not do is said here.
///
/// # Errors
/// The clock cannot be set.
pub fn clock(boot: &mut FirstBoot<'_>) -> Result<String> {
    set_forward(boot.files, boot.system)
}

/// Sets the clock to the floor if it is before. Returns a few words on what it did.
///
/// # Errors
/// The clock cannot be set.
pub fn set_forward(files: &Files, system: &dyn System) -> Result<String> {
    let floor = time_floor(files);
    let now = system.now();
    if now >= floor {
        return Ok("not before the image".to_owned());
    }
    files.change()?;
    system.set_clock(floor)?;
    Ok(format!(
        "set forward from {} to {}",
        now.date(),
        floor.date()
    ))
}

/// Step: the machine ID that the system runs with is kept (the initrd makes it; this mends a damaged one).
///
/// # Errors
/// It cannot be written.
pub fn machine_id(boot: &mut FirstBoot<'_>) -> Result<String> {
    let kept = boot.files.read(MACHINE_ID)?;
    if kept.as_deref().is_some_and(is_machine_id) {
        return Ok("there".to_owned());
    }
    let running = ["/run/machine-id", "/etc/machine-id"]
        .iter()
        .find_map(|path| {
            boot.files
                .read(path)
                .ok()
                .flatten()
                .filter(|id| is_machine_id(id))
        });
    let id = match running {
        Some(id) => id,
        None => random_id()?,
    };
    boot.files
        .replace(MACHINE_ID, format!("{id}\n").as_bytes(), Access::Everyone)?;
    Ok("made".to_owned())
}

/// The box's second name on the network, without `.local`: no other box has it, and it outlives every change of the first.
pub fn second_name(files: &Files) -> String {
    use ring::digest::{SHA256, digest};
    let id = files.read(MACHINE_ID).ok().flatten().unwrap_or_default();
    // The machine ID itself is not to be shown to others (machine-id(5)).
    let digest = digest(&SHA256, format!("perch name {id}").as_bytes());
    let digits = crate::model::secret::hex(digest.as_ref());
    format!("perch-{}", digits.get(..4).unwrap_or_default())
}

/// Thirty-two hexadecimal digits, not all zero (machine-id(5)).
fn is_machine_id(text: &str) -> bool {
    text.len() == 32
        && text
            .chars()
            .all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c))
        && text.chars().any(|c| c != '0')
}

/// A random UUID without hyphens, version 4 as machine-id(5) asks.
fn random_id() -> Result<String> {
    use ring::rand::SecureRandom;
    let mut bytes = [0_u8; 16];
    ring::rand::SystemRandom::new()
        .fill(&mut bytes)
        .ok()
        .context("no random numbers")?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    Ok(hex(&bytes))
}
