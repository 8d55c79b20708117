//! Another bundle from one that is there: other files in the root or the boot partition, another version, other keys. For trying
//! updates without building the image anew; what a release ships comes from [`crate::build`].

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use crate::{
    ids::Ids,
    keys::Keys,
    rauc::{SYSTEM_CONF, Update},
    rootfs::remove,
    run::run,
    slots::pack_root,
    verity::{self, Sealed},
};

/// What is to be different.
pub struct Variant<'a> {
    /// The bundle to start from.
    pub bundle: &'a Path,
    /// The version that the new one has.
    pub version: &'a str,
    /// The root says so, too, and is packed anew; else it stays as it is, which is quick. Files in `root` do the same.
    pub inside: bool,
    /// `SOURCE_DATE_EPOCH` of the new file systems.
    pub epoch: u64,
    /// Files laid over the root; absent: none.
    pub root: Option<&'a Path>,
    /// Files put into the boot partition; absent: none.
    pub boot: Option<&'a Path>,
    /// The boot partition is no file system at all.
    pub boot_unreadable: bool,
    /// The kind of box that the new one is for; absent: the same.
    pub compatible: Option<&'a str>,
    /// The chain whose release key signs.
    pub keys: &'a Keys,
}

/// The file systems of a variant.
pub struct Made {
    /// The boot partition's.
    pub boot: PathBuf,
    /// The root's.
    pub system: PathBuf,
}

impl Variant<'_> {
    /// Makes the file systems in `work` and the bundle at `to`.
    ///
    /// # Errors
    /// The bundle to start from is none of ours, or a tool failed.
    pub fn make(&self, work: &Path, to: &Path) -> Result<Made> {
        let content = work.join("content");
        remove(&content)?;
        fs::create_dir_all(work)?;
        run("unsquashfs")
            .args(["-quiet", "-no-progress", "-dest"])
            .arg(&content)
            .arg(self.bundle)
            .hint("is it a bundle that ci/build wrote?")
            .ok()?;
        let manifest = fs::read_to_string(content.join("manifest.raucm"))
            .with_context(|| format!("{} has no manifest", self.bundle.display()))?;
        let compatible = value(&manifest, "compatible")?;
        let commit = value(&manifest, "build")?;
        let made = Made {
            boot: work.join("boot.img"),
            system: work.join("system.img"),
        };
        fs::rename(content.join("boot.img"), &made.boot).context("the bundle has no boot.img")?;
        let boot = work.join("boot-files");
        remove(&boot)?;
        fs::create_dir_all(&boot)?;
        let packed = content.join("system.img");
        if self.inside || self.root.is_some() {
            let before = value(&manifest, "version")?;
            let sealed = self.pack_anew(&packed, &before, work, &made.system)?;
            fs::write(boot.join(verity::FILE), sealed.text())?;
        } else {
            fs::rename(&packed, &made.system).context("the bundle has no system.img")?;
        }
        remove(&content)?;
        if let Some(files) = self.boot {
            overlay(files, &boot)?;
        }
        run("sh")
            .env("SOURCE_DATE_EPOCH", self.epoch.to_string())
            .env("MTOOLS_SKIP_CHECK", "1")
            .args(["-ec", "for file in \"$2\"/*; do [ ! -e \"$file\" ] || mcopy -o -s -i \"$1\" \"$file\" ::/; done", "files"])
            .arg(&made.boot)
            .arg(&boot)
            .ok()?;
        if self.boot_unreadable {
            let length = fs::metadata(&made.boot)?.len();
            fs::write(&made.boot, vec![0xa5; usize::try_from(length)?])?;
        }
        Update {
            compatible: self.compatible.unwrap_or(&compatible),
            version: self.version,
            commit: &commit,
            epoch: self.epoch,
            boot: &made.boot,
            system: &made.system,
        }
        .bundle(self.keys, work, to)?;
        Ok(made)
    }

    /// Another root from `packed`, in `to`.
    fn pack_anew(&self, packed: &Path, before: &str, work: &Path, to: &Path) -> Result<Sealed> {
        let tree = work.join("root");
        remove(&tree)?;
        run("fsck.erofs")
            .arg(format!("--extract={}", tree.display()))
            .args(["--preserve", "--overwrite"])
            .arg(packed)
            .ok()?;
        self.change(&tree, before)?;
        let ids = Ids::new(self.version, self.epoch);
        let sealed = pack_root(&tree, &ids, self.epoch, to)?;
        remove(&tree)?;
        Ok(sealed)
    }

    /// The version is in `os-release` and in RAUC's least version; both must be as a build would write them.
    fn change(&self, tree: &Path, before: &str) -> Result<()> {
        for name in ["usr/lib/os-release", SYSTEM_CONF] {
            let path = tree.join(name);
            let text = fs::read_to_string(&path)
                .with_context(|| format!("the root has no {name}: is it an image of ours?"))?;
            let new = text.replace(before, self.version);
            if new == text && before != self.version {
                bail!("{name} does not say version {before}");
            }
            fs::write(&path, new)?;
        }
        if let Some(files) = self.root {
            overlay(files, tree)?;
        }
        Ok(())
    }
}

fn overlay(files: &Path, to: &Path) -> Result<()> {
    run("cp")
        .args(["-a", "--remove-destination"])
        .arg(files.join("."))
        .arg(to)
        .ok()
}

fn value(manifest: &str, key: &str) -> Result<String> {
    let line = manifest
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    Ok(line
        .with_context(|| format!("the manifest has no {key}"))?
        .to_owned())
}
