//! Writes a backup while the server runs.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use age::x25519::Recipient;
use anyhow::{Context, Result, bail};
use axum::http::Method;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::contents::{BOX, IMD, MANIFEST, Manifest, present};
use super::{ENDING, key::BoxKey, owners};
use crate::files::Files;
use crate::firstboot::state::BoxState;
use crate::settings::apply::Machine;
use crate::web::imd::Imd;

/// Where the chat server is asked for its copy.
const SOCKET: &str = "/run/imd/admin.sock";
/// The folder that it makes: its uploads are links there to those in use, which cost no room.
const COPY: &str = "/var/lib/imd/backup";
/// Permissions of entries: those of the box's own files are known without a backup.
const PRIVATE: u32 = 0o600;
/// A large database is copied slowly, so that nobody who chats waits for it.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(4 * 3600);

/// A backup that was made.
#[derive(Clone, Debug)]
pub struct Made {
    /// Its name.
    pub name: String,
    /// Its length.
    pub bytes: u64,
}

/// The name of a backup: whose, and when (UTC). Names sort by time.
pub fn name_of(host_name: &str, at: OffsetDateTime) -> String {
    format!(
        "perch-{host_name}-{:04}{:02}{:02}-{:02}{:02}{:02}{ENDING}",
        at.year(),
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute(),
        at.second()
    )
}

/// The chat server's copy of one moment; removed when dropped.
pub struct Copy(PathBuf);

impl Copy {
    /// Lets the chat server make it.
    ///
    /// # Errors
    /// The server does not answer, or refuses.
    pub fn take(files: &Files) -> Result<Self> {
        let place = files.path(COPY);
        if place.exists() {
            std::fs::remove_dir_all(&place)
                .with_context(|| format!("removing {}", place.display()))?;
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("starting the runtime")?;
        let imd = Imd::new(files.path(SOCKET)).with_patience(PATIENCE);
        let wanted = json!({ "folder": place });
        let asked = runtime.block_on(imd.send::<Value>(Method::POST, "/backups", &wanted));
        asked.context("the chat server's copy")?;
        Ok(Self(place))
    }

    /// Bytes of it.
    pub fn bytes(&self) -> u64 {
        listed(&self.0).iter().map(|(_, _, bytes)| bytes).sum()
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.0
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("<4>{}: {error}", self.0.display());
        }
    }
}

/// Writes a backup into `folder`, whole or not at all.
///
/// # Errors
/// There is no key, the server does not answer, or the place cannot be written.
pub fn make(machine: Machine<'_>, copy: &Copy, folder: &Path) -> Result<Made> {
    let Some(key) = BoxKey::load(machine.files)? else {
        bail!("there is no recovery key yet: make one on the page Backups");
    };
    let now = machine.system.now();
    let manifest = Manifest::of_box(machine.files, now.unix_timestamp())?;
    let name = name_of(&manifest.host_name, now);
    let part = folder.join(format!("{name}.part"));
    let written = write(machine.files, &manifest, copy, &key.recipient()?, &part);
    if let Err(error) = written {
        // Half a backup must not be taken for one.
        let _ = std::fs::remove_file(&part);
        return Err(error);
    }
    machine.files.rename(&part, &folder.join(&name))?;
    let bytes = folder.join(&name).metadata();
    let bytes = bytes.with_context(|| format!("looking at {name}"))?.len();
    Ok(Made { name, bytes })
}

fn write(
    files: &Files,
    manifest: &Manifest,
    copy: &Copy,
    recipient: &Recipient,
    part: &Path,
) -> Result<()> {
    files.change()?;
    let opened = File::create(part).with_context(|| format!("writing {}", part.display()))?;
    let out = seal(
        files,
        manifest,
        copy.folder(),
        recipient,
        BufWriter::new(opened),
    )
    .with_context(|| format!("writing {}", part.display()))?;
    let file = out.into_inner().map_err(io::IntoInnerError::into_error);
    let file = file.with_context(|| format!("writing {}", part.display()))?;
    file.sync_all()
        .with_context(|| format!("syncing {}", part.display()))?;
    // The pages hand it out; it is encrypted.
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o640);
    // A FAT stick has no modes.
    let _ = file.set_permissions(mode);
    Ok(())
}

/// Writes everything into `out`, encrypted.
///
/// # Errors
/// A file cannot be read, or `out` not be written.
pub fn seal<W: Write>(
    files: &Files,
    manifest: &Manifest,
    copy: &Path,
    recipient: &Recipient,
    out: W,
) -> Result<W> {
    let recipients = std::iter::once(recipient as &dyn age::Recipient);
    let encryptor = age::Encryptor::with_recipients(recipients).context("encrypting")?;
    let sealed = encryptor.wrap_output(out).context("encrypting")?;
    let mut archive = tar::Builder::new(sealed);
    append(&mut archive, MANIFEST, &manifest.text()?, PRIVATE)?;
    for (path, name) in present(files) {
        let content = std::fs::read(files.path(path)).with_context(|| format!("reading {path}"))?;
        append(&mut archive, &name, &content, PRIVATE)?;
    }
    for (path, mode) in owners::present(files, &BoxState::load(files)?.settings) {
        let content =
            std::fs::read(files.path(&path)).with_context(|| format!("reading {path}"))?;
        append(&mut archive, &format!("{BOX}{path}"), &content, mode)?;
    }
    for (path, name, bytes) in listed(copy) {
        let file = File::open(&path).with_context(|| format!("reading {}", path.display()))?;
        // Its length is in front of it.
        let mut header = header(bytes, PRIVATE);
        archive
            .append_data(&mut header, &name, file.take(bytes))
            .with_context(|| format!("putting {name} into the backup"))?;
    }
    let sealed = archive.into_inner().context("ending the archive")?;
    sealed.finish().context("ending the encryption")
}

fn header(bytes: u64, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes);
    header.set_mode(mode);
    header
}

fn append<W: Write>(
    archive: &mut tar::Builder<W>,
    name: &str,
    content: &[u8],
    mode: u32,
) -> Result<()> {
    let mut header = header(content.len() as u64, mode);
    archive
        .append_data(&mut header, name, content)
        .with_context(|| format!("putting {name} into the backup"))
}

/// The files of the copy: where, under which name, and their lengths.
fn listed(copy: &Path) -> Vec<(PathBuf, String, u64)> {
    let mut found = Vec::new();
    let mut folders = vec![(copy.to_owned(), IMD.to_owned())];
    while let Some((folder, name)) = folders.pop() {
        let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        for entry in entries {
            let name = format!("{name}/{}", entry.file_name().to_string_lossy());
            match entry.metadata() {
                Ok(about) if about.is_dir() => folders.push((entry.path(), name)),
                Ok(about) if about.is_file() => found.push((entry.path(), name, about.len())),
                _ => {}
            }
        }
    }
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn names_of_backups_sort_by_time() {
        let name = name_of("perch", datetime!(2026-12-01 02:03:04 UTC));
        assert_eq!(name, "perch-perch-20261201-020304.age");
        assert!(name < name_of("perch", datetime!(2027-01-01 00:00 UTC)));
    }
}
