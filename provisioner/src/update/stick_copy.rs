//! Takes a bundle from a USB stick to where the pages put one that somebody sends: RAUC's service does not see what a unit mounts for
//! itself, and the stick may be pulled out afterwards. All of it arrives, or nothing.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result, bail};
use nix::libc;
use serde::{Deserialize, Serialize};

use super::stick;
use crate::backup::job as backups;
use crate::backup::shelf;
use crate::backup::stick::Mounted;
use crate::model::bundle::{BundleName, StickId};
use crate::settings::apply::Machine;

/// What is copied at once.
const PIECE: usize = 1 << 20;
/// Left free besides the file: people go on writing meanwhile.
const RESERVE: u64 = 64 << 20;

/// A bundle that somebody has chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chosen {
    /// The stick.
    pub stick: StickId,
    /// The file in its top folder.
    pub name: BundleName,
}

/// Why a bundle cannot be taken from its stick, each with what to do.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// It is not plugged in.
    #[error("the stick is not plugged in any more: plug it in again, and choose the file anew")]
    NoStick,
    /// There is no such file, or it is no plain one.
    #[error(
        "there is no file {0} in the stick's top folder: copy it there, plug the stick in again, and choose it anew"
    )]
    NoFile(String),
    /// The box is too full.
    #[error(
        "there is no room for the file: {needed} MiB are needed and {free} are free; delete old messages or uploads \
         (`imd retention`), or use a larger card or disk"
    )]
    NoRoom {
        /// In MiB.
        needed: u64,
        /// In MiB.
        free: u64,
    },
    /// It stopped in the middle.
    #[error(
        "the stick was pulled out, or cannot be read any more, so that nothing was installed: plug it in again and leave it there, or \
         copy the file to another stick ({0})"
    )]
    Unreadable(String),
}

/// Copies it to `place`, and tells `goes_on` now and then that it still does.
///
/// # Errors
/// [`Fault`], or the copy cannot be written. Nothing is left of it then.
pub fn copy(
    machine: Machine<'_>,
    chosen: &Chosen,
    place: &Path,
    goes_on: &dyn Fn() -> Result<()>,
) -> Result<()> {
    // The same stick is not mounted for writing meanwhile.
    let _turn = backups::take_turn(machine.files, "update")?;
    let Some(found) = stick::find(machine.files, &chosen.stick) else {
        bail!(Fault::NoStick);
    };
    let mounted = Mounted::new(machine, &found.stick, false)?;
    copy_whole(&mounted.folder, &chosen.name, place, goes_on)
}

fn copy_whole(
    folder: &Path,
    name: &BundleName,
    place: &Path,
    goes_on: &dyn Fn() -> Result<()>,
) -> Result<()> {
    let copied = copy_from(folder, name, place, goes_on);
    if copied.is_err() {
        remove(place)?;
    }
    copied
}

fn remove(place: &Path) -> Result<()> {
    match std::fs::remove_file(place) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", place.display()))
        }
        _ => Ok(()),
    }
}

fn copy_from(
    folder: &Path,
    name: &BundleName,
    place: &Path,
    goes_on: &dyn Fn() -> Result<()>,
) -> Result<()> {
    let (mut bundle, bytes) = open(folder, name)?;
    // One that was sent before and is not wanted any more would take the room.
    remove(place)?;
    let needed = bytes.saturating_add(RESERVE);
    let free = shelf::free(place.parent().unwrap_or(folder))?;
    if free < needed {
        bail!(Fault::NoRoom {
            needed: needed.div_ceil(1 << 20),
            free: free >> 20,
        });
    }
    let writing = || format!("writing {}", place.display());
    // The pages may write into its folder, so that a link of theirs could lead elsewhere: never one that is there.
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o640);
    let mut copy = options.open(place).with_context(writing)?;
    let mut piece = vec![0; PIECE];
    let mut copied = 0;
    loop {
        let length = bundle.read(&mut piece).map_err(unreadable)?;
        let Some(read) = piece.get(..length).filter(|read| !read.is_empty()) else {
            break;
        };
        copy.write_all(read).with_context(writing)?;
        copied += length as u64;
        goes_on()?;
    }
    if copied != bytes {
        bail!(Fault::Unreadable(format!("{copied} of {bytes} bytes came")));
    }
    copy.sync_all().with_context(writing)
}

/// Opens a plain file, and no link, of a stick's top folder; with its length.
fn open(folder: &Path, name: &BundleName) -> Result<(File, u64), Fault> {
    let mut options = OpenOptions::new();
    // A pipe would be waited for.
    options
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let absent = || Fault::NoFile(name.as_str().to_owned());
    let bundle = match options.open(folder.join(name.as_str())) {
        Ok(bundle) => bundle,
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(absent()),
        Err(error) if error.raw_os_error() == Some(libc::ELOOP) => return Err(absent()),
        Err(error) => return Err(unreadable(error)),
    };
    let about = bundle.metadata().map_err(unreadable)?;
    if !about.is_file() {
        return Err(absent());
    }
    Ok((bundle, about.len()))
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn unreadable(error: std::io::Error) -> Fault {
    Fault::Unreadable(error.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn name(text: &str) -> BundleName {
        BundleName::new(text).unwrap()
    }

    #[test]
    fn only_a_plain_file_of_the_top_folder_is_copied() {
        let stick = tempfile::tempdir().unwrap();
        let target = tempfile::tempdir().unwrap();
        let place = target.path().join("uploaded.raucb");
        let lies = |file: &str| stick.path().join(file);
        std::fs::write(lies("perch.raucb"), "bundle").unwrap();
        std::fs::write(target.path().join("secret"), "secret").unwrap();
        std::os::unix::fs::symlink(target.path().join("secret"), lies("link.raucb")).unwrap();
        std::fs::create_dir(lies("folder.raucb")).unwrap();
        nix::unistd::mkfifo(&lies("pipe.raucb"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        for file in [
            "link.raucb",
            "folder.raucb",
            "pipe.raucb",
            "not-there.raucb",
        ] {
            let error = copy_from(stick.path(), &name(file), &place, &|| Ok(())).unwrap_err();
            let text = error.to_string();
            assert!(text.contains("there is no file"), "{file}: {text}");
            assert!(!place.exists(), "{file}");
        }
        copy_from(stick.path(), &name("perch.raucb"), &place, &|| Ok(())).unwrap();
        assert_eq!(std::fs::read_to_string(&place).unwrap(), "bundle");
        // A copy is never written through a link.
        std::fs::remove_file(&place).unwrap();
        std::os::unix::fs::symlink(target.path().join("secret"), &place).unwrap();
        copy_from(stick.path(), &name("perch.raucb"), &place, &|| Ok(())).unwrap();
        let secret = std::fs::read_to_string(target.path().join("secret"));
        assert_eq!(secret.unwrap(), "secret");
        assert!(!place.is_symlink());
    }

    #[test]
    fn of_a_file_that_ends_in_the_middle_nothing_is_left() {
        let stick = tempfile::tempdir().unwrap();
        let place = stick.path().join("copy");
        let file = File::create(stick.path().join("perch.raucb")).unwrap();
        file.set_len(3 * PIECE as u64).unwrap();
        let pulled_out = || {
            assert!(place.exists());
            Ok(file.set_len(1)?)
        };
        let error =
            copy_whole(stick.path(), &name("perch.raucb"), &place, &pulled_out).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("pulled out") && text.contains("plug it in again"));
        assert!(!place.exists());
    }

    #[test]
    fn a_file_that_does_not_fit_is_refused_with_what_to_do() {
        let stick = tempfile::tempdir().unwrap();
        let place = stick.path().join("copy");
        let file = File::create(stick.path().join("perch.raucb")).unwrap();
        // All holes.
        file.set_len(1 << 43).unwrap();
        let error = copy_from(stick.path(), &name("perch.raucb"), &place, &|| Ok(())).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("MiB are needed") && text.contains("larger card"));
        assert!(!place.exists());
    }
}
