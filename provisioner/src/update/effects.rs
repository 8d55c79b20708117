//! What the update machine's effects do.

use anyhow::Result;

use super::channel::{self, Source};
use super::machine::{Effect, Event, State};
use super::run::{ON_TRIAL, Updater};
use super::surroundings::Surroundings;
use super::{backup_age, database, failed_journal, preflight, slots};
use crate::agent::audit;
use crate::files::Access;

/// Who installs an older version: only the command line can.
const OWNER: &str = "command line";

impl Updater<'_> {
    pub(super) fn carry_out(&mut self, effect: Effect) -> Result<Option<Event>> {
        let (files, system) = (self.files, self.system);
        match effect {
            Effect::Preflight => return self.preflight().map(Some),
            Effect::Write => return self.write().map(Some),
            Effect::BeginTrial => {
                self.kept.left = channel::running(files).ok();
                self.kept.left_schema = database::schema_now(files);
                self.kept.before = Surroundings::look(files, system.now());
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
                        "the database is what it was before the update; what was written since is in {}",
                        database::AFTER
                    );
                }
            }
            Effect::KeepJournal => {
                let now = self.boot()?;
                failed_journal::keep(files, system, &mut self.kept, &now)?;
            }
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
            Effect::Settle => return Ok(Some(Event::Settled)),
        }
        Ok(None)
    }

    fn preflight(&self) -> Result<Event> {
        let State::Preflight { release } = &self.kept.update else {
            return Ok(Event::Cleared);
        };
        let mut facts = preflight::look(self.files, self.system)?;
        if release.source.is_none() {
            // Whoever goes back does so because something does not work; nothing is written for it, and no signature checked.
            facts.backups = backup_age::Backups::default();
            facts.knows_the_time = true;
        }
        if let Some(who) = &self.without_backup
            && let Some(reason) = backup_age::judge(&facts.backups, facts.now).refusal()
        {
            self.log_choice(who, "update.without-backup", &release.version, &reason)?;
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
        if found.is_empty() && release.source.is_some() && release.downgrade && older {
            let reason = format!("it is older than {running}, which runs");
            self.log_choice(OWNER, "update.downgrade", &release.version, &reason)?;
        }
        Ok(if found.is_empty() {
            Event::Cleared
        } else {
            Event::Refused(found.join("; "))
        })
    }

    /// What the owner takes upon himself is in the log of administration.
    fn log_choice(&self, who: &str, action: &str, version: &str, reason: &str) -> Result<()> {
        eprintln!("<4>version {version} is installed all the same: {reason}");
        let entry = audit::Entry {
            at: String::new(),
            who: who.to_owned(),
            action: action.to_owned(),
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
        Ok(Event::Written)
    }
}
