//! Where backups lie: the box's own folder, for downloads, and the accepted stick.

use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::{ENDING, keep};
use crate::files::Files;

/// A backup that lies somewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lying {
    /// Its name.
    pub name: String,
    /// Its length.
    pub bytes: u64,
}

/// Whether this can be the name of a backup's file, and of nothing else.
pub fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    name.ends_with(ENDING) && name.len() <= 200 && !name.starts_with('.') && name.chars().all(plain)
}

/// The backups in a folder, newest first; none if there is no such folder.
pub fn list(folder: &Path) -> Vec<Lying> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<Lying> = entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let about = entry.metadata().ok().filter(std::fs::Metadata::is_file)?;
            is_name(&name).then_some(Lying {
                name,
                bytes: about.len(),
            })
        })
        .collect();
    found.sort_by(|one, other| other.name.cmp(&one.name));
    found
}

/// Removes what [`keep`] gives up, and what has been left unfinished; returns how many backups went.
///
/// # Errors
/// A file cannot be removed.
pub fn tidy(files: &Files, folder: &Path, host_name: &str) -> Result<usize> {
    let prefix = format!("perch-{host_name}-");
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(&prefix) && name.ends_with(".age.part") {
            remove(files, &entry.path())?;
        }
    }
    let names: Vec<String> = list(folder).into_iter().map(|lying| lying.name).collect();
    let gone = keep::superfluous(&names, host_name);
    for name in &gone {
        remove(files, &folder.join(name))?;
    }
    Ok(gone.len())
}

/// Removes the oldest backups of this box until there is room, or only [`keep::LEAST`] are left.
///
/// # Errors
/// There is not enough room even so.
pub fn make_room(files: &Files, folder: &Path, host_name: &str, bytes: u64) -> Result<()> {
    loop {
        let free = free(folder)?;
        if free >= bytes {
            return Ok(());
        }
        let names: Vec<String> = list(folder).into_iter().map(|lying| lying.name).collect();
        let own = keep::of_box(&names, host_name);
        match own.last() {
            Some(oldest) if own.len() > keep::LEAST => remove(files, &folder.join(oldest))?,
            _ => anyhow::bail!(
                "{} MiB are free and {} are needed",
                free >> 20,
                (bytes >> 20) + 1
            ),
        }
    }
}

/// Bytes that can be written there.
///
/// # Errors
/// There is no such folder.
pub fn free(folder: &Path) -> Result<u64> {
    let about = nix::sys::statvfs::statvfs(folder);
    let about = about.with_context(|| format!("asking how much room {} has", folder.display()))?;
    #[allow(clippy::useless_conversion, reason = "other widths on other systems")]
    Ok(u64::from(about.blocks_available()) * u64::from(about.fragment_size()))
}

fn remove(files: &Files, place: &Path) -> Result<()> {
    files.change()?;
    std::fs::remove_file(place).with_context(|| format!("removing {}", place.display()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn names_that_lead_elsewhere_are_none() {
        for (name, good) in [
            ("perch-perch-20261201-020304.age", true),
            ("../x.age", false),
            (".age", false),
            ("a/b.age", false),
            ("x.txt", false),
        ] {
            assert_eq!(is_name(name), good, "{name}");
        }
    }

    #[test]
    fn room_is_made_by_giving_up_the_oldest_but_never_the_last_two() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::new("/nowhere");
        for day in 1..=5 {
            let name = format!("perch-perch-2026120{day}-020000.age");
            std::fs::write(folder.path().join(name), "x").unwrap();
        }
        std::fs::write(folder.path().join("perch-perch-1.age.part"), "x").unwrap();
        std::fs::write(folder.path().join("mine.age"), "x").unwrap();
        assert!(make_room(&files, folder.path(), "perch", u64::MAX).is_err());
        tidy(&files, folder.path(), "perch").unwrap();
        let left: Vec<String> = list(folder.path()).into_iter().map(|l| l.name).collect();
        assert_eq!(
            left,
            [
                "perch-perch-20261205-020000.age",
                "perch-perch-20261204-020000.age",
                "mine.age"
            ]
        );
        assert!(!folder.path().join("perch-perch-1.age.part").exists());
    }
}
