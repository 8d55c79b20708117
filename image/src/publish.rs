//! Writes a folder that any static HTTPS server can offer: bundles, and for each channel a signed file that says which is the
//! newest; and for people who flash a card the image, its checksums, the release notes and Raspberry Pi Imager's list ([`crate::imager`]).

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::{
    build::say,
    config::Configs,
    facts::Facts,
    imager::{self, Image},
    keys::Keys,
    rauc,
    run::run,
    sha256,
};

/// What to publish, and where.
pub struct Publication<'a> {
    /// `configs/`.
    pub configs: &'a Configs,
    /// The version.
    pub version: &'a str,
    /// Seconds since 1970 at which it was released.
    pub released: u64,
    /// The bundle.
    pub bundle: &'a Path,
    /// The chain whose release key signs the channel file.
    pub keys: &'a Keys,
    /// `stable`, `beta`, or a name of one's own.
    pub channel: &'a str,
    /// Markdown for owners.
    pub notes: &'a str,
}

impl Publication<'_> {
    /// Puts the bundle into `folder`, then replaces the channel's file, so that it never names what is not there.
    ///
    /// # Errors
    /// A file cannot be written or signed.
    pub fn write(&self, folder: &Path) -> Result<PathBuf> {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let name = rauc::file_name(self.configs, self.version);
        let bundle = folder.join(&name);
        put(self.bundle, &bundle)?;
        let signed = folder.join(format!("{}.channel", self.channel));
        let plain = folder.join(format!(".{}.json", self.channel));
        let mut releases = vec![json!({
            "compatible": rauc::compatible(self.configs),
            "version": self.version,
            "bundle": name,
            "bytes": fs::metadata(&bundle)?.len(),
            "sha256": sha256::file(&bundle)?,
            "released": self.released,
            "notes": self.notes,
        })];
        releases.extend(self.of_other_boards(&signed, &plain)?);
        let text = json!({ "format": 1, "channel": self.channel, "releases": releases });
        fs::write(&plain, serde_json::to_string_pretty(&text)? + "\n")?;
        let new = folder.join(format!(".{}.channel.new", self.channel));
        run("openssl")
            .args(["cms", "-sign", "-binary", "-nodetach", "-outform", "DER"])
            .arg("-signer")
            .arg(self.keys.release_certificate())
            .arg("-inkey")
            .arg(self.keys.release_key())
            .arg("-in")
            .arg(&plain)
            .arg("-out")
            .arg(&new)
            .ok()?;
        fs::remove_file(&plain)?;
        fs::rename(&new, &signed)
            .with_context(|| format!("cannot replace {}", signed.display()))?;
        Ok(signed)
    }

    /// What the list so far offers to other boards. Only what the same chain signed is signed once more.
    fn of_other_boards(&self, signed: &Path, scratch: &Path) -> Result<Vec<Value>> {
        if !signed.exists() {
            return Ok(Vec::new());
        }
        let checked = run("openssl")
            .args(["cms", "-verify", "-binary", "-inform", "DER", "-in"])
            .arg(signed)
            .arg("-CAfile")
            .arg(self.keys.keyring())
            .args(["-crl_check", "-out"])
            .arg(scratch)
            .ok();
        if checked.is_err() {
            say(&format!(
                "WARNING: {} is not signed with these keys; what it offers to other boards is left out of the new list",
                signed.display()
            ));
            return Ok(Vec::new());
        }
        let list: Value = serde_json::from_str(&fs::read_to_string(scratch)?)
            .with_context(|| format!("{} is no list of releases", signed.display()))?;
        let releases = list["releases"].as_array().cloned().unwrap_or_default();
        let own = rauc::compatible(self.configs);
        let other = |release: &Value| release["compatible"] != own.as_str();
        Ok(releases.into_iter().filter(other).collect())
    }
}

/// Publishes what `ci/build` left in `dist`: the bundle in the channel; the image with its block map, release notes and checksums; and
/// with `url`, the folder's address, the list for Raspberry Pi Imager.
///
/// # Errors
/// `dist` is not complete, or a file cannot be written.
pub fn publish_dist(
    configs: &Configs,
    facts: &Facts,
    dist: &Path,
    folder: &Path,
    channel: &str,
    url: Option<&str>,
) -> Result<()> {
    let changelog = configs.top.join("CHANGELOG.md");
    let changelog = fs::read_to_string(&changelog)
        .with_context(|| format!("cannot read {}", changelog.display()))?;
    let bundle = rauc::file_name(configs, &facts.version);
    let notes = release_notes(&changelog, &facts.version);
    let publication = Publication {
        configs,
        version: &facts.version,
        released: facts.epoch,
        bundle: &dist.join(&bundle),
        keys: &Keys::at(&facts.keys),
        channel,
        notes: &notes,
    };
    publication.write(folder)?;
    let target = configs.target();
    let stem = format!("{}-{}", configs.image.name, facts.version);
    let (image, map) = (
        format!("{stem}-{target}.img.zst"),
        format!("{stem}-{target}.img.bmap"),
    );
    for name in [&image, &map] {
        put(&dist.join(name), &folder.join(name))?;
    }
    // The same for all boards.
    let about = format!("{stem}.md");
    fs::write(
        folder.join(&about),
        format!("# Perch {}\n\n{notes}\n", facts.version),
    )?;
    let bundle = bundle.to_string_lossy().into_owned();
    add_sums(folder, &[&bundle, &image, &map, &about])?;
    let Some(url) = url else { return Ok(()) };
    let date = run("date")
        .args(["-u", "+%F", "-d"])
        .arg(format!("@{}", facts.epoch))
        .output()?;
    let list = imager::list(
        &Image {
            devices: &configs.board.imager,
            packed: &folder.join(&image),
            version: &facts.version,
            date: date.trim(),
            folder: url.trim_end_matches('/'),
        },
        imager::images_of_other_boards(folder, &format!("-{target}.img.zst"))?,
    )?;
    imager::write(&configs.top, folder, &list)
}

/// Puts a file of `dist` into the folder, without taking its space twice where that is possible.
fn put(from: &Path, to: &Path) -> Result<()> {
    let name = to.file_name().unwrap_or_default().to_string_lossy();
    let new = to.with_file_name(format!(".{name}.new"));
    crate::rootfs::remove(&new)?;
    fs::hard_link(from, &new)
        .or_else(|_| fs::copy(from, &new).map(drop))
        .with_context(|| format!("cannot take {}", from.display()))?;
    fs::rename(&new, to).with_context(|| format!("cannot replace {}", to.display()))?;
    // Where both names are of one file already, the rename leaves both.
    crate::rootfs::remove(&new)
}

/// Replaces the lines of these files in the folder's `SHA256SUMS`; those of other versions and boards stay.
fn add_sums(folder: &Path, names: &[&str]) -> Result<()> {
    let path = folder.join("SHA256SUMS");
    let before = if path.exists() {
        fs::read_to_string(&path)?
    } else {
        String::new()
    };
    let mut lines: Vec<String> = before
        .lines()
        .filter(|line| {
            line.split_once("  ")
                .is_some_and(|(_, name)| !names.contains(&name))
        })
        .map(str::to_owned)
        .collect();
    for name in names {
        lines.push(format!("{}  {name}", sha256::file(&folder.join(name))?));
    }
    lines.sort_by_key(|line| line.split_once("  ").map(|(_, name)| name.to_owned()));
    fs::write(path, lines.join("\n") + "\n")?;
    Ok(())
}

/// The part of CHANGELOG.md about `version`, without its heading; where there is none, what is not released yet.
#[must_use]
pub fn release_notes(changelog: &str, version: &str) -> String {
    let section = |wanted: &str| {
        let mut lines = changelog
            .lines()
            .skip_while(|line| !(line.starts_with("## ") && line.contains(wanted)));
        lines.next()?;
        let text: Vec<_> = lines.take_while(|line| !line.starts_with("## ")).collect();
        Some(text.join("\n").trim().to_owned())
    };
    section(version)
        .or_else(|| section("Unreleased"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the channel's list says: kinds of boxes with their versions.
    fn offered(keys: &Keys, signed: &Path) -> Vec<(String, String)> {
        let said = run("openssl")
            .args(["cms", "-verify", "-binary", "-inform", "DER", "-in"])
            .arg(signed)
            .arg("-CAfile")
            .arg(keys.keyring())
            .output()
            .unwrap();
        let list: Value = serde_json::from_str(&said).unwrap();
        let of = |one: &Value, key: &str| one[key].as_str().unwrap().to_owned();
        let releases = list["releases"].as_array().unwrap().iter();
        releases
            .map(|one| (of(one, "compatible"), of(one, "version")))
            .collect()
    }

    #[test]
    fn one_list_offers_each_board_its_own_newest_release() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        let keys = Keys::at(&place("keys"));
        keys.init("perch").unwrap();
        fs::write(place("bundle"), b"a bundle").unwrap();
        let top = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let publish = |board: &str, version: &str, keys: &Keys| {
            Publication {
                configs: &Configs::load_for(top, Some(board), None).unwrap(),
                version,
                released: 1,
                bundle: &place("bundle"),
                keys,
                channel: "stable",
                notes: "",
            }
            .write(&place("public"))
            .unwrap()
        };
        publish("rpi-arm64", "1.0.0", &keys);
        publish("rpi5-arm64", "1.0.0", &keys);
        let signed = publish("rpi-arm64", "1.1.0", &keys);
        let wanted = [("perch-rpi-arm64", "1.1.0"), ("perch-rpi5-arm64", "1.0.0")];
        let wanted = wanted.map(|(kind, version)| (kind.to_owned(), version.to_owned()));
        assert_eq!(offered(&keys, &signed), wanted);
        // What others signed is not signed by us.
        let other = Keys::at(&place("other"));
        other.init("perch").unwrap();
        publish("rpi-arm64", "1.2.0", &other);
        assert_eq!(offered(&other, &signed).len(), 1);
    }

    #[test]
    fn notes_are_the_section_of_the_version_else_of_what_is_not_released() {
        let text = "# Changes\n\n## Unreleased\n\n- new\n\n## 1.2.3\n\n- old\n";
        assert_eq!(release_notes(text, "1.2.3"), "- old");
        assert_eq!(release_notes(text, "9.9.9"), "- new");
        assert_eq!(release_notes("# Changes\n", "1.0.0"), "");
    }

    #[test]
    fn what_is_published_again_takes_no_space_twice_and_sums_of_other_releases_stay() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        fs::write(place("made"), b"a bundle").unwrap();
        for _ in 0..2 {
            put(&place("made"), &place("public")).unwrap();
        }
        let inode =
            |name: &str| std::os::unix::fs::MetadataExt::ino(&fs::metadata(place(name)).unwrap());
        assert_eq!(inode("made"), inode("public"));
        assert!(!place(".public.new").exists());
        let hash = "0".repeat(64);
        fs::write(
            place("SHA256SUMS"),
            format!("{hash}  older\n{hash}  public\n"),
        )
        .unwrap();
        add_sums(folder.path(), &["public"]).unwrap();
        let own = sha256::file(&place("public")).unwrap();
        assert_eq!(
            fs::read_to_string(place("SHA256SUMS")).unwrap(),
            format!("{hash}  older\n{own}  public\n")
        );
    }
}
