//! Finds a backup that somebody wants to restore.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::job::Source;
use super::outcome::Outcomes;
use super::shelf::{self, Lying};
use super::stick::{self, KINDS, LABEL, Mounted};
use super::target::work as offsite;
use super::{FOLDER, UPLOADED};
use crate::files::{Access, Files};
use crate::firstboot::card;
use crate::settings::apply::Machine;

/// What was on a stick when somebody looked; in memory.
const SEEN: &str = "/run/perch-agent/stick-backups.json";

/// A backup that was found. Dropping it lets its stick go.
pub struct Found<'a> {
    /// Its file.
    pub place: PathBuf,
    _stick: Option<Mounted<'a>>,
}

/// Why there is no such backup.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotThere {
    /// No stick has the label.
    #[error("no stick with the label {LABEL} is plugged in")]
    NoStick,
    /// It is formatted in another way than the box knows.
    #[error("the stick is formatted as {0}, and the box knows FAT32, exFAT and ext4")]
    Format(String),
    /// The stick has none.
    #[error("there is no backup on the stick")]
    Empty,
    /// No file has the name.
    #[error("there is no backup named {0}")]
    NoFile(String),
}

/// Finds a backup. That of a stick can be read until what is returned is dropped.
///
/// # Errors
/// [`NotThere`], or the stick cannot be mounted.
pub fn find<'a>(machine: Machine<'a>, from: &Source) -> Result<Found<'a>> {
    let files = machine.files;
    let name = match from {
        Source::Uploaded => return lying(files.path(UPLOADED), "uploaded.age"),
        Source::Fetched => return lying(files.path(offsite::FETCHED), "fetched.age"),
        Source::Target { name } => bail!("{name} was not fetched"),
        Source::Stick => None,
        Source::Box { name } | Source::OnStick { name } | Source::Card { name } => Some(name),
    };
    match (from, name) {
        (_, Some(name)) if !shelf::is_name(name) => bail!("{name} is no backup's name"),
        (Source::Box { name }, _) => lying(files.path(FOLDER).join(name), name),
        (Source::Card { name }, _) => lying(files.path(card::FOLDER).join(name), name),
        (_, name) => on_stick(machine, name.map(String::as_str)),
    }
}

fn lying<'a>(place: PathBuf, name: &str) -> Result<Found<'a>> {
    if !place.is_file() {
        bail!(NotThere::NoFile(name.to_owned()));
    }
    Ok(Found {
        place,
        _stick: None,
    })
}

/// What was on a stick when somebody looked.
#[derive(Debug, Serialize, Deserialize)]
struct Seen {
    serial: String,
    backups: Vec<Lying>,
}

/// Lists the backups on the first stick with the label, for [`seen`].
///
/// # Errors
/// [`NotThere`], or the stick cannot be mounted.
pub fn look(machine: Machine<'_>) -> Result<()> {
    let (serial, mounted) = mount(machine)?;
    let backups = shelf::list(&mounted.folder);
    let seen = serde_json::to_vec(&Seen { serial, backups }).context("writing a list as JSON")?;
    machine.files.replace(SEEN, &seen, Access::Root)?;
    Outcomes::forget(machine.files, "look-at-stick")
}

/// The backups on a stick, newest first, as they were when somebody looked. `None`: nobody has.
#[must_use]
pub fn seen(files: &Files, serial: &str) -> Option<Vec<Lying>> {
    let text = files.read(SEEN).ok().flatten()?;
    let seen: Seen = serde_json::from_str(&text).ok()?;
    (seen.serial == serial).then_some(seen.backups)
}

/// The first stick with the label, with its serial number.
fn mount<'a>(machine: Machine<'a>) -> Result<(String, Mounted<'a>)> {
    let sticks = stick::plugged_in(machine.files);
    let Some(stick) = sticks.into_iter().next() else {
        bail!(NotThere::NoStick);
    };
    if !KINDS.contains(&stick.kind.as_str()) {
        bail!(NotThere::Format(stick.kind));
    }
    let mounted = Mounted::new(machine, &stick, false)?;
    Ok((stick.serial, mounted))
}

/// The one of this name on the first stick with the label, or else the newest there.
fn on_stick<'a>(machine: Machine<'a>, name: Option<&str>) -> Result<Found<'a>> {
    let (_, mounted) = mount(machine)?;
    let all = shelf::list(&mounted.folder);
    let wanted = match name {
        Some(name) if !all.iter().any(|lying| lying.name == name) => {
            bail!(NotThere::NoFile(name.to_owned()))
        }
        Some(name) => name,
        None => match all.first() {
            Some(newest) => newest.name.as_str(),
            None => bail!(NotThere::Empty),
        },
    };
    Ok(Found {
        place: mounted.folder.join(wanted),
        _stick: Some(mounted),
    })
}
