//! USB sticks for backups: found by their label, used when the owner has accepted their serial number, never formatted. What is plugged in
//! whatever its label ([`all`]) and the mounting serve updates, too.

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::files::{Access, Files};
use crate::settings::apply::Machine;

/// The label of a stick for backups.
pub const LABEL: &str = "PERCH-BACKUP";
/// The same on FAT32, where a label has 11 characters at the most.
const FAT_LABEL: &str = "PERCHBACKUP";
/// Which stick the owner has accepted.
pub const ACCEPTED: &str = "/var/lib/perch/backup/stick.json";
/// Where a stick is mounted, in the file systems of the one process that uses it.
const MOUNTED: &str = "/run/perch-stick";
/// What a stick may be formatted with: what the image's kernel knows and other computers can make.
pub const KINDS: [&str; 3] = ["vfat", "exfat", "ext4"];

/// A stick with the label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stick {
    /// Its device, such as `sda1`.
    pub device: String,
    /// What tells it from every other stick.
    pub serial: String,
    /// Its maker and kind, for people.
    pub model: String,
    /// How it is formatted.
    pub kind: String,
}

/// A file system on something that is plugged in by USB, whatever its label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plugged {
    /// Where it is.
    pub stick: Stick,
    /// Its label. Empty: it has none.
    pub label: String,
    /// Its own number. Empty: its format has none.
    pub uuid: String,
    /// When it was plugged in, as a word that is another one the next time.
    pub since: String,
}

/// The stick that the owner has accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// As in [`Stick`].
    pub serial: String,
    /// As in [`Stick`].
    pub model: String,
}

/// The sticks that are plugged in and have the label.
pub fn plugged_in(files: &Files) -> Vec<Stick> {
    let with_label = |one: &Plugged| [LABEL, FAT_LABEL].contains(&one.label.as_str());
    let found = all(files).into_iter().filter(with_label);
    found.map(|one| one.stick).collect()
}

/// Everything that is plugged in by USB and formatted. What udev knows of a block device is in a file of its number.
pub fn all(files: &Files) -> Vec<Plugged> {
    let found = files.matching("/sys/class/block/sd*");
    found
        .iter()
        .filter_map(|folder| {
            let number = files.read(format!("{folder}/dev")).ok()??;
            let known = files.read(format!("/run/udev/data/b{number}")).ok()??;
            let device = folder.rsplit('/').next()?;
            of_udev(device, &known)
        })
        .collect()
}

fn of_udev(device: &str, known: &str) -> Option<Plugged> {
    let value = |key: &str| {
        let line = known.lines().find_map(|line| {
            line.strip_prefix("E:")?
                .strip_prefix(key)?
                .strip_prefix('=')
        });
        line.map(str::to_owned).filter(|value| !value.is_empty())
    };
    if value("ID_BUS")? != "usb" {
        return None;
    }
    let words = [value("ID_VENDOR"), value("ID_MODEL")];
    let model: Vec<String> = words.into_iter().flatten().collect();
    // Microseconds from the start of the system until udev first saw it.
    let since = known.lines().find_map(|line| line.strip_prefix("I:"));
    Some(Plugged {
        stick: Stick {
            device: device.to_owned(),
            serial: value("ID_SERIAL_SHORT").or_else(|| value("ID_SERIAL"))?,
            model: model.join(" ").replace('_', " "),
            kind: value("ID_FS_TYPE")?,
        },
        label: value("ID_FS_LABEL").unwrap_or_default(),
        uuid: value("ID_FS_UUID").unwrap_or_default(),
        since: since.unwrap_or_default().to_owned(),
    })
}

/// The accepted one. `None`: none was.
///
/// # Errors
/// The file is there but cannot be read.
pub fn accepted(files: &Files) -> Result<Option<Accepted>> {
    let text = files.read(ACCEPTED)?;
    let read = text.map(|text| serde_json::from_str(&text));
    read.transpose()
        .with_context(|| format!("reading {ACCEPTED}"))
}

/// Accepts the one with this serial number, in the place of another. False: no such stick is plugged in.
///
/// # Errors
/// It cannot be kept.
pub fn accept(files: &Files, serial: &str) -> Result<bool> {
    let Some(stick) = plugged_in(files).into_iter().find(|s| s.serial == serial) else {
        return Ok(false);
    };
    let accepted = Accepted {
        serial: stick.serial,
        model: stick.model,
    };
    let text = serde_json::to_vec_pretty(&accepted).context("writing a stick as JSON")?;
    files.replace(ACCEPTED, &text, Access::Everyone)?;
    Ok(true)
}

/// Accepts none any more.
///
/// # Errors
/// It cannot be written down.
pub fn forget(files: &Files) -> Result<()> {
    files.remove(ACCEPTED)
}

/// Why the accepted stick cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Missing {
    /// The owner has accepted none.
    #[error("no stick was accepted")]
    NotAccepted,
    /// It is not plugged in.
    #[error("the accepted stick is not plugged in")]
    NotThere,
    /// There is another one with the label.
    #[error("another stick with the label {LABEL} is plugged in than the accepted one")]
    Another,
    /// It is formatted in a way that the box cannot write.
    #[error(
        "the stick is formatted in a way that the box does not know (it knows FAT32, exFAT and ext4)"
    )]
    Format,
}

/// The accepted stick, if it is plugged in.
///
/// # Errors
/// It cannot be used, or the box's state not be read.
pub fn find(files: &Files) -> Result<Result<Stick, Missing>> {
    let Some(accepted) = accepted(files)? else {
        return Ok(Err(Missing::NotAccepted));
    };
    let all = plugged_in(files);
    let own = all.iter().find(|stick| stick.serial == accepted.serial);
    Ok(match own {
        Some(stick) if KINDS.contains(&stick.kind.as_str()) => Ok(stick.clone()),
        Some(_) => Err(Missing::Format),
        None if all.is_empty() => Err(Missing::NotThere),
        None => Err(Missing::Another),
    })
}

/// A stick in use; dropping it writes everything out and lets it go.
pub struct Mounted<'a> {
    machine: Machine<'a>,
    /// Its folder.
    pub folder: PathBuf,
}

impl<'a> Mounted<'a> {
    /// Takes a stick into use.
    ///
    /// # Errors
    /// It cannot be mounted: damaged, or gone.
    pub fn new(machine: Machine<'a>, stick: &Stick, may_write: bool) -> Result<Self> {
        let folder = machine.files.path(MOUNTED);
        std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        let device = format!("/dev/{}", stick.device);
        machine
            .system
            .mount(&device, &folder, &stick.kind, may_write)
            .with_context(|| format!("mounting the stick {}", stick.model))?;
        Ok(Self { machine, folder })
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.machine.system.unmount(&self.folder) {
            eprintln!("<3>unmounting the stick: {error:#}");
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn plug(root: &std::path::Path, device: &str, number: &str, known: &str) {
        for (path, content) in [
            (format!("sys/class/block/{device}/dev"), number),
            (format!("run/udev/data/b{number}"), known),
        ] {
            let place = root.join(path);
            std::fs::create_dir_all(place.parent().unwrap()).unwrap();
            std::fs::write(place, content).unwrap();
        }
    }

    fn known(serial: &str, label: &str, kind: &str) -> String {
        format!(
            "S:disk/by-label/{label}\nI:12345\nE:ID_BUS=usb\nE:ID_VENDOR=Intenso\nE:ID_MODEL=Rainbow_Line\n\
             E:ID_SERIAL=Intenso_Rainbow_{serial}\nE:ID_SERIAL_SHORT={serial}\nE:ID_FS_LABEL={label}\nE:ID_FS_TYPE={kind}\n"
        )
    }

    #[test]
    fn only_the_accepted_stick_is_used() {
        let root = tempfile::tempdir().unwrap();
        let files = Files::new(root.path());
        assert_eq!(find(&files).unwrap(), Err(Missing::NotAccepted));
        plug(root.path(), "sda1", "8:1", &known("A1", LABEL, "vfat"));
        plug(root.path(), "sdb1", "8:17", &known("B2", "HOLIDAY", "vfat"));
        assert_eq!(find(&files).unwrap(), Err(Missing::NotAccepted));
        assert!(!accept(&files, "B2").unwrap(), "another label");
        assert!(accept(&files, "A1").unwrap());
        let stick = find(&files).unwrap().unwrap();
        assert_eq!(
            (stick.device.as_str(), stick.model.as_str()),
            ("sda1", "Intenso Rainbow Line")
        );
        plug(root.path(), "sda1", "8:1", &known("C3", FAT_LABEL, "vfat"));
        assert_eq!(find(&files).unwrap(), Err(Missing::Another));
        plug(root.path(), "sda1", "8:1", &known("A1", LABEL, "ntfs"));
        assert_eq!(find(&files).unwrap(), Err(Missing::Format));
        std::fs::remove_file(root.path().join("run/udev/data/b8:1")).unwrap();
        assert_eq!(find(&files).unwrap(), Err(Missing::NotThere));
        forget(&files).unwrap();
        assert_eq!(find(&files).unwrap(), Err(Missing::NotAccepted));
    }

    #[test]
    fn the_disk_of_the_box_is_no_stick_whatever_its_label() {
        let inside = known("A1", LABEL, "vfat").replace("ID_BUS=usb", "ID_BUS=ata");
        assert_eq!(of_udev("sda1", &inside), None);
    }
}
