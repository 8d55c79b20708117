//! `provisioner update`: the same functions as the page's, for a shell and for the units of the image.

use crate::noted::noted;
use anyhow::{Context, Result, bail};
use clap::{Subcommand, ValueEnum};
use provisioner::files::Files;
use provisioner::settings::apply::Machine;
use provisioner::system::System;
use provisioner::update::backup_age::{self, BackupAge};
use provisioner::update::channel::{self, Source};
use provisioner::update::failed_journal::FAILED_JOURNAL;
use provisioner::update::job::{self, Job};
use provisioner::update::kept::Kept;
use provisioner::update::machine::{Release, Slot, State};
use provisioner::update::progress::Progress;
use provisioner::update::run::Updater;
use provisioner::update::stick::{self, Look};
use provisioner::update::{database, health, night, slots};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

#[derive(Subcommand)]
pub enum Action {
    /// Print what runs, what the other slot has, how far an update is, and why the last one failed.
    Status {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Ask the channel for a newer version.
    Check,
    /// Install a version and restart into it; the box goes back by itself if it does not work.
    Install {
        /// A bundle's file or https:// address; without it, what the channel offers.
        bundle: Option<String>,
        /// Install it although it is older than what runs.
        #[arg(long, requires = "bundle")]
        downgrade: bool,
        /// Install it although the newest backup is too old, damaged or missing.
        #[arg(long)]
        without_backup: bool,
    },
    /// Look at the USB sticks that are plugged in, and list the bundles in their top folders.
    Sticks,
    /// Restart into what the other slot has; the box comes back by itself if it does not work.
    Rollback,
    /// Do what the page has asked for (run by a unit).
    #[command(hide = true)]
    Work {
        /// What.
        job: Job,
    },
    /// Do what the page wants of USB sticks (run by a unit).
    #[command(hide = true)]
    Stick {
        /// What.
        step: Step,
    },
    /// The box has started (run by a unit).
    #[command(hide = true)]
    Started,
    /// Watch the slot on trial (run by a unit).
    #[command(hide = true)]
    Watch,
    /// Check once a day, and install in the window where the owner wants that (run by a timer).
    #[command(hide = true)]
    Night,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum Step {
    /// Look which bundles there are.
    Look,
    /// Take the chosen one, and have it installed.
    Take,
}

pub fn run(action: Action, files: &Files, system: &dyn System) -> Result<bool> {
    match action {
        Action::Status { json } => status(files, system, json),
        Action::Check => {
            match Updater::new(files, system)?.check()? {
                Some(release) => println!("version {} is available", release.version),
                None => println!("nothing newer"),
            }
            Ok(true)
        }
        Action::Install {
            bundle,
            downgrade,
            without_backup,
        } => {
            let shown = bundle.clone().unwrap_or_default();
            note(files, system, "update.install", &shown)?;
            install(files, system, bundle, downgrade, without_backup)
        }
        Action::Rollback => {
            note(files, system, "update.go-back", "")?;
            work(files, system, |updater| updater.go_back())
        }
        Action::Work { job } => job::work(Machine { files, system }, job).map(|()| true),
        Action::Sticks => sticks(Machine { files, system }).map(|()| true),
        Action::Stick { step: Step::Look } => stick::look(Machine { files, system }).map(|()| true),
        Action::Stick { step: Step::Take } => {
            job::work(Machine { files, system }, Job::Stick).map(|()| true)
        }
        Action::Started => Updater::new(files, system)?.started().map(|()| true),
        Action::Watch => Updater::new(files, system)?.watch().map(|()| true),
        Action::Night => night::turn(Machine { files, system }).map(|()| true),
    }
}

/// Before it is done, as it ends with a restart; what came of it is in the kept state.
fn note(files: &Files, system: &dyn System, action: &str, subject: &str) -> Result<()> {
    noted(Machine { files, system }, action, subject, Ok(()))
}

fn install(
    files: &Files,
    system: &dyn System,
    bundle: Option<String>,
    downgrade: bool,
    without_backup: bool,
) -> Result<bool> {
    let release = match bundle {
        Some(place) => Release {
            version: {
                let authority = Source::read(files)?.authority;
                slots::version_of(system, &place, authority.as_deref())
                    .with_context(|| format!("{place} is refused"))?
            },
            source: Some(place),
            bytes: None,
            downgrade,
        },
        None => match Updater::new(files, system)?.check()? {
            Some(release) => release,
            None => {
                println!("nothing newer");
                return Ok(true);
            }
        },
    };
    let now = system.now().unix_timestamp();
    let backup = backup_age::judge(&backup_age::look(files), now);
    if backup == BackupAge::NeverSetUp {
        println!("backup: {}", backup.line(now));
    }
    work(files, system, |updater| {
        if without_backup {
            updater.without_backup("command line");
        }
        updater.install(release)
    })
}

fn sticks(machine: Machine<'_>) -> Result<()> {
    stick::look(machine)?;
    let now = machine.system.now().unix_timestamp();
    for view in stick::views(machine.files, now) {
        println!("{} {} ({})", view.model, view.label, view.serial);
        match view.look {
            Look::Found(bundles) if bundles.is_empty() => println!("  no bundle"),
            Look::Found(bundles) => {
                for bundle in bundles {
                    let about = bundle.version.or(bundle.refusal).unwrap_or_default();
                    println!(
                        "  {}  {} bytes  {about}",
                        bundle.name.as_str(),
                        bundle.bytes
                    );
                }
            }
            Look::Fault(fault) => println!("  cannot be read: {fault}"),
            _ => println!("  not formatted as FAT32, exFAT or ext4"),
        }
    }
    Ok(())
}

fn work(
    files: &Files,
    system: &dyn System,
    begin: impl FnOnce(&mut Updater<'_>) -> Result<()>,
) -> Result<bool> {
    let mut updater = Updater::new(files, system)?;
    begin(&mut updater)?;
    match updater.state() {
        State::Failed { reason, .. } => bail!("{reason}"),
        State::Trial { .. } => {
            println!("restarting; `provisioner update status` tells how it went")
        }
        other => println!("{}", other.name()),
    }
    Ok(true)
}

fn status(files: &Files, system: &dyn System, json: bool) -> Result<bool> {
    let kept = Kept::load(files)?;
    let booted = slots::booted(files)?;
    let running = channel::running(files)?;
    let other = kept.other_version(slots::version_in(system, booted.other()), &running);
    let damaged = health::is_damaged(system, booted).unwrap_or(false);
    let progress = Progress::look(system, &kept);
    let now = system.now().unix_timestamp();
    let backup = backup_age::judge(&backup_age::look(files), now);
    let aside = database::aside(files);
    let gap = kept.too_new_for(other.as_deref(), database::schema_now(files));
    if json {
        let text = serde_json::json!({
            "running": { "version": running, "slot": booted, "damaged": damaged },
            "other": { "version": other, "slot": booted.other() },
            "update": kept.update,
            "progress": progress.map(|progress| progress.percent),
            "checked": kept.checked,
            "trouble": kept.trouble,
            "backup": backup,
            "aside": aside.map(|_| database::AFTER),
            "no_way_back": gap,
        });
        println!("{}", serde_json::to_string_pretty(&text)?);
        return Ok(true);
    }
    println!("running:  {running} in slot {}", booted.name());
    if damaged {
        println!(
            "          slot {} has damaged blocks: the card may be failing; make a backup, then install an update or another card",
            booted.name()
        );
    }
    println!(
        "other:    {} in slot {}",
        other.as_deref().unwrap_or("what the card was written with"),
        booted.other().name()
    );
    for line in lines(&kept, booted, progress) {
        println!("{line}");
    }
    if let Some(gap) = gap {
        println!("back:     {gap}");
    }
    if let Some(at) = aside {
        let time = OffsetDateTime::from_unix_timestamp(at)?.format(&Rfc3339)?;
        println!(
            "aside:    what was written during a trial that failed ({time}) is not in the database, but in {}",
            database::AFTER
        );
    }
    println!("backup:   {}", backup.line(now));
    Ok(true)
}

fn lines(kept: &Kept, booted: Slot, progress: Option<Progress>) -> Vec<String> {
    let state = &kept.update;
    let mut lines = vec![format!("update:   {}", state.name())];
    match state {
        State::Available { release } => lines[0] += &format!(": version {}", release.version),
        State::Downloading { release } => {
            lines[0] += &format!(
                ": version {}{}",
                release.version,
                progress.map(pace).unwrap_or_default()
            );
        }
        State::Trial { release, from, .. } => {
            lines[0] += &format!(
                ": version {} in slot {}",
                release.version,
                from.other().name()
            );
        }
        State::Committed { version, slot, .. } => {
            lines[0] += &format!(": version {version} in slot {}", slot.name());
        }
        State::Failed {
            release,
            during,
            reason,
            boots,
            undo,
        } => {
            lines[0] += &format!(
                ": version {} during {during}; slot {} runs on",
                release.version,
                booted.name()
            );
            lines.push(format!("reason:   {reason}"));
            if undo.is_some() {
                lines.push(format!(
                    "undo:     not all that it changed is undone yet; restart the box, which does the rest{}",
                    kept.left_over
                        .as_ref()
                        .map(|why| format!(" ({why})"))
                        .unwrap_or_default()
                ));
            }
            if !boots.is_empty() {
                lines.push(format!("journal:  {FAILED_JOURNAL}"));
            }
        }
        State::Idle | State::Preflight { .. } | State::Installed { .. } => {}
    }
    if let Some(trouble) = &kept.trouble {
        lines.push(format!(
            "{:<10}{}",
            format!("{}:", trouble.job.name()),
            trouble.reason
        ));
    }
    lines
}

/// ", 40 %, 1200 KiB/s, 180 s left"
fn pace(progress: Progress) -> String {
    let mut text = format!(", {} %", progress.percent);
    if let Some(rate) = progress.rate {
        text += &format!(", {} KiB/s", rate >> 10);
    }
    if let Some(left) = progress.left {
        text += &format!(", {left} s left");
    }
    text
}
