//! The list from which Raspberry Pi Imager 2.x offers the image ("content repository"), and what Imager requires of one.
//!
//! The requirements are those of `doc/json-schema/os-list-schema.json` in raspberrypi/rpi-imager (Apache-2.0; looked at in the state of
//! 05f1c4db), and for the values of `init_format` and `architecture` those of its release 2.0. They are written here as code; the
//! schema itself is not copied.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::sha256;

/// The list's name in the publisher's folder.
pub const FILE: &str = "imager.json";

/// The picture beside it, from the repository's top; Imager shows it at 40 pixels.
const ICON: &str = "provisioner/static/perch.svg";
const ICON_FILE: &str = "perch.svg";

/// An image to offer.
pub struct Image<'a> {
    /// What Imager calls the devices it is for.
    pub devices: &'a [String],
    /// The compressed image, in the publisher's folder.
    pub packed: &'a Path,
    /// Its version.
    pub version: &'a str,
    /// The day of its release, `2026-11-30`.
    pub date: &'a str,
    /// The folder's address, without a slash at its end.
    pub folder: &'a str,
}

/// The list with one image, which takes Imager's settings as `rpi-preseed.toml`, and those of other boards.
///
/// # Errors
/// The image cannot be read.
pub fn list(image: &Image<'_>, others: Vec<Value>) -> Result<Value> {
    let name = image
        .packed
        .file_name()
        .context("the image has no name")?
        .to_string_lossy();
    let (extract_size, extract_sha256) = unpacked(image.packed)?;
    let mut images = vec![json!({
        "name": format!("Perch {}", image.version),
        "description": "A private chat server for a family, school or company",
        "icon": format!("{}/{ICON_FILE}", image.folder),
        "url": format!("{}/{name}", image.folder),
        "website": image.folder,
        "extract_size": extract_size,
        "extract_sha256": extract_sha256,
        "image_download_size": fs::metadata(image.packed)
            .with_context(|| format!("cannot look at {}", image.packed.display()))?
            .len(),
        "image_download_sha256": sha256::file(image.packed)?,
        "release_date": image.date,
        "architecture": "armv8",
        "init_format": "rpi-preseed",
        "devices": image.devices,
    })];
    images.extend(others);
    Ok(json!({
        "imager": { "latest_version": "2.0.0", "url": image.folder },
        "os_list": images,
    }))
}

/// The size and hash of what a zstd file has inside.
fn unpacked(packed: &Path) -> Result<(u64, String)> {
    let mut zstd = Command::new("zstd")
        .args(["-dqc"])
        .arg(packed)
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start zstd")?;
    let mut output = zstd.stdout.take().context("zstd has no output")?;
    let found = sha256::of(&mut output);
    drop(output);
    if !zstd.wait().context("cannot wait for zstd")?.success() {
        bail!("zstd cannot unpack {}", packed.display());
    }
    found.with_context(|| format!("cannot read {}", packed.display()))
}

/// What the folder's list so far offers whose address does not end with `own`.
///
/// # Errors
/// There is a file of that name that is no list.
pub fn images_of_other_boards(folder: &Path, own: &str) -> Result<Vec<Value>> {
    let path = folder.join(FILE);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = fs::read_to_string(&path)?;
    let list: Value = serde_json::from_str(&text)
        .with_context(|| format!("{} is no list of Imager's", path.display()))?;
    let images = list["os_list"].as_array().cloned().unwrap_or_default();
    let other = |image: &Value| image["url"].as_str().is_some_and(|url| !url.ends_with(own));
    Ok(images.into_iter().filter(other).collect())
}

/// Writes the list and its picture into the publisher's folder; `top` is the repository.
///
/// # Errors
/// Imager would not take the list, or a file cannot be written.
pub fn write(top: &Path, folder: &Path, list: &Value) -> Result<()> {
    let problems = problems(list);
    if !problems.is_empty() {
        bail!(
            "Raspberry Pi Imager would not take this list:\n  {}",
            problems.join("\n  ")
        );
    }
    let icon = top.join(ICON);
    fs::copy(&icon, folder.join(ICON_FILE))
        .with_context(|| format!("cannot copy {}", icon.display()))?;
    fs::write(
        folder.join(FILE),
        serde_json::to_string_pretty(list)? + "\n",
    )?;
    Ok(())
}

/// What Imager would not take in a list of images.
#[must_use]
pub fn problems(list: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    let unknown = |value: &Value, known: &[&str]| -> Vec<String> {
        let keys = value.as_object().into_iter().flatten();
        keys.map(|(key, _)| key.clone())
            .filter(|key| !known.contains(&key.as_str()))
            .collect()
    };
    for key in unknown(list, &["imager", "os_list"]) {
        problems.push(format!("{key}: not known at the top"));
    }
    let of_imager = [
        "latest_version",
        "url",
        "default_os",
        "embedded_default_os",
        "embedded_default_destination",
        "devices",
    ];
    for key in unknown(&list["imager"], &of_imager) {
        problems.push(format!("imager.{key}: not known"));
    }
    match list["os_list"].as_array() {
        None => problems.push("os_list: missing, accepted: a list of images".to_owned()),
        Some(images) => {
            for (index, image) in images.iter().enumerate() {
                let of_image = problems_of_image(image);
                problems.extend(of_image.map(|one| format!("os_list[{index}].{one}")));
            }
        }
    }
    problems
}

/// A field's name, whether an image can be without it, what it may be in words, and whether a value is so.
type Field = (&'static str, bool, &'static str, fn(&Value) -> bool);

const FIELDS: [Field; 14] = [
    ("name", true, "text", is_text),
    ("description", true, "text", is_text),
    ("icon", true, "an address", is_address),
    ("url", true, "an address", is_address),
    ("extract_size", true, "bytes", is_size),
    ("extract_sha256", true, "64 hexadecimal digits", is_hash),
    ("image_download_size", true, "bytes", is_size),
    ("release_date", true, "a day as 2026-11-30", is_day),
    ("devices", true, "a list of texts, not empty", is_list),
    (
        "image_download_sha256",
        false,
        "64 hexadecimal digits",
        is_hash,
    ),
    ("website", false, "an address", is_address),
    ("init_format", false, "a kind that Imager knows", |value| {
        is_one_of(
            value,
            &[
                "",
                "none",
                "systemd",
                "cloudinit",
                "cloudinit-rpi",
                "rpi-preseed",
            ],
        )
    }),
    ("architecture", false, "armel, armhf or armv8", |value| {
        is_one_of(value, &["armel", "armhf", "armv8"])
    }),
    ("tooltip", false, "text", is_text),
];

fn problems_of_image(image: &Value) -> impl Iterator<Item = String> + '_ {
    FIELDS
        .iter()
        .filter_map(|(key, required, accepted, is_right)| match image.get(key) {
            None if *required => Some(format!("{key}: missing, accepted: {accepted}")),
            Some(found) if !is_right(found) => {
                Some(format!("{key}: found {found}, accepted: {accepted}"))
            }
            _ => None,
        })
}

fn is_text(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.is_empty())
}

fn is_address(value: &Value) -> bool {
    let rest = value.as_str().and_then(|text| {
        text.strip_prefix("https://")
            .or_else(|| text.strip_prefix("http://"))
    });
    rest.is_some_and(|rest| !rest.is_empty() && !rest.contains(char::is_whitespace))
}

fn is_size(value: &Value) -> bool {
    value.as_u64().is_some_and(|bytes| bytes > 0)
}

fn is_hash(value: &Value) -> bool {
    let hexadecimal = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    value
        .as_str()
        .is_some_and(|text| text.len() == 64 && text.chars().all(hexadecimal))
}

fn is_day(value: &Value) -> bool {
    let shape = |text: &str| {
        text.chars()
            .map(|c| if c.is_ascii_digit() { '0' } else { c })
            .collect::<String>()
    };
    value
        .as_str()
        .is_some_and(|text| shape(text) == "0000-00-00")
}

fn is_list(value: &Value) -> bool {
    value
        .as_array()
        .is_some_and(|list| !list.is_empty() && list.iter().all(is_text))
}

fn is_one_of(value: &Value, known: &[&str]) -> bool {
    value.as_str().is_some_and(|text| known.contains(&text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::run;

    fn made(folder: &Path) -> Value {
        let (packed, unpacked) = (folder.join("a.img.zst"), folder.join("a.img"));
        fs::write(&unpacked, b"an unpacked image").unwrap();
        run("zstd")
            .args(["-q", "-f", "-o"])
            .arg(&packed)
            .arg(&unpacked)
            .ok()
            .unwrap();
        let image = Image {
            devices: &["pi5-64bit".to_owned()],
            packed: &packed,
            version: "1.2.3",
            date: "2026-11-30",
            folder: "https://updates.example",
        };
        list(&image, Vec::new()).unwrap()
    }

    #[test]
    fn the_list_has_what_imager_requires_and_the_images_own_sizes_and_hashes() {
        let folder = tempfile::tempdir().unwrap();
        let list = made(folder.path());
        assert_eq!(problems(&list), Vec::<String>::new());
        let entry = &list["os_list"][0];
        assert_eq!(entry["url"], "https://updates.example/a.img.zst");
        assert_eq!(entry["init_format"], "rpi-preseed");
        assert_eq!(entry["devices"], json!(["pi5-64bit"]));
        assert_eq!(entry["extract_size"], 17);
        let packed = folder.path().join("a.img.zst");
        assert_eq!(
            entry["image_download_size"],
            fs::metadata(&packed).unwrap().len()
        );
        for (hash, file) in [
            ("extract_sha256", &folder.path().join("a.img")),
            ("image_download_sha256", &packed),
        ] {
            assert_eq!(entry[hash], sha256::file(file).unwrap(), "{hash}");
        }
    }

    #[test]
    fn each_field_that_is_missing_or_wrong_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let good = made(folder.path());
        let broken = |change: &dyn Fn(&mut Value)| {
            let mut list = good.clone();
            change(&mut list);
            problems(&list)
        };
        for (key, wrong) in [
            ("name", json!(7)),
            ("icon", json!("")),
            ("url", json!("ftp://x")),
            ("extract_size", json!("17")),
            ("extract_sha256", json!("ABCD")),
            ("release_date", json!("30.11.2026")),
            ("init_format", json!("rpi-pressed")),
            ("architecture", json!("arm64")),
            ("devices", json!([])),
        ] {
            let said = broken(&|list| list["os_list"][0][key] = wrong.clone());
            assert!(
                said.len() == 1 && said[0].starts_with(&format!("os_list[0].{key}: found")),
                "{said:?}"
            );
        }
        let said = broken(&|list| {
            list["os_list"][0].as_object_mut().unwrap().remove("icon");
        });
        assert_eq!(said, ["os_list[0].icon: missing, accepted: an address"]);
        assert_eq!(
            broken(&|list| list["more"] = json!(1)),
            ["more: not known at the top"]
        );
        assert_eq!(
            broken(&|list| list["imager"]["more"] = json!(1)),
            ["imager.more: not known"]
        );
        assert_eq!(problems(&json!({})).len(), 1);
    }

    #[test]
    fn what_other_boards_have_stays_in_the_list() {
        let folder = tempfile::tempdir().unwrap();
        let other = json!({ "url": "https://x/perch-1.0.0-rpi5-arm64.img.zst" });
        let own = json!({ "url": "https://x/perch-0.9.0-rpi-arm64.img.zst" });
        let list = json!({ "os_list": [other, own] });
        fs::write(folder.path().join(FILE), list.to_string()).unwrap();
        let kept = images_of_other_boards(folder.path(), "-rpi-arm64.img.zst").unwrap();
        assert_eq!(kept, [other]);
    }
}
