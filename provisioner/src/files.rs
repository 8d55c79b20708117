//! Files of the box, below a root that tests point at a folder of theirs.
//!
//! Every change goes through here, so that one fuse can cut the power after any of them in a test.

use std::cell::Cell;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Settings and states are small; a longer file is not read further (some of /sys is endless).
const MAX_READ: u64 = 1 << 20;

/// The file system below a root, and every way in which the provisioner changes it.
pub struct Files {
    root: PathBuf,
    fuse: Cell<Option<Fuse>>,
}

/// What becomes of changes in a test.
#[derive(Clone, Copy)]
enum Fuse {
    /// So many more succeed, and then none.
    PowerFor(u32),
    /// The one after so many more fails, and no other.
    FailureAfter(u32),
}

/// Who may read a file that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everyone (0644).
    Everyone,
    /// Root alone (0600).
    Root,
    /// Root and one group (0640).
    Group(&'static str),
    /// As these permissions say.
    Mode(u32),
    /// No Unix permissions: the FAT partition.
    Fat,
}

/// The error that stands for a power cut in tests.
#[derive(Debug, thiserror::Error)]
#[error("power cut (test)")]
pub struct PowerCut;

/// The error of a change that a test lets fail.
#[derive(Debug, thiserror::Error)]
#[error("refused (test)")]
pub struct Refused;

impl Files {
    /// Files below `root`; `/` on a box.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            fuse: Cell::new(None),
        }
    }

    /// Lets `changes` changes happen and fails every later one, as a power cut would. For tests.
    #[must_use]
    pub fn with_power_for(self, changes: u32) -> Self {
        self.fuse.set(Some(Fuse::PowerFor(changes)));
        self
    }

    /// Lets `changes` changes happen, fails the next one, and lets all others happen, as a full disk or a program that
    /// refuses would. For tests.
    #[must_use]
    pub fn with_failure_after(self, changes: u32) -> Self {
        self.fuse.set(Some(Fuse::FailureAfter(changes)));
        self
    }

    /// Whether a failure that was asked for has not happened yet. For tests.
    pub fn has_failure_left(&self) -> bool {
        self.fuse.get().is_some()
    }

    /// Whether these are the files of the running machine.
    pub fn is_running_system(&self) -> bool {
        self.root == Path::new("/")
    }

    /// Where an absolute path of the box lies.
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.root
            .join(path.as_ref().strip_prefix("/").unwrap_or(path.as_ref()))
    }

    /// The text of a file without its last line end, or `None` if there is no such file.
    ///
    /// # Errors
    /// The file cannot be read, or is not UTF-8.
    pub fn read(&self, path: impl AsRef<Path>) -> Result<Option<String>> {
        let place = self.path(&path);
        let mut text = String::new();
        let file = match File::open(&place) {
            Ok(file) => file,
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                return Ok(None);
            }
            Err(error) => {
                return Err(error).with_context(|| format!("reading {}", place.display()));
            }
        };
        file.take(MAX_READ)
            .read_to_string(&mut text)
            .with_context(|| format!("reading {}", place.display()))?;
        Ok(Some(text.trim_end_matches(['\n', '\r']).to_owned()))
    }

    /// Writes into a file of /proc or /sys, which must exist.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn write_setting(&self, path: impl AsRef<Path>, value: &str) -> Result<()> {
        self.change()?;
        let place = self.path(&path);
        OpenOptions::new()
            .write(true)
            .truncate(true)
            .open(&place)
            .and_then(|mut file| file.write_all(value.as_bytes()))
            .with_context(|| format!("writing {}", place.display()))
    }

    /// Replaces a file so that a power cut leaves either the old or the new one, whole. Returns whether it changed:
    /// a file that has this content already is left alone, which spares the card.
    ///
    /// # Errors
    /// The file or its folder cannot be written, or the group does not exist.
    pub fn replace(&self, path: impl AsRef<Path>, content: &[u8], access: Access) -> Result<bool> {
        let place = self.path(&path);
        if self.holds(&path, content, access) {
            return Ok(false);
        }
        let Some(folder) = place.parent() else {
            bail!("{} has no folder", place.display());
        };
        std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        let mut name = place.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        let temporary = folder.join(name);
        self.change()?;
        self.write_whole(&temporary, content, access)
            .with_context(|| format!("writing {}", temporary.display()))?;
        self.rename_new(&temporary, &place)?;
        Ok(true)
    }

    /// Whether a file has this content, and is to be read by these.
    pub fn holds(&self, path: impl AsRef<Path>, content: &[u8], access: Access) -> bool {
        let place = self.path(path);
        std::fs::read(&place).is_ok_and(|old| old == content) && self.has_access(&place, access)
    }

    /// Replaces what is at `path` by a symbolic link to `target`, so that a power cut leaves the old or the new one.
    ///
    /// # Errors
    /// The link cannot be made.
    pub fn link(&self, path: impl AsRef<Path>, target: &str) -> Result<()> {
        let place = self.path(&path);
        let mut name = place.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        let temporary = place.with_file_name(name);
        self.remove_link(&temporary)?;
        self.change()?;
        std::os::unix::fs::symlink(target, &temporary)
            .with_context(|| format!("linking {}", temporary.display()))?;
        self.rename_new(&temporary, &place)
    }

    /// Writes `content` over what an existing file has from byte `at` on, which keeps its length, its blocks and the rest.
    /// A power cut leaves the old or the new bytes of each disk sector.
    ///
    /// # Errors
    /// There is no such file, it ends before, or it cannot be written.
    pub fn overwrite(&self, path: impl AsRef<Path>, at: u64, content: &[u8]) -> Result<()> {
        self.change()?;
        let place = self.path(&path);
        let write = || -> std::io::Result<()> {
            let file = OpenOptions::new().write(true).open(&place)?;
            if file.metadata()?.len() < at + content.len() as u64 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            std::os::unix::fs::FileExt::write_all_at(&file, content, at)?;
            file.sync_all()
        };
        write().with_context(|| format!("writing into {}", place.display()))
    }

    /// Renames within one file system and makes the new name durable.
    ///
    /// # Errors
    /// The rename or the sync failed.
    pub fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.change()?;
        std::fs::rename(from, to)
            .with_context(|| format!("renaming {} to {}", from.display(), to.display()))?;
        let sync = |place: &Path| {
            File::open(place)
                .and_then(|opened| opened.sync_all())
                .with_context(|| format!("syncing {}", place.display()))
        };
        // On FAT the new entry has neither the file's length nor its blocks until the file itself is synced again. A link
        // would be followed, and is in its folder anyway.
        if !to.is_symlink() {
            sync(to)?;
        }
        sync(to.parent().unwrap_or(Path::new("/")))
    }

    /// Waits until nobody else holds this lock, and holds it until the returned file is dropped.
    ///
    /// # Errors
    /// The lock's file cannot be made.
    pub fn lock(&self, path: impl AsRef<Path>) -> Result<File> {
        let place = self.path(&path);
        let lock = || {
            if let Some(folder) = place.parent() {
                std::fs::create_dir_all(folder)?;
            }
            let file = File::create(&place)?;
            file.lock().map(|()| file)
        };
        lock().with_context(|| format!("locking {}", place.display()))
    }

    /// Removes a file if it is there.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn remove(&self, path: impl AsRef<Path>) -> Result<()> {
        let place = self.path(&path);
        if place.symlink_metadata().is_err() {
            return Ok(());
        }
        self.change()?;
        std::fs::remove_file(&place).with_context(|| format!("removing {}", place.display()))
    }

    /// Removes a file or symbolic link at a real path if it is there: a leftover of a power cut.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn remove_link(&self, place: &Path) -> Result<()> {
        match std::fs::remove_file(place) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(error).with_context(|| format!("removing {}", place.display()))
            }
            _ => Ok(()),
        }
    }

    /// Paths that match a pattern in which `*` stands for any and `?` for one character of a name, sorted.
    pub fn matching(&self, pattern: &str) -> Vec<String> {
        let mut found = vec![String::new()];
        for part in pattern.split('/').filter(|part| !part.is_empty()) {
            found = found
                .iter()
                .flat_map(|folder| self.matching_in(folder, part))
                .collect();
        }
        found.sort();
        found
    }

    /// Counts a change against the fuse. For changes that are not made through this type.
    ///
    /// # Errors
    /// [`PowerCut`], in a test whose fuse has burnt out.
    pub fn change(&self) -> Result<()> {
        match self.fuse.get() {
            Some(Fuse::PowerFor(0)) => Err(PowerCut.into()),
            Some(Fuse::PowerFor(left)) => {
                self.fuse.set(Some(Fuse::PowerFor(left - 1)));
                Ok(())
            }
            Some(Fuse::FailureAfter(0)) => {
                self.fuse.set(None);
                Err(Refused.into())
            }
            Some(Fuse::FailureAfter(left)) => {
                self.fuse.set(Some(Fuse::FailureAfter(left - 1)));
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// A new file that does not get its name is taken away: it may hold a secret.
    fn rename_new(&self, temporary: &Path, place: &Path) -> Result<()> {
        let renamed = self.rename(temporary, place);
        if renamed.as_ref().is_err_and(|error| !error.is::<PowerCut>()) {
            self.remove_link(temporary)?;
        }
        renamed
    }

    fn matching_in(&self, folder: &str, part: &str) -> Vec<String> {
        if !part.contains(['*', '?']) {
            let path = format!("{folder}/{part}");
            return if self.path(&path).exists() {
                vec![path]
            } else {
                Vec::new()
            };
        }
        let Ok(entries) =
            std::fs::read_dir(self.path(if folder.is_empty() { "/" } else { folder }))
        else {
            return Vec::new();
        };
        entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| matches(part.as_bytes(), name.as_bytes()))
            .map(|name| format!("{folder}/{name}"))
            .collect()
    }

    fn write_whole(&self, place: &Path, content: &[u8], access: Access) -> Result<()> {
        // A leftover of a power cut may have the wrong mode: start from nothing.
        match std::fs::remove_file(place) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(place)?;
        if let Access::Group(group) = access
            && let Some(group) = self.group_id(group)?
        {
            std::os::unix::fs::fchown(&file, None, Some(group))?;
        }
        if let Some(mode) = access.mode() {
            file.set_permissions(Permissions::from_mode(mode))?;
        }
        file.write_all(content)?;
        file.sync_all()?;
        Ok(())
    }

    fn has_access(&self, place: &Path, access: Access) -> bool {
        let Some(mode) = access.mode() else {
            return true;
        };
        let Ok(metadata) = place.metadata() else {
            return false;
        };
        let group = match access {
            Access::Group(group) => self.group_id(group).ok().flatten(),
            _ => None,
        };
        metadata.permissions().mode() & 0o7777 == mode
            && group.is_none_or(|group| std::os::unix::fs::MetadataExt::gid(&metadata) == group)
    }

    /// The group's number; `None` in a test's folder, which has no groups of its own.
    fn group_id(&self, name: &str) -> Result<Option<u32>> {
        if !self.is_running_system() {
            return Ok(None);
        }
        let group = nix::unistd::Group::from_name(name)
            .with_context(|| format!("looking up group {name}"))?;
        match group {
            Some(group) => Ok(Some(group.gid.as_raw())),
            None => bail!("there is no group {name}"),
        }
    }
}

impl Access {
    fn mode(self) -> Option<u32> {
        match self {
            Self::Everyone => Some(0o644),
            Self::Root => Some(0o600),
            Self::Group(_) => Some(0o640),
            Self::Mode(mode) => Some(mode),
            Self::Fat => None,
        }
    }
}

fn matches(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern.split_first(), name.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => {
            matches(rest, name)
                || name
                    .split_first()
                    .is_some_and(|(_, name)| matches(pattern, name))
        }
        (Some((p, pattern)), Some((n, name))) => (*p == b'?' || p == n) && matches(pattern, name),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
