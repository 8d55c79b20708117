//! `provisioner update`: the same functions as the page's, for a shell and for the units of the image.

use anyhow::{Context, Result, bail};
use clap::Subcommand;
use provisioner::files::Files;
use provisioner::system::System;
use provisioner::update::channel::{self, Source};
use provisioner::update::machine::{Release, Slot, State};
use provisioner::update::run::{FAILED_JOURNAL, Kept, Updater};
use provisioner::update::window::minute;
use provisioner::update::{health, slots};

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
    },
    /// Restart into what the other slot has; the box comes back by itself if it does not work.
    Rollback,
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

/// Seconds between two looks at the channel by the timer.
const BETWEEN_CHECKS: i64 = 20 * 3600;

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
        Action::Install { bundle, downgrade } => install(files, system, bundle, downgrade),
        Action::Rollback => {
            let booted = slots::booted(files)?;
            let version = slots::version_in(system, booted.other())
                .unwrap_or_else(|| "as it was before".to_owned());
            work(
                files,
                system,
                Release {
                    version,
                    source: None,
                    bytes: None,
                    downgrade: true,
                },
            )
        }
        Action::Started => Updater::new(files, system)?.started().map(|()| true),
        Action::Watch => Updater::new(files, system)?.watch().map(|()| true),
        Action::Night => night(files, system),
    }
}

fn install(
    files: &Files,
    system: &dyn System,
    bundle: Option<String>,
    downgrade: bool,
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
    work(files, system, release)
}

fn work(files: &Files, system: &dyn System, release: Release) -> Result<bool> {
    let mut updater = Updater::new(files, system)?;
    updater.install(release)?;
    match updater.state() {
        State::Failed { reason, .. } => bail!("{reason}"),
        State::Trial { .. } => {
            println!("restarting; `provisioner update status` tells how it went")
        }
        other => println!("{}", other.name()),
    }
    Ok(true)
}

fn night(files: &Files, system: &dyn System) -> Result<bool> {
    let source = Source::read(files)?;
    if source.url.is_none() {
        return Ok(true);
    }
    let mut updater = Updater::new(files, system)?;
    let now = system.now().unix_timestamp();
    let last = Kept::load(files)?.checked.unwrap_or(0);
    if now - last >= BETWEEN_CHECKS {
        updater.check()?;
    }
    let time = system.run(&["date", "+%H:%M"], None)?;
    let inside =
        minute(&time).is_some_and(|minute| source.window.unwrap_or_default().holds(minute));
    if let State::Available { release } = updater.state().clone()
        && source.automatic
        && inside
    {
        updater.install(release)?;
    }
    Ok(true)
}

fn status(files: &Files, system: &dyn System, json: bool) -> Result<bool> {
    let kept = Kept::load(files)?;
    let booted = slots::booted(files)?;
    let running = channel::running(files)?;
    let other = slots::version_in(system, booted.other());
    let damaged = health::is_damaged(system, booted).unwrap_or(false);
    let progress = matches!(kept.update, State::Downloading { .. })
        .then(|| slots::progress(system))
        .flatten();
    if json {
        let text = serde_json::json!({
            "running": { "version": running, "slot": booted, "damaged": damaged },
            "other": { "version": other, "slot": booted.other() },
            "update": kept.update,
            "progress": progress,
            "checked": kept.checked,
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
    for line in lines(&kept, booted, progress, system.now().unix_timestamp()) {
        println!("{line}");
    }
    Ok(true)
}

fn lines(kept: &Kept, booted: Slot, progress: Option<u32>, now: i64) -> Vec<String> {
    let state = &kept.update;
    let mut lines = vec![format!("update:   {}", state.name())];
    match state {
        State::Available { release } => lines[0] += &format!(": version {}", release.version),
        State::Downloading { release } => {
            lines[0] += &format!(
                ": version {}{}",
                release.version,
                pace(kept, release, progress, now)
            );
        }
        State::Trial { release, from, .. } => {
            lines[0] += &format!(
                ": version {} in slot {}",
                release.version,
                from.other().name()
            );
        }
        State::Committed { version, slot } => {
            lines[0] += &format!(": version {version} in slot {}", slot.name());
        }
        State::Failed {
            release,
            during,
            reason,
            boots,
        } => {
            lines[0] += &format!(
                ": version {} during {during}; slot {} runs on",
                release.version,
                booted.name()
            );
            lines.push(format!("reason:   {reason}"));
            if !boots.is_empty() {
                lines.push(format!("journal:  {FAILED_JOURNAL}"));
            }
        }
        State::Idle | State::Preflight { .. } | State::Installed { .. } => {}
    }
    lines
}

/// ", 40 %, 1.2 MiB/s of the bundle, 3 min left"
fn pace(kept: &Kept, release: &Release, progress: Option<u32>, now: i64) -> String {
    let Some(percent) = progress else {
        return String::new();
    };
    let seconds = kept.began.map_or(0, |began| now - began).max(1);
    let mut text = format!(", {percent} %");
    if percent > 0 {
        if let Some(bytes) = release.bytes {
            let rate = bytes / 100 * u64::from(percent) / seconds.unsigned_abs();
            text += &format!(", {} KiB/s", rate >> 10);
        }
        text += &format!(
            ", {} s left",
            seconds * i64::from(100 - percent.min(100)) / i64::from(percent)
        );
    }
    text
}
