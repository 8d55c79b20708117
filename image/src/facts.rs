//! What a build knows about itself.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// Facts that end up in the image's names and identifiers.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Facts {
    /// The workspace's version.
    pub version: String,
    /// `SOURCE_DATE_EPOCH`, seconds since 1970.
    pub epoch: u64,
    /// Git commit, or `unknown`.
    pub commit: String,
    /// Where the cross-built binaries are.
    pub binaries: PathBuf,
    /// Where `ci/web-chat` put the web chat's files.
    pub web_chat: PathBuf,
    /// Where `ci/charts` put what draws the overview's charts.
    pub charts: PathBuf,
    /// The signing chain (`image keys init`): its public part goes into the image.
    pub keys: PathBuf,
    /// The lock packages are held to.
    pub lock: PathBuf,
    /// Every package is at its locked version.
    pub locked: bool,
}

impl Facts {
    /// Facts from the environment: `SOURCE_DATE_EPOCH` (default: 0, only good for a plan), `PERCH_COMMIT`,
    /// `CARGO_TARGET_DIR` (default: `target`), `PERCH_KEYS` (default: `target/keys`).
    ///
    /// # Errors
    /// `SOURCE_DATE_EPOCH` is not a number.
    pub fn from_environment() -> Result<Self> {
        let epoch = match env::var("SOURCE_DATE_EPOCH") {
            Ok(text) => text.parse().with_context(|| {
                format!(
                    "SOURCE_DATE_EPOCH is \"{text}\"; accepted: seconds since 1970, digits only"
                )
            })?,
            Err(_) => 0,
        };
        let target =
            env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
        Ok(Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            epoch,
            commit: env::var("PERCH_COMMIT").unwrap_or_else(|_| "unknown".to_owned()),
            binaries: target.join("aarch64-unknown-linux-gnu/release"),
            web_chat: PathBuf::from("target/web-chat"),
            charts: PathBuf::from("target/charts"),
            keys: env::var_os("PERCH_KEYS")
                .map_or_else(|| PathBuf::from("target/keys"), PathBuf::from),
            lock: PathBuf::from("configs/lock.toml"),
            locked: true,
        })
    }

    /// Facts of an earlier build.
    ///
    /// # Errors
    /// There was none.
    pub fn read(path: &Path) -> Result<Self> {
        let text =
            fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is not valid", path.display()))
    }

    /// Keeps the facts for [`Facts::read`].
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        fs::write(path, serde_json::to_string(self)?)
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// The text of `os-release`(5).
    #[must_use]
    pub fn os_release(&self, name: &str) -> String {
        let Self {
            version, commit, ..
        } = self;
        let variant = if self.locked {
            "VARIANT=\"built from the committed lock\"\nVARIANT_ID=locked\n"
        } else {
            "VARIANT=\"not from the committed lock\"\nVARIANT_ID=unlocked\n"
        };
        format!(
            "PRETTY_NAME=\"Perch {version}\"\nNAME=\"Perch\"\nID={name}\nID_LIKE=debian\nVERSION_ID=\"{version}\"\n\
             VERSION=\"{version}\"\nVERSION_CODENAME=trixie\nBUILD_ID={commit}\nIMAGE_ID={name}\nIMAGE_VERSION={version}\n{variant}"
        )
    }
}
