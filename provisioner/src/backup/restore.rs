//! A restore in two halves. The first, while the box works, reads a backup into a scratch folder and checks all of it. The second,
//! at the next start and before anything of the box runs, puts that into the box's place.
//!
//! The second half can be cut off after every change and is begun again by the next start; what it cannot finish it takes back.

use std::fs;
use std::io::{BufReader, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use age::x25519::Identity;
use anyhow::{Context, Result, anyhow};
use serde::{Deserialize, Serialize};

use super::check::{Counts, check};
use super::contents::{BOX, FILES, IMD, Manifest};
use super::open::{Fault, unpack};
use super::{SCRATCH, card, owners, shelf};
use crate::agent::audit;
use crate::files::{Access, Files, PowerCut};
use crate::settings::apply::Machine;

/// What the chat server keeps.
const IMD_DATA: &str = "/var/lib/imd";
/// The sessions of the pages: whoever had signed in to the box as it was is not known to the restored one.
const SESSIONS: [&str; 3] = ["web.db", "web.db-wal", "web.db-shm"];
/// Left free beside what is unpacked.
const RESERVE: u64 = 64 << 20;

/// A restore that waits for the next start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// The backup.
    pub manifest: Manifest,
    /// What is in it.
    pub counts: Counts,
    /// Who wants it.
    pub who: String,
}

fn at(name: &str) -> String {
    format!("{SCRATCH}/{name}")
}

/// Whether a restore waits for the next start.
pub fn is_ready(files: &Files) -> bool {
    files.path(at("ready")).exists()
}

/// The first half: nothing of the box changes.
///
/// # Errors
/// The backup cannot be used, or there is no room for it.
pub fn prepare(
    machine: Machine<'_>,
    backup: &Path,
    identity: &Identity,
    who: &str,
) -> Result<Ready, Fault> {
    let files = machine.files;
    if is_ready(files) {
        return Err(Fault::Box(anyhow!(
            "another restore waits for the next start"
        )));
    }
    let (manifest, counts) = try_out(files, backup, identity, "new")?;
    let ready = Ready {
        manifest,
        counts,
        who: who.to_owned(),
    };
    let keep = || -> Result<()> {
        let text = serde_json::to_vec_pretty(&ready).context("writing a restore as JSON")?;
        files.replace(at("ready"), &text, Access::Root).map(drop)
    };
    keep().map_err(Fault::Box)?;
    Ok(ready)
}

/// Unpacks a backup into a folder of the scratch place and checks it. Where that fails nothing is left of it.
///
/// # Errors
/// The backup cannot be used, or there is no room for it.
pub fn try_out(
    files: &Files,
    backup: &Path,
    identity: &Identity,
    name: &str,
) -> Result<(Manifest, Counts), Fault> {
    let folder = files.path(at(name));
    let opened = open(files, backup, &folder).map_err(Fault::Box)?;
    let tried = unpack(opened, identity, &folder)
        .and_then(|manifest| check(&folder).map(|counts| (manifest, counts)));
    if tried.is_err() {
        clear(&folder).map_err(Fault::Box)?;
    }
    tried
}

fn open(files: &Files, backup: &Path, folder: &Path) -> Result<impl Read + use<>> {
    let file = fs::File::open(backup).with_context(|| format!("reading {}", backup.display()))?;
    let bytes = file.metadata().context("looking at the backup")?.len();
    clear(folder)?;
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let scratch = files.path(SCRATCH);
    let private = fs::Permissions::from_mode(0o700);
    fs::set_permissions(&scratch, private).context("closing the scratch folder")?;
    let (free, needed) = (shelf::free(&scratch)?, bytes + RESERVE);
    anyhow::ensure!(
        free >= needed,
        "{} MiB are free and {} are needed to unpack the backup",
        free >> 20,
        needed >> 20
    );
    Ok(BufReader::with_capacity(256 << 10, file))
}

/// The bytes that taking a file of this length and unpacking it needs, if they are more than what is free.
#[must_use]
pub fn without_room(bytes: u64, free: u64) -> Option<u64> {
    let needed = bytes.saturating_mul(2).saturating_add(RESERVE);
    (needed > free).then_some(needed)
}

fn clear(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", folder.display()))
        }
        _ => Ok(()),
    }
}

/// Takes away what a drill has unpacked.
///
/// # Errors
/// It cannot be removed.
pub fn forget(files: &Files, name: &str) -> Result<()> {
    clear(&files.path(at(name)))
}

/// The second half. `None`: no restore waits. What went wrong is in the error, and then the box is as it was.
///
/// # Errors
/// Only a test's power cut; the next start goes on.
pub fn finish(machine: Machine<'_>) -> Result<Option<Result<Ready>>> {
    let files = machine.files;
    let Some(text) = files.read(at("ready"))? else {
        // What a power cut has left of something that was not finished, or not cleared away.
        clear(&files.path(SCRATCH))?;
        return Ok(None);
    };
    let ready = serde_json::from_str::<Ready>(&text).context("reading what is to be restored");
    let is_by_card = ready.as_ref().is_ok_and(|ready| ready.who == card::WHO);
    let swapped = ready.and_then(|ready| swap(files).map(|()| ready));
    let swapped = match swapped {
        Err(error) if error.is::<PowerCut>() => return Err(error),
        Err(error) => match take_back(files) {
            Err(second) if second.is::<PowerCut>() => return Err(second),
            Err(second) => Err(anyhow!("{error:#}; and taking it back: {second:#}")),
            Ok(()) => Err(error),
        },
        Ok(ready) => Ok(ready),
    };
    if is_by_card {
        card::note(machine, &swapped)?;
    }
    // From here on the next start does not begin again.
    files.remove(at("ready"))?;
    files.change()?;
    clear(&files.path(SCRATCH))?;
    if let Ok(ready) = &swapped {
        note(machine, ready);
    }
    Ok(Some(swapped))
}

fn note(machine: Machine<'_>, ready: &Ready) {
    let entry = audit::Entry {
        at: String::new(),
        who: ready.who.clone(),
        action: "box.restored".to_owned(),
        subject: ready.manifest.domain.clone(),
        error: None,
    };
    if let Err(error) = audit::add(machine.files, machine.system.now(), entry) {
        eprintln!("<3>the log of administration: {error:#}");
    }
}

fn swap(files: &Files) -> Result<()> {
    remember(files)?;
    put(files, &at(&format!("new/{BOX}")))?;
    owners::put(files, &at(&format!("new/{BOX}")))?;
    swap_imd(files)?;
    for name in SESSIONS {
        files.remove(format!("/var/lib/perch-web/{name}"))?;
    }
    Ok(())
}

/// Copies the box's files aside, once.
fn remember(files: &Files) -> Result<()> {
    let done = at("old/complete");
    if files.path(&done).exists() {
        return Ok(());
    }
    for (path, _) in FILES {
        if let Ok(content) = fs::read(files.path(path)) {
            files.replace(at(&format!("old/{BOX}{path}")), &content, Access::Root)?;
        }
    }
    owners::remember(
        files,
        &at(&format!("new/{BOX}")),
        &at(&format!("old/{BOX}")),
    )?;
    files.replace(done, b"", Access::Root).map(drop)
}

/// Makes the box's files those of a folder.
fn put(files: &Files, from: &str) -> Result<()> {
    for (path, access) in FILES {
        let source = files.path(format!("{from}{path}"));
        match fs::read(&source) {
            Ok(content) => {
                files.replace(path, &content, access)?;
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => files.remove(path)?,
            Err(error) => {
                return Err(error).with_context(|| format!("reading {}", source.display()));
            }
        }
    }
    Ok(())
}

fn swap_imd(files: &Files) -> Result<()> {
    let (new, old) = (
        files.path(at(&format!("new/{IMD}"))),
        files.path(at(&format!("old/{IMD}"))),
    );
    let data = files.path(IMD_DATA);
    if !new.exists() {
        // An earlier start has done it.
        return Ok(());
    }
    files.remove(at(&format!("new/{IMD}/manifest.json")))?;
    if old.exists() {
        // The start may have made an empty folder in the place of the one that was moved.
        remove_empty(&data)?;
    } else if data.exists() {
        files.rename(&data, &old)?;
    }
    hand_on(&new, &old)?;
    files.rename(&new, &data)
}

fn remove_empty(folder: &Path) -> Result<()> {
    match fs::remove_dir(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", folder.display()))
        }
        _ => Ok(()),
    }
}

/// Gives what was unpacked to whom the folder before belonged.
fn hand_on(new: &Path, before: &Path) -> Result<()> {
    let Ok(owner) = before.metadata() else {
        return Ok(());
    };
    let mut waiting: Vec<PathBuf> = vec![new.to_owned()];
    while let Some(place) = waiting.pop() {
        let context = || format!("handing {} on", place.display());
        std::os::unix::fs::chown(&place, Some(owner.uid()), Some(owner.gid()))
            .with_context(context)?;
        if place.is_dir() {
            for entry in fs::read_dir(&place).with_context(context)? {
                waiting.push(entry.with_context(context)?.path());
            }
        }
    }
    fs::set_permissions(new, owner.permissions()).context("opening the chat server's folder")
}

/// The box as it was before [`swap`], however far that came.
fn take_back(files: &Files) -> Result<()> {
    if !files.path(at("old/complete")).exists() {
        return Ok(());
    }
    let (old_box, new_box) = (at(&format!("old/{BOX}")), at(&format!("new/{BOX}")));
    put(files, &old_box)?;
    owners::take_back(files, &new_box, &old_box)?;
    let old = files.path(at(&format!("old/{IMD}")));
    if old.exists() {
        let (data, new) = (files.path(IMD_DATA), files.path(at(&format!("new/{IMD}"))));
        if new.exists() {
            remove_empty(&data)?;
        } else {
            files.rename(&data, &new)?;
        }
        files.rename(&old, &data)?;
    }
    Ok(())
}
