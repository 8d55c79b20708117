//! What a box does about updates by itself: it asks once a day, and installs in the owner's hours where that is wanted.

use anyhow::Result;

use super::backup_age;
use super::channel::Source;
use super::job::Job;
use super::kept::Kept;
use super::machine::{Release, State};
use super::run::Updater;
use super::window::minute;
use crate::files::Files;
use crate::settings::apply::Machine;
use crate::system::System;

/// Seconds between two looks at the channel, at the least.
const BETWEEN_CHECKS: i64 = 20 * 3600;
/// By so many seconds at the most a box waits longer than others, so that a publisher does not hear all of them at once.
const SPREAD: i64 = 3600;
/// Seconds until a publisher who did not answer is asked again.
const AGAIN: i64 = 3600;
const MACHINE_ID: &str = "/etc/machine-id";

/// One turn of the timer, which comes every ten minutes: mostly there is nothing to do, and nothing is written.
///
/// # Errors
/// The publisher cannot be asked, or the state cannot be written.
pub fn turn(machine: Machine<'_>) -> Result<()> {
    let Machine { files, system } = machine;
    let source = Source::read(files)?;
    if source.url.is_none() {
        return Ok(());
    }
    let kept = Kept::load(files)?;
    let is_due = is_check_due(&kept, system.now().unix_timestamp(), spread(files));
    if !is_due && wanted(&kept, &source, system)?.is_none() {
        return Ok(());
    }
    let mut updater = Updater::new(files, system)?;
    let checked = if is_due {
        updater.check().map(drop)
    } else {
        Ok(())
    };
    // Somebody else may have been at work until now.
    if let Some(release) = wanted(&Kept::load(files)?, &source, system)? {
        make_backup_where_too_old(files, system);
        updater.install(release)?;
    }
    checked
}

fn is_check_due(kept: &Kept, now: i64, spread: i64) -> bool {
    let failed = kept.trouble.as_ref().filter(|t| t.job == Job::Check);
    let asked = kept.checked.unwrap_or(0);
    now - asked >= BETWEEN_CHECKS + spread && failed.is_none_or(|trouble| now - trouble.at >= AGAIN)
}

/// Seconds of this box's own, the same every day.
fn spread(files: &Files) -> i64 {
    let id = files.read(MACHINE_ID).ok().flatten().unwrap_or_default();
    let number = id
        .get(..8)
        .and_then(|part| i64::from_str_radix(part, 16).ok());
    number.unwrap_or(0) % SPREAD
}

/// What is to be installed now. `None`: nothing, or not now.
fn wanted(kept: &Kept, source: &Source, system: &dyn System) -> Result<Option<Release>> {
    let State::Available { release } = &kept.update else {
        return Ok(None);
    };
    let is_offered = source
        .pinned
        .as_ref()
        .is_none_or(|pinned| *pinned == release.version);
    if !source.automatic || !is_offered || !kept.may_install_by_itself(release) {
        return Ok(None);
    }
    // The local time, which the time zone's rules say.
    let time = minute(&system.run(&["date", "+%H:%M"], None)?);
    let window = source.window.unwrap_or_default();
    Ok(time
        .is_some_and(|time| window.holds(time))
        .then(|| release.clone()))
}

/// Nobody is there at night who could: a box that updates itself would stay behind because its owner makes backups by hand. Whether it
/// worked is for the preflight to say.
fn make_backup_where_too_old(files: &Files, system: &dyn System) {
    let backups = backup_age::look(files);
    let age = backup_age::judge(&backups, system.now().unix_timestamp());
    if let Some(unit) = age.remedy(&backups)
        && let Err(error) = system.run(&["systemctl", "start", unit], None)
    {
        eprintln!("<4>backup before the update: {error:#}");
    }
}

#[cfg(test)]
mod tests {
    use super::super::kept::Trouble;
    use super::*;

    #[test]
    fn a_publisher_is_asked_once_a_day_and_again_an_hour_after_no_answer() {
        let failed = |job, at| Trouble {
            job,
            at,
            reason: "timeout".to_owned(),
        };
        let hour = 3600;
        for (checked, trouble, spread, due) in [
            (0, None, 0, true),
            (81 * hour, None, 0, false),
            (80 * hour, None, 0, true),
            (80 * hour, None, 1, false),
            (0, Some(failed(Job::Check, 100 * hour - 600)), 0, false),
            (0, Some(failed(Job::Check, 99 * hour)), 0, true),
            (0, Some(failed(Job::Upload, 100 * hour - 600)), 0, true),
        ] {
            let kept = Kept {
                checked: Some(checked),
                trouble,
                ..Kept::default()
            };
            assert_eq!(is_check_due(&kept, 100 * hour, spread), due, "{kept:?}");
        }
    }
}
