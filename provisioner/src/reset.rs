//! Factory reset: the box forgets everything and starts as a new one. Asked for on the page or by a file on the card, and carried
//! out at the next start, before anything of the box runs.
//!
//! It can be cut off after every change: what was asked for is remembered until all of it is done.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::backup;
use crate::files::{Access, Files};

/// What was asked for: `keep-backups` or `all`. The last thing that is removed.
const ASKED: &str = "/var/lib/perch/reset";
const KEEP: &str = "keep-backups";
/// Files on the card that ask for it, and whether backups on the box stay. Some editors add the ending without showing it.
const MARKERS: [(&str, bool); 4] = [
    ("/boot/firmware/perch-factory-reset", true),
    ("/boot/firmware/perch-factory-reset.txt", true),
    ("/boot/firmware/perch-factory-reset-all", false),
    ("/boot/firmware/perch-factory-reset-all.txt", false),
];
/// Folders that are emptied, and what stays in them: folders that others must be able to enter, and what belongs to the slots.
const EMPTIED: [(&str, &[&str]); 6] = [
    ("/var/lib/imd", &[]),
    ("/var/lib/perch-web", &[]),
    ("/etc/perch", &[]),
    ("/etc/ssh/keys", &[]),
    ("/root", &[]),
    ("/var/lib/perch", &["tls", "update", "reset"]),
];
/// What goes besides, where it is: `*` stands for any name.
const REMOVED: [&str; 5] = [
    "/var/lib/perch/tls/*",
    "/etc/systemd/network/4*-perch-*",
    "/boot/firmware/perch-invitations.html",
    "/var/lib/perch-backup/in/*",
    // The journals of former starts; this one's is in use.
    "/var/log/journal/*/*@*",
];

/// Asks for it at the next start.
///
/// # Errors
/// It cannot be written down.
pub fn ask(files: &Files, keep_backups: bool) -> Result<()> {
    let text = if keep_backups { KEEP } else { "all" };
    files
        .replace(ASKED, text.as_bytes(), Access::Root)
        .map(drop)
}

/// Does what was asked for. Returns whether something was.
///
/// # Errors
/// Something cannot be removed; the next start tries again.
pub fn finish(files: &Files) -> Result<bool> {
    if let Some((marker, keep)) = MARKERS.iter().find(|(path, _)| files.path(path).exists()) {
        ask(files, *keep)?;
        // One that cannot be removed would reset the box at every start.
        if let Err(error) = files.remove(marker) {
            files.remove(ASKED)?;
            return Err(error.context("the box was not reset"));
        }
    }
    let Some(asked) = files.read(ASKED)? else {
        return Ok(false);
    };
    for (folder, stays) in EMPTIED {
        empty(files, &files.path(folder), stays)?;
    }
    let backups = format!("{}/*{}", backup::FOLDER, backup::ENDING);
    let mut patterns = REMOVED.to_vec();
    if asked != KEEP {
        patterns.push(&backups);
    }
    for path in patterns.iter().flat_map(|pattern| files.matching(pattern)) {
        files.remove(path)?;
    }
    files.remove(ASKED)?;
    Ok(true)
}

fn empty(files: &Files, folder: &Path, stays: &[&str]) -> Result<()> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Ok(());
    };
    for entry in entries {
        let entry = entry.with_context(|| format!("reading {}", folder.display()))?;
        let name = entry.file_name();
        if stays.iter().any(|stays| name == *stays) {
            continue;
        }
        files.change()?;
        let place = entry.path();
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let removed = if is_folder {
            fs::remove_dir_all(&place)
        } else {
            fs::remove_file(&place)
        };
        removed.with_context(|| format!("removing {}", place.display()))?;
    }
    Ok(())
}
