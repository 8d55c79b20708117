//! Backups take minutes: each is made in a process of its own, and what came of it is written down.

use std::fs::File;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::key::{BoxKey, RecoveryKey};
use super::make::{Copy, Made, make};
use super::open::Fault;
use super::outcome::{Outcome, Outcomes};
use super::stick::{self, Mounted};
use super::target::{self, fault, work as offsite};
use super::{FOLDER, UPLOADED, drill, restore, shelf, source};
use crate::files::{Access, Files};
use crate::firstboot::state::BoxState;
use crate::settings::apply::Machine;

/// What the agent has asked for; in memory, as it may have a recovery key in it.
const ASKED: &str = "/run/perch-agent/backup-job.json";
/// Held by whoever works.
const LOCK: &str = "/run/perch-agent/backup.lock";
/// The unit that does what was asked for.
pub const UNIT: &str = "perch-backup@work.service";
/// The unit for what needs the network, which has no other rights.
pub const OFFSITE_UNIT: &str = "perch-offsite@work.service";
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
    /// A backup for downloading, which is then sent to the target.
    MakeAndSend,
    /// The newest backup on the box is sent to the target.
    Send,
    /// The target is looked at.
    Look,
    /// The newest backup here is unpacked and counted, and then the newest one on the target.
    Drill,
    /// A backup is fetched from the target, for that.
    FetchForDrill {
        /// Its name.
        name: String,
    },
    /// What was fetched is unpacked and counted.
    DrillFetched {
        /// Its name.
        name: String,
    },
    /// The backups on a stick are listed, for choosing one.
    LookAtStick,
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
    /// On the target, from where it is fetched first.
    Target {
        /// Its name.
        name: String,
    },
    /// It was fetched from the target.
    Fetched,
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

impl Job {
    /// Its kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Make | Self::MakeAndSend => "make",
            Self::Stick => "stick",
            Self::Send => "target",
            Self::Look => "look",
            Self::Drill => "drill",
            Self::FetchForDrill { .. } | Self::DrillFetched { .. } => "target-drill",
            Self::LookAtStick => "look-at-stick",
            Self::Restore { .. } => "restore",
        }
    }

    /// The unit that does it.
    fn unit(&self) -> &'static str {
        match self {
            Self::Send | Self::Look | Self::FetchForDrill { .. } => OFFSITE_UNIT,
            Self::Restore {
                from: Source::Target { .. },
                ..
            } => OFFSITE_UNIT,
            _ => UNIT,
        }
    }

    /// What another unit does after it; `worked`: whether it did.
    fn next(self, machine: Machine<'_>, worked: bool) -> Option<Self> {
        match self {
            // The one says nothing about the other.
            Self::Drill => {
                let name = offsite::newest_known(machine)?;
                Some(Self::FetchForDrill { name })
            }
            _ if !worked => None,
            Self::MakeAndSend => Some(Self::Send),
            Self::FetchForDrill { name } => Some(Self::DrillFetched { name }),
            Self::Restore {
                from: Source::Target { .. },
                words,
                who,
            } => Some(Self::Restore {
                from: Source::Fetched,
                words,
                who,
            }),
            _ => None,
        }
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

/// Waits until nobody else uses a stick, and keeps the turn until what is returned is dropped. `kind` says for what, in the meantime.
///
/// # Errors
/// It cannot be written down.
pub fn take_turn(files: &Files, kind: &str) -> Result<File> {
    let mut lock = files.lock(LOCK)?;
    std::io::Write::write_all(&mut lock, kind.as_bytes()).context("writing the lock")?;
    Ok(lock)
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
    let started = machine.system.start(job.unit(), &root, &["backup", "work"]);
    if started.is_err() {
        machine.files.remove(ASKED)?;
    }
    started
}

/// Does what was asked for, and has done what comes after that; nothing if nothing was.
///
/// # Errors
/// What came of it cannot be written down.
pub fn work(machine: Machine<'_>) -> Result<bool> {
    let Some(text) = machine.files.read(ASKED)? else {
        return Ok(true);
    };
    let job: Job = serde_json::from_str(&text).context("reading a job")?;
    run_and_go_on(machine, job)
}

/// Does every night's work: a backup on the stick, and one that is sent to the target. The failure of one does not hinder the other.
///
/// # Errors
/// What came of it cannot be written down.
pub fn night(machine: Machine<'_>) -> Result<bool> {
    let on_stick = run(machine, &Job::Stick)?;
    if target::configured(machine).is_none() || BoxKey::load(machine.files)?.is_none() {
        return Ok(on_stick);
    }
    Ok(run_and_go_on(machine, Job::MakeAndSend)? && on_stick)
}

/// Does a job, and starts what another unit does after it; returns whether the job worked.
///
/// # Errors
/// What came of it cannot be written down, or the other unit not be started.
pub fn run_and_go_on(machine: Machine<'_>, job: Job) -> Result<bool> {
    let worked = run(machine, &job)?;
    if let Some(next) = job.next(machine, worked) {
        start(machine, &next)?;
    }
    Ok(worked)
}

/// Does a job and writes down what came of it; returns whether it worked.
///
/// # Errors
/// What came of it cannot be written down.
pub fn run(machine: Machine<'_>, job: &Job) -> Result<bool> {
    let files = machine.files;
    let _turn = take_turn(files, job.kind())?;
    files.remove(ASKED)?;
    let done = match job {
        Job::Make | Job::MakeAndSend => on_the_box(machine).map(|made| Some(of_made(made))),
        Job::Send => offsite::send(machine),
        Job::Look => offsite::look(machine),
        Job::Stick => on_the_stick(machine).map(|made| made.map(of_made)),
        Job::Drill => drill::lying(machine),
        Job::FetchForDrill { name } => offsite::fetch(machine, name).map(|()| None),
        Job::DrillFetched { name } => drill::fetched(machine, name),
        Job::LookAtStick => source::look(machine).map(|()| None),
        Job::Restore {
            from: Source::Target { name },
            ..
        } => offsite::fetch(machine, name).map(|()| None),
        Job::Restore { from, words, who } => restore_from(machine, from, words, who).map(Some),
    };
    let outcome = match done {
        Ok(None) => return Ok(true),
        Ok(Some(outcome)) => outcome,
        Err(error) => Outcome {
            error: Some(format!("{error:#}")),
            fault: error.downcast_ref::<Fault>().map(Fault::kind),
            target: error.downcast_ref::<fault::Fault>().map(|fault| fault.kind),
            ..Outcome::default()
        },
    };
    let worked = outcome.error.is_none();
    if let Some(error) = &outcome.error {
        eprintln!("<3>{}: {error}", job.kind());
    }
    let at = machine.system.now().unix_timestamp();
    let outcome = Outcome { at, ..outcome };
    if !worked && *job == Job::MakeAndSend {
        // Nothing was sent either.
        Outcomes::note(files, Job::Send.kind(), outcome.clone())?;
    }
    Outcomes::note(files, job.kind(), outcome)?;
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

fn restore_from(machine: Machine<'_>, from: &Source, words: &str, who: &str) -> Result<Outcome> {
    let files = machine.files;
    let key = RecoveryKey::of_words(words)?;
    let identity = BoxKey::of(&key, 0)?.identity()?;
    let found = source::find(machine, from)?;
    let prepared = restore::prepare(machine, &found.place, &identity, who);
    match from {
        Source::Uploaded => files.remove(UPLOADED)?,
        Source::Fetched => offsite::forget(files)?,
        _ => {}
    }
    let ready = prepared?;
    Ok(Outcome {
        counts: Some(ready.counts),
        name: ready.manifest.domain,
        ..Outcome::default()
    })
}
