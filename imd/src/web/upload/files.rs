//! The folder of uploaded files.

use std::io;
use std::path::{Path, PathBuf};

use tokio::fs::{self, File};
use tokio::io::AsyncWriteExt as _;

/// Where a finished file is in a folder of uploads.
pub(crate) fn place(root: &Path, id: &str) -> PathBuf {
    root.join(id.get(..2).unwrap_or("00")).join(id)
}

/// Uploaded files, by their ids: `uploads/ab/abcd…`. Unfinished ones are in `uploads/part`.
#[derive(Debug)]
pub(super) struct Files {
    root: PathBuf,
}

impl Files {
    /// The folder, made where it is missing, without what an earlier run has left unfinished.
    pub(super) async fn open(root: PathBuf) -> anyhow::Result<Self> {
        use anyhow::Context as _;
        let part = root.join("part");
        match fs::remove_dir_all(&part).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot clear {}", part.display()));
            }
            _ => {}
        }
        fs::create_dir_all(&part)
            .await
            .with_context(|| format!("cannot make the folder {}", part.display()))?;
        Ok(Self { root })
    }

    /// Bytes of the disk that are free for the daemon (statvfs(3)).
    pub(super) fn free_bytes(&self) -> io::Result<u64> {
        let disk = nix::sys::statvfs::statvfs(&self.root)?;
        #[allow(
            clippy::useless_conversion,
            reason = "the types differ between platforms"
        )]
        let (blocks, size) = (
            u64::from(disk.blocks_available()),
            u64::from(disk.fragment_size()),
        );
        Ok(blocks.saturating_mul(size))
    }

    fn path(&self, id: &str) -> PathBuf {
        place(&self.root, id)
    }

    fn part(&self, id: &str) -> PathBuf {
        self.root.join("part").join(id)
    }

    /// Begin a file. `AlreadyExists`: somebody is writing it.
    pub(super) async fn begin(&self, id: &str) -> io::Result<Part> {
        let path = self.part(id);
        let file = File::create_new(&path).await?;
        Ok(Part {
            file,
            path,
            finished: false,
        })
    }

    /// Put a written file in its place, synced.
    pub(super) async fn finish(&self, id: &str, mut part: Part) -> io::Result<()> {
        part.file.flush().await?;
        part.file.sync_all().await?;
        let to = self.path(id);
        let folder = to.parent().unwrap_or(&self.root);
        fs::create_dir_all(folder).await?;
        fs::rename(&part.path, &to).await?;
        part.finished = true;
        sync_folder(folder).await?;
        sync_folder(&self.root).await
    }

    /// Open a file to read.
    pub(super) async fn read(&self, id: &str) -> io::Result<File> {
        File::open(self.path(id)).await
    }

    /// Delete a file; one that is not there is no error.
    pub(super) async fn delete(&self, id: &str) -> io::Result<()> {
        match fs::remove_file(self.path(id)).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

async fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder).await?.sync_all().await
}

/// A file that is being written, deleted when dropped unfinished.
pub(super) struct Part {
    file: File,
    path: PathBuf,
    finished: bool,
}

impl Part {
    /// Append bytes.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes).await
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.finished {
            // Whatever stays is cleared at the next start.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
