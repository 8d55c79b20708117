//! What `configs/` says, as typed values. Unknown keys are errors everywhere.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, de::DeserializeOwned};

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
    /// Which `configs/boards/NAME.toml`.
    pub board: String,
    /// Which `configs/layers/NAME.toml`, in order.
    pub layers: Vec<String>,
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
}

/// `configs/boards/NAME.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Board {
    /// Equals the file's name; part of the image's file name.
    pub name: String,
    /// The package that depends on the current kernel's package.
    pub kernel: String,
    /// Packages whose files are taken without installing them.
    pub files: Vec<String>,
    /// The kernel's command line, without the root device.
    pub cmdline: String,
    /// Modules in the initrd, besides what they depend on.
    pub initrd_modules: Vec<String>,
    /// What BOOTFS holds besides `overlays/bootfs`.
    pub firmware: Vec<Firmware>,
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
        let folder = top.join("configs");
        let image: Image = read(&folder.join("image.toml"))?;
        let layers = image
            .layers
            .iter()
            .map(|name| read::<Layer>(&folder.join("layers").join(format!("{name}.toml"))))
            .collect::<Result<Vec<_>>>()?;
        let board: Board = read(&folder.join("boards").join(format!("{}.toml", image.board)))?;
        let disk = read(&folder.join("disk.toml"))?;
        let configs = Self {
            top: top.to_owned(),
            image,
            layers,
            board,
            disk,
        };
        configs.check()?;
        Ok(configs)
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
        if self.board.name != self.image.board {
            bail!(
                "configs/boards/{}.toml: name is \"{}\"",
                self.image.board,
                self.board.name
            );
        }
        for file in &self.board.firmware {
            if file.package != "kernel" && !self.board.files.contains(&file.package) {
                bail!(
                    "configs/boards/{}.toml: firmware {} is from {}, which is not in files",
                    self.board.name,
                    file.to,
                    file.package
                );
            }
        }
        let contents: Vec<Content> = self.disk.partition.iter().map(|p| p.content).collect();
        if contents.first() != Some(&Content::Firmware) || contents.last() != Some(&Content::Data) {
            bail!(
                "configs/disk.toml: the first partition must hold firmware and the last one data"
            );
        }
        Ok(())
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    toml::from_str(&text).with_context(|| format!("{} is not valid", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> String {
        format!("{:#}", toml::from_str::<Layer>(text).unwrap_err())
    }

    #[test]
    fn the_configs_of_this_repository_are_valid() {
        let top = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        Configs::load(top).unwrap();
    }

    #[test]
    fn an_unknown_key_names_its_line() {
        let error = parse("name = \"x\"\nwhy = \"y\"\npackges = []\n");
        assert!(
            error.contains("packges") && error.contains("line 3"),
            "{error}"
        );
    }

    #[test]
    fn a_layer_that_requires_what_nothing_provides_is_refused() {
        let top = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let mut configs = Configs::load(top).unwrap();
        configs.layers[0].requires.push("coffee".into());
        let error = configs.check().unwrap_err().to_string();
        assert!(
            error.contains("base.toml") && error.contains("coffee"),
            "{error}"
        );
    }
}
