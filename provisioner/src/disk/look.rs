//! Asks the disk that the box's data is on.

use anyhow::{Context, Result};

use super::{Health, State, smart};
use crate::files::{Access, Files};
use crate::settings::apply::Machine;

/// What came of it, in memory, for everybody to read. There is none before the first look, and none of an SD card.
pub const SEEN: &str = "/run/perch-disk/health.json";

/// The last answer of the disk. `None`: it has not been asked since the start, or there is nothing that could be asked.
#[must_use]
pub fn seen(files: &Files) -> Option<Health> {
    let text = files.read(SEEN).ok().flatten()?;
    serde_json::from_str(&text).ok()
}

/// Asks it and keeps the answer. `None`: there is nothing that could be asked, or it sleeps.
///
/// # Errors
/// The answer cannot be kept.
pub fn look(machine: Machine<'_>) -> Result<Option<Health>> {
    let Some(disk) = disk(machine.files) else {
        return Ok(None);
    };
    let device = format!("/dev/{disk}");
    // Its exit status is a sum of what it found, all of which is in the text, too (smartctl(8), "EXIT STATUS").
    let command = ["smartctl", "--json", "--all", "--nocheck=standby", &device];
    let health = match machine.system.ask(&command) {
        Ok((_, printed)) => smart::read(&printed),
        Err(error) => {
            eprintln!("<4>smartctl: {error:#}");
            Some(Health::default())
        }
    };
    let Some(health) = health else {
        return Ok(None);
    };
    let text = serde_json::to_vec(&health).context("writing a disk's health as JSON")?;
    machine.files.replace(SEEN, &text, Access::Everyone)?;
    Ok(Some(health))
}

/// The whole disk with the data partition, such as `sda` or `nvme0n1`. `None`: an SD card, or none that could be asked.
fn disk(files: &Files) -> Option<String> {
    let mounts = files.read("/proc/self/mounts").ok()??;
    let device = mounts.lines().rev().find_map(|line| {
        let mut words = line.split(' ');
        let device = words.next()?.strip_prefix("/dev/")?;
        (words.next()? == "/data").then_some(device)
    })?;
    let without_number = device.trim_end_matches(|c: char| c.is_ascii_digit());
    if device.starts_with("sd") {
        return Some(without_number.to_owned());
    }
    let (name, _) = device
        .strip_prefix("nvme")
        .and_then(|rest| rest.rsplit_once('p'))?;
    Some(format!("nvme{name}"))
}

/// Why an update should wait: a disk that fails may not live through being written to. `None`: nothing speaks against it.
#[must_use]
pub fn against_writing(files: &Files) -> Option<String> {
    let health = seen(files).filter(|health| health.state == State::Failing)?;
    Some(health.reasons.join(", "))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn the_disk_is_found_by_what_the_data_is_on() {
        for (mounts, found) in [
            ("/dev/sda6 /data ext4 rw 0 0\n", Some("sda")),
            ("/dev/sdb12 /data ext4 rw 0 0\n", Some("sdb")),
            ("/dev/nvme0n1p6 /data ext4 rw 0 0\n", Some("nvme0n1")),
            ("/dev/mmcblk0p6 /data ext4 rw 0 0\n", None),
            ("/dev/vda6 /data ext4 rw 0 0\n", None),
            ("/dev/sda6 /database ext4 rw 0 0\n", None),
            ("tmpfs /data tmpfs rw 0 0\n", None),
        ] {
            let root = tempfile::tempdir().unwrap();
            std::fs::create_dir_all(root.path().join("proc/self")).unwrap();
            std::fs::write(root.path().join("proc/self/mounts"), mounts).unwrap();
            let files = Files::new(root.path());
            assert_eq!(disk(&files).as_deref(), found, "{mounts}");
        }
    }
}
