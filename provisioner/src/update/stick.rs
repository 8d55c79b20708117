//! Bundles on USB sticks, for the page: which sticks are plugged in, what a unit of its own found on each when it looked, and how it is
//! asked to look. A stick is read and never written; the disk that the box runs from is none.

use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::slots;
use crate::backup::job as backups;
use crate::backup::stick::{self, KINDS, Mounted, Plugged};
use crate::files::{Access, Files};
use crate::model::bundle::{BundleName, StickId};
use crate::settings::apply::Machine;

/// What was found; in memory, as the sticks may be gone at the next start.
const SEEN: &str = "/run/perch-agent/update-sticks.json";
/// Which sticks are to be looked at, and since when.
const ASKED: &str = "/run/perch-agent/update-sticks-asked.json";
/// The unit that looks.
const UNIT: &str = "perch-update-stick@look.service";
/// A stick that was not looked at within so many seconds never will be.
const PATIENCE: i64 = 60;
/// Longer lists help nobody, and each bundle's signature is read.
const MOST: usize = 12;

/// A bundle in a stick's top folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bundle {
    /// Its file.
    pub name: BundleName,
    /// Its length.
    pub bytes: u64,
    /// Its version, if its publisher is ours. Absent: RAUC refuses it.
    pub version: Option<String>,
    /// Why.
    pub refusal: Option<String>,
}

/// What is known of a stick's files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Look {
    /// Nobody has looked.
    Waiting,
    /// Somebody is looking.
    Looking,
    /// A backup is under way, whose stick it may be.
    Busy,
    /// Nobody has looked although it was asked for.
    Unanswered,
    /// It is formatted in a way that the box does not know.
    Format,
    /// It cannot be read.
    Fault(String),
    /// The bundles on it, by name, the last first.
    Found(Vec<Bundle>),
}

/// A stick as the page shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StickView {
    /// Which.
    pub id: StickId,
    /// Its maker and kind. May be empty.
    pub model: String,
    /// Its label. May be empty.
    pub label: String,
    /// Its serial number.
    pub serial: String,
    /// How large it is. Absent: not known.
    pub bytes: Option<u64>,
    /// What is on it.
    pub look: Look,
}

/// One stick, plugged in once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Visit {
    id: StickId,
    since: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Asked {
    visits: Vec<Visit>,
    at: i64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Seen {
    visit: Visit,
    look: Look,
}

/// The sticks that are plugged in, each with what is known of its files.
#[must_use]
pub fn views(files: &Files, now: i64) -> Vec<StickView> {
    let seen: Vec<Seen> = read(files, SEEN).unwrap_or_default();
    let asked: Option<Asked> = read(files, ASKED);
    let is_busy = backups::under_way(files).is_some();
    let look = |visit: &Visit, kind: &str| {
        if !KINDS.contains(&kind) {
            return Look::Format;
        }
        if let Some(seen) = seen.iter().find(|seen| seen.visit == *visit) {
            return seen.look.clone();
        }
        match &asked {
            Some(asked) if asked.visits.contains(visit) => {
                if (0..PATIENCE).contains(&(now - asked.at)) {
                    Look::Looking
                } else {
                    Look::Unanswered
                }
            }
            _ if is_busy => Look::Busy,
            _ => Look::Waiting,
        }
    };
    let found = plugged(files).into_iter();
    found
        .map(|(id, one)| {
            let visit = visit(&id, &one);
            StickView {
                look: look(&visit, &one.stick.kind),
                bytes: size(files, &one.stick.device),
                id,
                model: one.stick.model,
                label: one.label,
                serial: one.stick.serial,
            }
        })
        .collect()
}

fn read<T: serde::de::DeserializeOwned>(files: &Files, path: &str) -> Option<T> {
    serde_json::from_str(&files.read(path).ok()??).ok()
}

fn size(files: &Files, device: &str) -> Option<u64> {
    let blocks = files
        .read(format!("/sys/class/block/{device}/size"))
        .ok()??;
    // Blocks of 512 bytes, whatever the stick's own are.
    blocks.parse::<u64>().ok()?.checked_mul(512)
}

/// Everything plugged in that could have bundles.
fn plugged(files: &Files) -> Vec<(StickId, Plugged)> {
    let mounts = files
        .read("/proc/self/mounts")
        .ok()
        .flatten()
        .unwrap_or_default();
    let own: Vec<&str> = mounts
        .lines()
        .filter_map(|line| line.split(' ').next()?.strip_prefix("/dev/"))
        .map(disk_of)
        .collect();
    let found = stick::all(files).into_iter();
    found
        .filter(|one| !own.contains(&disk_of(&one.stick.device)))
        .filter_map(|one| {
            let id = format!("{}/{}", one.stick.serial, one.uuid);
            Some((StickId::new(&id).ok()?, one))
        })
        .collect()
}

/// `sda` for `sda1`.
fn disk_of(device: &str) -> &str {
    device.trim_end_matches(|c: char| c.is_ascii_digit())
}

fn visit(id: &StickId, one: &Plugged) -> Visit {
    Visit {
        id: id.clone(),
        since: one.since.clone(),
    }
}

/// The stick with this identity. `None`: it is not plugged in, or formatted in a way that the box does not know.
#[must_use]
pub fn find(files: &Files, id: &StickId) -> Option<Plugged> {
    let mut all = plugged(files).into_iter();
    let (_, found) = all.find(|(other, _)| other == id)?;
    KINDS.contains(&found.stick.kind.as_str()).then_some(found)
}

/// Lets a unit look at the sticks that nobody has looked at since they were plugged in.
///
/// # Errors
/// It cannot be started.
pub fn ask(machine: Machine<'_>) -> Result<()> {
    let Machine { files, system } = machine;
    let at = system.now().unix_timestamp();
    let is_waiting = |view: &StickView| view.look == Look::Waiting;
    if !views(files, at).iter().any(is_waiting) {
        return Ok(());
    }
    let visits = plugged(files)
        .iter()
        .map(|(id, one)| visit(id, one))
        .collect();
    let text = serde_json::to_vec(&Asked { visits, at }).context("writing a list as JSON")?;
    files.replace(ASKED, &text, Access::Root)?;
    system.start(UNIT, &files.path("/"), &["update", "stick", "look"])
}

/// Looks at every stick, for [`views`]. One that cannot be read does not hinder the others.
///
/// # Errors
/// What was found cannot be written down.
pub fn look(machine: Machine<'_>) -> Result<()> {
    let files = machine.files;
    let _turn = backups::take_turn(files, "look-at-stick")?;
    let mut seen = Vec::new();
    for (id, one) in plugged(files) {
        if !KINDS.contains(&one.stick.kind.as_str()) {
            continue;
        }
        let look = match look_at(machine, &one) {
            Ok(found) => Look::Found(found),
            Err(error) => Look::Fault(format!("{error:#}")),
        };
        seen.push(Seen {
            visit: visit(&id, &one),
            look,
        });
    }
    let text = serde_json::to_vec(&seen).context("writing a list as JSON")?;
    files.replace(SEEN, &text, Access::Root).map(drop)
}

fn look_at(machine: Machine<'_>, one: &Plugged) -> Result<Vec<Bundle>> {
    let mounted = Mounted::new(machine, &one.stick, false)?;
    let found = list(&mounted.folder)?.into_iter();
    let read = |(name, bytes): (BundleName, u64)| {
        let place = mounted.folder.join(name.as_str()).display().to_string();
        let (version, refusal) = match slots::version_of(machine.system, &place, None) {
            Ok(version) => (Some(version), None),
            Err(error) => (None, Some(format!("{error:#}"))),
        };
        Bundle {
            name,
            bytes,
            version,
            refusal,
        }
    };
    Ok(found.map(read).collect())
}

/// The bundles in a folder, by name, the last first: a later version mostly has the later name. What only points at a file is none: it
/// could point out of the stick.
fn list(folder: &Path) -> Result<Vec<(BundleName, u64)>> {
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    let bundle = |entry: std::fs::DirEntry| {
        let name = BundleName::new(entry.file_name().to_str()?).ok()?;
        // Not of what a link points at.
        let about = entry.metadata().ok().filter(std::fs::Metadata::is_file)?;
        Some((name, about.len()))
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("reading {}", folder.display()))?;
        found.extend(bundle(entry));
    }
    found.sort_by(|one, other| other.cmp(one));
    found.truncate(MOST);
    Ok(found)
}

#[cfg(test)]
#[path = "stick_tests.rs"]
mod tests;
