//! Reads a backup into a scratch folder. Whatever is wrong with it, nothing outside that folder changes.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use age::x25519::Identity;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::contents::{MANIFEST, Manifest, is_known};
use super::owners;

/// What every file of age begins with.
const MAGIC: &[u8; 21] = b"age-encryption.org/v1";
/// The list in front is short.
const LONGEST_MANIFEST: u64 = 64 << 10;

/// Why a backup cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// It is no file of age.
    #[error("this is no backup of a Perch box")]
    Foreign,
    /// The recovery key is another backup's.
    #[error("the recovery key does not open this backup")]
    WrongKey,
    /// Something of it is not as it was written.
    #[error("the backup is damaged: {0}")]
    Damaged(String),
    /// A later version made it.
    #[error("the backup was made by version {0}, and this box has {own}", own = env!("CARGO_PKG_VERSION"))]
    Newer(String),
    /// The box cannot do it: a full disk.
    #[error("{0:#}")]
    Box(anyhow::Error),
}

/// The same for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// As in [`Fault`].
    Foreign,
    /// As in [`Fault`].
    WrongKey,
    /// As in [`Fault`].
    Damaged,
    /// As in [`Fault`].
    Newer,
    /// As in [`Fault`].
    Box,
}

impl Fault {
    /// For programs.
    pub fn kind(&self) -> FaultKind {
        match self {
            Self::Foreign => FaultKind::Foreign,
            Self::WrongKey => FaultKind::WrongKey,
            Self::Damaged(_) => FaultKind::Damaged,
            Self::Newer(_) => FaultKind::Newer,
            Self::Box(_) => FaultKind::Box,
        }
    }

    fn of_reading(error: &io::Error) -> Self {
        Self::Damaged(error.to_string())
    }
}

/// Reads a backup's list.
///
/// # Errors
/// It cannot be used.
pub fn manifest(backup: impl Read, identity: &Identity) -> Result<Manifest, Fault> {
    let mut archive = tar::Archive::new(decrypt(backup, identity)?);
    let entries = archive.entries().map_err(|e| Fault::of_reading(&e))?;
    first(entries).map(|(manifest, _)| manifest)
}

/// Unpacks a backup into a folder that is there and empty, for root alone.
///
/// # Errors
/// It cannot be used; the folder then has parts of it.
pub fn unpack(backup: impl Read, identity: &Identity, into: &Path) -> Result<Manifest, Fault> {
    let mut archive = tar::Archive::new(decrypt(backup, identity)?);
    let entries = archive.entries().map_err(|e| Fault::of_reading(&e))?;
    let (manifest, entries) = first(entries)?;
    for entry in entries {
        let mut entry = entry.map_err(|e| Fault::of_reading(&e))?;
        let name = name_of(&entry)?;
        if !is_known(&name) || !entry.header().entry_type().is_file() {
            return Err(Fault::Damaged(format!("{name} does not belong into it")));
        }
        let mode = entry.header().mode().unwrap_or_default();
        take(&mut entry, &into.join(&name), owners::mode_in(&name, mode))?;
    }
    // Behind the archive's end there is nothing; reading it proves that the encryption ends there, too.
    let mut rest = archive.into_inner();
    io::copy(&mut rest, &mut io::sink()).map_err(|e| Fault::of_reading(&e))?;
    Ok(manifest)
}

type Whole<R> = io::Chain<io::Cursor<[u8; MAGIC.len()]>, R>;

fn decrypt<R: Read>(
    mut backup: R,
    identity: &Identity,
) -> Result<age::stream::StreamReader<Whole<R>>, Fault> {
    let mut magic = [0; MAGIC.len()];
    match backup.read_exact(&mut magic) {
        Ok(()) if &magic == MAGIC => {}
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => {
            return Err(Fault::of_reading(&error));
        }
        _ => return Err(Fault::Foreign),
    }
    let whole = io::Cursor::new(magic).chain(backup);
    let opened = age::Decryptor::new(whole).map_err(|e| Fault::Damaged(e.to_string()))?;
    let identities = std::iter::once(identity as &dyn age::Identity);
    opened.decrypt(identities).map_err(|error| match error {
        age::DecryptError::NoMatchingKeys | age::DecryptError::DecryptionFailed => Fault::WrongKey,
        age::DecryptError::Io(error) => Fault::of_reading(&error),
        error => Fault::Damaged(error.to_string()),
    })
}

/// The list, and the entries behind it.
fn first<R: Read>(
    mut entries: tar::Entries<'_, R>,
) -> Result<(Manifest, tar::Entries<'_, R>), Fault> {
    let entry = match entries.next() {
        Some(Ok(entry)) => entry,
        // What age let through was written so: it is an archive of something else, or none.
        Some(Err(error)) if error.kind() != io::ErrorKind::Other => {
            return Err(Fault::of_reading(&error));
        }
        _ => return Err(Fault::Foreign),
    };
    if name_of(&entry)? != MANIFEST {
        return Err(Fault::Foreign);
    }
    let mut text = String::new();
    let mut entry = entry.take(LONGEST_MANIFEST);
    let read = entry.read_to_string(&mut text);
    read.map_err(|error| Fault::of_reading(&error))?;
    // A later format may have another list, but always these two.
    #[derive(Deserialize)]
    struct Least {
        format: u32,
        version: String,
    }
    let least: Least = serde_json::from_str(&text).map_err(|_| Fault::Foreign)?;
    match serde_json::from_str::<Manifest>(&text) {
        Ok(manifest) if !manifest.is_newer() => Ok((manifest, entries)),
        Err(_) if least.format <= super::contents::FORMAT => Err(Fault::Foreign),
        _ => Err(Fault::Newer(least.version)),
    }
}

fn name_of<R: Read>(entry: &tar::Entry<'_, R>) -> Result<String, Fault> {
    let name = String::from_utf8(entry.path_bytes().into_owned());
    name.map_err(|_| Fault::Damaged("a name in it is no text".to_owned()))
}

/// Writes an entry, for root alone unless it has permissions of its own.
fn take(entry: &mut impl Read, place: &Path, mode: Option<u32>) -> Result<(), Fault> {
    let context = || format!("writing {}", place.display());
    if let Some(folder) = place.parent() {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.with_context(context).map_err(Fault::Box)?;
    }
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(place);
    let mut file: File = file.with_context(context).map_err(Fault::Box)?;
    // Told apart, as one is the backup's fault and the other the box's.
    let mut buffer = vec![0; 256 << 10];
    loop {
        let read = entry.read(&mut buffer);
        match read.map_err(|error| Fault::of_reading(&error))? {
            0 => break,
            bytes => io::Write::write_all(&mut file, buffer.get(..bytes).unwrap_or_default())
                .with_context(context)
                .map_err(Fault::Box)?,
        }
    }
    if let Some(mode) = mode {
        let set = file.set_permissions(Permissions::from_mode(mode));
        set.with_context(context).map_err(Fault::Box)?;
    }
    let synced = file.sync_all();
    synced.with_context(context).map_err(Fault::Box)
}
