//! Keeps the machine's state, which is on disk before its first effect; `effects` carries these out.

use std::fs::File;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::channel::{self, Source};
use super::job::Job;
use super::kept::{Kept, LOCK, Trouble};
use super::machine::{Effect, Event, Release, State, step};
use super::{FOLDER, database, health, slots};
use crate::files::Files;
use crate::system::System;

/// Exists while the running slot is on trial.
pub const ON_TRIAL: &str = "/run/perch/update-trial";

/// The box, the only one at work on its update.
pub struct Updater<'a> {
    pub(super) files: &'a Files,
    pub(super) system: &'a dyn System,
    pub(super) kept: Kept,
    /// How long to wait before the server is stopped for the restart.
    pub(super) wait: Option<Duration>,
    /// Who wants it although the newest backup is too old.
    pub(super) without_backup: Option<String>,
    _lock: File,
}

impl<'a> Updater<'a> {
    /// Waits until nobody else is at work on the update.
    ///
    /// # Errors
    /// The folder cannot be written, or the state is not understood.
    pub fn new(files: &'a Files, system: &'a dyn System) -> Result<Self> {
        std::fs::create_dir_all(files.path(FOLDER)).with_context(|| format!("making {FOLDER}"))?;
        let lock = files.lock(LOCK)?;
        Ok(Self {
            files,
            system,
            kept: Kept::load(files)?,
            wait: None,
            without_backup: None,
            _lock: lock,
        })
    }

    /// Where the update is.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.kept.update
    }

    /// Waits before the server is stopped for the restart, so that who looks at the page sees what comes.
    pub fn wait_before_leaving(&mut self, time: Duration) {
        self.wait = Some(time);
    }

    /// Lets `who` install although there is no young backup. It holds for what this program does, and is not kept: after a power
    /// cut the owner is asked anew.
    pub fn without_backup(&mut self, who: &str) {
        self.without_backup = Some(who.to_owned());
    }

    /// Asks the channel for a newer version. Why it could not be asked is kept, too.
    ///
    /// # Errors
    /// No channel is set, it does not answer, or its list is not signed by the publisher.
    pub fn check(&mut self) -> Result<Option<Release>> {
        let asked = self.ask_channel();
        self.note(Job::Check, &asked)?;
        asked
    }

    /// Keeps why something was not begun, or that it was.
    ///
    /// # Errors
    /// The state cannot be written.
    pub fn note<T>(&mut self, job: Job, done: &Result<T>) -> Result<()> {
        let at = self.system.now().unix_timestamp();
        let trouble = done.as_ref().err().map(|error| Trouble {
            job,
            at,
            reason: format!("{error:#}"),
        });
        self.kept.trouble = trouble;
        self.kept.save(self.files)
    }

    fn ask_channel(&mut self) -> Result<Option<Release>> {
        self.end_what_was_interrupted()?;
        let source = Source::read(self.files)?;
        let list = channel::fetch(self.files, self.system, &source)?;
        let found = channel::newer(
            &list,
            &source,
            &channel::compatible(self.files)?,
            &channel::running(self.files)?,
        )?;
        self.kept.checked = Some(self.system.now().unix_timestamp());
        let event = found.clone().map_or(Event::NothingNew, Event::Found);
        self.take(event)?;
        Ok(found)
    }

    /// Installs a release and restarts into it. Returns when the restart has been asked for, or with the reason in the state.
    ///
    /// # Errors
    /// An update is under way already, or the state cannot be written.
    pub fn install(&mut self, release: Release) -> Result<()> {
        self.end_what_was_interrupted()?;
        if self.kept.update.is_being_undone() {
            bail!(
                "what the last update has changed is not all undone yet: restart the box, which does the rest (page Power, or `provisioner power restart`)"
            );
        }
        self.kept.trouble = None;
        self.take(Event::Install(release))
    }

    /// Installs the version that is known to be available, and restarts into it.
    ///
    /// # Errors
    /// None is, or the state cannot be written.
    pub fn install_available(&mut self) -> Result<()> {
        match self.kept.update.clone() {
            State::Available { release } => self.install(release),
            _ => bail!("no newer version is known any more"),
        }
    }

    /// Restarts into what the other slot has.
    ///
    /// # Errors
    /// An update is under way already, or the state cannot be written.
    pub fn go_back(&mut self) -> Result<()> {
        let other = slots::booted(self.files)?.other();
        let known = slots::version_in(self.system, other);
        let running = channel::running(self.files).unwrap_or_default();
        let version = self.kept.other_version(known, &running);
        let schema = database::schema_now(self.files);
        if let Some(gap) = self.kept.too_new_for(version.as_deref(), schema) {
            bail!("{gap}");
        }
        self.install(Release {
            version: version.unwrap_or_else(|| "as it was before".to_owned()),
            source: None,
            bytes: None,
            downgrade: true,
        })
    }

    /// Whoever was at work before has ended, as the lock is ours: a closed connection, say. Nothing has been activated.
    fn end_what_was_interrupted(&mut self) -> Result<()> {
        match self.kept.update {
            State::Preflight { .. } | State::Downloading { .. } | State::Installed { .. } => self
                .take(Event::Refused(
                    "the program that installed it was ended before it was done".to_owned(),
                )),
            _ => Ok(()),
        }
    }

    /// The box has started: finishes what the last start left.
    ///
    /// # Errors
    /// A step failed; the next start tries again.
    pub fn started(&mut self) -> Result<()> {
        let boot = self.boot()?;
        self.take(Event::Started {
            slot: slots::booted(self.files)?,
            first: slots::first(self.system)?,
            boot: boot.clone(),
        })?;
        self.kept.last_boot = Some(boot);
        self.kept.save(self.files)
    }

    /// This start, as the journal names it.
    pub(super) fn boot(&self) -> Result<String> {
        let boot = self.files.read("/proc/sys/kernel/random/boot_id")?;
        Ok(boot.unwrap_or_default().replace('-', ""))
    }

    /// Watches the slot on trial, and commits it or leaves it.
    ///
    /// # Errors
    /// The state cannot be written.
    pub fn watch(&mut self) -> Result<()> {
        let slot = slots::booted(self.files)?;
        let found = health::watch(self.files, self.system, slot, self.kept.before);
        self.watched(found)
    }

    /// What was found of the slot on trial.
    ///
    /// # Errors
    /// The state cannot be written, or the boot loader cannot be told.
    pub fn watched(&mut self, found: Result<()>) -> Result<()> {
        let event = match found {
            Ok(()) => {
                self.kept.schema = database::schema_now(self.files);
                Event::Healthy(channel::running(self.files)?)
            }
            Err(error) => Event::Unhealthy(format!("{error:#}")),
        };
        self.take(event)
    }

    fn leave_over(&mut self, error: &anyhow::Error) {
        self.kept.left_over.get_or_insert(format!("{error:#}"));
    }

    /// One event, and those that its effects lead to.
    fn take(&mut self, event: Event) -> Result<()> {
        let mut next = Some(event);
        while let Some(event) = next.take() {
            if matches!(event, Event::Started { .. }) {
                self.kept.left_over = None;
            }
            let (state, effects) = step(&self.kept.update, event)?;
            self.kept.update = state;
            self.kept.save(self.files)?;
            let (mut fault, mut is_done) = (None, true);
            for effect in effects {
                if effect == Effect::Settle && !is_done {
                    break;
                }
                match self.carry_out(effect) {
                    Ok(None) => {}
                    Ok(Some(event)) => {
                        next = Some(event);
                        break;
                    }
                    Err(error) if may_be_refused(effect) => {
                        next = Some(Event::Refused(format!("{error:#}")));
                        break;
                    }
                    Err(error) if may_wait(effect) => {
                        eprintln!("<4>left to the next start: {error:#}");
                        self.leave_over(&error);
                        is_done = false;
                    }
                    // What follows does not build on it: a restart, or the rest of what is undone.
                    Err(error) => {
                        self.leave_over(&error);
                        fault.get_or_insert(error);
                        is_done = false;
                    }
                }
            }
            if let Some(fault) = fault {
                // The fault itself says more than that it cannot be kept.
                let _ = self.kept.save(self.files);
                return Err(fault);
            }
            if !is_done {
                self.kept.save(self.files)?;
            }
        }
        Ok(())
    }
}

/// Effects that tidy up. A start on which one does not work is none that failed: the boot loader would leave the slot after three.
fn may_wait(effect: Effect) -> bool {
    matches!(effect, Effect::DropDatabase | Effect::KeepJournal)
}

/// Effects whose failure is an outcome of the update, and not a fault of the box.
fn may_be_refused(effect: Effect) -> bool {
    matches!(
        effect,
        Effect::Preflight
            | Effect::Write
            | Effect::BeginTrial
            | Effect::KeepDatabase
            | Effect::Activate
    )
}
