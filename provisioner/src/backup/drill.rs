//! Tries whether a backup can be had back: unpacks it into a scratch folder, looks at everything in it, and counts.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::key::BoxKey;
use super::outcome::Outcome;
use super::stick::{self, Mounted};
use super::target::work as offsite;
use super::{FOLDER, restore, shelf};
use crate::settings::apply::Machine;

/// Tries the newest backup on the stick, or else the one on the box. `None`: there is nothing to try.
///
/// # Errors
/// It could not be restored.
pub fn lying(machine: Machine<'_>) -> Result<Option<Outcome>> {
    let files = machine.files;
    let Some(key) = BoxKey::load(files)? else {
        return Ok(None);
    };
    let mounted = match stick::find(files)? {
        Ok(stick) => Some(Mounted::new(machine, &stick, false)?),
        Err(_) => None,
    };
    let folders = mounted.iter().map(|mounted| mounted.folder.clone());
    let folders: Vec<PathBuf> = folders.chain([files.path(FOLDER)]).collect();
    let newest = folders.iter().find_map(|folder| {
        let lying = shelf::list(folder).into_iter().next()?;
        Some((folder.join(&lying.name), lying.name))
    });
    let Some((place, name)) = newest else {
        return Ok(None);
    };
    unpacked(machine, &key, &place, &name).map(Some)
}

/// Tries what was fetched from the target under this name, and removes it. `None`: the box has no recovery key any more.
///
/// # Errors
/// It could not be restored.
pub fn fetched(machine: Machine<'_>, name: &str) -> Result<Option<Outcome>> {
    let key = BoxKey::load(machine.files)?;
    let place = machine.files.path(offsite::FETCHED);
    let tried = key.map(|key| unpacked(machine, &key, &place, name));
    offsite::forget(machine.files)?;
    tried.transpose()
}

fn unpacked(machine: Machine<'_>, key: &BoxKey, place: &Path, name: &str) -> Result<Outcome> {
    let about = place.metadata();
    let about = about.with_context(|| format!("reading {}", place.display()))?;
    let (_, counts) = restore::try_out(machine.files, place, &key.identity()?, "drill")?;
    restore::forget(machine.files, "drill")?;
    Ok(Outcome {
        name: name.to_owned(),
        bytes: about.len(),
        counts: Some(counts),
        ..Outcome::default()
    })
}
