//! What `configs/` says, as typed values. Unknown keys are errors everywhere.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, de::DeserializeOwned};

use crate::bases::{Base, DEBIAN, ExtraArchive, OnBase};

/// `configs/image.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// The product's name; the first part of every file in `dist/`.
    pub name: String,
    /// Debian's code name.
    pub release: String,
    /// Archive components packages may come from.
    pub components: Vec<String>,
    /// Debian's name for the processor.
    pub architecture: String,
    /// Which `configs/bases/NAME.toml`.
    #[serde(default = "debian")]
    pub base: String,
    /// Which `configs/boards/NAME.toml`.
    pub board: String,
    /// Which `configs/layers/NAME.toml`, in order.
    pub layers: Vec<String>,
}

fn debian() -> String {
    DEBIAN.to_owned()
}

/// `configs/layers/NAME.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layer {
    /// Equals the file's name.
    pub name: String,
    /// Why the layer exists.
    pub why: String,
    /// Debian packages installed for it.
    pub packages: Vec<String>,
    /// systemd units it enables.
    pub units: Vec<String>,
    /// What an earlier layer must provide.
    pub requires: Vec<String>,
    /// What later layers may require.
    pub provides: Vec<String>,
}

/// A file or folder on BOOTFS that comes from a package.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Firmware {
    /// One of [`Board::files`], or `kernel` (its device trees).
    pub package: String,
    /// Path in the package; for `kernel`, below its device tree folder.
    pub from: String,
    /// Path on BOOTFS.
    pub to: String,
    /// The base on which it is there; absent: on each.
    pub base: Option<String>,
}

/// `configs/boards/NAME.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Board {
    /// Equals the file's name; part of the image's file name.
    pub name: String,
    /// What Raspberry Pi Imager calls the devices it is for.
    pub imager: Vec<String>,
    /// Packages whose files are taken without installing them.
    pub files: Vec<String>,
    /// The kernel's command line, without the root device.
    pub cmdline: String,
    /// What BOOTFS holds besides `overlays/bootfs` and `overlays/bootfs-NAME`.
    pub firmware: Vec<Firmware>,
    /// The bases it can be built on.
    pub base: BTreeMap<String, OnBase>,
}

/// What a partition holds.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Content {
    /// FAT with the firmware, U-Boot and the user's settings.
    Firmware,
    /// Kernel and initrd of slot A.
    BootA,
    /// Kernel and initrd of slot B.
    BootB,
    /// Root of slot A.
    SystemA,
    /// Root of slot B.
    SystemB,
    /// Everything that is written.
    Data,
}

/// One partition of `configs/disk.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Partition {
    /// The partition's name in the table.
    pub name: String,
    /// What is in it.
    pub content: Content,
    /// Size in MiB before growth.
    pub size_mib: u64,
}

/// `configs/disk.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disk {
    /// In the order of the table.
    pub partition: Vec<Partition>,
}

/// All of `configs/` that the image is made from, checked.
#[derive(Debug)]
pub struct Configs {
    /// The repository.
    pub top: PathBuf,
    /// The image.
    pub image: Image,
    /// Its layers, in order.
    pub layers: Vec<Layer>,
    /// Its base.
    pub base: Base,
    /// Its board.
    pub board: Board,
    /// Its partitions.
    pub disk: Disk,
}

impl Configs {
    /// Reads and checks `top/configs`.
    ///
    /// # Errors
    /// A file is missing or malformed, or a rule below is broken.
    pub fn load(top: &Path) -> Result<Self> {
        Self::load_for(top, None, None)
    }

    /// The same with another board or base than `configs/image.toml` says.
    ///
    /// # Errors
    /// A file is missing or malformed, or a rule below is broken.
    pub fn load_for(top: &Path, board: Option<&str>, base: Option<&str>) -> Result<Self> {
        let folder = top.join("configs");
        let mut image: Image = read(&folder.join("image.toml"))?;
        if let Some(board) = board {
            board.clone_into(&mut image.board);
        }
        if let Some(base) = base {
            base.clone_into(&mut image.base);
        }
        let layers = image
            .layers
            .iter()
            .map(|name| read::<Layer>(&folder.join("layers").join(format!("{name}.toml"))))
            .collect::<Result<Vec<_>>>()?;
        let chosen = |key: &str, kind: &str, name: &str, asked: bool| {
            let path = folder.join(kind).join(format!("{name}.toml"));
            if path.exists() {
                return Ok(path);
            }
            let place = if asked {
                format!("--{key}")
            } else {
                format!("configs/image.toml: {key}")
            };
            bail!(
                "{place} is \"{name}\", accepted: {}",
                names(&folder.join(kind))?
            )
        };
        let configs = Self {
            top: top.to_owned(),
            base: read(&chosen("base", "bases", &image.base, base.is_some())?)?,
            board: read(&chosen("board", "boards", &image.board, board.is_some())?)?,
            image,
            layers,
            disk: read(&folder.join("disk.toml"))?,
        };
        configs.check()?;
        Ok(configs)
    }

    /// The board on the base.
    ///
    /// # Errors
    /// It cannot be built on it.
    pub fn on_base(&self) -> Result<&OnBase> {
        let (board, base) = (&self.board, &self.base.name);
        board.base.get(base).with_context(|| {
            format!(
                "configs/boards/{}.toml: base.{base} is missing; accepted as base for this board: {}",
                board.name,
                board.base.keys().cloned().collect::<Vec<_>>().join(", ")
            )
        })
    }

    /// What tells this image from those for other boards and bases, in names of files and for RAUC: the board's name, with the base's
    /// where that is not Debian. One kind of box cannot take the other's updates: what lies on BOOTFS comes with the image only.
    #[must_use]
    pub fn target(&self) -> String {
        if self.base.name == DEBIAN {
            self.board.name.clone()
        } else {
            format!("{}-{}", self.board.name, self.base.name)
        }
    }

    /// Archives besides Debian's own: the base's, then the board's.
    ///
    /// # Errors
    /// The board cannot be built on the base.
    pub fn extra_archives(&self) -> Result<Vec<&ExtraArchive>> {
        Ok(self
            .base
            .archive
            .iter()
            .chain(&self.on_base()?.archive)
            .collect())
    }

    /// What BOOTFS holds from packages on this base.
    pub fn firmware(&self) -> impl Iterator<Item = &Firmware> {
        let here = |file: &&Firmware| {
            file.base
                .as_ref()
                .is_none_or(|base| *base == self.base.name)
        };
        self.board.firmware.iter().filter(here)
    }

    /// Every package to install, with the layer that asks for it first.
    #[must_use]
    pub fn packages(&self) -> BTreeMap<&str, &str> {
        let mut packages = BTreeMap::new();
        for layer in &self.layers {
            for package in &layer.packages {
                packages
                    .entry(package.as_str())
                    .or_insert(layer.name.as_str());
            }
        }
        packages
    }

    fn check(&self) -> Result<()> {
        let mut provided: Vec<&str> = Vec::new();
        for (layer, name) in self.layers.iter().zip(&self.image.layers) {
            if &layer.name != name {
                bail!(
                    "configs/layers/{name}.toml: name is \"{}\", accepted: \"{name}\"",
                    layer.name
                );
            }
            if layer.why.trim().is_empty() {
                bail!("configs/layers/{name}.toml: why is empty; say why the layer exists");
            }
            if let Some(missing) = layer
                .requires
                .iter()
                .find(|r| !provided.contains(&r.as_str()))
            {
                bail!(
                    "configs/layers/{name}.toml: requires \"{missing}\", which no earlier layer provides"
                );
            }
            provided.extend(layer.provides.iter().map(String::as_str));
        }
        self.check_base()?;
        self.check_board()?;
        let contents: Vec<Content> = self.disk.partition.iter().map(|p| p.content).collect();
        if contents.first() != Some(&Content::Firmware) || contents.last() != Some(&Content::Data) {
            bail!(
                "configs/disk.toml: the first partition must hold firmware and the last one data"
            );
        }
        Ok(())
    }

    fn check_base(&self) -> Result<()> {
        let (base, file) = (
            &self.base,
            format!("configs/bases/{}.toml", self.image.base),
        );
        if base.name != self.image.base {
            bail!(
                "{file}: name is \"{}\", accepted: \"{}\"",
                base.name,
                self.image.base
            );
        }
        if base.why.trim().is_empty() {
            bail!("{file}: why is empty; say why the base exists");
        }
        if base.name == DEBIAN && !base.archive.is_empty() {
            bail!(
                "{file}: archive is set, accepted: none; other archives belong to another base or to a board"
            );
        }
        base.archive
            .iter()
            .try_for_each(|archive| archive.check(&file))
    }

    fn check_board(&self) -> Result<()> {
        let (board, file) = (
            &self.board,
            format!("configs/boards/{}.toml", self.image.board),
        );
        if board.name != self.image.board {
            bail!(
                "{file}: name is \"{}\", accepted: \"{}\"",
                board.name,
                self.image.board
            );
        }
        for firmware in &board.firmware {
            if firmware.package != "kernel" && !board.files.contains(&firmware.package) {
                bail!(
                    "{file}: firmware {} is from {}, which is not in files",
                    firmware.to,
                    firmware.package
                );
            }
            if let Some(base) = &firmware.base
                && !board.base.contains_key(base)
            {
                bail!(
                    "{file}: firmware {} has base \"{base}\", accepted: {}",
                    firmware.to,
                    board.base.keys().cloned().collect::<Vec<_>>().join(", ")
                );
            }
        }
        for archive in &self.on_base()?.archive {
            archive.check(&file)?;
        }
        let mut names: Vec<&str> = Vec::new();
        for archive in self.extra_archives()? {
            if names.contains(&archive.name.as_str()) {
                bail!(
                    "{file}: archive \"{}\" is there twice (see configs/bases, too)",
                    archive.name
                );
            }
            names.push(&archive.name);
        }
        Ok(())
    }
}

/// The names of the TOML files in `folder`.
fn names(folder: &Path) -> Result<String> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut names: Vec<String> = entries
        .filter_map(|entry| {
            let name = entry.ok()?.file_name().to_string_lossy().into_owned();
            Some(name.strip_suffix(".toml")?.to_owned())
        })
        .collect();
    names.sort();
    Ok(names.join(", "))
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    toml::from_str(&text).with_context(|| format!("{} is not valid", path.display()))
}

#[cfg(test)]
mod tests;
