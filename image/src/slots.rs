//! Stage slots: the file systems that the disk consists of, each in a file of its own.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use crate::{
    config::{Configs, Content, Firmware},
    facts::Facts,
    ids::Ids,
    initrd,
    kernel::Kernel,
    plan::{Place, Plan},
    rootfs::{lay, remove},
    run::run,
    verity::{self, Sealed},
};

const BOOT_SCRIPT: &str = include_str!("../boot/boot.cmd");

/// Where U-Boot's slot counters start, and RAUC's.
const FIRST_SLOTS: &str = "BOOT_ORDER=A B\nBOOT_A_LEFT=3\nBOOT_B_LEFT=3\n";

/// Bytes of `slots.env`; boot.cmd and fw_env.config say the same.
const SLOTS_ENV_BYTES: &str = "0x4000";

/// What the slots are made from.
pub struct Inputs<'a> {
    /// `configs/`.
    pub configs: &'a Configs,
    /// Files to lay onto BOOTFS.
    pub plan: &'a Plan,
    /// The build.
    pub facts: &'a Facts,
    /// The finished root file system.
    pub root: &'a Path,
    /// Each files-only package's unpacked tree: `files/NAME`.
    pub files: &'a Path,
    /// The kernel's version.
    pub kernel_version: &'a str,
}

/// The file systems made.
pub struct Slots {
    /// BOOTFS.
    pub firmware: PathBuf,
    /// Kernel and initrd, the same for both slots.
    pub boot: PathBuf,
    /// Root, the same for both slots.
    pub system: PathBuf,
    /// The empty data partition.
    pub data: PathBuf,
}

impl Slots {
    /// The file for a partition's content.
    #[must_use]
    pub fn file(&self, content: Content) -> &Path {
        match content {
            Content::Firmware => &self.firmware,
            Content::BootA | Content::BootB => &self.boot,
            Content::SystemA | Content::SystemB => &self.system,
            Content::Data => &self.data,
        }
    }
}

/// Makes all of them in `work`.
///
/// # Errors
/// A file is missing, or does not fit into its partition.
pub fn make(inputs: &Inputs<'_>, work: &Path) -> Result<Slots> {
    let ids = Ids::new(&inputs.facts.version, inputs.facts.epoch);
    let (system, sealed) = system(inputs, &ids, work)?;
    Ok(Slots {
        firmware: firmware(inputs, &ids, work)?,
        boot: boot(inputs, &ids, &sealed, work)?,
        system,
        data: data(inputs, &ids, work)?,
    })
}

fn size(configs: &Configs, content: Content) -> Result<u64> {
    let partition = configs.disk.partition.iter().find(|p| p.content == content);
    Ok(partition
        .with_context(|| format!("configs/disk.toml has no partition for {content:?}"))?
        .size_mib
        << 20)
}

fn firmware(inputs: &Inputs<'_>, ids: &Ids, work: &Path) -> Result<PathBuf> {
    let tree = work.join("bootfs");
    remove(&tree)?;
    fs::create_dir_all(&tree)?;
    for file in inputs.configs.firmware() {
        let from = source(inputs, file);
        let to = tree.join(&file.to);
        run("cp")
            .args(["-rL"])
            .arg(&from)
            .arg(&to)
            .hint("see configs/boards: the package no longer has this file")
            .ok()?;
    }
    for ((_, path), laid) in inputs
        .plan
        .iter()
        .filter(|((place, _), _)| *place == Place::Bootfs)
    {
        lay(&tree.join(path), laid)?;
    }
    let script = work.join("boot.cmd");
    fs::write(
        &script,
        BOOT_SCRIPT.replace("@CMDLINE@", &inputs.configs.board.cmdline),
    )?;
    run("mkimage")
        .env("SOURCE_DATE_EPOCH", inputs.facts.epoch.to_string())
        .args([
            "-A",
            "arm64",
            "-T",
            "script",
            "-C",
            "none",
            "-n",
            "Perch slot choice",
            "-d",
        ])
        .arg(&script)
        .arg(tree.join("boot.scr"))
        .ok()?;
    for name in ["slots.env", "slots.bak"] {
        let text = work.join("slots.txt");
        fs::write(&text, FIRST_SLOTS)?;
        run("mkenvimage")
            .args(["-p", "0", "-s", SLOTS_ENV_BYTES, "-o"])
            .arg(tree.join(name))
            .arg(&text)
            .ok()?;
    }
    let image = work.join("firmware.img");
    fat(
        &tree,
        &image,
        size(inputs.configs, Content::Firmware)?,
        "BOOTFS",
        &ids.fat_serial("firmware"),
        inputs.facts.epoch,
    )?;
    Ok(image)
}

fn source(inputs: &Inputs<'_>, file: &Firmware) -> PathBuf {
    if file.package == "kernel" {
        let tree = inputs.files.join("kernel");
        let kernel = Kernel {
            tree: &tree,
            version: inputs.kernel_version,
        };
        kernel.device_trees().join(&file.from)
    } else {
        inputs.files.join(&file.package).join(&file.from)
    }
}

fn boot(inputs: &Inputs<'_>, ids: &Ids, sealed: &Sealed, work: &Path) -> Result<PathBuf> {
    let tree = work.join("boot");
    remove(&tree)?;
    fs::create_dir_all(&tree)?;
    let kernel = inputs.files.join("kernel");
    let parts = initrd::Parts {
        root: inputs.root,
        kernel: &kernel,
        busybox: &inputs.files.join("busybox-static"),
        version: inputs.kernel_version,
        modules: &inputs.configs.on_base()?.initrd_modules,
    };
    let made = initrd::make(&parts, inputs.facts, work)?;
    fs::copy(&made, tree.join("initrd.img"))?;
    fs::write(tree.join(verity::FILE), sealed.text())?;
    Kernel {
        tree: &kernel,
        version: inputs.kernel_version,
    }
    .pack(&tree.join("vmlinuz"))?;
    let image = work.join("boot.img");
    fat(
        &tree,
        &image,
        size(inputs.configs, Content::BootA)?,
        "BOOT",
        &ids.fat_serial("boot"),
        inputs.facts.epoch,
    )?;
    Ok(image)
}

/// A FAT file system with the tree's files, without a trace of when or where it was made.
fn fat(tree: &Path, image: &Path, bytes: u64, label: &str, serial: &str, epoch: u64) -> Result<()> {
    remove(image)?;
    File::create(image)?.set_len(bytes)?;
    // One sector a cluster: 64 MiB are FAT32 only so, and the Pi's firmware wants FAT32 on larger cards.
    let shape: &[&str] = if label == "BOOTFS" {
        &["-F", "32", "-s", "1"]
    } else {
        &["-F", "16"]
    };
    run("mkfs.vfat")
        .args(["--invariant", "-n", label, "-i", serial])
        .args(shape)
        .arg(image)
        .ok()?;
    run("sh")
        .env("TZ", "UTC")
        .env("SOURCE_DATE_EPOCH", epoch.to_string())
        .env("MTOOLS_SKIP_CHECK", "1")
        .args(["-ec", "cd \"$1\"; find . -exec touch -h -d \"@$3\" {} +; find . -mindepth 1 -maxdepth 1 | LC_ALL=C sort | xargs -d '\\n' -I{} mcopy -smpi \"$2\" {} ::", "fat"])
        .arg(tree)
        .arg(fs::canonicalize(image)?)
        .arg(epoch.to_string())
        .hint("the files may be too many for the partition: see size_mib in configs/disk.toml")
        .ok()
}

fn system(inputs: &Inputs<'_>, ids: &Ids, work: &Path) -> Result<(PathBuf, Sealed)> {
    // The modules of the kernel beside it, so that a slot is one kernel and its modules.
    Kernel {
        tree: &inputs.files.join("kernel"),
        version: inputs.kernel_version,
    }
    .copy_modules(inputs.root)?;
    let image = work.join("system.img");
    let sealed = pack_root(inputs.root, ids, inputs.facts.epoch, &image)?;
    let (made, room) = (
        fs::metadata(&image)?.len(),
        size(inputs.configs, Content::SystemA)?,
    );
    if made > room {
        bail!(
            "the root and its hashes take {} MiB, their partition has {} MiB; see size_mib in configs/disk.toml",
            made >> 20,
            room >> 20
        );
    }
    Ok((image, sealed))
}

/// Packs a root's tree as erofs into `image`, with the hashes of its blocks behind it.
pub(crate) fn pack_root(tree: &Path, ids: &Ids, epoch: u64, image: &Path) -> Result<Sealed> {
    remove(image)?;
    // SOURCE_DATE_EPOCH would take the place of -T and only cap the times, so that they would tell when the base was installed.
    // Without worker threads nothing depends on how many processors the builder has.
    run("mkfs.erofs")
        .without_env("SOURCE_DATE_EPOCH")
        .args(["--quiet", "-zlz4hc,12", "-C65536", "--workers=0", "-LPERCH"])
        .arg(format!("-T{epoch}"))
        .arg(format!("-U{}", ids.uuid("system")))
        .arg(image)
        .arg(tree)
        .ok()?;
    verity::seal(image)
}

/// An empty ext4 that can grow to 2 TiB while mounted, with a journal sized for that, not for its start.
fn data(inputs: &Inputs<'_>, ids: &Ids, work: &Path) -> Result<PathBuf> {
    let image = work.join("data.img");
    remove(&image)?;
    File::create(&image)?.set_len(size(inputs.configs, Content::Data)?)?;
    let uuid = ids.uuid("data");
    run("mkfs.ext4")
        .env("SOURCE_DATE_EPOCH", inputs.facts.epoch.to_string())
        .args(["-q", "-F", "-L", "data", "-b", "4096", "-I", "256", "-i", "16384", "-m", "1", "-J", "size=32", "-U"])
        .arg(uuid.to_string())
        .arg("-E")
        .arg(format!("hash_seed={uuid},resize=536870912,lazy_itable_init=0,lazy_journal_init=0,root_owner=0:0"))
        .arg(&image)
        .ok()?;
    Ok(image)
}
