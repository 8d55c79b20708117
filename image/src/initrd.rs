//! The initrd: BusyBox, our `init`, file system tools, and the modules a box may need to reach its disk.
//! Our own rather than initramfs-tools: a third of the size (U-Boot reads a card slowly), no emulated
//! scripts in the build, and the same bytes each time.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use crate::{
    facts::Facts,
    plan::{Laid, Source},
    rootfs::{lay, remove},
    run::run,
};

const INIT: &str = include_str!("../boot/init");

/// Programs from the root file system: checking the disk's file systems, growing the data partition, finding partitions, having the
/// root's blocks checked.
const TOOLS: [&str; 5] = [
    "usr/sbin/dmsetup",
    "usr/sbin/e2fsck",
    "usr/sbin/resize2fs",
    "usr/sbin/blkid",
    "usr/sbin/fsck.fat",
];

/// Where the initrd's parts come from.
pub struct Parts<'a> {
    /// The finished root file system.
    pub root: &'a Path,
    /// The kernel package's files.
    pub kernel: &'a Path,
    /// The busybox-static package's files.
    pub busybox: &'a Path,
    /// The kernel's version, the name of its modules folder.
    pub version: &'a str,
    /// Modules wanted, without their dependencies.
    pub modules: &'a [String],
}

/// Makes `work/initrd.img`.
///
/// # Errors
/// A part is missing or a tool failed.
pub fn make(parts: &Parts<'_>, facts: &Facts, work: &Path) -> Result<PathBuf> {
    let tree = work.join("initrd");
    remove(&tree)?;
    for folder in ["dev", "proc", "sys", "run", "root", "bin", "sbin", "etc"] {
        fs::create_dir_all(tree.join(folder))?;
    }
    let script = |text: String| Laid {
        owner: "image".into(),
        source: Source::Text(text),
        mode: 0o755,
    };
    lay(
        &tree.join("init"),
        &script(INIT.replace("@EPOCH@", &facts.epoch.to_string())),
    )?;
    copy(
        &parts.busybox.join("usr/bin/busybox"),
        &tree.join("bin/busybox"),
    )?;
    std::os::unix::fs::symlink("busybox", tree.join("bin/sh"))?;
    // The kernel calls this to load what it finds missing.
    std::os::unix::fs::symlink("../bin/busybox", tree.join("sbin/modprobe"))?;
    let grow = facts.binaries.join("grow-data");
    copy(&grow, &tree.join("sbin/grow-data"))?;
    let mut libraries = BTreeSet::new();
    needed(parts.root, &grow, &mut libraries)?;
    for tool in TOOLS {
        let from = parts.root.join(tool);
        copy(
            &from,
            &tree.join("sbin").join(from.file_name().unwrap_or_default()),
        )?;
        needed(parts.root, &from, &mut libraries)?;
    }
    for library in &libraries {
        copy(
            &library_path(parts.root, library)?,
            &tree.join("lib").join(library),
        )?;
    }
    modules(parts, &tree)?;
    pack(&tree, facts.epoch, &work.join("initrd.img"))
}

/// Copies the wanted modules and what they depend on, unpacked: the initrd as a whole is compressed better.
fn modules(parts: &Parts<'_>, tree: &Path) -> Result<()> {
    let relative = Path::new("usr/lib/modules").join(parts.version);
    let from = parts.kernel.join(&relative);
    run("depmod")
        .args(["-b"])
        .arg(parts.kernel.join("usr"))
        .arg(parts.version)
        .ok()?;
    let text =
        fs::read_to_string(from.join("modules.dep")).context("depmod made no modules.dep")?;
    let depends: BTreeMap<&str, Vec<&str>> = text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(path, others)| (path, others.split_whitespace().collect()))
        .collect();
    let builtin = fs::read_to_string(from.join("modules.builtin"))
        .context("the kernel has no modules.builtin")?;
    let mut wanted = BTreeSet::new();
    for module in parts.modules {
        let found = depends
            .keys()
            .find(|path| module_name(path) == module.replace('-', "_"));
        match found {
            Some(path) => {
                wanted.insert(*path);
                wanted.extend(&depends[path]);
            }
            None if builtin
                .lines()
                .any(|path| module_name(path) == module.replace('-', "_")) => {}
            None => bail!(
                "the kernel {} has no module {module} (configs/boards, initrd_modules)",
                parts.version
            ),
        }
    }
    let to = tree.join("lib/modules").join(parts.version);
    for path in wanted {
        copy(&from.join(path), &to.join(path))?;
        if path.ends_with(".xz") {
            run("xz").arg("-d").arg(to.join(path)).ok()?;
        }
    }
    for list in [
        "modules.order",
        "modules.builtin",
        "modules.builtin.modinfo",
    ] {
        copy(&from.join(list), &to.join(list))?;
    }
    run("depmod").arg("-b").arg(tree).arg(parts.version).ok()?;
    // BusyBox reads the text forms.
    for file in fs::read_dir(&to)? {
        let path = file?.path();
        if path.is_file()
            && !["modules.dep", "modules.alias"]
                .iter()
                .any(|name| path.ends_with(name))
        {
            remove(&path)?;
        }
    }
    Ok(())
}

fn module_name(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split(".ko").next().unwrap_or(file).replace('-', "_")
}

/// Adds the shared libraries that `program` needs, and theirs.
fn needed(root: &Path, program: &Path, libraries: &mut BTreeSet<String>) -> Result<()> {
    let text = run("aarch64-linux-gnu-readelf")
        .args(["--dynamic", "--program-headers", "--wide"])
        .arg(program)
        .output()?;
    for line in text.lines() {
        let name = line
            .split_once("Shared library: [")
            .or_else(|| line.split_once("program interpreter: /lib/"))
            .map(|(_, rest)| rest.trim_end_matches(']').to_owned());
        if let Some(name) = name
            && libraries.insert(name.clone())
        {
            needed(root, &library_path(root, &name)?, libraries)?;
        }
    }
    Ok(())
}

fn library_path(root: &Path, name: &str) -> Result<PathBuf> {
    ["usr/lib/aarch64-linux-gnu", "usr/lib"]
        .iter()
        .map(|folder| root.join(folder).join(name))
        .find(|path| path.exists())
        .with_context(|| format!("the root has no library {name}, which the initrd needs"))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::copy(from, to)
        .map(drop)
        .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))
}

fn pack(tree: &Path, epoch: u64, to: &Path) -> Result<PathBuf> {
    run("sh")
        .args(["-ec", "cd \"$1\"; find . -exec touch -h -d \"@$2\" {} +; find . | LC_ALL=C sort | cpio --quiet --reproducible -o -H newc -R 0:0 | zstd -q -19 -T1 -f -o \"$3\"", "pack"])
        .arg(tree)
        .arg(epoch.to_string())
        .arg(to)
        .ok()?;
    Ok(to.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn module_names_are_those_the_kernel_uses() {
        assert_eq!(
            module_name("kernel/drivers/mmc/host/sdhci-iproc.ko.xz"),
            "sdhci_iproc"
        );
    }
}
