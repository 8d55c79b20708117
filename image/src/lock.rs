//! `configs/lock*.toml`, one for each board and base: the exact packages of the image, and how the archive of today differs from it.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// One package at one version.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// Debian's name.
    pub name: String,
    /// Debian's version, with epoch.
    pub version: String,
    /// `arm64` or `all`.
    pub architecture: String,
    /// Of the package file, hexadecimal.
    pub sha256: String,
    /// Installed, or only its files taken.
    pub usage: Usage,
    /// The archive it is from (`configs/bases`); absent: Debian's own.
    #[serde(default)]
    pub archive: Option<String>,
}

impl Package {
    /// The name of its file, as apt calls it.
    #[must_use]
    pub fn file_name(&self) -> String {
        format!(
            "{}_{}_{}.deb",
            self.name,
            self.version.replace(':', "%3a"),
            self.architecture
        )
    }
}

/// What the image does with a package.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub enum Usage {
    /// Installed into the root file system.
    Installed,
    /// Some of its files are copied (kernel, firmware, U-Boot, initrd tools).
    Files,
}

/// The whole lock.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// When it was refreshed, seconds since 1970; the time stamp of what package scripts write.
    pub date: u64,
    /// Sorted by name.
    pub package: Vec<Package>,
}

/// One difference between the lock and what the archive gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drift {
    /// The package.
    pub name: String,
    /// The locked version; absent: the lock lacks the package.
    pub locked: Option<String>,
    /// The version to be had; absent: no longer needed or no longer there.
    pub found: Option<String>,
}

impl Lock {
    /// Reads a lock; a missing file is an empty lock, from which everything differs.
    ///
    /// # Errors
    /// The file cannot be read or is not a lock.
    pub fn read(path: &Path) -> Result<Self> {
        if !path.exists() {
            return Ok(Self::default());
        }
        let text =
            fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        toml::from_str(&text).with_context(|| {
            format!(
                "{} is not a valid lock; `image lock` makes a new one",
                path.display()
            )
        })
    }

    /// The lock's text, one package a line.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!(
            "# The exact packages of the image. Made by `image lock`; do not edit.\ndate = {}\npackage = [\n",
            self.date
        );
        for Package {
            name,
            version,
            architecture,
            sha256,
            usage,
            archive,
        } in &self.package
        {
            let usage = match usage {
                Usage::Installed => "installed",
                Usage::Files => "files",
            };
            let archive = archive
                .as_ref()
                .map_or_else(String::new, |name| format!(", archive = \"{name}\""));
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "  {{ name = \"{name}\", version = \"{version}\", architecture = \"{architecture}\", usage = \"{usage}\", sha256 = \"{sha256}\"{archive} }},"
            );
        }
        text + "]\n"
    }

    /// apt preferences that hold every package to its locked version, where that is still there.
    #[must_use]
    pub fn preferences(&self) -> String {
        self.package
            .iter()
            .fold(String::new(), |mut text, package| {
                let _ = write!(
                    text,
                    "Package: {}\nPin: version {}\nPin-Priority: 1001\n\n",
                    package.name, package.version
                );
                text
            })
    }

    /// How `found` differs from the lock, by name.
    ///
    /// # Errors
    /// The archive has a package at the locked version with another hash: that is no longer the same package.
    pub fn drift(&self, found: &[Package]) -> Result<Vec<Drift>> {
        let by_name = |list: &[Package]| {
            list.iter()
                .map(|p| (p.name.clone(), p.clone()))
                .collect::<BTreeMap<_, _>>()
        };
        let (locked, found) = (by_name(&self.package), by_name(found));
        let mut drift = Vec::new();
        for (name, package) in &locked {
            match found.get(name) {
                Some(now) if now.version == package.version && now.sha256 != package.sha256 => {
                    bail!(
                        "{name} {}: the archive's file has SHA-256 {}, the lock says {}; somebody changed one of them",
                        now.version,
                        now.sha256,
                        package.sha256
                    )
                }
                Some(now) if now.version == package.version => {}
                now => drift.push(Drift {
                    name: name.clone(),
                    locked: Some(package.version.clone()),
                    found: now.map(|now| now.version.clone()),
                }),
            }
        }
        drift.extend(
            found
                .values()
                .filter(|now| !locked.contains_key(&now.name))
                .map(|now| Drift {
                    name: now.name.clone(),
                    locked: None,
                    found: Some(now.version.clone()),
                }),
        );
        Ok(drift)
    }
}

impl std::fmt::Display for Drift {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.locked, &self.found) {
            (Some(locked), Some(found)) => write!(
                f,
                "{}: locked {locked}, the archive gives {found}",
                self.name
            ),
            (Some(locked), None) => write!(
                f,
                "{}: locked {locked}, no longer there or no longer needed",
                self.name
            ),
            (None, found) => write!(
                f,
                "{}: not in the lock, the archive gives {}",
                self.name,
                found.as_deref().unwrap_or("nothing")
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, version: &str, sha256: &str) -> Package {
        Package {
            name: name.into(),
            version: version.into(),
            architecture: "arm64".into(),
            sha256: sha256.into(),
            usage: Usage::Installed,
            archive: None,
        }
    }

    fn lock() -> Lock {
        Lock {
            date: 1,
            package: vec![package("apt", "2", "aa"), package("zlib", "1:1", "bb")],
        }
    }

    #[test]
    fn the_text_reads_back_as_the_same_lock() {
        assert_eq!(toml::from_str::<Lock>(&lock().text()).unwrap(), lock());
    }

    #[test]
    fn the_archive_of_a_package_is_said_where_it_is_not_debians_own() {
        let mut lock = lock();
        lock.package[1].archive = Some("vendor".into());
        let text = lock.text();
        assert!(
            text.contains("sha256 = \"aa\" },")
                && text.contains("sha256 = \"bb\", archive = \"vendor\" },"),
            "{text}"
        );
        assert_eq!(toml::from_str::<Lock>(&text).unwrap(), lock);
    }

    #[test]
    fn a_version_that_left_the_archive_is_named_with_its_replacement() {
        let drift = lock()
            .drift(&[package("apt", "3", "cc"), package("zlib", "1:1", "bb")])
            .unwrap();
        assert_eq!(
            drift.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["apt: locked 2, the archive gives 3"]
        );
    }

    #[test]
    fn a_package_missing_on_either_side_is_named() {
        let drift = lock()
            .drift(&[package("apt", "2", "aa"), package("new", "1", "cc")])
            .unwrap();
        let names: Vec<_> = drift.iter().map(|d| d.name.as_str()).collect();
        assert_eq!(names, ["zlib", "new"]);
    }

    #[test]
    fn the_same_version_with_another_hash_is_refused() {
        let error = lock()
            .drift(&[package("apt", "2", "ff"), package("zlib", "1:1", "bb")])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("apt 2") && error.contains("ff") && error.contains("aa"),
            "{error}"
        );
    }

    #[test]
    fn nothing_differs_from_itself() {
        assert_eq!(lock().drift(&lock().package).unwrap(), []);
    }
}
