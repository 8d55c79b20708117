//! What speaks against an update, each with what to do about it.

use std::fs;

use anyhow::Result;

use super::backup_age::{self, Backups};
use super::database;
use crate::disk::look;
use crate::files::Files;
use crate::system::System;

/// What is looked at, before anything is decided.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Bytes free on the data partition.
    pub free: u64,
    /// Bytes that the copy of the database takes.
    pub database: u64,
    /// Seconds since 1970, and when the image was made.
    pub now: i64,
    /// As above.
    pub built: i64,
    /// Lines of the kernel's about the disk since the start.
    pub disk_errors: Vec<String>,
    /// Why the disk says that it fails; absent: it does not, or says nothing.
    pub disk_fails: Option<String>,
    /// The processor's temperature in thousandths of a degree; absent: not available.
    pub temperature: Option<i64>,
    /// The kernel has seen the supply's voltage too low; absent: not available.
    pub low_voltage: Option<bool>,
    /// What is known of the backups.
    pub backups: Backups,
}

/// Left free besides the copy of the database: RAUC's indexes, the journal, what people write meanwhile.
const RESERVE: u64 = 64 << 20;
/// Above this the processor slows down, and a card is at its limit.
const HOT: i64 = 80_000;

/// A sentence for each reason against it; empty: go on.
#[must_use]
pub fn refusals(facts: &Facts) -> Vec<String> {
    let mut found = Vec::new();
    let needed = facts.database + RESERVE;
    if facts.free < needed {
        found.push(format!(
            "{} MiB are free on the data partition and {} are needed for a copy of the database: delete old messages or uploads \
             (`imd retention`), or use a larger card",
            facts.free >> 20,
            needed >> 20
        ));
    }
    if facts.now < facts.built {
        found.push(
            "the clock is not set, so that no signature can be checked: connect the box to a network with a time server, or set one \
             (`provisioner settings set time.servers=…`)"
                .to_owned(),
        );
    }
    if let Some(line) = facts.disk_errors.last() {
        found.push(format!(
            "the card or disk has had {} errors since the start (the last: {line}): make a backup and replace it",
            facts.disk_errors.len()
        ));
    }
    if let Some(why) = &facts.disk_fails {
        found.push(format!(
            "the disk says that it is failing ({why}): make a backup and replace it"
        ));
    }
    if let Some(degrees) = facts.temperature.filter(|degrees| *degrees > HOT) {
        found.push(format!(
            "the processor is at {} °C: give the box air, and try again when it has cooled down",
            degrees / 1000
        ));
    }
    if facts.low_voltage == Some(true) {
        found.push(
            "the power supply's voltage is too low: use the Raspberry Pi's own supply, and a short cable".to_owned(),
        );
    }
    found.extend(backup_age::judge(&facts.backups, facts.now).refusal());
    found
}

/// Looks at the box.
///
/// # Errors
/// The data partition cannot be asked for its free space.
pub fn look(files: &Files, system: &dyn System) -> Result<Facts> {
    let data = nix::sys::statvfs::statvfs(&files.path("/data")).map_err(|error| {
        anyhow::anyhow!("the data partition does not tell its free space: {error}")
    })?;
    let number = |path: &str| {
        files
            .read(path)
            .ok()
            .flatten()
            .and_then(|text| text.parse::<i64>().ok())
    };
    let voltage = files
        .matching("/sys/class/hwmon/*/in0_lcrit_alarm")
        .first()
        .and_then(|path| number(path));
    let built = fs::metadata(files.path("/usr/lib/clock-epoch"))
        .and_then(|about| about.modified())
        .ok()
        .and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    let said = system
        .run(&["journalctl", "-k", "-b", "-o", "cat", "--no-pager"], None)
        .unwrap_or_default();
    Ok(Facts {
        free: data.blocks_available() * data.fragment_size(),
        database: database::size(files),
        now: system.now().unix_timestamp(),
        built: built.map_or(0, |since| since.as_secs().cast_signed()),
        disk_errors: disk_errors(&said),
        disk_fails: look::against_writing(files),
        temperature: number("/sys/class/thermal/thermal_zone0/temp"),
        low_voltage: voltage.map(|alarm| alarm != 0),
        backups: backup_age::look(files),
    })
}

/// The kernel's lines about a failing disk. A damaged root is none of them: an update is what mends it.
fn disk_errors(said: &str) -> Vec<String> {
    let about_disk = |line: &&str| {
        let bad = line.contains("I/O error, dev ") || line.contains("EXT4-fs error");
        let elsewhere = ["nbd", "loop", "dm-", "fd0"]
            .iter()
            .any(|name| line.contains(name));
        bad && !elsewhere
    };
    said.lines().filter(about_disk).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fine() -> Facts {
        Facts {
            free: 1 << 30,
            database: 1 << 20,
            now: 2,
            built: 1,
            temperature: Some(50_000),
            low_voltage: Some(false),
            ..Facts::default()
        }
    }

    #[test]
    fn nothing_speaks_against_a_box_that_is_well() {
        assert_eq!(refusals(&fine()), [""; 0]);
        // A machine that has neither sensor.
        let facts = Facts {
            temperature: None,
            low_voltage: None,
            ..fine()
        };
        assert_eq!(refusals(&facts), [""; 0]);
    }

    #[test]
    fn each_refusal_says_what_to_do() {
        let cases = [
            (
                Facts {
                    free: 1 << 20,
                    ..fine()
                },
                "larger card",
            ),
            (Facts { now: 0, ..fine() }, "time server"),
            (
                Facts {
                    disk_errors: vec!["I/O error, dev mmcblk0, sector 5".into()],
                    ..fine()
                },
                "replace it",
            ),
            (
                Facts {
                    disk_fails: Some("8 sectors cannot be read".into()),
                    ..fine()
                },
                "8 sectors",
            ),
            (
                Facts {
                    temperature: Some(85_000),
                    ..fine()
                },
                "85 °C",
            ),
            (
                Facts {
                    low_voltage: Some(true),
                    ..fine()
                },
                "supply",
            ),
            (
                Facts {
                    now: 9 * 86_400,
                    backups: Backups {
                        newest: Some(1),
                        ..Backups::default()
                    },
                    ..fine()
                },
                "8 days old",
            ),
        ];
        for (facts, part) in cases {
            let found = refusals(&facts);
            assert!(found.len() == 1 && found[0].contains(part), "{found:?}");
        }
    }

    #[test]
    fn only_the_disks_own_errors_count() {
        let said = "I/O error, dev mmcblk0, sector 8 op 0x0\nBuffer I/O error on dev dm-0\nI/O error, dev nbd0, sector 1\nusb 1-1: reset";
        assert_eq!(
            disk_errors(said),
            ["I/O error, dev mmcblk0, sector 8 op 0x0"]
        );
    }
}
