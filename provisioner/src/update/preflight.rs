//! What speaks against an update, each with what to do about it.

use anyhow::Result;

use super::backup_age::{self, Backups};
use super::{database, surroundings};
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
    /// Seconds since 1970.
    pub now: i64,
    /// Whether something has told the time since the start.
    pub knows_the_time: bool,
    /// Lines of the kernel's about the disk since the start.
    pub disk_errors: Vec<String>,
    /// Why the disk says that it fails; absent: it does not, or says nothing.
    pub disk_fails: Option<String>,
    /// The processor's temperature in thousandths of a degree; absent: not available.
    pub temperature: Option<i64>,
    /// Whether the supply's voltage is too low now; absent: the machine does not tell.
    pub low_voltage: Option<bool>,
    /// Lines of the kernel's about power or heat since the start.
    pub strain: Vec<String>,
    /// What is known of the backups.
    pub backups: Backups,
}

/// Of the database: as it is before the trial, and if that fails what was written during it, and the first one on its way back.
const COPIES: u64 = 3;
/// Left free besides the copies of the database: RAUC's indexes, the journal, what people write meanwhile.
const RESERVE: u64 = 64 << 20;
/// Above this the processor slows down, and a card is at its limit.
const HOT: i64 = 80_000;

/// A sentence for each reason against it; empty: go on.
#[must_use]
pub fn refusals(facts: &Facts) -> Vec<String> {
    let mut found = Vec::new();
    let needed = COPIES * facts.database + RESERVE;
    if facts.free < needed {
        found.push(format!(
            "{} MiB are free on the data partition and {} are needed, also for copies of the database, so that all can be undone: delete old messages or uploads \
             (`imd retention`), or use a larger card",
            facts.free >> 20,
            needed >> 20
        ));
    }
    if !facts.knows_the_time {
        found.push(
            "nothing has told the box the time since its start, so that no signature can be checked: connect it to a network with a time \
             server, set one (`provisioner settings set time.servers=…`), or give it your device's time (page Settings, Time)"
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
    if facts.low_voltage != Some(true)
        && let Some(line) = facts.strain.last()
    {
        found.push(format!(
            "the power supply or the heat was bad {} times since the start (the last: {line}): use the Raspberry Pi's own supply with a short \
             cable, give the box air, and restart it",
            facts.strain.len()
        ));
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
    let said = system
        .run(&["journalctl", "-k", "-b", "-o", "cat", "--no-pager"], None)
        .unwrap_or_default();
    Ok(Facts {
        free: data.blocks_available() * data.fragment_size(),
        database: database::size(files),
        now: system.now().unix_timestamp(),
        knows_the_time: surroundings::knows_the_time(files, system.now()),
        disk_errors: disk_errors(&said),
        disk_fails: look::against_writing(files),
        temperature: number("/sys/class/thermal/thermal_zone0/temp"),
        low_voltage: voltage.map(|alarm| alarm != 0),
        strain: strain(&said),
        backups: backup_age::look(files),
    })
}

/// The kernel's lines about too little power (drivers/hwmon/raspberrypi-hwmon.c; with a hyphen in older kernels of Raspberry Pi) or too
/// much heat. "Voltage normalised" tells the end of what was told before.
fn strain(said: &str) -> Vec<String> {
    const SIGNS: [&str; 4] = [
        "undervoltage detected",
        "under-voltage detected",
        "cpu clock throttled",
        "critical temperature reached",
    ];
    let is_sign = |line: &&str| {
        let line = line.to_ascii_lowercase();
        SIGNS.iter().any(|sign| line.contains(sign))
    };
    said.lines().filter(is_sign).map(str::to_owned).collect()
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
            knows_the_time: true,
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
            (
                Facts {
                    knows_the_time: false,
                    ..fine()
                },
                "time server",
            ),
            (
                Facts {
                    strain: vec!["hwmon hwmon1: Undervoltage detected!".into()],
                    ..fine()
                },
                "short cable",
            ),
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
    fn power_and_heat_are_told_by_the_kernels_log_also_when_they_are_over() {
        let said = "hwmon hwmon1: Undervoltage detected!\nhwmon hwmon1: Voltage normalised\nusb 1-1: reset\n\
            Under-voltage detected! (0x00050005)";
        assert_eq!(
            strain(said),
            [
                "hwmon hwmon1: Undervoltage detected!",
                "Under-voltage detected! (0x00050005)"
            ]
        );
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
