//! What a block device was made to write, from its own counters: pages that are written again and again, the file system's
//! journal and everything else that a process's own count does not tell.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::sys::stat::{major, minor};

/// The kernel counts in sectors of this size, whatever the device's are.
const SECTOR: u64 = 512;

/// A device with a file system.
#[derive(Debug)]
pub struct Card {
    folder: PathBuf,
    stat: PathBuf,
}

impl Card {
    /// The device that a folder is on.
    ///
    /// # Errors
    ///
    /// There is no such folder, or it is on no block device.
    pub fn of(folder: &Path) -> Result<Self> {
        let device = fs::metadata(folder)
            .with_context(|| format!("look at {}", folder.display()))?
            .dev();
        let number = format!("{}:{}", major(device), minor(device));
        let card = Self {
            folder: folder.to_owned(),
            stat: Path::new("/sys/dev/block").join(number).join("stat"),
        };
        card.counted()
            .with_context(|| format!("{} is on no block device", folder.display()))?;
        Ok(card)
    }

    /// Bytes written since the device is there, after what waits in memory has been written, too.
    ///
    /// # Errors
    ///
    /// The device is gone.
    pub fn written(&self) -> Result<u64> {
        let folder = fs::File::open(&self.folder)
            .with_context(|| format!("open {}", self.folder.display()))?;
        nix::unistd::syncfs(&folder).context("sync the device")?;
        self.counted()
    }

    fn counted(&self) -> Result<u64> {
        let stat = fs::read_to_string(&self.stat)
            .with_context(|| format!("read {}", self.stat.display()))?;
        sectors_written(&stat)
            .map(|sectors| sectors * SECTOR)
            .with_context(|| format!("{} has other fields", self.stat.display()))
    }
}

/// The seventh field of the kernel's Documentation/block/stat.rst.
fn sectors_written(stat: &str) -> Option<u64> {
    stat.split_whitespace().nth(6)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sectors_written_are_the_seventh_field() {
        let stat = "     134        0     2788       16       18       71     8970       11        0       24       35\n";
        assert_eq!(sectors_written(stat), Some(8970));
    }

    #[test]
    fn a_folder_in_memory_is_on_no_card() {
        let error = Card::of(Path::new("/proc")).unwrap_err();
        assert!(error.to_string().contains("no block device"), "{error:#}");
    }
}
