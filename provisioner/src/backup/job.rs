//! Backups take minutes: each is made in a process of its own, and what came of it is written down.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::check::Counts;
use super::key::{BoxKey, RecoveryKey};
use super::make::{Copy, Made, make};
use super::open::{Fault, FaultKind};
use super::stick::{self, Mounted};
use super::{FOLDER, STATE, UPLOADED, restore, shelf, source};
use crate::files::{Access, Files};
use crate::firstboot::state::BoxState;
use crate::settings::apply::Machine;

/// What the agent has asked for; in memory, as it may have a recovery key in it.
const ASKED: &str = "/run/perch-agent/backup-job.json";
/// Held by whoever works.
const LOCK: &str = "/run/perch-agent/backup.lock";
/// The unit that does what was asked for.
pub const UNIT: &str = "perch-backup@work.service";
/// The page looks every four seconds, and is to say that the box restarts before it does.
const SEEN: std::time::Duration = std::time::Duration::from_secs(9);
/// A backup is a little longer than what is in it.
const OVERHEAD: u64 = 4 << 20;

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Job {
    /// A backup for downloading.
    Make,
    /// A backup on the accepted stick.
    Stick,
    /// A backup is unpacked and counted.
    Drill,
    /// The backups on a stick are listed, for choosing one.
    Look,
    /// The box becomes what a backup says.
    Restore {
        /// Where the backup is.
        from: Source,
        /// The recovery key.
        words: String,
        /// Who wants it.
        who: String,
    },
}

/// Where a backup is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// Somebody has sent it to the pages.
    Uploaded,
    /// In the box's own folder.
    Box {
        /// Its name.
        name: String,
    },
    /// The newest on a stick with the label; the recovery key says whether it is the owner's.
    Stick,
    /// Another one there.
    OnStick {
        /// Its name.
        name: String,
    },
    /// A file on the card's FAT partition.
    Card {
        /// Its name.
        name: String,
    },
}

/// What came of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Outcome {
    /// When it ended, in seconds since 1970.
    pub at: i64,
    /// When one of its kind last worked, in seconds since 1970. Absent: see [`Outcome::last_good`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worked: Option<i64>,
    /// The backup.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// What was counted in it.
    pub counts: Option<Counts>,
    /// Why it did not work. Absent: it did.
    pub error: Option<String>,
    /// The same for programs, where a backup cannot be used.
    pub fault: Option<FaultKind>,
}

/// What is known of the last jobs of each kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Outcomes(pub BTreeMap<String, Outcome>);

impl Job {
    /// Its kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Make => "make",
            Self::Stick => "stick",
            Self::Drill => "drill",
            Self::Look => "look",
            Self::Restore { .. } => "restore",
        }
    }
}

impl Outcome {
    /// When one of its kind last worked, in seconds since 1970. `None`: never, as far as is known.
    #[must_use]
    pub fn last_good(&self) -> Option<i64> {
        let now = self.error.is_none().then_some(self.at);
        now.or(self.worked)
    }
}

impl Outcomes {
    /// Reads them; none if there are none yet, or if they cannot be read.
    pub fn load(files: &Files) -> Self {
        let text = files.read(format!("{STATE}/outcomes.json"));
        let text = text.ok().flatten();
        text.and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default()
    }

    /// When a backup was last made, wherever it lies, in seconds since 1970. `None`: never, as far as is known.
    #[must_use]
    pub fn newest_backup(&self) -> Option<i64> {
        let made = ["make", "stick", "folder"].map(|kind| self.0.get(kind)?.last_good());
        made.into_iter().flatten().max()
    }

    /// Forgets what came of a kind.
    ///
    /// # Errors
    /// That cannot be written.
    pub fn forget(files: &Files, kind: &str) -> Result<()> {
        let mut all = Self::load(files);
        let is_there = all.0.remove(kind).is_some();
        if is_there { all.save(files) } else { Ok(()) }
    }

    /// Writes one down. When its kind worked before is kept where it did not now.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn note(files: &Files, kind: &str, outcome: Outcome) -> Result<()> {
        let mut all = Self::load(files);
        let worked = all.0.get(kind).and_then(Outcome::last_good);
        let worked = worked.filter(|_| outcome.error.is_some());
        all.0.insert(kind.to_owned(), Outcome { worked, ..outcome });
        all.save(files)
    }

    fn save(&self, files: &Files) -> Result<()> {
        let text = serde_json::to_vec_pretty(self).context("writing outcomes as JSON")?;
        let place = format!("{STATE}/outcomes.json");
        files.replace(place, &text, Access::Everyone).map(drop)
    }
}

/// The kind of the job that is under way. `None`: none is.
pub fn under_way(files: &Files) -> Option<String> {
    if let Ok(Some(text)) = files.read(ASKED) {
        let asked = serde_json::from_str::<Job>(&text);
        return Some(asked.map_or("make", |job| job.kind()).to_owned());
    }
    let file = File::open(files.path(LOCK)).ok()?;
    match file.try_lock() {
        Err(std::fs::TryLockError::WouldBlock) => {
            let kind = files.read(LOCK).ok().flatten();
            Some(kind.unwrap_or_default())
        }
        _ => None,
    }
}

/// Lets a process of its own do it.
///
/// # Errors
/// One is under way, or it cannot be started.
pub fn start(machine: Machine<'_>, job: &Job) -> Result<()> {
    if let Some(kind) = under_way(machine.files) {
        bail!("something else is under way: {kind}");
    }
    let text = serde_json::to_vec(job).context("writing a job as JSON")?;
    machine.files.replace(ASKED, &text, Access::Root)?;
    let root = machine.files.path("/");
    let started = machine.system.start(UNIT, &root, &["backup", "work"]);
    if started.is_err() {
        machine.files.remove(ASKED)?;
    }
    started
}

/// Does what was asked for; nothing if nothing was.
///
/// # Errors
/// What came of it cannot be written down.
pub fn work(machine: Machine<'_>) -> Result<bool> {
    let Some(text) = machine.files.read(ASKED)? else {
        return Ok(true);
    };
    let job: Job = serde_json::from_str(&text).context("reading a job")?;
    run(machine, &job)
}

/// Does a job and writes down what came of it; returns whether it worked.
///
/// # Errors
/// What came of it cannot be written down.
pub fn run(machine: Machine<'_>, job: &Job) -> Result<bool> {
    let files = machine.files;
    let mut lock = files.lock(LOCK)?;
    std::io::Write::write_all(&mut lock, job.kind().as_bytes()).context("writing the lock")?;
    files.remove(ASKED)?;
    let done = match job {
        Job::Make => on_the_box(machine).map(|made| Some(of_made(made))),
        Job::Stick => on_the_stick(machine).map(|made| made.map(of_made)),
        Job::Drill => drill(machine),
        Job::Look => source::look(machine).map(|()| None),
        Job::Restore { from, words, who } => restore_from(machine, from, words, who).map(Some),
    };
    let outcome = match done {
        Ok(None) => return Ok(true),
        Ok(Some(outcome)) => outcome,
        Err(error) => Outcome {
            error: Some(format!("{error:#}")),
            fault: error.downcast_ref::<Fault>().map(Fault::kind),
            ..Outcome::default()
        },
    };
    let worked = outcome.error.is_none();
    if let Some(error) = &outcome.error {
        eprintln!("<3>{}: {error}", job.kind());
    }
    let at = machine.system.now().unix_timestamp();
    Outcomes::note(files, job.kind(), Outcome { at, ..outcome })?;
    if worked && matches!(job, Job::Restore { .. }) {
        if files.is_running_system() {
            std::thread::sleep(SEEN);
        }
        machine.system.restart()?;
    }
    Ok(worked)
}

fn of_made(made: Made) -> Outcome {
    Outcome {
        name: made.name,
        bytes: made.bytes,
        ..Outcome::default()
    }
}

/// The box keeps one backup for downloading: it takes room from the chat. The one before goes when the new one is there, or
/// when there is no room for both.
fn on_the_box(machine: Machine<'_>) -> Result<Made> {
    let files = machine.files;
    let folder = files.path(FOLDER);
    std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let before = shelf::list(&folder);
    let forget = |new: &str| {
        let names = before.iter().map(|lying| &lying.name);
        // Two of one second have one name.
        names
            .filter(|name| *name != new)
            .try_for_each(|name| files.remove(format!("{FOLDER}/{name}")))
    };
    shelf::tidy(files, &folder, BoxState::load(files)?.host_name())?;
    let copy = Copy::take(files)?;
    let needed = copy.bytes() + OVERHEAD;
    let has_room = shelf::free(&folder)? >= needed;
    if !has_room {
        forget("")?;
    }
    shelf::make_room(files, &folder, "", needed)?;
    let made = make(machine, &copy, &folder)?;
    if has_room {
        forget(&made.name)?;
    }
    hand_to_pages(files, &folder.join(&made.name))?;
    Ok(made)
}

fn hand_to_pages(files: &Files, place: &std::path::Path) -> Result<()> {
    if !files.is_running_system() {
        return Ok(());
    }
    let group = nix::unistd::Group::from_name("perch-web").context("looking up a group")?;
    let gid = group.map(|group| group.gid.as_raw());
    std::os::unix::fs::chown(place, None, gid)
        .with_context(|| format!("handing {} on", place.display()))
}

/// `None`: no stick was accepted, or there is no key yet.
fn on_the_stick(machine: Machine<'_>) -> Result<Option<Made>> {
    let files = machine.files;
    if BoxKey::load(files)?.is_none() {
        return Ok(None);
    }
    let stick = match stick::find(files)? {
        Ok(stick) => stick,
        Err(stick::Missing::NotAccepted) => return Ok(None),
        Err(missing) => return Err(missing.into()),
    };
    let state = BoxState::load(files)?;
    let mounted = Mounted::new(machine, &stick, true)?;
    shelf::tidy(files, &mounted.folder, state.host_name())?;
    let copy = Copy::take(files)?;
    let needed = copy.bytes() + OVERHEAD;
    shelf::make_room(files, &mounted.folder, state.host_name(), needed)?;
    let made = make(machine, &copy, &mounted.folder)?;
    shelf::tidy(files, &mounted.folder, state.host_name())?;
    Ok(Some(made))
}

/// `None`: there is nothing to try. The newest backup on the stick, or else the one on the box.
fn drill(machine: Machine<'_>) -> Result<Option<Outcome>> {
    let files = machine.files;
    let Some(key) = BoxKey::load(files)? else {
        return Ok(None);
    };
    let mounted = match stick::find(files)? {
        Ok(stick) => Some(Mounted::new(machine, &stick, false)?),
        Err(_) => None,
    };
    let folders = mounted.iter().map(|mounted| mounted.folder.clone());
    let folders: Vec<PathBuf> = folders.chain([files.path(FOLDER)]).collect();
    let newest = folders.iter().find_map(|folder| {
        let lying = shelf::list(folder).into_iter().next()?;
        Some((folder.join(&lying.name), lying))
    });
    let Some((place, lying)) = newest else {
        return Ok(None);
    };
    let (_, counts) = restore::try_out(files, &place, &key.identity()?, "drill")?;
    restore::forget(files, "drill")?;
    Ok(Some(Outcome {
        name: lying.name,
        bytes: lying.bytes,
        counts: Some(counts),
        ..Outcome::default()
    }))
}

fn restore_from(machine: Machine<'_>, from: &Source, words: &str, who: &str) -> Result<Outcome> {
    let files = machine.files;
    let key = RecoveryKey::of_words(words)?;
    let identity = BoxKey::of(&key, 0)?.identity()?;
    let found = source::find(machine, from)?;
    let prepared = restore::prepare(machine, &found.place, &identity, who);
    if *from == Source::Uploaded {
        files.remove(UPLOADED)?;
    }
    let ready = prepared?;
    Ok(Outcome {
        counts: Some(ready.counts),
        name: ready.manifest.domain,
        ..Outcome::default()
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_failure_does_not_hide_when_a_backup_was_last_made() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::new(folder.path());
        let outcome = |at, error: Option<&str>| Outcome {
            at,
            error: error.map(str::to_owned),
            ..Outcome::default()
        };
        for (at, error, newest) in [
            (1, Some("no stick"), None),
            (2, None, Some(2)),
            (3, Some("no stick"), Some(2)),
            (4, Some("no stick"), Some(2)),
            (5, None, Some(5)),
        ] {
            Outcomes::note(&files, "stick", outcome(at, error)).unwrap();
            assert_eq!(Outcomes::load(&files).newest_backup(), newest, "{at}");
        }
    }
}
