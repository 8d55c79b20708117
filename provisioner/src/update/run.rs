//! Keeps the machine's state and carries its effects out. Each state is on disk before its first effect.

use std::fs::File;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::channel::{self, Source};
use super::job::Job;
use super::kept::{Kept, LOCK, Trouble};
use super::machine::{Effect, Event, Release, State, step};
use super::{FOLDER, backup_age, database, health, preflight, slots};
use crate::agent::audit;
use crate::files::{Access, Files};
use crate::system::System;

/// Exists while the running slot is on trial.
pub const ON_TRIAL: &str = "/run/perch/update-trial";
/// The journal of the slot that failed.
pub const FAILED_JOURNAL: &str = "/var/lib/perch/update/failed-journal.txt";
/// Lines of it that are kept.
const JOURNAL_LINES: &str = "5000";

/// The box, the only one at work on its update.
pub struct Updater<'a> {
    files: &'a Files,
    system: &'a dyn System,
    kept: Kept,
    /// How long to wait before the server is stopped for the restart.
    wait: Option<Duration>,
    /// Who wants it although the newest backup is too old.
    without_backup: Option<String>,
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
        let boot = self
            .files
            .read("/proc/sys/kernel/random/boot_id")?
            .unwrap_or_default();
        self.take(Event::Started {
            slot: slots::booted(self.files)?,
            first: slots::first(self.system)?,
            boot: boot.replace('-', ""),
        })
    }

    /// Watches the slot on trial, and commits it or leaves it.
    ///
    /// # Errors
    /// The state cannot be written.
    pub fn watch(&mut self) -> Result<()> {
        let slot = slots::booted(self.files)?;
        let event = match health::watch(self.files, self.system, slot) {
            Ok(()) => Event::Healthy(channel::running(self.files)?),
            Err(error) => Event::Unhealthy(format!("{error:#}")),
        };
        self.take(event)
    }

    /// One event, and those that its effects lead to.
    fn take(&mut self, event: Event) -> Result<()> {
        let mut next = Some(event);
        while let Some(event) = next.take() {
            let (state, effects) = step(&self.kept.update, event)?;
            self.kept.update = state;
            self.kept.save(self.files)?;
            for effect in effects {
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
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    fn carry_out(&mut self, effect: Effect) -> Result<Option<Event>> {
        let (files, system) = (self.files, self.system);
        match effect {
            Effect::Preflight => return self.preflight().map(Some),
            Effect::Write => return self.write().map(Some),
            Effect::BeginTrial => {
                self.kept.left = channel::running(files).ok();
                return Ok(Some(Event::Leave {
                    from: slots::booted(files)?,
                }));
            }
            Effect::KeepDatabase => {
                if let Some(time) = self.wait {
                    std::thread::sleep(time);
                }
                system.run(&["systemctl", "stop", "imd.service"], None)?;
                database::keep(files, system)?;
            }
            Effect::Activate => {
                let booted = slots::booted(files)?;
                slots::activate(system, booted.other(), booted)?;
            }
            Effect::Restart => {
                system.run(&["systemctl", "reboot"], None)?;
            }
            Effect::Watch => {
                files.replace(ON_TRIAL, b"", Access::Everyone)?;
            }
            Effect::RestoreDatabase => {
                if database::restore(files, system)? {
                    eprintln!(
                        "the database is what it was before the update; what was written since is in {FOLDER}/after"
                    );
                }
            }
            Effect::KeepJournal => self.keep_journal()?,
            Effect::Return => {
                let booted = slots::booted(files)?;
                slots::activate(system, booted, booted)?;
                slots::mark(system, booted.other(), booted, false)?;
            }
            Effect::Trust => {
                let booted = slots::booted(files)?;
                slots::mark(system, booted, booted, true)?;
                files.remove(ON_TRIAL)?;
            }
            Effect::Distrust => {
                let booted = slots::booted(files)?;
                slots::mark(system, booted, booted, false)?;
            }
            Effect::DropDatabase => database::drop_copy(files)?,
        }
        Ok(None)
    }

    fn preflight(&self) -> Result<Event> {
        let State::Preflight { release } = &self.kept.update else {
            return Ok(Event::Cleared);
        };
        let mut facts = preflight::look(self.files, self.system)?;
        if release.source.is_none() {
            // Whoever goes back does so because something does not work, and nothing is written for it.
            facts.backups = backup_age::Backups::default();
        }
        if let Some(who) = &self.without_backup
            && let Some(reason) = backup_age::judge(&facts.backups, facts.now).refusal()
        {
            self.log_choice(who, &release.version, reason)?;
            facts.backups = backup_age::Backups::default();
        }
        let mut found = preflight::refusals(&facts);
        let running = channel::running(self.files)?;
        let older = channel::compare(&release.version, &running).is_le();
        if release.source.is_some() && !release.version.is_empty() && older && !release.downgrade {
            found.push(format!(
                "version {} is not newer than {running}, which runs; `--downgrade` installs it all the same",
                release.version
            ));
        }
        Ok(if found.is_empty() {
            Event::Cleared
        } else {
            Event::Refused(found.join("; "))
        })
    }

    /// What the owner takes upon himself is in the log of administration.
    fn log_choice(&self, who: &str, version: &str, reason: String) -> Result<()> {
        eprintln!("<4>version {version} is installed all the same: {reason}");
        let entry = audit::Entry {
            at: String::new(),
            who: who.to_owned(),
            action: "update.without-backup".to_owned(),
            subject: version.to_owned(),
            error: None,
        };
        audit::add(self.files, self.system.now(), entry)
    }

    fn write(&mut self) -> Result<Event> {
        let State::Downloading { release } = self.kept.update.clone() else {
            return Ok(Event::Written);
        };
        self.kept.began = Some(self.system.now().unix_timestamp());
        self.kept.save(self.files)?;
        let source = Source::read(self.files)?;
        let place = release.source.as_deref().unwrap_or_default();
        let authority = source
            .authority
            .as_deref()
            .filter(|_| place.starts_with("https://"));
        slots::write(self.files, self.system, place, authority, release.downgrade)?;
        if release.downgrade {
            println!(
                "installed version {} on purpose, although it is older",
                release.version
            );
        }
        Ok(Event::Written)
    }

    fn keep_journal(&self) -> Result<()> {
        let State::Failed { boots, reason, .. } = &self.kept.update else {
            return Ok(());
        };
        let mut text = format!("{reason}\n");
        for boot in boots {
            let said = self
                .system
                .run(
                    &[
                        "journalctl",
                        "-b",
                        boot,
                        "-n",
                        JOURNAL_LINES,
                        "--no-pager",
                        "-o",
                        "short-iso",
                    ],
                    None,
                )
                .unwrap_or_else(|error| format!("{error:#}"));
            text += &format!("\n-- start {boot}\n{said}\n");
        }
        self.files
            .replace(FAILED_JOURNAL, text.as_bytes(), Access::Root)
            .map(drop)
    }
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
