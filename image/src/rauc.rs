//! What RAUC gets: the box's `system.conf`, made from the partitions of `configs/disk.toml`, and the signed bundle.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::{
    config::{Configs, Content},
    keys::Keys,
    rootfs::remove,
    run::run,
};

/// Where the box's configuration lies. Not in `/etc`: a file of the same name in `/run/rauc` takes its place for as long
/// as an owner's explicit downgrade runs (rauc(1), system.conf's search order).
pub const SYSTEM_CONF: &str = "usr/lib/rauc/system.conf";

/// Where the public part of the signing chain lies in the root.
pub const KEYRING: &str = "usr/share/perch/keyring.pem";

/// Bundles and boxes agree on it; a bundle for another board is refused.
#[must_use]
pub fn compatible(configs: &Configs) -> String {
    format!("{}-{}", configs.image.name, configs.target())
}

/// `system.conf` of a box that runs `version`.
///
/// # Errors
/// `configs/disk.toml` lacks a partition of a slot.
pub fn system_conf(configs: &Configs, version: &str) -> Result<String> {
    let device = |content: Content| {
        let partition = configs.disk.partition.iter().find(|p| p.content == content);
        partition
            .map(|p| format!("/run/perch/disk/{}", p.name))
            .with_context(|| format!("configs/disk.toml has no partition for {content:?}"))
    };
    let mut text = format!(
        "# Made by `image build` from configs/disk.toml.\n\
         [system]\n\
         compatible={}\n\
         bootloader=uboot\n\
         boot-attempts=3\n\
         boot-attempts-primary=3\n\
         bundle-formats=verity\n\
         # A written slot is started only when the provisioner says so (provisioner update).\n\
         activate-installed=false\n\
         min-bundle-version={version}\n\
         data-directory=/data/rauc\n\n\
         [keyring]\n\
         path=/{KEYRING}\n\
         check-crl=true\n",
        compatible(configs)
    );
    for (index, name, system, boot) in [
        (0, "A", Content::SystemA, Content::BootA),
        (1, "B", Content::SystemB, Content::BootB),
    ] {
        text += &format!(
            "\n[slot.system.{index}]\ndevice={}\ntype=raw\nbootname={name}\n\
             \n[slot.boot.{index}]\ndevice={}\ntype=raw\nparent=system.{index}\n",
            device(system)?,
            device(boot)?
        );
    }
    Ok(text)
}

/// What a bundle is made of.
pub struct Update<'a> {
    /// The board it is for: [`compatible`].
    pub compatible: &'a str,
    /// Its version.
    pub version: &'a str,
    /// The commit it was built from.
    pub commit: &'a str,
    /// `SOURCE_DATE_EPOCH`.
    pub epoch: u64,
    /// The boot partition's file system.
    pub boot: &'a Path,
    /// The root file system.
    pub system: &'a Path,
}

impl Update<'_> {
    /// Both images can be fetched by the blocks that differ from what the box has (`block-hash-index`). RAUC writes them in this order:
    /// the small one first, so that less has been done for nothing where the target cannot be written or the bundle was damaged.
    fn manifest(&self) -> String {
        let mut text = format!(
            "[update]\ncompatible={}\nversion={}\nbuild={}\n\n[bundle]\nformat=verity\n",
            self.compatible, self.version, self.commit
        );
        for name in ["boot", "system"] {
            text += &format!("\n[image.{name}]\nfilename={name}.img\nadaptive=block-hash-index\n");
        }
        text
    }

    /// Writes the signed bundle to `to`, with scratch files in `work`.
    ///
    /// # Errors
    /// RAUC refused, or a key is missing.
    pub fn bundle(&self, keys: &Keys, work: &Path, to: &Path) -> Result<()> {
        let content = work.join("bundle");
        remove(&content)?;
        remove(to)?;
        fs::create_dir_all(&content)?;
        for (name, file) in [("boot.img", self.boot), ("system.img", self.system)] {
            // RAUC writes the indexes beside the images: the images themselves are not copied.
            fs::hard_link(file, content.join(name))
                .or_else(|_| fs::copy(file, content.join(name)).map(drop))
                .with_context(|| format!("cannot take {}", file.display()))?;
        }
        fs::write(content.join("manifest.raucm"), self.manifest())?;
        run("rauc")
            .env("SOURCE_DATE_EPOCH", self.epoch.to_string())
            .arg("bundle")
            .arg(option("cert", &keys.release_certificate()))
            .arg(option("key", &keys.release_key()))
            .arg(option("signing-keyring", &keys.keyring()))
            // Not compressed once more. Each block that a box lacks a part of is one request to the publisher's server (`docs/adr/0092`).
            .arg("--mksquashfs-args=-b 16384 -noD -noF")
            .arg(&content)
            .arg(to)
            .hint("the keys are made by `image keys init`; is the release key's certificate still valid?")
            .ok()?;
        remove(&content)
    }
}

fn option(name: &str, path: &Path) -> String {
    format!("--{name}={}", path.display())
}

/// A bundle's file name: `perch-1.2.3-rpi-arm64.raucb`.
#[must_use]
pub fn file_name(configs: &Configs, version: &str) -> PathBuf {
    PathBuf::from(format!(
        "{}-{version}-{}.raucb",
        configs.image.name,
        configs.target()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configs() -> Configs {
        Configs::load(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()).unwrap()
    }

    #[test]
    fn each_slot_is_a_pair_of_a_root_and_its_boot_partition() {
        let text = system_conf(&configs(), "1.2.3").unwrap();
        for part in [
            "[slot.system.1]\ndevice=/run/perch/disk/system_b\ntype=raw\nbootname=B\n",
            "[slot.boot.1]\ndevice=/run/perch/disk/boot_b\ntype=raw\nparent=system.1\n",
            "compatible=perch-rpi-arm64\n",
            "min-bundle-version=1.2.3\n",
        ] {
            assert!(text.contains(part), "{part}\nis not in\n{text}");
        }
    }

    #[test]
    fn each_board_and_base_is_a_kind_of_its_own() {
        let top = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let kind = |board, base| compatible(&Configs::load_for(top, board, base).unwrap());
        assert_eq!(kind(None, None), "perch-rpi-arm64");
        assert_eq!(kind(Some("rpi5-arm64"), None), "perch-rpi5-arm64");
        assert_eq!(kind(None, Some("raspios")), "perch-rpi-arm64-raspios");
    }

    #[test]
    fn a_partition_that_is_missing_is_named() {
        let mut configs = configs();
        configs
            .disk
            .partition
            .retain(|p| p.content != Content::BootB);
        let error = system_conf(&configs, "1.0.0").unwrap_err().to_string();
        assert!(error.contains("BootB"), "{error}");
    }
}
