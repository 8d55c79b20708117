//! An SD card: a copy of the image as a user would flash it, and the files on its FAT partition.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail};

use crate::command::{output_of, output_with_input};
use crate::lab::{Lab, repository};

/// The card's size in bytes: a power of two, as QEMU's SD controller wants, and more than the image, so that growth is seen.
pub const CARD_BYTES: u64 = 4 << 30;
const SECTOR: u64 = 512;

/// A card of [`CARD_BYTES`] with the image written to its start.
#[derive(Clone)]
pub struct Card {
    /// The raw disk file.
    pub file: PathBuf,
}

/// Where a partition lies on the card, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Its name in the GPT.
    pub name: String,
    /// The first byte.
    pub start: u64,
    /// How many bytes.
    pub length: u64,
}

impl Card {
    /// Writes the image in `dist/` to a new card, as `bmaptool` or any flasher would.
    ///
    /// # Errors
    ///
    /// There is not exactly one image, or it cannot be unpacked.
    pub fn flash(lab: &Lab, name: &str) -> Result<Self> {
        let file = lab.work.join(format!("{name}.img"));
        let image = unpacked_image()?;
        output_of(
            Command::new("cp")
                .arg("--sparse=always")
                .arg("--reflink=auto")
                .arg(&image)
                .arg(&file),
        )?;
        let disk = File::options()
            .write(true)
            .open(&file)
            .with_context(|| format!("open {}", file.display()))?;
        if disk.metadata().context("size of the card")?.len() > CARD_BYTES {
            bail!("the image is larger than the card of {CARD_BYTES} bytes");
        }
        disk.set_len(CARD_BYTES)
            .with_context(|| format!("grow {}", file.display()))?;
        Ok(Self { file })
    }

    /// Another card with the same contents.
    ///
    /// # Errors
    ///
    /// The file cannot be copied.
    pub fn copy(&self, lab: &Lab, name: &str) -> Result<Self> {
        let file = lab.work.join(format!("{name}.img"));
        output_of(
            Command::new("cp")
                .arg("--sparse=always")
                .arg(&self.file)
                .arg(&file),
        )?;
        Ok(Self { file })
    }

    /// The place of partition `number`, counted from 1, in the card's GPT.
    ///
    /// # Errors
    ///
    /// The card has no GPT, or no such partition.
    pub fn partition(&self, number: u64) -> Result<Partition> {
        let mut disk =
            File::open(&self.file).with_context(|| format!("open {}", self.file.display()))?;
        let header = read_at(&mut disk, SECTOR, 92)?;
        if !header.starts_with(b"EFI PART") {
            bail!("{} has no GPT", self.file.display());
        }
        let table = number_at(&header, 72)? * SECTOR;
        let entry = read_at(&mut disk, table + (number - 1) * 128, 128)?;
        let (first, last) = (number_at(&entry, 32)?, number_at(&entry, 40)?);
        if first == 0 {
            bail!("{} has no partition {number}", self.file.display());
        }
        let units: Vec<u16> = entry[56..]
            .chunks_exact(2)
            .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
            .collect();
        let name = String::from_utf16_lossy(&units)
            .trim_end_matches('\0')
            .to_owned();
        Ok(Partition {
            name,
            start: first * SECTOR,
            length: (last - first + 1) * SECTOR,
        })
    }

    /// A file of the FAT partition.
    ///
    /// # Errors
    ///
    /// It is not there, or the partition cannot be read.
    pub fn read(&self, path: &str) -> Result<Vec<u8>> {
        let output = Command::new("mcopy")
            .args(["-i", &self.fat()?, &format!("::/{path}"), "-"])
            .output()
            .context("start mcopy (package mtools)")?;
        if !output.status.success() {
            bail!(
                "{path} on the FAT partition: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(output.stdout)
    }

    /// [`Card::read`] for text.
    ///
    /// # Errors
    ///
    /// As [`Card::read`], or it is not UTF-8.
    pub fn read_text(&self, path: &str) -> Result<String> {
        String::from_utf8(self.read(path)?).with_context(|| format!("{path} is not UTF-8"))
    }

    /// Puts a file on the FAT partition, as a person does on their own computer before the first boot.
    ///
    /// # Errors
    ///
    /// The partition cannot be written.
    pub fn write(&self, path: &str, contents: &[u8]) -> Result<()> {
        let place = format!("::/{path}");
        output_with_input(
            Command::new("mcopy").args(["-o", "-i", &self.fat()?, "-", &place]),
            contents,
        )?;
        Ok(())
    }

    /// The names in a folder of the FAT partition, with `/` at the end of a folder's.
    ///
    /// # Errors
    ///
    /// There is no such folder.
    pub fn list(&self, folder: &str) -> Result<Vec<String>> {
        let place = format!("::/{folder}");
        let text = output_of(Command::new("mdir").args(["-b", "-i", &self.fat()?, &place]))?;
        Ok(text
            .lines()
            .filter_map(|line| line.strip_prefix("::/"))
            .map(str::to_owned)
            .collect())
    }

    /// `length` bytes of partition `number` from its byte `at`.
    ///
    /// # Errors
    ///
    /// The partition is not there, or ends before.
    pub fn bytes(&self, number: u64, at: u64, length: usize) -> Result<Vec<u8>> {
        let start = self.partition(number)?.start;
        let mut disk =
            File::open(&self.file).with_context(|| format!("open {}", self.file.display()))?;
        read_at(&mut disk, start + at, length)
    }

    /// Spoils a block of 4 KiB in partition `number`, as a failing card does.
    ///
    /// # Errors
    ///
    /// The partition is not there, or the card cannot be written.
    pub fn damage(&self, number: u64, at: u64) -> Result<()> {
        let start = self.partition(number)?.start;
        let mut disk = File::options()
            .write(true)
            .open(&self.file)
            .with_context(|| format!("open {}", self.file.display()))?;
        disk.seek(SeekFrom::Start(start + at))
            .context("seek on the card")?;
        disk.write_all(&[0x5a; 4096]).context("spoil a block")
    }

    /// A partition's bytes as a file of their own, for tools that take no offset.
    ///
    /// # Errors
    ///
    /// The partition is not there or cannot be copied.
    pub fn extract(&self, number: u64, to: &Path) -> Result<()> {
        let place = self.partition(number)?;
        let mut dd = Command::new("dd");
        dd.arg(format!("if={}", self.file.display()))
            .arg(format!("of={}", to.display()));
        dd.arg(format!("skip={}", place.start))
            .arg(format!("count={}", place.length));
        dd.args([
            "bs=1M",
            "iflag=skip_bytes,count_bytes",
            "conv=sparse",
            "status=none",
        ]);
        output_of(&mut dd)?;
        Ok(())
    }

    fn fat(&self) -> Result<String> {
        Ok(format!(
            "{}@@{}",
            self.file.display(),
            self.partition(1)?.start
        ))
    }
}

fn read_at(disk: &mut File, at: u64, length: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    disk.seek(SeekFrom::Start(at)).context("seek on the card")?;
    disk.read_exact(&mut bytes)
        .with_context(|| format!("read {length} bytes at {at} of the card"))?;
    Ok(bytes)
}

fn number_at(bytes: &[u8], at: usize) -> Result<u64> {
    let field: [u8; 8] = bytes
        .get(at..at + 8)
        .context("a field past the end")?
        .try_into()?;
    Ok(u64::from_le_bytes(field))
}

/// The one compressed image of `dist/` (or `PERCH_IMAGE`).
///
/// # Errors
///
/// There is none, or more than one.
pub fn built_image() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("PERCH_IMAGE") {
        return Ok(PathBuf::from(path));
    }
    let dist = repository().join("dist");
    let mut images = Vec::new();
    for entry in fs::read_dir(&dist)
        .with_context(|| format!("read {} (made by ci/build)", dist.display()))?
    {
        let path = entry.context("read dist/")?.path();
        if path.to_string_lossy().ends_with("-rpi-arm64.img.zst") {
            images.push(path);
        }
    }
    match <[PathBuf; 1]>::try_from(images) {
        Ok([image]) => Ok(image),
        Err(images) => bail!(
            "dist/ has {} images; one is wanted: run ci/build",
            images.len()
        ),
    }
}

/// The image unpacked once for all tests; made again when the compressed one has changed.
fn unpacked_image() -> Result<PathBuf> {
    // A test may start several machines at once.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let packed = built_image()?;
    let about = fs::metadata(&packed).with_context(|| format!("look at {}", packed.display()))?;
    let stamp = format!(
        "{} {} {:?}",
        packed.display(),
        about.len(),
        about.modified().ok()
    );
    let folder = repository().join("target/test-work");
    let (raw, note) = (folder.join("image.img"), folder.join("image.stamp"));
    if fs::read_to_string(&note).is_ok_and(|old| old == stamp) && raw.exists() {
        return Ok(raw);
    }
    fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
    // Two suites may get here at once: each unpacks to a name of its own, and the last rename wins.
    let part = folder.join(format!("image.{}.part", std::process::id()));
    output_of(
        Command::new("zstd")
            .args(["-dq", "-f", "--sparse", "-o"])
            .arg(&part)
            .arg(&packed),
    )?;
    fs::rename(&part, &raw).with_context(|| format!("rename to {}", raw.display()))?;
    fs::write(&note, stamp).with_context(|| format!("write {}", note.display()))?;
    Ok(raw)
}
