//! What the publisher offers: a signed list of releases in a folder of any HTTPS server (`image publish` writes it).

use std::fs;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::FOLDER;
use super::machine::Release;
use crate::files::{Access, Files};
use crate::system::System;

/// Where the owner says whence updates come; absent: the defaults. The settings write it (`settings/updates.rs`), or somebody by hand.
pub const PATH: &str = "/etc/perch/update.toml";
/// The public part of the publisher's keys.
const KEYRING: &str = "/usr/share/perch/keyring.pem";
/// RAUC's and our word for the kind of box.
const RAUC: &str = "/usr/lib/rauc/system.conf";

/// `update.toml`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Source {
    /// The folder's address; absent: updates come by file only.
    pub url: Option<String>,
    /// `stable` unless said otherwise.
    pub channel: Option<String>,
    /// The only version that is offered; absent: the newest.
    pub pinned: Option<String>,
    /// Authorities (PEM) that the server's certificate is checked against; absent: the system's.
    pub authority: Option<String>,
    /// Install by itself at night; absent: no.
    pub automatic: bool,
    /// `03:00-05:00`, the box's local time, unless said otherwise.
    pub window: Option<super::window::Window>,
}

impl Source {
    /// Reads `update.toml`.
    ///
    /// # Errors
    /// It has an unknown key or a bad value: file and line are named.
    pub fn read(files: &Files) -> Result<Self> {
        match files.read(PATH)? {
            Some(text) => toml::from_str(&text).with_context(|| format!("{PATH} is not valid")),
            None => Ok(Self::default()),
        }
    }

    /// The folder's address without a slash at its end.
    ///
    /// # Errors
    /// None is set, or it is not HTTPS.
    pub fn folder(&self) -> Result<&str> {
        let url = self.url.as_deref().context(
            "no place for updates is set: give one in the settings (`provisioner settings set updates.url=https://…`), or give a file",
        )?;
        if !url.starts_with("https://") {
            bail!("{PATH}: url is \"{url}\"; accepted: an address that begins with https://");
        }
        Ok(url.trim_end_matches('/'))
    }

    /// The channel's name.
    #[must_use]
    pub fn channel(&self) -> &str {
        self.channel.as_deref().unwrap_or("stable")
    }
}

/// A channel's list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channel {
    /// The list's version.
    format: u32,
    /// Its name: a list for one channel is not taken for another's.
    channel: String,
    releases: Vec<Offer>,
}

/// A release for one kind of box.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    compatible: String,
    version: String,
    bundle: String,
    bytes: u64,
    /// What changes, for the owner (Markdown).
    #[serde(default)]
    pub notes: String,
}

/// The newest release for this box that is newer than what runs, if there is one; where a version is pinned, that one alone.
///
/// # Errors
/// The list is for another channel or of a newer format.
pub fn newer(
    channel: &Channel,
    source: &Source,
    compatible: &str,
    running: &str,
) -> Result<Option<Release>> {
    if channel.format != 1 || channel.channel != source.channel() {
        bail!(
            "the list is for channel \"{}\" in format {}; wanted: \"{}\" in format 1",
            channel.channel,
            channel.format,
            source.channel()
        );
    }
    let folder = source.folder()?;
    let is_wanted = |version: &str| {
        let pinned = source.pinned.as_deref();
        pinned.is_none_or(|pinned| pinned == version) && compare(version, running).is_gt()
    };
    let offers = channel
        .releases
        .iter()
        .filter(|offer| offer.compatible == compatible && is_wanted(&offer.version));
    let best = offers.max_by(|a, b| compare(&a.version, &b.version));
    best.map(|offer| {
        if offer.bundle.contains('/') || offer.bundle.starts_with('.') {
            bail!(
                "the list names a bundle outside its folder: {}",
                offer.bundle
            );
        }
        Ok(Release {
            version: offer.version.clone(),
            source: Some(format!("{folder}/{}", offer.bundle)),
            bytes: Some(offer.bytes),
            downgrade: false,
        })
    })
    .transpose()
}

/// Order of versions (Semantic Versioning 2.0.0 §11, without build metadata).
#[must_use]
pub fn compare(one: &str, two: &str) -> std::cmp::Ordering {
    let parts = |text: &str| {
        let text = text.split('+').next().unwrap_or_default().to_owned();
        let (numbers, pre) = match text.split_once('-') {
            Some((numbers, pre)) => (numbers.to_owned(), Some(pre.to_owned())),
            None => (text, None),
        };
        let numbers: Vec<u64> = numbers
            .split('.')
            .map(|number| number.parse().unwrap_or(0))
            .collect();
        (numbers, pre)
    };
    let ((a, pre_a), (b, pre_b)) = (parts(one), parts(two));
    a.cmp(&b).then_with(|| match (pre_a, pre_b) {
        (None, None) => std::cmp::Ordering::Equal,
        // A pre-release comes before its release.
        (None, Some(_)) => std::cmp::Ordering::Greater,
        (Some(_), None) => std::cmp::Ordering::Less,
        (Some(a), Some(b)) => a.cmp(&b),
    })
}

/// Fetches the channel's list and checks its signature.
///
/// # Errors
/// The server does not answer, or the list is not signed by the publisher.
pub fn fetch(files: &Files, system: &dyn System, source: &Source) -> Result<Channel> {
    let url = format!("{}/{}.channel", source.folder()?, source.channel());
    let signed = super::fetch::get(&url, source.authority.as_deref())?;
    let place = format!("{FOLDER}/channel.signed");
    files.replace(&place, &signed, Access::Root)?;
    let checked = open(files, system, &place).with_context(|| format!("{url} is refused"));
    files.remove(&place)?;
    serde_json::from_str(&checked?).with_context(|| format!("{url} is not understood"))
}

/// The text of a signed file, checked as RAUC checks a bundle: the publisher's root, and the keys that were taken back.
fn open(files: &Files, system: &dyn System, signed: &str) -> Result<String> {
    let (signed, keyring) = (files.path(signed), files.path(KEYRING));
    let to = signed.with_extension("text");
    let words = [&signed, &keyring, &to].map(|path| path.display().to_string());
    system
        .run(
            &[
                "openssl",
                "cms",
                "-verify",
                "-binary",
                "-inform",
                "DER",
                "-in",
                &words[0],
                "-CAfile",
                &words[1],
                "-crl_check",
                "-out",
                &words[2],
            ],
            None,
        )
        .context("it is not signed by the publisher whom this box trusts")?;
    let text = fs::read_to_string(&to).with_context(|| format!("reading {}", to.display()))?;
    fs::remove_file(&to).with_context(|| format!("removing {}", to.display()))?;
    Ok(text)
}

/// What RAUC calls this kind of box.
///
/// # Errors
/// The image has no configuration for RAUC.
pub fn compatible(files: &Files) -> Result<String> {
    value(files, RAUC, "compatible")
}

/// The version that runs.
///
/// # Errors
/// The system does not say.
pub fn running(files: &Files) -> Result<String> {
    Ok(value(files, "/usr/lib/os-release", "VERSION_ID")?
        .trim_matches('"')
        .to_owned())
}

fn value(files: &Files, path: &str, key: &str) -> Result<String> {
    let text = files
        .read(path)?
        .with_context(|| format!("there is no {path}"))?;
    let found = text
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    Ok(found
        .with_context(|| format!("{path} has no {key}"))?
        .to_owned())
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering::{Equal, Greater, Less};

    use super::*;

    fn source() -> Source {
        Source {
            url: Some("https://updates.example/perch/".to_owned()),
            ..Source::default()
        }
    }

    fn channel(releases: &[(&str, &str)]) -> Channel {
        Channel {
            format: 1,
            channel: "stable".to_owned(),
            releases: releases
                .iter()
                .map(|(compatible, version)| Offer {
                    compatible: (*compatible).to_owned(),
                    version: (*version).to_owned(),
                    bundle: format!("perch-{version}.raucb"),
                    bytes: 5,
                    notes: String::new(),
                })
                .collect(),
        }
    }

    #[test]
    fn versions_are_ordered_by_number_and_a_pre_release_comes_first() {
        for (one, two, order) in [
            ("1.10.0", "1.9.0", Greater),
            ("1.0.0", "1.0.0+build", Equal),
            ("2.0.0-beta.1", "2.0.0", Less),
            ("2.0.0-beta.2", "2.0.0-beta.1", Greater),
        ] {
            assert_eq!(compare(one, two), order, "{one} {two}");
        }
    }

    #[test]
    fn the_newest_for_this_kind_of_box_is_taken() {
        let list = channel(&[("pi", "1.1.0"), ("pi", "1.2.0"), ("other", "9.0.0")]);
        let found = newer(&list, &source(), "pi", "1.0.0").unwrap().unwrap();
        assert_eq!(
            (found.version.as_str(), found.source.as_deref()),
            (
                "1.2.0",
                Some("https://updates.example/perch/perch-1.2.0.raucb")
            )
        );
        assert_eq!(newer(&list, &source(), "pi", "1.2.0").unwrap(), None);
    }

    #[test]
    fn a_pinned_version_is_the_only_one_that_is_offered() {
        let list = channel(&[("pi", "1.1.0"), ("pi", "1.2.0"), ("pi", "1.3.0")]);
        for (pinned, running, found) in [
            ("1.2.0", "1.0.0", Some("1.2.0")),
            ("1.2.0", "1.2.0", None),
            // Going back is asked for by hand.
            ("1.1.0", "1.2.0", None),
            ("1.4.0", "1.0.0", None),
        ] {
            let source = Source {
                pinned: Some(pinned.to_owned()),
                ..source()
            };
            let best = newer(&list, &source, "pi", running).unwrap();
            assert_eq!(best.map(|release| release.version).as_deref(), found);
        }
    }

    #[test]
    fn a_list_for_another_channel_is_refused() {
        let mut list = channel(&[("pi", "1.1.0")]);
        list.channel = "beta".to_owned();
        assert!(newer(&list, &source(), "pi", "1.0.0").is_err());
    }

    #[test]
    fn a_bundle_outside_the_folder_is_refused() {
        let mut list = channel(&[("pi", "1.1.0")]);
        list.releases[0].bundle = "../elsewhere.raucb".to_owned();
        assert!(newer(&list, &source(), "pi", "1.0.0").is_err());
    }

    #[test]
    fn plain_http_and_unknown_keys_are_refused() {
        let plain = Source {
            url: Some("http://updates.example".to_owned()),
            ..Source::default()
        };
        assert!(plain.folder().unwrap_err().to_string().contains("https://"));
        let error = toml::from_str::<Source>("urll = \"x\"\n").unwrap_err();
        assert!(error.to_string().contains("urll"), "{error}");
    }
}
