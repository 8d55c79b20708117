//! `configs/bases/NAME.toml`, and what a board has on each base: the kernel, and which archives packages come from besides Debian's own.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use serde::Deserialize;

/// The archive that every package comes from which no other gives; the lock does not name it.
pub const DEBIAN: &str = "debian";

/// `configs/bases/NAME.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Base {
    /// Equals the file's name.
    pub name: String,
    /// Why it exists.
    pub why: String,
    /// Archives besides Debian's own.
    #[serde(default)]
    pub archive: Vec<ExtraArchive>,
}

/// What a board has on one base.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OnBase {
    /// The exact packages.
    pub lock: PathBuf,
    /// The package that depends on the current kernel's package.
    pub kernel: String,
    /// Modules in the initrd, besides what they depend on.
    pub initrd_modules: Vec<String>,
    /// Archives besides Debian's own and the base's.
    #[serde(default)]
    pub archive: Vec<ExtraArchive>,
}

/// An archive besides Debian's own.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct ExtraArchive {
    /// What the lock calls it.
    pub name: String,
    /// Its address; absent: where the build root takes Debian from.
    pub url: Option<String>,
    /// Its suite.
    pub suite: String,
    /// Its components.
    pub components: Vec<String>,
    /// The public keys it is signed with, from the repository's top; absent only without `url`: Debian's.
    pub keyring: Option<PathBuf>,
    /// What may come from it, with `*` for any characters. These are taken from it even where Debian has a higher version;
    /// everything else it has is as if it were not there.
    pub packages: Vec<String>,
}

impl ExtraArchive {
    /// Says what is wrong with it, `place` being where it is written.
    pub(crate) fn check(&self, place: &str) -> Result<()> {
        let place = format!("{place}: archive \"{}\"", self.name);
        if !is_word(&self.name, "-") || self.name == DEBIAN {
            bail!("{place}: accepted as name: small letters, digits and -, and not \"{DEBIAN}\"");
        }
        match (&self.url, &self.keyring) {
            (Some(url), _) if !is_address(url) => bail!(
                "{place}: url is \"{url}\", accepted: an address that starts with https://, http:// or file:/, without blanks or []"
            ),
            (Some(_), None) => bail!(
                "{place}: keyring is missing, accepted: the file with the public keys that the archive is signed with"
            ),
            (None, Some(_)) => bail!(
                "{place}: keyring is set without url; accepted: both, or none for a suite of Debian's own archive"
            ),
            (Some(_), Some(_)) | (None, None) => {}
        }
        if let Some(keyring) = &self.keyring {
            let text = keyring.to_string_lossy();
            if !["pgp", "gpg", "asc"]
                .iter()
                .any(|ending| text.ends_with(&format!(".{ending}")))
                || text.contains(|c: char| c.is_whitespace() || "[]".contains(c))
            {
                bail!(
                    "{place}: keyring is \"{text}\", accepted: a file .pgp, .gpg or .asc, without blanks or []"
                );
            }
        }
        if !is_word(&self.suite, "-./") {
            bail!(
                "{place}: suite is \"{}\", accepted: one word, such as \"trixie\"",
                self.suite
            );
        }
        if let Some(wrong) = self.components.iter().find(|one| !is_word(one, "-./")) {
            bail!("{place}: components has \"{wrong}\", accepted: words, such as \"main\"");
        }
        if let Some(wrong) = self.packages.iter().find(|one| !is_word(one, "-.+*")) {
            bail!(
                "{place}: packages has \"{wrong}\", accepted: names of packages, with * for any characters"
            );
        }
        for (key, list) in [
            ("components", &self.components),
            ("packages", &self.packages),
        ] {
            if list.is_empty() {
                bail!("{place}: {key} is empty, accepted: one or more");
            }
        }
        Ok(())
    }

    /// Whether a package may come from it.
    #[must_use]
    pub fn gives(&self, package: &str) -> bool {
        self.packages.iter().any(|glob| matches(glob, package))
    }

    /// Its line in a `sources.list`. `debian` is where Debian's own packages come from: the line up to and without the suite.
    pub(crate) fn line(&self, top: &Path, debian: &str) -> Result<String> {
        let place = match (&self.url, &self.keyring) {
            (Some(url), Some(keyring)) => {
                let path = top.join(keyring);
                if !path.exists() {
                    bail!(
                        "archive \"{}\": its keyring {} is not there\n  try: put the archive's public keys there; \
                         docs/operator/boards.md says where Raspberry Pi's are from",
                        self.name,
                        path.display()
                    );
                }
                format!("deb [signed-by={}] {url}", path.display())
            }
            _ => debian.to_owned(),
        };
        Ok(format!(
            "{place} {} {}\n",
            self.suite,
            self.components.join(" ")
        ))
    }
}

fn is_word(text: &str, more: &str) -> bool {
    !text.is_empty()
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || more.contains(c))
}

fn is_address(url: &str) -> bool {
    ["https://", "http://", "file:/"]
        .iter()
        .any(|start| url.starts_with(start) && url.len() > start.len())
        && !url.contains(|c: char| c.is_whitespace() || "[]".contains(c))
}

/// `glob` with `*` for any characters.
fn matches(glob: &str, text: &str) -> bool {
    match glob.split_once('*') {
        None => glob == text,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|left| {
            (0..=left.len()).any(|at| left.get(at..).is_some_and(|tail| matches(rest, tail)))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive() -> ExtraArchive {
        ExtraArchive {
            name: "vendor".into(),
            url: Some("https://archive.example/debian".into()),
            suite: "trixie".into(),
            components: vec!["main".into()],
            keyring: Some("keys/vendor.pgp".into()),
            packages: vec!["linux-image-*-rpi-v8".into()],
        }
    }

    fn wrong(change: impl FnOnce(&mut ExtraArchive)) -> String {
        let mut archive = archive();
        change(&mut archive);
        archive
            .check("configs/bases/x.toml")
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn what_is_wrong_is_said_with_file_key_what_was_found_and_what_is_accepted() {
        archive().check("configs/bases/x.toml").unwrap();
        for (said, parts) in [
            (
                wrong(|a| a.url = Some("ftp://x/y".into())),
                ["url is \"ftp://x/y\"", "https://"],
            ),
            (
                wrong(|a| a.url = Some("https://x/ [trusted=yes]".into())),
                ["url is", "without blanks"],
            ),
            (
                wrong(|a| a.keyring = None),
                ["keyring is missing", "public keys"],
            ),
            (
                wrong(|a| a.keyring = Some("keys/vendor.txt".into())),
                ["keys/vendor.txt", ".asc"],
            ),
            (
                wrong(|a| a.suite = "trixie main".into()),
                ["suite is \"trixie main\"", "one word"],
            ),
            (
                wrong(|a| a.components.clear()),
                ["components is empty", "one or more"],
            ),
            (
                wrong(|a| a.packages.push("a b".into())),
                ["packages has \"a b\"", "names of packages"],
            ),
            (
                wrong(|a| a.name = "debian".into()),
                ["archive \"debian\"", "not \"debian\""],
            ),
        ] {
            assert!(said.contains("configs/bases/x.toml"), "{said}");
            assert!(
                parts.iter().all(|part| said.contains(part)),
                "{parts:?}: {said}"
            );
        }
    }

    #[test]
    fn an_unknown_key_is_said_with_those_that_are_known() {
        let text = "name = \"x\"\nwhy = \"y\"\n[[archive]]\nname = \"z\"\nsigned = true\n";
        let error = toml::from_str::<Base>(text).unwrap_err().to_string();
        assert!(
            error.contains("line 5") && error.contains("`signed`") && error.contains("`keyring`"),
            "{error}"
        );
    }

    #[test]
    fn only_what_is_listed_may_come_from_it() {
        let archive = archive();
        assert!(archive.gives("linux-image-6.12.47+rpt-rpi-v8"));
        assert!(!archive.gives("linux-image-6.12.47+rpt-rpi-2712"));
        assert!(!archive.gives("libc6"));
        assert!(matches("*", "anything") && matches("a*b*c", "a1b2c") && !matches("a*b", "a1bc"));
    }

    #[test]
    fn a_keyring_that_is_not_there_is_named() {
        let error = archive()
            .line(Path::new("/nowhere"), "")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("\"vendor\"") && error.contains("/nowhere/keys/vendor.pgp"),
            "{error}"
        );
    }
}
