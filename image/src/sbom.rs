//! The manifest of packages and the CycloneDX 1.5 bill of materials: every Debian package, every crate and every npm
//! package of the web chat and the charts, with version and licence.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::{
    facts::Facts,
    ids::Ids,
    lock::{Package, Usage},
    run::run,
};

/// Said of a Debian package whose licences a program cannot read.
const IN_ITS_FILE: &str = "see the package's copyright file";
/// Said of a library that states none.
const NOT_STATED: &str = "not stated by the package";

/// A library inside one of the image's own files.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Library {
    /// Its registry, as package URLs call it: `cargo` or `npm`.
    pub registry: &'static str,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its licence as an SPDX expression; empty: it states none.
    pub licence: String,
}

/// The crates linked into `imd`, `provisioner` and `grow-data`, sorted.
///
/// # Errors
/// cargo failed.
pub fn crates(top: &Path) -> Result<Vec<Library>> {
    let text = run("cargo")
        .args([
            "tree",
            "--locked",
            "--prefix",
            "none",
            "--no-dedupe",
            "--edges",
            "normal",
            "--format",
            "{p}|{l}",
        ])
        .args([
            "--target",
            "aarch64-unknown-linux-gnu",
            "--features",
            "imd/systemd",
        ])
        .args(["-p", "imd", "-p", "provisioner", "-p", "gpt-table"])
        .dir(top)
        .output()?;
    Ok(text
        .lines()
        .filter_map(crate_line)
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect())
}

/// `name v1.2.3 (proc-macro)|MIT OR Apache-2.0`.
fn crate_line(line: &str) -> Option<Library> {
    let (package, licence) = line.split_once('|')?;
    let mut words = package.split(' ');
    let name = words.next()?.to_owned();
    let version = words.next()?.trim_start_matches('v').to_owned();
    Some(Library {
        registry: "cargo",
        name,
        version,
        licence: licence.trim().replace('/', " OR "),
    })
}

/// The locks of what `ci/web-chat` and `ci/charts` fetch.
const NPM_LOCKS: [&str; 2] = [
    "imd/web/package-lock.json",
    "provisioner/web/package-lock.json",
];

/// The npm packages of the web chat and the charts, by their locks.
///
/// # Errors
/// A lock cannot be read.
pub fn npm_packages(top: &Path) -> Result<Vec<Library>> {
    let mut found = Vec::new();
    for lock in NPM_LOCKS {
        let path = top.join(lock);
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let packages =
            npm_lock(&text).with_context(|| format!("{} is no npm lock", path.display()))?;
        found.extend(packages);
    }
    Ok(found)
}

fn npm_lock(text: &str) -> Result<Vec<Library>> {
    let lock: Value = serde_json::from_str(text)?;
    let packages = lock["packages"].as_object().context("no packages")?;
    let libraries = packages.iter().filter_map(|(path, about)| {
        // The last folder's name; a package inside another one's folder has both in its path.
        let (_, name) = path.rsplit_once("node_modules/")?;
        Some(Library {
            registry: "npm",
            name: name.to_owned(),
            version: about["version"].as_str()?.to_owned(),
            licence: about["license"].as_str().unwrap_or_default().to_owned(),
        })
    });
    Ok(libraries.collect::<BTreeSet<_>>().into_iter().collect())
}

/// The manifest: a line for each package and library.
#[must_use]
pub fn manifest(packages: &[Package], libraries: &[Library], facts: &Facts) -> String {
    let origin = if facts.locked {
        "the committed lock"
    } else {
        "NOT the committed lock: newest versions of the archive"
    };
    let mut text = format!(
        "# perch {} ({}), packages from {origin}\n# kind name version architecture\n",
        facts.version, facts.commit
    );
    for package in packages {
        let kind = match package.usage {
            Usage::Installed => "deb",
            Usage::Files => "deb-files",
        };
        text += &format!(
            "{kind} {} {} {}\n",
            package.name, package.version, package.architecture
        );
    }
    for one in libraries {
        text += &format!("{} {} {} -\n", one.registry, one.name, one.version);
    }
    text
}

/// The bill of materials. `copyright(package)` gives the text of its `copyright` file, if shipped.
#[must_use]
pub fn cyclonedx(
    packages: &[Package],
    libraries: &[Library],
    facts: &Facts,
    copyright: impl Fn(&str) -> Option<String>,
) -> Value {
    let ids = Ids::new(&facts.version, facts.epoch);
    let debian = packages.iter().map(|package| {
        let from = package.archive.as_deref().filter(|name| !name.starts_with("debian")).unwrap_or("debian");
        let purl = format!("pkg:deb/{from}/{}@{}?arch={}&distro=debian-13", package.name, package.version.replace(':', "%3A").replace('+', "%2B"), package.architecture);
        let names = copyright(&package.name).map(|text| licences(&text)).unwrap_or_default();
        let names = if names.is_empty() { vec![IN_ITS_FILE.to_owned()] } else { names };
        let licences: Vec<Value> = names.iter().map(|name| json!({"license": {"name": name}})).collect();
        json!({"type": "library", "bom-ref": purl, "name": package.name, "version": package.version, "purl": purl,
               "hashes": [{"alg": "SHA-256", "content": package.sha256}], "licenses": licences})
    });
    let others = libraries.iter().map(|one| {
        let purl = format!("pkg:{}/{}@{}", one.registry, one.name.replace('@', "%40"), one.version.replace('+', "%2B"));
        let licences = if one.licence.is_empty() { json!([{"license": {"name": NOT_STATED}}]) } else { json!([{"expression": one.licence}]) };
        json!({"type": "library", "bom-ref": purl, "name": one.name, "version": one.version, "purl": purl, "licenses": licences})
    });
    json!({
        "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
        "serialNumber": format!("urn:uuid:{}", ids.uuid("sbom")),
        "metadata": {"component": {"type": "operating-system", "bom-ref": "perch", "name": "perch", "version": facts.version}},
        "components": debian.chain(others).collect::<Vec<_>>(),
    })
}

/// How complete a bill of materials is in words, for whoever builds: how many licences a person has to look up.
#[must_use]
pub fn licences_told(bom: &Value) -> String {
    let components = bom["components"].as_array().map_or(&[][..], Vec::as_slice);
    let of = |fallback: &str| {
        let is = |one: &&Value| one["licenses"][0]["license"]["name"] == fallback;
        components.iter().filter(is).count()
    };
    format!(
        "licences: {} components, of which {} only say \"{IN_ITS_FILE}\" and {} \"{NOT_STATED}\"",
        components.len(),
        of(IN_ITS_FILE),
        of(NOT_STATED)
    )
}

/// The short licence names of a machine-readable copyright file (DEP-5), else none.
fn licences(copyright: &str) -> Vec<String> {
    let names: BTreeSet<&str> = copyright
        .lines()
        .filter_map(|line| line.strip_prefix("License: "))
        .map(str::trim)
        .collect();
    names.into_iter().map(str::to_owned).collect()
}

/// Reads `root/usr/share/doc/PACKAGE/copyright`, or the one in the package's unpacked files.
#[must_use]
pub fn copyright(root: &Path, files: &Path, package: &str) -> Option<String> {
    let path = Path::new("usr/share/doc").join(package).join("copyright");
    let part = package.starts_with("linux-") && !files.join(package).exists();
    let unpacked = if part || package.starts_with("linux-image") {
        files.join("kernel")
    } else {
        files.join(package)
    };
    let read = |path: &Path| {
        fs::read(path)
            .ok()
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    };
    read(&root.join(&path)).or_else(|| read(&unpacked.join(&path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_npms_lock_without_links_and_the_project_itself() {
        let text = r#"{"packages": {"": {"name": "perch-web-chat"},
            "node_modules/@a/b": {"version": "1.2.3", "license": "MIT"},
            "node_modules/link": {"resolved": "node_modules/@a/b", "link": true},
            "node_modules/c/node_modules/d": {"version": "4.0.0"}}}"#;
        let found = npm_lock(text).unwrap();
        let names: Vec<_> = found
            .iter()
            .map(|one| {
                (
                    one.name.as_str(),
                    one.version.as_str(),
                    one.licence.as_str(),
                )
            })
            .collect();
        assert_eq!(names, [("@a/b", "1.2.3", "MIT"), ("d", "4.0.0", "")]);
        assert!(npm_lock("{}").is_err());
    }

    #[test]
    fn what_the_scripts_fetch_is_listed_with_its_licence() {
        let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let found = npm_packages(&top).unwrap();
        let licence = |name| {
            found
                .iter()
                .find(|one| one.name == name)
                .unwrap()
                .licence
                .as_str()
        };
        assert_eq!(
            (licence("converse.js"), licence("uplot")),
            ("MPL-2.0", "MIT")
        );
    }

    #[test]
    fn reads_cargos_tree() {
        let one = crate_line("ring v0.17.14 (proc-macro)|Apache-2.0 AND ISC").unwrap();
        assert_eq!(
            (
                one.name.as_str(),
                one.version.as_str(),
                one.licence.as_str()
            ),
            ("ring", "0.17.14", "Apache-2.0 AND ISC")
        );
    }

    #[test]
    fn each_component_has_a_licence_entry_and_those_to_look_up_are_counted() {
        let package = |name: &str| Package {
            name: name.to_owned(),
            version: "1".to_owned(),
            architecture: "arm64".to_owned(),
            sha256: "0".repeat(64),
            usage: Usage::Installed,
            archive: None,
        };
        let library = |licence: &str| Library {
            registry: "npm",
            name: format!("l{licence}"),
            version: "1".to_owned(),
            licence: licence.to_owned(),
        };
        let facts = Facts {
            version: "1.0.0".to_owned(),
            epoch: 1,
            ..Facts::from_environment().unwrap()
        };
        let bom = cyclonedx(
            &[package("dep5"), package("prose"), package("none")],
            &[library("MIT"), library("")],
            &facts,
            |name| match name {
                "dep5" => Some("Files: *\nLicense: MIT\n".to_owned()),
                "prose" => Some("Free for all.\n".to_owned()),
                _ => None,
            },
        );
        let components = bom["components"].as_array().unwrap();
        for one in components {
            let licences = one["licenses"].as_array().unwrap();
            let stated = |entry: &Value| {
                let name = entry["expression"]
                    .as_str()
                    .or(entry["license"]["name"].as_str());
                name.is_some_and(|name| !name.is_empty())
            };
            assert!(!licences.is_empty() && licences.iter().all(stated), "{one}");
        }
        assert_eq!(
            licences_told(&bom),
            "licences: 5 components, of which 2 only say \"see the package's copyright file\" and 1 \"not stated by the package\""
        );
    }

    #[test]
    fn licences_come_from_a_machine_readable_copyright_file() {
        let text = "Files: *\nLicense: GPL-2+\n text\n\nFiles: debian/*\nLicense: MIT\n";
        assert_eq!(licences(text), ["GPL-2+", "MIT"]);
    }
}
