//! What is sent, checked and given up, whatever the target is.

use std::path::Path;

use super::fault::{Fault, Kind};
use super::{Listing, Place};
use crate::backup::keep;
use crate::backup::shelf::{Lying, is_name};

/// What an unfinished file's name ends in, where the target knows unfinished files.
pub const UNFINISHED: &str = ".part";
/// A file takes a little more room than it has bytes.
const OVERHEAD: u64 = 1 << 20;

/// Sends a file, looks at what arrived, and gives up what [`keep`] does not want; returns the backups that lie there then. Sending one
/// that is there already only tidies up.
///
/// # Errors
/// It did not arrive whole. The backups that were there before are there still, but for those that made room on a full target.
pub fn send(
    place: &dyn Place,
    file: &Path,
    name: &str,
    host_name: &str,
) -> Result<Vec<Lying>, Fault> {
    let about = file.metadata();
    let bytes = about
        .map_err(|error| Fault::new(Kind::Box, format!("{name}: {error}")))?
        .len();
    let before = place.list()?;
    place.remove(&leftovers(&before, host_name))?;
    if !has(&before, name, bytes) {
        let gone = room(&before, host_name, bytes)?;
        place.remove(&gone)?;
        place.put(file, name)?;
    }
    let mut after = place.list()?;
    if !has(&after, name, bytes) {
        return Err(Fault::new(Kind::Altered, name));
    }
    let names: Vec<String> = after.files.iter().map(|lying| lying.name.clone()).collect();
    let gone: Vec<String> = keep::superfluous(&names, host_name)
        .into_iter()
        .map(str::to_owned)
        .collect();
    place.remove(&gone)?;
    after.files.retain(|lying| !gone.contains(&lying.name));
    Ok(backups(&after))
}

/// The backups among the files, of whatever box, newest first.
#[must_use]
pub fn backups(listing: &Listing) -> Vec<Lying> {
    let mut found: Vec<Lying> = listing
        .files
        .iter()
        .filter(|lying| is_name(&lying.name))
        .cloned()
        .collect();
    found.sort_by(|one, other| other.name.cmp(&one.name));
    found
}

fn has(listing: &Listing, name: &str, bytes: u64) -> bool {
    let wanted = Lying {
        name: name.to_owned(),
        bytes,
    };
    listing.files.contains(&wanted)
}

/// What this box has left unfinished.
fn leftovers(listing: &Listing, host_name: &str) -> Vec<String> {
    let names = listing.files.iter().filter_map(|lying| {
        let whole = lying.name.strip_suffix(UNFINISHED)?;
        let own = [whole.to_owned()];
        (!keep::of_box(&own, host_name).is_empty()).then(|| lying.name.clone())
    });
    names.collect()
}

/// The oldest backups of this box that make room for another, but never the last [`keep::LEAST`].
fn room(listing: &Listing, host_name: &str, bytes: u64) -> Result<Vec<String>, Fault> {
    let needed = bytes + OVERHEAD;
    let Some(mut free) = listing.free else {
        return Ok(Vec::new());
    };
    let names: Vec<String> = listing
        .files
        .iter()
        .map(|lying| lying.name.clone())
        .collect();
    let mut own = keep::of_box(&names, host_name);
    let mut gone = Vec::new();
    while free < needed {
        let oldest = own.pop().filter(|_| own.len() >= keep::LEAST);
        let Some(oldest) = oldest else {
            let detail = format!(
                "{} MiB are free and {} are needed",
                free >> 20,
                (needed >> 20) + 1
            );
            return Err(Fault::new(Kind::Full, detail));
        };
        let size = listing.files.iter().find(|lying| lying.name == oldest);
        free = free.saturating_add(size.map_or(0, |lying| lying.bytes));
        gone.push(oldest.to_owned());
    }
    Ok(gone)
}

#[cfg(test)]
#[path = "send_tests.rs"]
mod tests;
