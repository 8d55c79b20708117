//! Writes a folder that any static HTTPS server can offer: bundles, and for each channel a signed file that says which is the
//! newest; and the list from which Raspberry Pi Imager offers the image.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::{build::say, config::Configs, facts::Facts, keys::Keys, rauc, run::run, sha256};

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
    /// Copies the bundle into `folder`, then replaces the channel's file, so that it never names what is not there.
    ///
    /// # Errors
    /// A file cannot be written or signed.
    pub fn write(&self, folder: &Path) -> Result<PathBuf> {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let name = rauc::file_name(self.configs, self.version);
        let bundle = folder.join(&name);
        fs::copy(self.bundle, &bundle)
            .with_context(|| format!("cannot copy {}", self.bundle.display()))?;
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

/// Publishes what `ci/build` left in `dist`; with `url`, the folder's address, also the image for Raspberry Pi Imager.
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
    let publication = Publication {
        configs,
        version: &facts.version,
        released: facts.epoch,
        bundle: &dist.join(rauc::file_name(configs, &facts.version)),
        keys: &Keys::at(&facts.keys),
        channel,
        notes: &release_notes(&changelog, &facts.version),
    };
    publication.write(folder)?;
    let Some(url) = url else { return Ok(()) };
    let name = format!(
        "{}-{}-{}.img.zst",
        configs.image.name,
        facts.version,
        configs.target()
    );
    let packed = folder.join(&name);
    fs::copy(dist.join(&name), &packed).with_context(|| format!("cannot copy {name}"))?;
    let unpacked = folder.join(".image.img");
    run("zstd")
        .args(["-dq", "-f", "--sparse", "-o"])
        .arg(&unpacked)
        .arg(&packed)
        .ok()?;
    let url = url.trim_end_matches('/');
    let date = run("date")
        .args(["-u", "+%F", "-d"])
        .arg(format!("@{}", facts.epoch))
        .output()?;
    let mut list = imager_list(
        &configs.board.imager,
        &packed,
        &unpacked,
        &facts.version,
        date.trim(),
        &format!("{url}/{name}"),
        url,
    )?;
    fs::remove_file(&unpacked)?;
    let path = folder.join("imager.json");
    let others = images_of_other_boards(&path, &format!("-{}.img.zst", configs.target()))?;
    if let Some(images) = list["os_list"].as_array_mut() {
        images.extend(others);
    }
    fs::write(path, serde_json::to_string_pretty(&list)? + "\n")?;
    Ok(())
}

/// What Imager's list so far offers whose address does not end with `own`.
fn images_of_other_boards(list: &Path, own: &str) -> Result<Vec<Value>> {
    if !list.exists() {
        return Ok(Vec::new());
    }
    let text = fs::read_to_string(list)?;
    let list: Value = serde_json::from_str(&text)
        .with_context(|| format!("{} is no list of Imager's", list.display()))?;
    let images = list["os_list"].as_array().cloned().unwrap_or_default();
    let other = |image: &Value| image["url"].as_str().is_some_and(|url| !url.ends_with(own));
    Ok(images.into_iter().filter(other).collect())
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

/// The list for Raspberry Pi Imager 2.x ("content repository"): one image for `devices`, which takes Imager's settings as `rpi-preseed.toml`.
///
/// # Errors
/// The packed image or its unpacked form cannot be read.
pub fn imager_list(
    devices: &[String],
    packed: &Path,
    unpacked: &Path,
    version: &str,
    date: &str,
    url: &str,
    website: &str,
) -> Result<Value> {
    let length = |path: &Path| -> Result<u64> {
        Ok(fs::metadata(path)
            .with_context(|| format!("cannot look at {}", path.display()))?
            .len())
    };
    Ok(json!({
        "imager": { "latest_version": "2.0.0", "url": website },
        "os_list": [{
            "name": format!("Perch {version}"),
            "description": "A private chat server for a family, school or company",
            "icon": "",
            "url": url,
            "website": website,
            "extract_size": length(unpacked)?,
            "extract_sha256": sha256::file(unpacked)?,
            "image_download_size": length(packed)?,
            "image_download_sha256": sha256::file(packed)?,
            "release_date": date,
            "architecture": "armv8",
            "init_format": "rpi-preseed",
            "devices": devices,
        }],
    }))
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

    /// The required fields of an entry and their types, by Imager's `doc/json-schema/os-list-schema.json`; beside `imager` and `os_list`
    /// it allows nothing at the top.
    #[test]
    fn imagers_list_has_what_its_schema_requires_and_the_images_own_sizes_and_hashes() {
        let folder = tempfile::tempdir().unwrap();
        let (packed, unpacked) = (folder.path().join("a.zst"), folder.path().join("a.img"));
        fs::write(&packed, b"packed").unwrap();
        fs::write(&unpacked, b"an unpacked image").unwrap();
        let url = "https://updates.example/a.img.zst";
        let site = "https://updates.example";
        let devices = ["pi5-64bit".to_owned()];
        let list = imager_list(
            &devices,
            &packed,
            &unpacked,
            "1.2.3",
            "2026-11-30",
            url,
            site,
        )
        .unwrap();
        let top: Vec<_> = list.as_object().unwrap().keys().collect();
        assert_eq!(top, ["imager", "os_list"]);
        let imager: Vec<_> = list["imager"].as_object().unwrap().keys().collect();
        assert_eq!(imager, ["latest_version", "url"]);
        let entry = &list["os_list"][0];
        for text in [
            "name",
            "description",
            "icon",
            "url",
            "extract_sha256",
            "release_date",
            "init_format",
            "website",
        ] {
            assert!(entry[text].is_string(), "{text}: {entry}");
        }
        assert_eq!(entry["url"], url);
        assert_eq!(entry["release_date"], "2026-11-30");
        assert_eq!(entry["init_format"], "rpi-preseed");
        assert_eq!(entry["devices"], json!(["pi5-64bit"]));
        assert_eq!(entry["extract_size"], 17);
        assert_eq!(entry["image_download_size"], 6);
        for (hash, file) in [
            ("extract_sha256", &unpacked),
            ("image_download_sha256", &packed),
        ] {
            assert_eq!(entry[hash], sha256::file(file).unwrap(), "{hash}");
        }
    }
}
