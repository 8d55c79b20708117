//! The copy of the server's database that is made before another version first opens it.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use anyhow::{Context, Result};

use crate::files::Files;
use crate::system::System;

/// Where imd keeps what people write.
const DATABASE: &str = "/var/lib/imd/imd.sqlite";
/// What belongs to a database besides its file.
const PARTS: [&str; 3] = ["", "-wal", "-shm"];

/// The copy that is made before the trial.
const BEFORE: &str = "/var/lib/perch/update/before";
/// The same, from when it is certain that it takes the database's place until it has.
const RESTORING: &str = "/var/lib/perch/update/restoring";
/// What was written during a trial whose database was not kept.
pub const AFTER: &str = "/var/lib/perch/update/after";
const NAME: &str = "imd.sqlite";

/// Bytes that a copy needs.
#[must_use]
pub fn size(files: &Files) -> u64 {
    let length =
        |part| fs::metadata(files.path(format!("{DATABASE}{part}"))).map_or(0, |about| about.len());
    PARTS.iter().map(length).sum()
}

/// Copies the database, which nobody has open. A power cut leaves no copy or a whole one.
///
/// # Errors
/// The disk is full or failing.
pub fn keep(files: &Files, system: &dyn System) -> Result<()> {
    drop_copy(files)?;
    copy_whole(files, system, BEFORE)
}

/// Puts the copy back where the schema is another now than it was. What was written since then is in `after` beside it, in place of what an
/// earlier trial left there. Returns whether it did.
///
/// A power cut or a fault at any step leaves enough to go on from when it is called again: until the database of the trial is whole in
/// `after`, nothing else changes; from then on the copy is called `restoring` and is put in its place, however far that had come.
///
/// # Errors
/// The disk is full or failing.
pub fn restore(files: &Files, system: &dyn System) -> Result<bool> {
    if !files.path(RESTORING).exists() {
        let kept = files.path(format!("{BEFORE}/{NAME}"));
        if !kept.exists() {
            return Ok(false);
        }
        let (before, now) = (
            schema(&kept)?,
            schema(&files.path(DATABASE)).unwrap_or_default(),
        );
        if before == now {
            drop_copy(files)?;
            return Ok(false);
        }
        remove_whole(files, AFTER)?;
        copy_whole(files, system, AFTER)?;
        files.rename(&files.path(BEFORE), &files.path(RESTORING))?;
    }
    put_back(files, system)?;
    remove_whole(files, RESTORING)?;
    Ok(true)
}

/// What can fail for want of room comes first; what follows only gives names. The server is not started in between.
fn put_back(files: &Files, system: &dyn System) -> Result<()> {
    let new = |part: &str| format!("{DATABASE}{part}.restored");
    let parts = ["", "-wal"].map(|part| (part, files.path(format!("{RESTORING}/{NAME}{part}"))));
    for (part, from) in &parts {
        files.remove(new(part))?;
        if from.exists() {
            copy(files, system, from, &files.path(new(part)))?;
        }
    }
    system.run(&["sync", "-f", &text(&files.path(new("")))?], None)?;
    // The log of the newer database must not be taken for that of the older one.
    for part in ["-shm", "-wal"] {
        files.remove(format!("{DATABASE}{part}"))?;
    }
    for (part, from) in &parts {
        if from.exists() {
            let place = files.path(format!("{DATABASE}{part}"));
            files.rename(&files.path(new(part)), &place)?;
        }
    }
    Ok(())
}

/// Removes the copy if there is one.
///
/// # Errors
/// It cannot be removed.
pub fn drop_copy(files: &Files) -> Result<()> {
    remove_whole(files, RESTORING)?;
    remove_whole(files, BEFORE)
}

/// When a trial that failed left what was written during it in [`AFTER`], in seconds since 1970. `None`: nothing is there.
#[must_use]
pub fn aside(files: &Files) -> Option<i64> {
    let about = fs::metadata(files.path(AFTER)).ok()?;
    let since = about.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(since.as_secs().cast_signed())
}

/// Copies the database into a folder that is not there yet, so that it is there whole or not at all.
fn copy_whole(files: &Files, system: &dyn System, folder: &str) -> Result<()> {
    let new = format!("{folder}.new");
    remove_whole(files, &new)?;
    files.change()?;
    let new = files.path(new);
    fs::create_dir_all(&new).with_context(|| format!("making {}", new.display()))?;
    for part in PARTS {
        let from = files.path(format!("{DATABASE}{part}"));
        if from.exists() {
            copy(files, system, &from, &new.join(format!("{NAME}{part}")))?;
        }
    }
    system.run(&["sync", "-f", &text(&new)?], None)?;
    files.rename(&new, &files.path(folder))
}

/// Removes a folder: it is whole, or has another name and counts no more.
fn remove_whole(files: &Files, folder: &str) -> Result<()> {
    let gone = files.path(format!("{folder}.gone"));
    let remove = || -> Result<()> {
        files.change()?;
        fs::remove_dir_all(&gone).with_context(|| format!("removing {}", gone.display()))
    };
    if gone.exists() {
        remove()?;
    }
    let place = files.path(folder);
    if place.exists() {
        files.rename(&place, &gone)?;
        remove()?;
    }
    Ok(())
}

/// cp keeps the owner.
fn copy(files: &Files, system: &dyn System, from: &Path, to: &Path) -> Result<()> {
    files.change()?;
    let (from, to) = (text(from)?, text(to)?);
    let command = ["cp", "-a", "--reflink=auto", &from, &to];
    system.run(&command, None).map(drop)
}

/// The schema's version, `PRAGMA user_version`: in the header (<https://sqlite.org/fileformat.html> §1.3, bytes 60 to 63), or in the
/// newest committed first page of the write-ahead log (§4.1). `None`: there is no database.
///
/// # Errors
/// The file cannot be read.
pub fn schema_now(files: &Files) -> Option<u32> {
    schema(&files.path(DATABASE)).ok()
}

/// Bytes of a database's header.
const HEADER: u64 = 100;

fn schema(database: &Path) -> Result<u32> {
    // The header alone: the file may be larger than the memory.
    let mut header = Vec::new();
    fs::File::open(database)
        .and_then(|file| file.take(HEADER).read_to_end(&mut header))
        .with_context(|| format!("reading {}", database.display()))?;
    let header = version_in(&header).unwrap_or_default();
    let mut log = database.as_os_str().to_owned();
    log.push("-wal");
    let log = fs::read(PathBuf::from(log)).unwrap_or_default();
    Ok(version_in_log(&log).unwrap_or(header))
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn version_in(page: &[u8]) -> Option<u32> {
    number(page, 60)
}

/// Frames count while they carry the log's own salt; a page is committed by a frame at or after it that ends a transaction.
fn version_in_log(log: &[u8]) -> Option<u32> {
    let page_size = usize::try_from(number(log, 8)?).ok()?;
    let salt = log.get(16..24)?;
    let (mut pending, mut committed) = (None, None);
    for frame in log.get(32..)?.chunks_exact(24 + page_size) {
        if frame.get(8..16) != Some(salt) {
            break;
        }
        if number(frame, 0) == Some(1) {
            pending = version_in(&frame[24..]);
        }
        if number(frame, 4) != Some(0) {
            committed = pending.or(committed);
        }
    }
    committed
}

fn text(path: &Path) -> Result<String> {
    Ok(path
        .to_str()
        .with_context(|| format!("{} is not UTF-8", path.display()))?
        .to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: usize = 512;

    fn page(version: u32) -> Vec<u8> {
        let mut page = vec![0; PAGE];
        page[60..64].copy_from_slice(&version.to_be_bytes());
        page
    }

    fn frame(page_number: u32, commit: u32, salt: u8, page: &[u8]) -> Vec<u8> {
        let mut frame = vec![0; 24];
        frame[..4].copy_from_slice(&page_number.to_be_bytes());
        frame[4..8].copy_from_slice(&commit.to_be_bytes());
        frame[8..16].fill(salt);
        frame.extend_from_slice(page);
        frame
    }

    fn log(frames: &[Vec<u8>]) -> Vec<u8> {
        let mut log = vec![0; 32];
        log[8..12].copy_from_slice(&512_u32.to_be_bytes());
        log[16..24].fill(7);
        log.extend(frames.concat());
        log
    }

    #[test]
    fn the_newest_committed_first_page_says_the_schemas_version() {
        let frames = [
            frame(1, 5, 7, &page(2)),
            frame(2, 5, 7, &page(9)),
            frame(1, 0, 7, &page(3)),
        ];
        assert_eq!(version_in_log(&log(&frames)), Some(2), "3 is not committed");
        let mut frames = frames.to_vec();
        frames.push(frame(4, 6, 7, &page(0)));
        assert_eq!(version_in_log(&log(&frames)), Some(3));
        frames.push(frame(1, 6, 8, &page(1)));
        assert_eq!(
            version_in_log(&log(&frames)),
            Some(3),
            "an older log's rest"
        );
    }

    #[test]
    fn a_log_without_the_first_page_says_nothing() {
        assert_eq!(version_in_log(&[]), None);
        assert_eq!(version_in_log(&log(&[frame(2, 3, 7, &page(4))])), None);
    }

    #[test]
    fn a_database_without_a_log_says_it_in_its_header() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("imd.sqlite");
        fs::write(&path, page(2)).unwrap();
        assert_eq!(schema(&path).unwrap(), 2);
        fs::write(
            folder.path().join("imd.sqlite-wal"),
            log(&[frame(1, 1, 7, &page(3))]),
        )
        .unwrap();
        assert_eq!(schema(&path).unwrap(), 3);
    }
}
