//! Releases made for a test from the one in `dist/`, and a box that is updated with them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use image::config::Configs;
use image::facts::Facts;
use image::keys::Keys;
use image::publish::Publication;
use image::repack::Variant;
use serde_json::Value;

use crate::lab::{Lab, repository};
use crate::publisher::Publisher;
use crate::vm::Vm;
use crate::wait::wait_until;

/// What a release has that the one in `dist/` has not.
#[derive(Default)]
pub struct Change<'a> {
    /// Files laid over the root: path, content; all can be executed.
    pub root: &'a [(&'a str, &'a str)],
    /// Files put into the boot partition.
    pub boot: &'a [(&'a str, &'a str)],
    /// The boot partition is no file system at all.
    pub boot_unreadable: bool,
    /// The kind of box that it is for, where that is another.
    pub compatible: Option<&'a str>,
}

/// The chain that the image in `dist/` trusts.
#[must_use]
pub fn keys() -> Keys {
    let folder = std::env::var_os("PERCH_KEYS").map_or_else(|| "target/keys".into(), PathBuf::from);
    Keys::at(&repository().join(folder))
}

/// The bundle of `dist/`.
///
/// # Errors
///
/// There is none.
pub fn built_bundle() -> Result<PathBuf> {
    let dist = repository().join("dist");
    let entries = fs::read_dir(&dist).with_context(|| format!("read {}", dist.display()))?;
    entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|ending| ending == "raucb"))
        .context("dist/ has no bundle: run ci/build")
}

/// Makes a bundle of version `version` that differs from the one in `dist/` by `change`.
///
/// # Errors
///
/// A tool of the builder failed.
pub fn release(lab: &Lab, version: &str, change: &Change<'_>, keys: &Keys) -> Result<PathBuf> {
    let (root, boot) = (lab.work.join("root-files"), lab.work.join("boot-files"));
    lay(&root, change.root)?;
    lay(&boot, change.boot)?;
    let to = lab.work.join(format!("{version}.raucb"));
    let facts = Facts::read(&repository().join("target/image/facts.json"))?;
    let only_boot = change.root.is_empty() && (!change.boot.is_empty() || change.boot_unreadable);
    let work = lab.work.join("repack");
    Variant {
        bundle: &built_bundle()?,
        version,
        inside: !only_boot,
        epoch: facts.epoch,
        root: (!change.root.is_empty()).then_some(root.as_path()),
        boot: (!change.boot.is_empty()).then_some(boot.as_path()),
        boot_unreadable: change.boot_unreadable,
        compatible: change.compatible,
        keys,
    }
    .make(&work, &to)?;
    fs::remove_dir_all(&work).context("remove what the bundle was made from")?;
    lab.note(&format!("made version {version}"));
    Ok(to)
}

fn lay(folder: &Path, files: &[(&str, &str)]) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("empty {}", folder.display()))?;
    }
    for (path, content) in files {
        let place = folder.join(path);
        let parent = place.parent().unwrap_or(folder);
        fs::create_dir_all(parent).with_context(|| format!("make {}", parent.display()))?;
        fs::write(&place, content).with_context(|| format!("write {}", place.display()))?;
        fs::set_permissions(&place, fs::Permissions::from_mode(0o755))
            .with_context(|| format!("let {} be executed", place.display()))?;
    }
    Ok(())
}

/// Offers a bundle in the channel `stable`.
///
/// # Errors
///
/// The channel's list cannot be written or signed.
pub fn publish(publisher: &Publisher, version: &str, bundle: &Path, keys: &Keys) -> Result<()> {
    Publication {
        configs: &Configs::load(&repository())?,
        version,
        released: 0,
        bundle,
        keys,
        channel: "stable",
        notes: "A test.",
    }
    .write(&publisher.folder)
    .map(drop)
}

/// The name of a version's bundle at the publisher's.
#[must_use]
pub fn published_name(version: &str) -> String {
    format!("perch-{version}-rpi-arm64.raucb")
}

/// Tells the box the time, as the wizard does with a browser's: an emulated Pi has no clock of its own and no time server, so that it
/// installs nothing before, and the keys that sign its updates may be newer than the time it starts with. It holds until the next start.
///
/// # Errors
///
/// The guest cannot be reached.
pub fn tell_the_time(vm: &Vm) -> Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    vm.run(&format!(
        "date -s @{now} && mkdir -p /run/perch-agent && touch /run/perch-agent/clock-set"
    ))
    .map(drop)
}

/// Tells the box where its updates come from, so that it knows it after a power cut, too.
///
/// # Errors
///
/// The guest cannot be reached.
pub fn subscribe(vm: &Vm, publisher: &Publisher) -> Result<()> {
    let authority = fs::read(&publisher.authority).context("read the publisher's authority")?;
    vm.run_with_input("cat >/etc/perch/updates-ca.crt", &authority)?;
    let text = format!(
        "url = \"{}\"\nauthority = \"/etc/perch/updates-ca.crt\"\n",
        publisher.url()
    );
    vm.run_with_input("cat >/etc/perch/update.toml && sync", text.as_bytes())?;
    tell_the_time(vm)
}

/// `provisioner update status --json`.
///
/// # Errors
///
/// The guest cannot be reached.
pub fn status(vm: &Vm) -> Result<Value> {
    serde_json::from_str(&vm.run("provisioner update status --json")?).context("read the status")
}

/// Waits until the update that was begun has come to its end, in whatever slot: what the status then says.
///
/// # Errors
///
/// It has not in the time of five starts.
pub fn outcome(vm: &mut Vm) -> Result<Value> {
    // A download, three starts of a slot that does not work, and the way back, on a machine that does other work meanwhile.
    let deadline = vm.boot_deadline() * 5;
    wait_until(deadline, "the update to come to its end", || {
        vm.keep_on()?;
        let status = status(vm)?;
        let state = status["update"]["state"].as_str().unwrap_or_default();
        match state {
            "committed" | "failed" => Ok(Some(status)),
            other => bail!("it is {other}: {status}"),
        }
    })
}
