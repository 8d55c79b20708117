//! A disk whose syncs take long, fail, or are forgotten, as a file system in user space (FUSE).
//!
//! Its files are in memory. What was written counts as being on the disk when a sync has ended; [`SlowDisk::cut_power`] leaves
//! that. So a program that acknowledges before the sync is found out, which killing it does not do.

mod files;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use fuser::{
    BackgroundSession, BsdFileFlags, Config, Errno, FileAttr, FileHandle, FileType, Filesystem,
    FopenFlags, Generation, INodeNo, InitFlags, KernelConfig, LockOwner, MountOption, OpenFlags,
    RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry,
    ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};

use files::{File, Files, Kind, ROOT};

/// What a sync does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syncs {
    /// It takes so long.
    Take(Duration),
    /// It fails (`EIO`).
    Fail,
    /// It says that it is done, and nothing is on the disk.
    AreForgotten,
}

/// What the file system and its owner share.
#[derive(Debug)]
struct State {
    files: Mutex<Files>,
    syncs: Mutex<Syncs>,
    synced: AtomicU64,
    written: AtomicU64,
    /// Files that are memory which processes share (SQLite's `-shm`): the kernel writes them when it likes, and nothing needs it.
    shared: Mutex<Vec<u64>>,
}

/// A mounted disk. Dropping it unmounts it.
#[derive(Debug)]
pub struct SlowDisk {
    folder: PathBuf,
    state: Arc<State>,
    /// Absent only while the power is cut.
    session: Option<BackgroundSession>,
}

/// Whether this machine lets a test mount one; if not, says so.
#[must_use]
pub fn is_possible() -> bool {
    let there = Path::new("/dev/fuse").exists() && nix::unistd::geteuid().is_root();
    if !there {
        println!("skipped: no disk can be simulated without /dev/fuse and root");
    }
    there
}

impl SlowDisk {
    /// Mounts an empty one at an existing folder.
    ///
    /// # Errors
    ///
    /// The kernel refused.
    pub fn mount(folder: &Path, syncs: Syncs) -> Result<Self> {
        let mut disk = Self {
            folder: folder.to_owned(),
            state: Arc::new(State {
                files: Mutex::new(Files::new()),
                syncs: Mutex::new(syncs),
                synced: AtomicU64::new(0),
                written: AtomicU64::new(0),
                shared: Mutex::default(),
            }),
            session: None,
        };
        disk.attach()?;
        Ok(disk)
    }

    fn attach(&mut self) -> Result<()> {
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("slow-disk".to_owned())];
        config.n_threads = Some(2);
        let mounted = fuser::spawn_mount(Disk(Arc::clone(&self.state)), &self.folder, &config);
        self.session = Some(mounted.with_context(|| format!("mount {}", self.folder.display()))?);
        Ok(())
    }

    /// From now on, syncs do this.
    pub fn set(&self, syncs: Syncs) {
        *lock(&self.state.syncs) = syncs;
    }

    /// How many syncs have ended well.
    #[must_use]
    pub fn synced(&self) -> u64 {
        self.state.synced.load(Ordering::Relaxed)
    }

    /// How many writes it has been asked for.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.state.written.load(Ordering::Relaxed)
    }

    /// Cuts the power: nobody may have a file open any more. What was not synced is gone.
    ///
    /// # Errors
    ///
    /// Somebody uses it, or it could not be mounted again.
    pub fn cut_power(&mut self) -> Result<()> {
        if let Some(session) = self.session.take() {
            session.umount_and_join().context("unmount the slow disk")?;
        }
        lock(&self.state.files).cut_power();
        self.attach()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The kernel may keep what it knows: nobody else changes the files.
const KEEP: Duration = Duration::from_secs(3600);

/// The file system.
struct Disk(Arc<State>);

impl Disk {
    fn files(&self) -> MutexGuard<'_, Files> {
        lock(&self.0.files)
    }
}

fn attributes(files: &Files, number: u64) -> Result<FileAttr, Errno> {
    let node = files.node(number)?;
    let (kind, size) = match &node.kind {
        Kind::Folder(_) => (FileType::Directory, 0),
        Kind::File(file) => (FileType::RegularFile, file.seen.len() as u64),
    };
    let then = SystemTime::UNIX_EPOCH;
    Ok(FileAttr {
        ino: INodeNo(number),
        size,
        blocks: size.div_ceil(512),
        atime: then,
        mtime: then,
        ctime: then,
        crtime: then,
        kind,
        perm: node.mode,
        nlink: 1,
        uid: nix::unistd::getuid().as_raw(),
        gid: nix::unistd::getgid().as_raw(),
        rdev: 0,
        blksize: 4096,
        flags: 0,
    })
}

fn done(outcome: Result<(), Errno>, reply: ReplyEmpty) {
    match outcome {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error),
    }
}

fn entered(files: &Files, number: Result<u64, Errno>, reply: ReplyEntry) {
    match number.and_then(|number| attributes(files, number)) {
        Ok(attributes) => reply.entry(&KEEP, &attributes, Generation(0)),
        Err(error) => reply.error(error),
    }
}

impl Filesystem for Disk {
    /// Writes gather in the kernel until they are synced, as with any other disk; else each would be a turn of this process.
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> std::io::Result<()> {
        // A kernel without this is only slower.
        let _ = config.add_capabilities(InitFlags::FUSE_WRITEBACK_CACHE);
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let files = self.files();
        entered(&files, files.find(parent.0, name), reply);
    }

    fn getattr(&self, _: &Request, number: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match attributes(&self.files(), number.0) {
            Ok(attributes) => reply.attr(&KEEP, &attributes),
            Err(error) => reply.error(error),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        number: INodeNo,
        mode: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let mut files = self.files();
        let mut change = || {
            if let Some(mode) = mode {
                files.node_mut(number.0)?.mode = (mode & 0o7777) as u16;
            }
            if let Some(size) = size {
                let size = usize::try_from(size).map_err(|_| Errno::EFBIG)?;
                files.file_mut(number.0)?.set_size(size);
            }
            attributes(&files, number.0)
        };
        match change() {
            Ok(attributes) => reply.attr(&KEEP, &attributes),
            Err(error) => reply.error(error),
        }
    }

    fn mkdir(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        reply: ReplyEntry,
    ) {
        let mut files = self.files();
        let kind = Kind::Folder(Default::default());
        let made = files.add(parent.0, name, (mode & 0o7777) as u16, kind);
        entered(&files, made, reply);
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        done(self.files().remove(parent.0, name), reply);
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        done(self.files().remove(parent.0, name), reply);
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        _: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let renamed = self
            .files()
            .rename((parent.0, name), (new_parent.0, new_name));
        done(renamed, reply);
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        let mut files = self.files();
        let kind = Kind::File(File::default());
        let is_shared = name.as_encoded_bytes().ends_with(b"-shm");
        let made = files
            .add(parent.0, name, (mode & 0o7777) as u16, kind)
            .and_then(|number| attributes(&files, number));
        if let (true, Ok(attributes)) = (is_shared, &made) {
            lock(&self.0.shared).push(attributes.ino.0);
        }
        match made {
            Ok(attributes) => reply.created(
                &KEEP,
                &attributes,
                Generation(0),
                FileHandle(0),
                FopenFlags::empty(),
            ),
            Err(error) => reply.error(error),
        }
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(0), FopenFlags::FOPEN_KEEP_CACHE);
    }

    fn read(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.files().file(number.0) {
            Ok(file) => {
                let length = file.seen.len();
                let from = usize::try_from(offset).unwrap_or(length).min(length);
                let to = from.saturating_add(size as usize).min(length);
                reply.data(&file.seen[from..to]);
            }
            Err(error) => reply.error(error),
        }
    }

    fn write(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        if !lock(&self.0.shared).contains(&number.0) {
            self.0.written.fetch_add(1, Ordering::Relaxed);
        }
        let mut files = self.files();
        let file = files.file_mut(number.0);
        match (file, usize::try_from(offset)) {
            (Ok(file), Ok(at)) => {
                file.write(at, data);
                reply.written(data.len() as u32);
            }
            (Err(error), _) => reply.error(error),
            (_, Err(_)) => reply.error(Errno::EFBIG),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&self, _: &Request, number: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        let syncs = *lock(&self.0.syncs);
        match syncs {
            Syncs::Fail => reply.error(Errno::EIO),
            Syncs::AreForgotten => {
                self.0.synced.fetch_add(1, Ordering::Relaxed);
                reply.ok();
            }
            Syncs::Take(time) => {
                // What comes meanwhile belongs to the next one.
                let changes = self.files().file(number.0).map_or(0, File::changed);
                let state = Arc::clone(&self.0);
                // Others go on using the disk.
                std::thread::spawn(move || {
                    std::thread::sleep(time);
                    if let Ok(file) = lock(&state.files).file_mut(number.0) {
                        file.sync(changes);
                    }
                    state.synced.fetch_add(1, Ordering::Relaxed);
                    reply.ok();
                });
            }
        }
    }

    fn fsyncdir(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        reply.ok();
    }

    fn readdir(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let files = self.files();
        let entries = match files.folder(number.0) {
            Ok(entries) => entries,
            Err(error) => return reply.error(error),
        };
        let own = [(OsStr::new("."), number.0), (OsStr::new(".."), ROOT)];
        let all = own.into_iter().chain(
            entries
                .iter()
                .map(|(name, number)| (name.as_os_str(), *number)),
        );
        for (at, (name, number)) in (1..).zip(all).skip(offset as usize) {
            let kind = match files.folder(number) {
                Ok(_) => FileType::Directory,
                Err(_) => FileType::RegularFile,
            };
            if reply.add(INodeNo(number), at, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        let blocks = 1 << 20;
        reply.statfs(blocks, blocks, blocks, 1000, 1000, 4096, 255, 4096);
    }
}
