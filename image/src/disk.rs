//! Stage disk: the partition table and the slots' file systems in one sparse file.

use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use gpt_table::{Partition, SECTOR, Table};
use uuid::{Uuid, uuid};

use crate::{
    config::{Configs, Content},
    ids::Ids,
    slots::Slots,
};

/// What an image may take before growth.
pub const LARGEST: u64 = 1536 << 20;

/// Where the first partition starts, and the grain of all.
const ALIGN: u64 = 4 << 20;

const BASIC_DATA: Uuid = uuid!("ebd0a0a2-b9e5-4433-87c0-68b6b72699c7");
const LINUX_DATA: Uuid = uuid!("0fc63daf-8483-4772-8e79-3d69d8477de4");

/// The partition table of the image and its size in bytes.
///
/// # Errors
/// The image would be larger than [`LARGEST`].
pub fn table(configs: &Configs, ids: &Ids) -> Result<(Table, u64)> {
    let mut at = ALIGN;
    let mut partitions = Vec::new();
    for partition in &configs.disk.partition {
        let bytes = partition.size_mib << 20;
        let kind = if partition.content == Content::Firmware {
            BASIC_DATA
        } else {
            LINUX_DATA
        };
        partitions.push(Partition {
            type_guid: kind.to_bytes_le(),
            guid: ids.guid(&format!("partition {}", partition.name)),
            first: at / SECTOR,
            last: (at + bytes) / SECTOR - 1,
            attributes: 0,
            name: partition.name.clone(),
        });
        at += bytes;
    }
    let size = at + ALIGN;
    if size > LARGEST {
        bail!(
            "configs/disk.toml: the partitions take {} MiB, at most {} are allowed",
            size >> 20,
            LARGEST >> 20
        );
    }
    Ok((
        Table {
            disk_guid: ids.guid("disk"),
            partitions,
        },
        size,
    ))
}

/// Makes `work/disk.img`.
///
/// # Errors
/// A file system is larger than its partition, or writing failed.
pub fn make(configs: &Configs, ids: &Ids, slots: &Slots, work: &Path) -> Result<PathBuf> {
    let (table, size) = table(configs, ids)?;
    let path = work.join("disk.img");
    crate::rootfs::remove(&path)?;
    let mut disk =
        File::create_new(&path).with_context(|| format!("cannot make {}", path.display()))?;
    disk.set_len(size)?;
    for (config, partition) in configs.disk.partition.iter().zip(&table.partitions) {
        let file = slots.file(config.content);
        let length = fs::metadata(file)?.len();
        if length > config.size_mib << 20 {
            bail!(
                "{} has {length} bytes, partition {} only {} MiB",
                file.display(),
                config.name,
                config.size_mib
            );
        }
        copy_sparse(file, &mut disk, partition.first * SECTOR)
            .with_context(|| format!("cannot write partition {}", config.name))?;
    }
    // The table needs to be read and written.
    let disk = File::options().read(true).write(true).open(&path)?;
    table.write(&disk, size / SECTOR)?;
    Ok(path)
}

/// Copies a file to `at`, leaving out blocks of zeros.
fn copy_sparse(from: &Path, to: &mut File, at: u64) -> Result<()> {
    let mut from = File::open(from)?;
    let mut block = vec![0; 1 << 16];
    let mut position = at;
    loop {
        let mut filled = 0;
        while filled < block.len() {
            match from.read(&mut block[filled..])? {
                0 => break,
                read => filled += read,
            }
        }
        if filled == 0 {
            return Ok(());
        }
        if block[..filled].iter().any(|byte| *byte != 0) {
            to.seek(SeekFrom::Start(position))?;
            to.write_all(&block[..filled])?;
        }
        position += filled as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configs() -> Configs {
        Configs::load(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()).unwrap()
    }

    #[test]
    fn the_table_is_as_the_design_says_and_small_enough() {
        let (table, size) = table(&configs(), &Ids::new("1.0.0", 1)).unwrap();
        let names: Vec<_> = table.partitions.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(
            names,
            ["BOOTFS", "boot_a", "boot_b", "system_a", "system_b", "data"]
        );
        assert!(size <= LARGEST);
    }

    #[test]
    fn partitions_do_not_overlap_and_are_aligned() {
        let (table, _) = table(&configs(), &Ids::new("1.0.0", 1)).unwrap();
        assert!(
            table
                .partitions
                .windows(2)
                .all(|pair| pair[0].last < pair[1].first)
        );
        assert!(
            table
                .partitions
                .iter()
                .all(|p| (p.first * SECTOR).is_multiple_of(ALIGN))
        );
    }

    #[test]
    fn too_large_an_image_is_refused() {
        let mut configs = configs();
        configs.disk.partition[3].size_mib = 4096;
        assert!(
            table(&configs, &Ids::new("1.0.0", 1))
                .unwrap_err()
                .to_string()
                .contains("1536")
        );
    }
}
