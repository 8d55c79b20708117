//! What the jobs of the target do.

use anyhow::{Context, Result, ensure};

use super::fault::{Fault, Kind};
use super::{configured, open, send, state};
use crate::backup::keep;
use crate::backup::key::BoxKey;
use crate::backup::outcome::Outcome;
use crate::backup::shelf::{self, Lying};
use crate::backup::{FOLDER, SCRATCH};
use crate::files::Files;
use crate::firstboot::state::BoxState;
use crate::settings::apply::Machine;
use crate::settings::target::Target;

/// A backup that was fetched; on the file system on which it is unpacked, and gone with the next start.
pub const FETCHED: &str = "/var/lib/perch/restore/fetched.age";
/// What is left free beside a fetched backup and what is unpacked of it.
const RESERVE: u64 = 64 << 20;

/// Sends the newest backup of the box's own folder. `None`: there is no target.
///
/// # Errors
/// It did not arrive, or there is none to send.
pub fn send(machine: Machine<'_>) -> Result<Option<Outcome>> {
    let files = machine.files;
    let Some(target) = configured(machine) else {
        return Ok(None);
    };
    let folder = files.path(FOLDER);
    let newest = shelf::list(&folder).into_iter().next();
    let newest = newest.context("there is no backup on the box that could be sent")?;
    let host_name = BoxState::load(files)?.host_name().to_owned();
    let place = open(machine, &target)?;
    let file = folder.join(&newest.name);
    let there = send::send(&*place, &file, &newest.name, &host_name)?;
    note(machine, &target, there)?;
    Ok(Some(Outcome {
        name: newest.name,
        bytes: newest.bytes,
        ..Outcome::default()
    }))
}

/// Looks at what lies there; on an SFTP server, whether it lets the box in. `None`: there is no target.
///
/// # Errors
/// It cannot be reached or read.
pub fn look(machine: Machine<'_>) -> Result<Option<Outcome>> {
    let Some(target) = configured(machine) else {
        return Ok(None);
    };
    list(machine, &target)?;
    Ok(Some(Outcome {
        name: target.url.as_str().to_owned(),
        ..Outcome::default()
    }))
}

/// The backups that lie there, newest first.
///
/// # Errors
/// It cannot be reached or read.
pub fn list(machine: Machine<'_>, target: &Target) -> Result<Vec<Lying>> {
    let there = send::backups(&open(machine, target)?.list()?);
    note(machine, target, there.clone())?;
    Ok(there)
}

/// This box's newest backup there, as far as is known from the last look. `None`: none lies there, there is no target, or no recovery
/// key that opens it.
#[must_use]
pub fn newest_known(machine: Machine<'_>) -> Option<String> {
    let files = machine.files;
    BoxKey::load(files).ok().flatten()?;
    let box_state = BoxState::load(files).ok()?;
    let known = state::load(files, box_state.settings.backup.as_ref()?);
    let names: Vec<String> = known.lying.into_iter().map(|lying| lying.name).collect();
    let own = keep::of_box(&names, box_state.host_name());
    own.first().map(|name| (*name).to_owned())
}

/// Fetches a backup to [`FETCHED`].
///
/// # Errors
/// There is no target or no such backup, no room for it, or it did not come whole; then there is no such file.
pub fn fetch(machine: Machine<'_>, name: &str) -> Result<()> {
    let files = machine.files;
    let target = configured(machine).context("the settings have no target for backups")?;
    let there = list(machine, &target)?;
    let lying = there.iter().find(|lying| lying.name == name);
    let lying = lying.ok_or_else(|| Fault::new(Kind::NoBackup, name))?;
    let scratch = files.path(SCRATCH);
    std::fs::create_dir_all(&scratch).with_context(|| format!("making {}", scratch.display()))?;
    forget(files)?;
    // It is unpacked beside itself.
    let (free, needed) = (shelf::free(&scratch)?, 2 * lying.bytes + RESERVE);
    ensure!(
        free >= needed,
        "{} MiB are free and {} are needed to fetch and unpack the backup",
        free >> 20,
        needed >> 20
    );
    let into = files.path(FETCHED);
    files.change()?;
    let fetched = open(machine, &target)?.fetch(name, &into);
    let came = into.metadata().map_or(0, |about| about.len());
    let whole = match fetched {
        Ok(()) if came == lying.bytes => Ok(()),
        Ok(()) => Err(Fault::new(
            Kind::Altered,
            format!("{came} bytes of {}", lying.bytes),
        )),
        Err(fault) => Err(fault),
    };
    if whole.is_err() {
        forget(files)?;
    }
    Ok(whole?)
}

/// Removes what was fetched.
///
/// # Errors
/// It cannot be removed.
pub fn forget(files: &Files) -> Result<()> {
    files.remove(FETCHED)
}

fn note(machine: Machine<'_>, target: &Target, there: Vec<Lying>) -> Result<()> {
    let known = state::Known {
        lying: there,
        looked: Some(machine.system.now().unix_timestamp()),
        // It was let in: nothing waits.
        offered: None,
        target: target.url.as_str().to_owned(),
    };
    state::save(machine.files, &known)
}
