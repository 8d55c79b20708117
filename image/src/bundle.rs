//! Stage bundle: everything a release consists of, in `dist/`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Result;

use crate::{
    build::say,
    config::Configs,
    facts::Facts,
    keys::Keys,
    lock::Package,
    rauc::{self, Update},
    run::run,
    sbom, sha256,
    slots::Slots,
};

/// What goes into `dist/`.
pub struct Bundle<'a> {
    /// `configs/`.
    pub configs: &'a Configs,
    /// The build.
    pub facts: &'a Facts,
    /// Every package.
    pub packages: &'a [Package],
    /// The disk image.
    pub disk: &'a Path,
    /// The file systems, for the update bundle.
    pub slots: &'a Slots,
    /// Scratch files go here.
    pub work: &'a Path,
    /// The root file system, for licences.
    pub root: &'a Path,
    /// Trees of the packages whose files are taken.
    pub files: &'a Path,
}

impl Bundle<'_> {
    /// `perch-1.2.3-rpi-arm64`, what every file's name starts with.
    #[must_use]
    pub fn stem(&self) -> String {
        format!(
            "{}-{}-{}",
            self.configs.image.name,
            self.facts.version,
            self.configs.target()
        )
    }

    /// Writes all files to `dist`, replacing those of an earlier build, and gives the image's path.
    ///
    /// # Errors
    /// A tool failed or a file cannot be written.
    pub fn write(&self, dist: &Path) -> Result<PathBuf> {
        crate::rootfs::remove(dist)?;
        fs::create_dir_all(dist)?;
        let name = |ending: &str| format!("{}.{ending}", self.stem());
        let image = dist.join(name("img.zst"));
        run("zstd")
            .args(["-q", "-6", "-T0", "-f", "-o"])
            .arg(&image)
            .arg(self.disk)
            .ok()?;
        run("bmaptool")
            .args(["create", "-o"])
            .arg(dist.join(name("img.bmap")))
            .arg(self.disk)
            .ok()?;
        let update = Update {
            compatible: &rauc::compatible(self.configs),
            version: &self.facts.version,
            commit: &self.facts.commit,
            epoch: self.facts.epoch,
            boot: &self.slots.boot,
            system: &self.slots.system,
        };
        update.bundle(
            &Keys::at(&self.facts.keys),
            self.work,
            &dist.join(name("raucb")),
        )?;
        let mut libraries = sbom::crates(&self.configs.top)?;
        libraries.extend(sbom::npm_packages(&self.configs.top)?);
        fs::write(
            dist.join(name("manifest")),
            sbom::manifest(self.packages, &libraries, self.facts),
        )?;
        let bom = sbom::cyclonedx(self.packages, &libraries, self.facts, |package| {
            sbom::copyright(self.root, self.files, package)
        });
        say(&sbom::licences_told(&bom));
        fs::write(
            dist.join(name("cdx.json")),
            serde_json::to_string_pretty(&bom)? + "\n",
        )?;
        let mut sums = String::new();
        for ending in ["cdx.json", "img.bmap", "img.zst", "manifest", "raucb"] {
            sums += &format!(
                "{}  {}\n",
                sha256::file(&dist.join(name(ending)))?,
                name(ending)
            );
        }
        fs::write(dist.join("SHA256SUMS"), sums)?;
        Ok(image)
    }
}
