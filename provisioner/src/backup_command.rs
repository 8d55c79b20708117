//! `provisioner backup`: the same functions as the page's, for a shell and for the units of the image.

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::noted::{noted, who};
use age::x25519::Identity;
use anyhow::{Context, Result, bail};
use clap::Subcommand;
use provisioner::backup::job::{self, Job, Source};
use provisioner::backup::key::{BoxKey, RecoveryKey};
use provisioner::backup::make::{Copy, make};
use provisioner::backup::outcome::{Outcome, Outcomes};
use provisioner::backup::source::find;
use provisioner::backup::stick::{self, Mounted};
use provisioner::backup::target::{configured, work as offsite};
use provisioner::backup::{FOLDER, card, open, restore, shelf};
use provisioner::files::Files;
use provisioner::reset;
use provisioner::settings::apply::Machine;
use provisioner::system::System;

#[derive(Subcommand)]
pub enum Action {
    /// Make a backup now: into a folder, or for downloading from the page.
    Now {
        /// The folder. Absent: the box's own, which keeps one.
        #[arg(long, conflicts_with_all = ["stick", "target"])]
        to: Option<PathBuf>,
        /// On the accepted stick.
        #[arg(long, conflicts_with = "target")]
        stick: bool,
        /// On the box, and from there to the target of the settings (backup.target).
        #[arg(long)]
        target: bool,
    },
    /// Print the backups on the box, on the plugged-in stick, accepted or not, and on the target, and what went wrong last.
    List,
    /// Print the box's key and the server's for an SFTP target, and try whether the target can be used. Exit code 1: it cannot.
    Target(crate::target::Options),
    /// Read all of a backup, and say what is in it. Exit code 1: it cannot be used.
    Verify {
        /// Its file.
        backup: PathBuf,
        /// Read the recovery key from the standard input. Without: the box's own.
        #[arg(long)]
        words_stdin: bool,
    },
    /// Check a backup, and restart the box into what is in it.
    Restore {
        /// Its file.
        #[arg(required_unless_present_any = ["stick", "from_target"])]
        backup: Option<PathBuf>,
        /// One on the plugged-in stick labelled PERCH-BACKUP, by its name. Without a name: the newest.
        #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = "", conflicts_with_all = ["backup", "from_target"])]
        stick: Option<String>,
        /// Fetch the backup with this name from the target of the settings.
        #[arg(long, value_name = "NAME", conflicts_with = "backup")]
        from_target: Option<String>,
        /// Read the recovery key from the standard input. Without: the box's own.
        #[arg(long)]
        words_stdin: bool,
        /// Leave the restart to you.
        #[arg(long)]
        no_restart: bool,
    },
    /// Print the key that opens backups with the program age, made from the recovery key on the standard input.
    Identity,
    /// Unpack the newest backup, and count what is in it; then let a unit do the same with the newest one on the target. What comes of
    /// that is in the list (run by a timer).
    Drill,
    /// Do what the page has asked for; without that, make the nightly backup (run by a unit).
    #[command(hide = true)]
    Work,
    /// Make the nightly backup, if there is a key and an accepted stick or a target (run by a timer).
    #[command(hide = true)]
    Night,
}

pub fn run(action: Action, files: &Files, system: &dyn System) -> Result<bool> {
    let machine = Machine { files, system };
    match action {
        Action::Now { target: true, .. } => {
            if configured(machine).is_none() {
                bail!("the settings have no backup.target");
            }
            // One after the other: whoever types this waits for it.
            let made = job::run(machine, &Job::MakeAndSend);
            let made = noted(machine, "backup.make", "", made)?;
            Ok(made && noted(machine, "backup.send", "", job::run(machine, &Job::Send))?)
        }
        Action::Now {
            to: None, stick, ..
        } => {
            let (job, action) = match stick {
                true => (Job::Stick, "backup.stick"),
                false => (Job::Make, "backup.make"),
            };
            noted(machine, action, "", job::run(machine, &job))
        }
        Action::Now { to: Some(to), .. } => {
            let made = Copy::take(files).and_then(|copy| make(machine, &copy, &to));
            let made = noted(machine, "backup.make", to.display().to_string(), made)?;
            // An update asks how old the newest one is, wherever it lies.
            let outcome = Outcome {
                at: system.now().unix_timestamp(),
                name: made.name.clone(),
                bytes: made.bytes,
                ..Outcome::default()
            };
            Outcomes::note(files, "folder", outcome)?;
            println!("{}: {} bytes", to.join(made.name).display(), made.bytes);
            Ok(true)
        }
        Action::List => list(machine),
        Action::Target(options) => crate::target::run(machine, &options),
        Action::Verify {
            backup,
            words_stdin,
        } => verify(files, &backup, &identity(files, words_stdin)?),
        Action::Restore {
            backup,
            stick,
            from_target,
            words_stdin,
            no_restart,
        } => {
            let identity = identity(files, words_stdin)?;
            let from = match (stick, &from_target) {
                (Some(name), _) if name.is_empty() => Some(Source::Stick),
                (Some(name), _) => Some(Source::OnStick { name }),
                (None, Some(name)) => {
                    offsite::fetch(machine, name)?;
                    Some(Source::Fetched)
                }
                (None, None) => None,
            };
            let found = from.map(|from| find(machine, &from)).transpose()?;
            let place = found.as_ref().map(|found| found.place.clone()).or(backup);
            let place = place.context("no backup is named")?;
            let prepared = restore::prepare(machine, &place, &identity, &who());
            if from_target.is_some() {
                offsite::forget(files)?;
            }
            let (subject, prepared) = (place.display().to_string(), prepared.map_err(Into::into));
            let ready = noted(machine, "box.restore", subject, prepared)?;
            println!(
                "{} is checked; the next start restores it",
                ready.manifest.domain
            );
            if !no_restart {
                system.restart()?;
            }
            Ok(true)
        }
        Action::Identity => {
            println!("{}", RecoveryKey::of_words(&typed()?)?.identity()?);
            Ok(true)
        }
        Action::Drill => job::run_and_go_on(machine, Job::Drill),
        Action::Work => job::work(machine),
        Action::Night => job::night(machine),
    }
}

/// Before anything of the box starts: a factory reset that was asked for, the backup that `perch.toml` names on a new box, and a
/// restore that was prepared. Whatever comes of it, the box starts.
///
/// # Errors
/// Only in a test.
pub fn early(files: &Files, system: &dyn System) -> Result<bool> {
    match reset::finish(files) {
        Ok(true) => println!("the box was reset"),
        Ok(false) => {}
        Err(error) => eprintln!("<3>factory reset: {error:#}"),
    }
    let machine = Machine { files, system };
    match card::prepare(machine) {
        Ok(None) => {}
        Ok(Some(problem)) => eprintln!("<3>{problem}"),
        Err(error) => eprintln!("<3>restore_from: {error:#}"),
    }
    match restore::finish(machine)? {
        Some(Ok(ready)) => println!(
            "restored {}: {} people, {} messages, {} files",
            ready.manifest.domain, ready.counts.people, ready.counts.messages, ready.counts.uploads
        ),
        Some(Err(error)) => eprintln!("<3>restore: {error:#}; the box is as it was"),
        None => {}
    }
    Ok(true)
}

fn typed() -> Result<String> {
    let mut text = String::new();
    let read = std::io::stdin().take(4096).read_to_string(&mut text);
    read.context("reading the recovery key")?;
    Ok(text)
}

fn identity(files: &Files, words_stdin: bool) -> Result<Identity> {
    if words_stdin {
        let key = RecoveryKey::of_words(&typed()?)?;
        return BoxKey::of(&key, 0)?.identity();
    }
    match BoxKey::load(files)? {
        Some(key) => key.identity(),
        None => bail!("the box has no recovery key: give one with --words-stdin"),
    }
}

fn list(machine: Machine<'_>) -> Result<bool> {
    print(&machine.files.path(FOLDER));
    match stick::find(machine.files)? {
        Ok(stick) => print(&Mounted::new(machine, &stick, false)?.folder),
        Err(missing) => {
            println!("stick: {missing}");
            if let Some(stick) = stick::plugged_in(machine.files).first() {
                print(&Mounted::new(machine, stick, false)?.folder);
            }
        }
    }
    // What is wrong with the target is said there.
    crate::target::print(machine)?;
    let outcomes = Outcomes::load(machine.files);
    for (kind, what) in [
        ("drill", "tried here"),
        ("target-drill", "fetched from the target and tried"),
    ] {
        if let Some(outcome) = outcomes.0.get(kind) {
            println!("{what}: {}", drilled(outcome));
        }
    }
    Ok(true)
}

/// What came of a trial.
fn drilled(outcome: &Outcome) -> String {
    let counts = outcome.counts.clone().unwrap_or_default();
    match &outcome.error {
        Some(error) => format!("it failed: {error}"),
        None => format!(
            "{} can be restored: {} people, {} messages, {} files",
            outcome.name, counts.people, counts.messages, counts.uploads
        ),
    }
}

fn print(folder: &Path) {
    println!("{}:", folder.display());
    for lying in shelf::list(folder) {
        println!("  {}  {} bytes", lying.name, lying.bytes);
    }
}

fn verify(files: &Files, backup: &Path, identity: &Identity) -> Result<bool> {
    let opened = std::fs::File::open(backup);
    let opened = opened.with_context(|| format!("reading {}", backup.display()))?;
    let manifest = open::manifest(std::io::BufReader::new(opened), identity)?;
    println!(
        "{} ({}), version {}",
        manifest.domain, manifest.host_name, manifest.version
    );
    let (_, counts) = restore::try_out(files, backup, identity, "verify")?;
    restore::forget(files, "verify")?;
    println!(
        "whole: {} people, {} messages, {} files, {} bytes",
        counts.people, counts.messages, counts.uploads, counts.bytes
    );
    Ok(true)
}
