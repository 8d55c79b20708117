//! `image cves`: what Debian's security tracker still holds open against the locked packages.
//!
//! The tracker's data (`/tracker/data/json`) is, for each source package, each advisory's state in each release: `open`, or
//! `resolved` in `fixed_version`, where `0` means that the release was never affected.

use std::{cmp::Ordering, collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::{lock::Package, run::run};

/// Where the tracker offers its data.
pub const TRACKER: &str = "https://security-tracker.debian.org/tracker/data/json";

/// The tracker's data: source package → advisory → what is known.
pub type Tracker = BTreeMap<String, BTreeMap<String, Advisory>>;

/// One advisory against one source package.
#[derive(Debug, Deserialize)]
pub struct Advisory {
    /// What it is about; absent: the tracker has no text.
    #[serde(default)]
    pub description: String,
    /// By release.
    #[serde(default)]
    pub releases: BTreeMap<String, State>,
}

/// How a release stands to an advisory.
#[derive(Debug, Deserialize)]
pub struct State {
    /// `open`, `resolved` or `undetermined`.
    pub status: String,
    /// The first version without the fault; `0`: none of the release's versions has it. Absent: there is none yet.
    #[serde(default)]
    pub fixed_version: Option<String>,
    /// `unimportant`, `low`, `medium`, `high`, or that nobody has said.
    #[serde(default)]
    pub urgency: String,
}

/// A source package of which the image has something.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source {
    /// Debian's name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// An advisory that is open for the image.
#[derive(Debug, PartialEq, Eq)]
pub struct Open<'a> {
    /// `CVE-…`, or the tracker's own name.
    pub advisory: &'a str,
    /// Against which source package.
    pub source: &'a Source,
    /// How urgent Debian holds it.
    pub urgency: &'a str,
    /// The version in which it is mended: a newer lock has it. Absent: Debian has none yet.
    pub mended_in: Option<&'a str>,
    /// What it is about.
    pub description: &'a str,
}

/// Reads the tracker's data from a file, or fetches it from an `https://` address.
///
/// # Errors
/// It cannot be reached or read, or is no data of the tracker's.
pub fn read(place: &str) -> Result<Tracker> {
    let text = if place.starts_with("https://") {
        run("curl")
            .args(["-fsSL", "--max-time", "300", "--", place])
            .hint("give a copy of the tracker's data with --tracker FILE where the internet cannot be reached")
            .output()?
    } else {
        fs::read_to_string(place).with_context(|| format!("cannot read {place}"))?
    };
    serde_json::from_str(&text)
        .with_context(|| format!("{place} is no data of the security tracker"))
}

/// The source packages of the locked ones, from their files in `debs`.
///
/// # Errors
/// A package's file is not there, or is none.
pub fn sources(packages: &[Package], debs: &Path) -> Result<Vec<Source>> {
    let mut found = Vec::new();
    for package in packages {
        let file = debs.join(package.file_name());
        let control = run("dpkg-deb")
            .args(["--field"])
            .arg(&file)
            .args(["Package", "Version", "Source"])
            .hint("run ci/build first: it fetches the packages")
            .output()?;
        found.push(
            source(&control).with_context(|| format!("{} names no package", file.display()))?,
        );
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// `Source: name (version)`; what is missing is the package's own.
fn source(control: &str) -> Option<Source> {
    let field = |name: &str| {
        let mut lines = control.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    };
    let (own, version) = (field("Package")?, field("Version")?);
    let (name, version) = match field("Source").unwrap_or(own).split_once(" (") {
        Some((name, rest)) => (name, rest.trim_end_matches(')')),
        None => (field("Source").unwrap_or(own), version),
    };
    Some(Source {
        name: name.to_owned(),
        version: version.to_owned(),
    })
}

/// What is open for these sources in a release, sorted by source. `compare` compares two versions.
///
/// # Errors
/// Two versions cannot be compared.
pub fn open<'a>(
    tracker: &'a Tracker,
    sources: &'a [Source],
    release: &str,
    compare: impl Fn(&str, &str) -> Result<Ordering>,
) -> Result<Vec<Open<'a>>> {
    let mut found = Vec::new();
    for source in sources {
        for (advisory, about) in tracker.get(&source.name).into_iter().flatten() {
            let Some(state) = about.releases.get(release) else {
                continue;
            };
            let mended_in = state.fixed_version.as_deref();
            let is_open = match (state.status.as_str(), mended_in) {
                ("resolved", Some("0") | None) => false,
                ("resolved", Some(mended)) => compare(&source.version, mended)?.is_lt(),
                _ => true,
            };
            if is_open {
                found.push(Open {
                    advisory,
                    source,
                    urgency: &state.urgency,
                    mended_in,
                    description: &about.description,
                });
            }
        }
    }
    Ok(found)
}

/// Compares as dpkg does.
///
/// # Errors
/// dpkg cannot be run.
pub fn compare(one: &str, other: &str) -> Result<Ordering> {
    let is = |relation: &str| {
        let status = std::process::Command::new("dpkg")
            .args(["--compare-versions", one, relation, other])
            .status();
        status
            .context("cannot run dpkg")
            .map(|status| status.success())
    };
    Ok(if is("lt")? {
        Ordering::Less
    } else if is("eq")? {
        Ordering::Equal
    } else {
        Ordering::Greater
    })
}

impl Open<'_> {
    /// One line for a person.
    #[must_use]
    pub fn line(&self) -> String {
        let mended = match self.mended_in {
            Some(version) => format!("mended in {version}: refresh the lock"),
            None => "no mended version yet".to_owned(),
        };
        let text: String = self.description.chars().take(100).collect();
        format!(
            "{} {} {}: {mended} ({}) {text}",
            self.source.name, self.source.version, self.advisory, self.urgency
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, version: &str) -> Source {
        Source {
            name: name.to_owned(),
            version: version.to_owned(),
        }
    }

    #[test]
    fn the_source_of_a_package_is_its_own_unless_it_says_another() {
        let plain = source("Package: dash\nVersion: 0.5.12-12\n").unwrap();
        assert_eq!(plain, of("dash", "0.5.12-12"));
        let named =
            source("Package: libc6\nVersion: 2.41-12+b1\nSource: glibc (2.41-12)\n").unwrap();
        assert_eq!(named, of("glibc", "2.41-12"));
        let same = source("Package: libacl1\nVersion: 2.3.2-2\nSource: acl\n").unwrap();
        assert_eq!(same, of("acl", "2.3.2-2"));
        assert_eq!(source("Version: 1\n"), None);
    }

    #[test]
    fn open_is_what_is_not_mended_in_the_locked_version_of_this_release() {
        let tracker: Tracker = serde_json::from_str(
            r#"{
                "nginx": {
                    "CVE-1": {"description": "read past the end", "scope": "remote", "releases": {
                        "trixie": {"status": "resolved", "fixed_version": "1.26.3-3+deb13u2", "urgency": "high", "repositories": {}},
                        "sid": {"status": "open", "urgency": "high"}}},
                    "CVE-2": {"releases": {"trixie": {"status": "open", "urgency": "low"}}},
                    "CVE-3": {"releases": {"trixie": {"status": "resolved", "fixed_version": "0", "urgency": "unimportant"}}},
                    "CVE-4": {"releases": {"bookworm": {"status": "open", "urgency": "high"}}}
                },
                "elsewhere": {"CVE-5": {"releases": {"trixie": {"status": "open", "urgency": "high"}}}}
            }"#,
        )
        .unwrap();
        let by_text = |one: &str, other: &str| Ok(one.cmp(other));
        for (version, wanted) in [
            ("1.26.3-3+deb13u1", vec!["CVE-1", "CVE-2"]),
            ("1.26.3-3+deb13u2", vec!["CVE-2"]),
        ] {
            let sources = [of("dash", "1"), of("nginx", version)];
            let found = open(&tracker, &sources, "trixie", by_text).unwrap();
            let names: Vec<_> = found.iter().map(|open| open.advisory).collect();
            assert_eq!(names, wanted, "{version}");
        }
        let sources = [of("nginx", "1.26.3-3+deb13u1")];
        let found = open(&tracker, &sources, "trixie", by_text).unwrap();
        assert_eq!(
            found[0].line(),
            "nginx 1.26.3-3+deb13u1 CVE-1: mended in 1.26.3-3+deb13u2: refresh the lock (high) read past the end"
        );
    }

    #[test]
    fn what_is_no_data_of_the_tracker_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "<html>").unwrap();
        let error = read(file.path().to_str().unwrap()).unwrap_err().to_string();
        assert!(error.contains("no data of the security tracker"), "{error}");
    }
}
