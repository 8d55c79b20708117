//! The copy of the server's database that is made before another version first opens it.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::FOLDER;
use crate::files::Files;
use crate::system::System;

/// Where imd keeps what people write.
const DATABASE: &str = "/var/lib/imd/imd.sqlite";
/// What belongs to a database besides its file.
const PARTS: [&str; 3] = ["", "-wal", "-shm"];

fn copy_of(part: &str) -> String {
    format!("{FOLDER}/before/imd.sqlite{part}")
}

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
    files.change()?;
    let (new, kept) = (
        files.path(format!("{FOLDER}/before.new")),
        files.path(format!("{FOLDER}/before")),
    );
    if new.exists() {
        fs::remove_dir_all(&new).with_context(|| format!("removing {}", new.display()))?;
    }
    fs::create_dir_all(&new).with_context(|| format!("making {}", new.display()))?;
    for part in PARTS {
        let from = files.path(format!("{DATABASE}{part}"));
        if from.exists() {
            let to = new.join(format!("imd.sqlite{part}"));
            // cp keeps the owner.
            let (from, to) = (text(&from)?, text(&to)?);
            system.run(&["cp", "-a", "--reflink=auto", &from, &to], None)?;
        }
    }
    system.run(&["sync", "-f", &text(&new)?], None)?;
    files.rename(&new, &kept)
}

/// Puts the copy back where the schema is another now than it was. What was written since then stays in `after` beside it.
/// Returns whether it did.
///
/// # Errors
/// The disk is full or failing.
pub fn restore(files: &Files, system: &dyn System) -> Result<bool> {
    let kept = files.path(copy_of(""));
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
    let after = files.path(format!("{FOLDER}/after"));
    fs::create_dir_all(&after).with_context(|| format!("making {}", after.display()))?;
    for part in PARTS {
        let place = files.path(format!("{DATABASE}{part}"));
        if place.exists() {
            files.change()?;
            let aside = after.join(format!("imd.sqlite{part}"));
            let (from, to) = (text(&place)?, text(&aside)?);
            // Copied, not moved: a power cut here finds both, and does it again.
            system.run(&["cp", "-a", &from, &to], None)?;
        }
    }
    system.run(&["sync", "-f", &text(&after)?], None)?;
    // The log of the newer database must not be taken for that of the older one.
    for part in ["-wal", "-shm"] {
        files.remove(format!("{DATABASE}{part}"))?;
    }
    for part in ["-wal", ""] {
        let from = files.path(copy_of(part));
        if from.exists() {
            let new = files.path(format!("{DATABASE}{part}.restored"));
            system.run(&["cp", "-a", &text(&from)?, &text(&new)?], None)?;
            system.run(&["sync", "-f", &text(&new)?], None)?;
            files.rename(&new, &files.path(format!("{DATABASE}{part}")))?;
        }
    }
    drop_copy(files)?;
    Ok(true)
}

/// Removes the copy if there is one.
///
/// # Errors
/// It cannot be removed.
pub fn drop_copy(files: &Files) -> Result<()> {
    let kept = files.path(format!("{FOLDER}/before"));
    if kept.exists() {
        files.change()?;
        fs::remove_dir_all(&kept).with_context(|| format!("removing {}", kept.display()))?;
    }
    Ok(())
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
