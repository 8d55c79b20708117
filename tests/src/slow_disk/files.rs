//! The files of a disk under test, in memory: as programs see them, and as they are after the power was cut.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};

use fuser::Errno;

/// The number of the top folder.
pub(super) const ROOT: u64 = 1;

/// Files and folders, by their numbers.
#[derive(Debug)]
pub(super) struct Files {
    nodes: HashMap<u64, Node>,
    last: u64,
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) mode: u16,
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    Folder(BTreeMap<OsString, u64>),
    File(File),
}

/// A file's content.
#[derive(Debug, Default)]
pub(super) struct File {
    /// As programs see it.
    pub(super) seen: Vec<u8>,
    /// As it is on the disk.
    kept: Vec<u8>,
    /// What has changed since it was synced.
    changes: Vec<Change>,
    /// How many changes there were before those.
    synced: usize,
}

#[derive(Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Size(usize),
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Size(size) => content.resize(*size, 0),
            Self::Write(at, bytes) => {
                let end = at + bytes.len();
                if content.len() < end {
                    content.resize(end, 0);
                }
                content[*at..end].copy_from_slice(bytes);
            }
        }
    }
}

impl File {
    pub(super) fn write(&mut self, at: usize, bytes: &[u8]) {
        self.change(Change::Write(at, bytes.to_vec()));
    }

    pub(super) fn set_size(&mut self, size: usize) {
        self.change(Change::Size(size));
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.seen);
        self.changes.push(change);
    }

    /// How many changes there have been.
    pub(super) fn changed(&self) -> usize {
        self.synced + self.changes.len()
    }

    /// The first so many changes have reached the disk.
    pub(super) fn sync(&mut self, changes: usize) {
        let new = changes.saturating_sub(self.synced);
        for change in self.changes.drain(..new.min(self.changes.len())) {
            change.apply(&mut self.kept);
            self.synced += 1;
        }
    }
}

impl Files {
    pub(super) fn new() -> Self {
        let root = Node {
            mode: 0o755,
            kind: Kind::Folder(BTreeMap::new()),
        };
        Self {
            nodes: HashMap::from([(ROOT, root)]),
            last: ROOT,
        }
    }

    pub(super) fn node(&self, number: u64) -> Result<&Node, Errno> {
        self.nodes.get(&number).ok_or(Errno::ENOENT)
    }

    pub(super) fn node_mut(&mut self, number: u64) -> Result<&mut Node, Errno> {
        self.nodes.get_mut(&number).ok_or(Errno::ENOENT)
    }

    pub(super) fn folder(&self, number: u64) -> Result<&BTreeMap<OsString, u64>, Errno> {
        match &self.node(number)?.kind {
            Kind::Folder(entries) => Ok(entries),
            Kind::File(_) => Err(Errno::ENOTDIR),
        }
    }

    fn folder_mut(&mut self, number: u64) -> Result<&mut BTreeMap<OsString, u64>, Errno> {
        match &mut self.node_mut(number)?.kind {
            Kind::Folder(entries) => Ok(entries),
            Kind::File(_) => Err(Errno::ENOTDIR),
        }
    }

    pub(super) fn file(&self, number: u64) -> Result<&File, Errno> {
        match &self.node(number)?.kind {
            Kind::File(file) => Ok(file),
            Kind::Folder(_) => Err(Errno::EISDIR),
        }
    }

    pub(super) fn file_mut(&mut self, number: u64) -> Result<&mut File, Errno> {
        match &mut self.node_mut(number)?.kind {
            Kind::File(file) => Ok(file),
            Kind::Folder(_) => Err(Errno::EISDIR),
        }
    }

    pub(super) fn find(&self, folder: u64, name: &OsStr) -> Result<u64, Errno> {
        self.folder(folder)?.get(name).copied().ok_or(Errno::ENOENT)
    }

    pub(super) fn add(
        &mut self,
        folder: u64,
        name: &OsStr,
        mode: u16,
        kind: Kind,
    ) -> Result<u64, Errno> {
        if self.folder(folder)?.contains_key(name) {
            return Err(Errno::EEXIST);
        }
        self.last += 1;
        let number = self.last;
        self.nodes.insert(number, Node { mode, kind });
        self.folder_mut(folder)?.insert(name.to_owned(), number);
        Ok(number)
    }

    /// Takes a name away. A file without a name stays for those who have it open.
    pub(super) fn remove(&mut self, folder: u64, name: &OsStr) -> Result<(), Errno> {
        let number = self.find(folder, name)?;
        if self.folder(number).is_ok_and(|entries| !entries.is_empty()) {
            return Err(Errno::ENOTEMPTY);
        }
        self.folder_mut(folder)?.remove(name);
        Ok(())
    }

    pub(super) fn rename(
        &mut self,
        (folder, name): (u64, &OsStr),
        (to, as_name): (u64, &OsStr),
    ) -> Result<(), Errno> {
        let number = self.find(folder, name)?;
        self.folder(to)?;
        self.folder_mut(folder)?.remove(name);
        self.folder_mut(to)?.insert(as_name.to_owned(), number);
        Ok(())
    }

    /// The power is cut: of each file there is what was synced. Names survive, as after the sync of a folder.
    pub(super) fn cut_power(&mut self) {
        for node in self.nodes.values_mut() {
            if let Kind::File(file) = &mut node.kind {
                file.synced = file.changed();
                file.changes.clear();
                file.seen.clone_from(&file.kept);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

    use super::*;

    #[test]
    fn a_cut_leaves_what_was_synced() {
        let mut files = Files::new();
        let kind = Kind::File(File::default());
        let number = files.add(ROOT, OsStr::new("a"), 0o600, kind).unwrap();
        let file = files.file_mut(number).unwrap();
        file.write(0, b"synced");
        file.sync(file.changed());
        file.write(2, b"____later");
        file.set_size(3);
        assert_eq!(file.seen, b"sy_");
        files.cut_power();
        assert_eq!(files.file(number).unwrap().seen, b"synced");
    }
}
