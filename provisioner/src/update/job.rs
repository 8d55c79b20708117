//! What the page asks for takes minutes: a unit of its own does it, and what comes of it is kept (`kept`).

use std::cell::Cell;
use std::fs::{File, TryLockError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::kept::LOCK;
use super::machine::{Release, State};
use super::run::Updater;
use super::slots;
use super::stick_copy::{self, Chosen};
use crate::files::{Access, Files};
use crate::settings::apply::Machine;

/// Where the pages put a bundle that somebody sends.
pub const UPLOADED: &str = "/var/lib/perch-backup/in/uploaded.raucb";

/// What the agent has asked for, until somebody takes it up.
const ASKED: &str = "/run/perch-agent/update-asked.json";
/// Whatever was not taken up within so many seconds never will be: the unit could not be started.
const TAKEN_UP: i64 = 120;
/// What takes long to take up says after so many seconds that it goes on.
const GOES_ON: u64 = 30;
/// The page looks every four seconds, and is to say that the box restarts before it does.
const SEEN: Duration = Duration::from_secs(9);

/// Something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Job {
    /// Ask the channel for a newer version.
    Check,
    /// Install the version that is known to be available.
    Install,
    /// Install the bundle that somebody has sent to the pages.
    Upload,
    /// Install a bundle that is on a USB stick: it is copied to where one that is sent to the pages is, and then installed as that.
    Stick,
    /// Restart into what the other slot has.
    Rollback,
}

/// Something to do, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// What.
    pub job: Job,
    /// Who wants it although the newest backup is too old.
    pub without_backup: Option<String>,
    /// The bundle on a stick. Absent: it is not about one.
    #[serde(default)]
    pub chosen: Option<Chosen>,
}

impl Order {
    /// Without a stick.
    #[must_use]
    pub fn new(job: Job, without_backup: Option<String>) -> Self {
        Self {
            job,
            without_backup,
            chosen: None,
        }
    }
}

/// What was asked for, and when.
#[derive(Debug, Serialize, Deserialize)]
struct Asked {
    #[serde(flatten)]
    order: Order,
    at: i64,
}

impl Job {
    /// Its name on the command line, and of the unit's instance.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Install => "install",
            Self::Upload => "upload",
            Self::Stick => "stick",
            Self::Rollback => "rollback",
        }
    }

    /// The unit that does it. What mounts a stick has a unit of its own, which may do that and not much else.
    #[must_use]
    pub fn unit(self) -> String {
        match self {
            Self::Stick => "perch-update-stick@take.service".to_owned(),
            _ => format!("perch-update@{}.service", self.name()),
        }
    }
}

/// What was asked for and is not taken up yet.
#[must_use]
pub fn asked(files: &Files, now: i64) -> Option<Job> {
    read(files, now).map(|order| order.job)
}

fn read(files: &Files, now: i64) -> Option<Order> {
    let text = files.read(ASKED).ok().flatten()?;
    let Asked { order, at } = serde_json::from_str(&text).ok()?;
    (0..TAKEN_UP).contains(&(now - at)).then_some(order)
}

fn write(machine: Machine<'_>, order: Order) -> Result<()> {
    let at = machine.system.now().unix_timestamp();
    let text = serde_json::to_vec(&Asked { order, at }).context("writing a job as JSON")?;
    machine.files.replace(ASKED, &text, Access::Root).map(drop)
}

/// Whether somebody is at work on the update, or will be at once.
#[must_use]
pub fn is_at_work(files: &Files, now: i64) -> bool {
    asked(files, now).is_some() || is_locked(files)
}

/// Shared, so that two who look do not take each other for somebody at work.
fn is_locked(files: &Files) -> bool {
    let file = File::open(files.path(LOCK));
    file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// Lets a unit do it.
///
/// # Errors
/// It cannot be started.
pub fn start(machine: Machine<'_>, order: Order) -> Result<()> {
    let job = order.job;
    write(machine, order)?;
    let root = machine.files.path("/");
    let arguments = ["update", "work", job.name()];
    let started = machine.system.start(&job.unit(), &root, &arguments);
    if started.is_err() {
        machine.files.remove(ASKED)?;
    }
    started
}

/// Does it. What comes of it, good or bad, is kept.
///
/// # Errors
/// That cannot be written.
pub fn work(machine: Machine<'_>, job: Job) -> Result<()> {
    match job {
        Job::Check => carry_out(machine, job, |updater| updater.check().map(drop)),
        Job::Install => carry_out(machine, job, |updater| updater.install_available()),
        Job::Upload => carry_out(machine, job, |updater| install_upload(machine, updater)),
        Job::Stick => take_from_stick(machine),
        Job::Rollback => carry_out(machine, job, |updater| updater.go_back()),
    }
}

fn carry_out(
    machine: Machine<'_>,
    job: Job,
    act: impl FnOnce(&mut Updater<'_>) -> Result<()>,
) -> Result<()> {
    let Machine { files, system } = machine;
    let mut updater = Updater::new(files, system)?;
    let now = system.now().unix_timestamp();
    let asked = read(files, now).filter(|asked| asked.job == job);
    files.remove(ASKED)?;
    if let Some(who) = asked.and_then(|asked| asked.without_backup) {
        updater.without_backup(&who);
    }
    if files.is_running_system() {
        updater.wait_before_leaving(SEEN);
    }
    let done = act(&mut updater);
    if let Err(error) = &done {
        eprintln!("<4>{}: {error:#}", job.name());
    }
    updater.note(job, &done)?;
    // It is as large as a system; after a power cut it may still be wanted.
    let place = upload(files);
    let is_wanted = |release: &Release| {
        release
            .source
            .as_deref()
            .is_some_and(|source| source == place)
    };
    match updater.state() {
        State::Available { release } if is_wanted(release) => Ok(()),
        _ => files.remove(UPLOADED),
    }
}

fn upload(files: &Files) -> String {
    files.path(UPLOADED).display().to_string()
}

fn install_upload(machine: Machine<'_>, updater: &mut Updater<'_>) -> Result<()> {
    let place = upload(machine.files);
    let version = slots::version_of(machine.system, &place, None);
    let version = version.context("the file is refused")?;
    let about = std::fs::metadata(&place).with_context(|| format!("looking at {place}"))?;
    updater.install(Release {
        version,
        source: Some(place),
        bytes: Some(about.len()),
        downgrade: false,
    })
}

/// Copies the chosen bundle from its stick, and lets the unit that installs what was sent go on. Until then, and so for whoever looks, the
/// stick is what was asked for last.
fn take_from_stick(machine: Machine<'_>) -> Result<()> {
    let Machine { files, system } = machine;
    let mut updater = Updater::new(files, system)?;
    let order = read(files, system.now().unix_timestamp()).filter(|order| order.job == Job::Stick);
    let Some((chosen, order)) = order.and_then(|order| Some((order.chosen.clone()?, order))) else {
        bail!("no bundle on a stick was asked for");
    };
    let said = Cell::new(system.elapsed());
    let goes_on = || {
        let now = system.elapsed();
        if now.saturating_sub(said.get()).as_secs() < GOES_ON {
            return Ok(());
        }
        said.set(now);
        write(machine, order.clone())
    };
    write(machine, order.clone())?;
    let copied = stick_copy::copy(machine, &chosen, &files.path(UPLOADED), &goes_on);
    let without_backup = order.without_backup.clone();
    let done = copied.and_then(|()| start(machine, Order::new(Job::Upload, without_backup)));
    if let Err(error) = &done {
        eprintln!("<4>{}: {error:#}", Job::Stick.name());
        files.remove(ASKED)?;
        files.remove(UPLOADED)?;
        updater.note(Job::Stick, &done)?;
    }
    Ok(())
}
