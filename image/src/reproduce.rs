//! Proves that the image does not depend on when it was built: installs everything again (or leaves that out), packs it again,
//! and compares each partition with the image in `dist/`, byte for byte. `ci/reproduce` does that with two whole builds.

use std::{
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use gpt_table::{SECTOR, Table};

use crate::{
    build::{self, Options, say},
    config::Configs,
    facts::Facts,
    rootfs::remove,
    run::run,
};

/// Builds again in `image-again` beside `work` and compares with the image in `dist`, which was built in `work`; `kept` has the package
/// files and installed bases of all builds. With `only_pack` the installed packages are those of the first build.
///
/// # Errors
/// There is no image, the second build failed, or a partition differs; the error says which and where.
pub fn check(
    configs: &Configs,
    kept: &Path,
    work: &Path,
    dist: &Path,
    only_pack: bool,
) -> Result<()> {
    let facts = Facts::read(&work.join("facts.json"))
        .context("there is no image to compare with; run ci/build first")?;
    let again = work.with_file_name("image-again");
    let first = unpack(dist, &again)?;
    // Times that slip into the result differ between the builds.
    std::thread::sleep(Duration::from_secs(2));
    let options = Options {
        lock: facts.lock.clone(),
        locked: false,
        fresh: !only_pack,
        offline: false,
        archive: kept.join("archive"),
        bases: if only_pack {
            kept.to_owned()
        } else {
            again.clone()
        },
        work: again.clone(),
        dist: None,
    };
    let built = build::build(configs, facts, &options)?;
    let different = compare(&first, &built.disk)?;
    if !different.is_empty() {
        bail!(
            "two builds of one commit differ:\n{}  the first image: {}, the second: {}\n  try: diffoscope on the partitions' \
             files, {}/*.img against {}/*.img",
            different.concat(),
            first.display(),
            built.disk.display(),
            work.display(),
            again.display()
        );
    }
    say("reproducible: the second build gave the same bytes in every partition and in the table");
    remove(&again)
}

fn unpack(dist: &Path, again: &Path) -> Result<PathBuf> {
    remove(again)?;
    fs::create_dir_all(again)?;
    let packed = fs::read_dir(dist)
        .with_context(|| format!("cannot read {}; run ci/build first", dist.display()))?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.to_string_lossy().ends_with(".img.zst"))
        .with_context(|| format!("{} has no image; run ci/build first", dist.display()))?;
    let first = again.join("first.img");
    run("zstd")
        .args(["-dq", "-f", "--sparse", "-o"])
        .arg(&first)
        .arg(&packed)
        .ok()?;
    Ok(first)
}

/// A line for each partition that differs, and for the table.
fn compare(first: &Path, second: &Path) -> Result<Vec<String>> {
    let open =
        |path: &Path| File::open(path).with_context(|| format!("cannot open {}", path.display()));
    let (one, two) = (open(first)?, open(second)?);
    let sectors = one.metadata()?.len() / SECTOR;
    if two.metadata()?.len() / SECTOR != sectors {
        return Ok(vec!["  the images have different sizes\n".to_owned()]);
    }
    let (table, _) = Table::read(&one, sectors)?;
    let mut places: Vec<(String, u64, u64)> = table
        .partitions
        .iter()
        .map(|p| {
            (
                format!("partition {}", p.name),
                p.first * SECTOR,
                (p.last + 1) * SECTOR,
            )
        })
        .collect();
    places.push((
        "the partition table".to_owned(),
        0,
        Table::FIRST_USABLE * SECTOR,
    ));
    places.push((
        "the partition table's copy".to_owned(),
        (Table::last_usable(sectors) + 1) * SECTOR,
        sectors * SECTOR,
    ));
    let mut different = Vec::new();
    for (name, from, to) in places {
        match first_difference(&one, &two, from, to)? {
            Some(at) => different.push(format!("  {name}: from its byte {}\n", at - from)),
            None => say(&format!("  {name}: {} KiB, the same", (to - from) >> 10)),
        }
    }
    Ok(different)
}

fn first_difference(one: &File, two: &File, from: u64, to: u64) -> Result<Option<u64>> {
    use std::io::{Seek, SeekFrom};
    let (mut one, mut two) = (one, two);
    one.seek(SeekFrom::Start(from))?;
    two.seek(SeekFrom::Start(from))?;
    let (mut left, mut right) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    let mut at = from;
    while at < to {
        let length = usize::try_from((to - at).min(1 << 20)).unwrap_or(1 << 20);
        one.read_exact(&mut left[..length])?;
        two.read_exact(&mut right[..length])?;
        if let Some(offset) = left[..length]
            .iter()
            .zip(&right[..length])
            .position(|(l, r)| l != r)
        {
            return Ok(Some(at + offset as u64));
        }
        at += length as u64;
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use gpt_table::Partition;

    use super::*;

    fn disk(folder: &Path, name: &str, marks: &[u64]) -> PathBuf {
        let path = folder.join(name);
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .unwrap();
        file.set_len(1 << 20).unwrap();
        let part = |name: &str, first, last| Partition {
            type_guid: [1; 16],
            guid: [2; 16],
            first,
            last,
            attributes: 0,
            name: name.into(),
        };
        let table = Table {
            disk_guid: [3; 16],
            partitions: vec![part("a", 64, 127), part("b", 128, 255)],
        };
        table.write(&file, (1 << 20) / SECTOR).unwrap();
        for mark in marks {
            file.write_all_at(b"x", *mark).unwrap();
        }
        path
    }

    #[test]
    fn a_difference_is_found_and_placed() {
        let folder = tempfile::tempdir().unwrap();
        let one = disk(folder.path(), "one", &[]);
        let two = disk(folder.path(), "two", &[128 * SECTOR + 700]);
        assert_eq!(
            compare(&one, &two).unwrap(),
            ["  partition b: from its byte 700\n"]
        );
    }

    #[test]
    fn equal_images_have_no_difference() {
        let folder = tempfile::tempdir().unwrap();
        let one = disk(folder.path(), "one", &[64 * SECTOR]);
        let two = disk(folder.path(), "two", &[64 * SECTOR]);
        assert!(compare(&one, &two).unwrap().is_empty());
    }
}
