//! What RAUC and the boot loader say of the slots, and what they are told.

use anyhow::{Context, Result, bail};

use super::machine::Slot;
use super::reasons::reason;
use crate::files::Files;
use crate::system::System;

/// RAUC's configuration in the image, and the one that takes its place while an older bundle is installed on purpose.
const CONFIGURATION: &str = "/usr/lib/rauc/system.conf";
const OVERRIDE: &str = "/run/rauc/system.conf";

/// The slot that runs, from `rauc.slot=` on the kernel's command line.
///
/// # Errors
/// The command line names none: the system was not started from a slot.
pub fn booted(files: &Files) -> Result<Slot> {
    let line = files.read("/proc/cmdline")?.unwrap_or_default();
    let name = line
        .split_whitespace()
        .find_map(|word| word.strip_prefix("rauc.slot="));
    slot(name.unwrap_or_default()).context(
        "the kernel's command line names no slot: this is not a box that started from its image",
    )
}

/// The slot that the boot loader takes first.
///
/// # Errors
/// Its counters cannot be read.
pub fn first(system: &dyn System) -> Result<Slot> {
    let order = system.run(&["fw_printenv", "-n", "BOOT_ORDER"], None)?;
    let name = order.split_whitespace().next().unwrap_or_default();
    slot(name).with_context(|| format!("the boot loader's order is \"{order}\""))
}

fn slot(name: &str) -> Option<Slot> {
    match name {
        "A" => Some(Slot::A),
        "B" => Some(Slot::B),
        _ => None,
    }
}

/// Writes the other slot from a bundle's file or address.
///
/// # Errors
/// RAUC refused or the download broke: its last sentence.
pub fn write(
    files: &Files,
    system: &dyn System,
    source: &str,
    authority: Option<&str>,
    downgrade: bool,
) -> Result<()> {
    if is_busy(system) {
        // Nobody of ours is at work: whoever asked has gone, or RAUC waits for a server, which it does without end.
        system.run(&["systemctl", "restart", "rauc.service"], None)?;
    }
    if downgrade {
        let text = files
            .read(CONFIGURATION)?
            .context("RAUC has no configuration")?;
        files.replace(
            OVERRIDE,
            without_least_version(&text).as_bytes(),
            crate::files::Access::Everyone,
        )?;
        system.run(&["systemctl", "restart", "rauc.service"], None)?;
    }
    let trust = authority.map(|file| format!("--tls-ca={file}"));
    let mut command = vec!["rauc", "install"];
    command.extend(trust.as_deref());
    command.push(source);
    let begun = system.now().unix_timestamp();
    let done = system.run_as(None, &command, None);
    // Before a restart of RAUC's service, which forgets it.
    let reason = matches!(&done, Ok((status, _)) if *status != 0)
        .then(|| installers_last_error(system))
        .flatten();
    if downgrade {
        files.remove(OVERRIDE)?;
        system.run(&["systemctl", "restart", "rauc.service"], None)?;
    }
    match done? {
        (0, _) => Ok(()),
        (_, said) => {
            let text = last_error(&reason.unwrap_or(said));
            if source.starts_with("https://") && has_stalled(system, begun) {
                bail!(
                    "the server stopped sending, and was given up after five minutes ({text}); try again later"
                );
            }
            bail!("{text}")
        }
    }
}

/// Whether the kernel gave a bundle's server up since then (Unix time): a request of RAUC's network block device has 300 s. To RAUC that
/// is a read error like any other, or its end: it maps what it reads into memory.
fn has_stalled(system: &dyn System, since: i64) -> bool {
    let since = format!("@{since}");
    let command = [
        "journalctl",
        "-k",
        "-b",
        "-o",
        "cat",
        "--no-pager",
        "-S",
        &since,
    ];
    let said = system.run(&command, None).unwrap_or_default();
    said.lines()
        .any(|line| line.contains("block nbd") && line.contains("Connection timed out"))
}

/// A property of RAUC's installer, over D-Bus.
fn installer(system: &dyn System, property: &str) -> Option<serde_json::Value> {
    let command = [
        "busctl",
        "--json=short",
        "get-property",
        "de.pengutronix.rauc",
        "/",
        "de.pengutronix.rauc.Installer",
        property,
    ];
    let said = system.run(&command, None).ok()?;
    let mut property: serde_json::Value = serde_json::from_str(&said).ok()?;
    Some(property["data"].take())
}

/// Why RAUC's service did not install the last bundle; `rauc install` itself says only that it failed.
fn installers_last_error(system: &dyn System) -> Option<String> {
    let data = installer(system, "LastError")?;
    let text = data.as_str()?;
    (!text.is_empty()).then(|| text.to_owned())
}

/// Whether RAUC installs something.
fn is_busy(system: &dyn System) -> bool {
    installer(system, "Operation").is_some_and(|operation| operation != "idle")
}

/// The version of a bundle, whose signature RAUC checks.
///
/// # Errors
/// RAUC refused it: its last sentence.
pub fn version_of(system: &dyn System, place: &str, authority: Option<&str>) -> Result<String> {
    let trust = authority
        .filter(|_| place.starts_with("https://"))
        .map(|file| format!("--tls-ca={file}"));
    let mut command = vec!["rauc", "info", "--output-format=json"];
    if place.starts_with("https://") {
        // RAUC itself waits for a server without end.
        command.splice(0..0, ["timeout", "300"]);
    }
    command.extend(trust.as_deref());
    command.push(place);
    let (status, said) = system.run_as(None, &command, None)?;
    match status {
        0 => {}
        // timeout(1)'s own.
        124 => bail!(
            "the server did not answer in time: look whether the box reaches the internet, and try again later"
        ),
        _ => bail!("{}", last_error(&said)),
    }
    let about: serde_json::Value =
        serde_json::from_str(&said).context("RAUC's description of the bundle")?;
    let version = about["version"]
        .as_str()
        .context("the bundle names no version")?;
    Ok(version.to_owned())
}

fn without_least_version(text: &str) -> String {
    text.lines()
        .filter(|line| !line.starts_with("min-bundle-version="))
        .map(|line| format!("{line}\n"))
        .collect()
}

/// What RAUC says last, without what leads to it.
fn last_error(said: &str) -> String {
    let line = said
        .lines()
        .rev()
        .find_map(|line| line.trim().strip_prefix("LastError:"))
        .or_else(|| said.lines().rev().find(|line| !line.trim().is_empty()));
    let text = line.unwrap_or("RAUC gave no reason").trim();
    match reason(text) {
        Some((plain, remedy)) => format!("{plain} ({text}): {remedy}"),
        None => text.to_owned(),
    }
}

/// Lets the boot loader take a slot next, three times at most.
///
/// # Errors
/// RAUC refused, or the order does not read back as wanted.
pub fn activate(system: &dyn System, slot: Slot, booted: Slot) -> Result<()> {
    system.run(
        &["rauc", "status", "mark-active", which(slot, booted)],
        None,
    )?;
    let now = first(system)?;
    if now != slot {
        bail!(
            "the boot loader was told to take slot {} and still takes {}",
            slot.name(),
            now.name()
        );
    }
    Ok(())
}

/// Gives the running slot its tries back, or takes a slot's tries away.
///
/// # Errors
/// RAUC refused.
pub fn mark(system: &dyn System, slot: Slot, booted: Slot, good: bool) -> Result<()> {
    let word = if good { "mark-good" } else { "mark-bad" };
    system
        .run(&["rauc", "status", word, which(slot, booted)], None)
        .map(drop)
}

fn which(slot: Slot, booted: Slot) -> &'static str {
    if slot == booted { "booted" } else { "other" }
}

/// What RAUC knows of a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Which.
    pub slot: Slot,
    /// What was installed there. `None`: what the card was written with, or what RAUC could not write whole.
    pub version: Option<String>,
    /// The boot loader does not take it: it is being written, or was tried and left.
    pub is_bad: bool,
}

/// What RAUC knows of both slots; nothing while it is at work.
#[must_use]
pub fn known(system: &dyn System) -> Vec<Known> {
    let command = ["rauc", "status", "--detailed", "--output-format=json"];
    known_from(&system.run(&command, None).unwrap_or_default())
}

fn known_from(said: &str) -> Vec<Known> {
    let status: serde_json::Value = serde_json::from_str(said).unwrap_or_default();
    let entries = status["slots"].as_array().into_iter().flatten();
    let found = entries.filter_map(|entry| {
        let about = entry.as_object()?.values().next()?;
        Some(Known {
            slot: slot(about["bootname"].as_str()?)?,
            version: about["slot_status"]["bundle"]["version"]
                .as_str()
                .map(str::to_owned),
            is_bad: about["boot_status"] == "bad",
        })
    });
    found.collect()
}

/// What RAUC knows of the version in a slot: what was installed there, `None` for what the image was flashed with.
#[must_use]
pub fn version_in(system: &dyn System, slot: Slot) -> Option<String> {
    let found = known(system).into_iter().find(|known| known.slot == slot);
    found?.version
}

/// How far RAUC is with a bundle, in percent; `None`: it does not say.
#[must_use]
pub fn progress(system: &dyn System) -> Option<u32> {
    // Percent, message, depth.
    let data = installer(system, "Progress")?;
    data[0].as_u64()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::super::reasons::WHOLE;
    use super::*;

    #[test]
    fn raucs_last_error_is_said_in_plain_words_with_its_own_behind() {
        let said = "installing\n LastError: signature verification failed: Verify error: certificate has expired\nInstalling failed";
        let text = last_error(said);
        assert!(
            text.starts_with("the bundle was signed with a key that has expired ("),
            "{text}"
        );
        let said = "Signature size (8102940191) exceeds bundle size";
        assert_eq!(
            last_error(said),
            format!("the bundle is not complete ({said}): {WHOLE}")
        );
        assert_eq!(last_error("LastError: something new"), "something new");
        assert_eq!(last_error(""), "RAUC gave no reason");
    }

    #[test]
    fn the_slots_are_known_from_raucs_words() {
        let said = r#"{"slots":[
            {"system.0":{"bootname":"A","boot_status":"good","slot_status":{}}},
            {"boot.0":{"bootname":null,"boot_status":null}},
            {"system.1":{"bootname":"B","boot_status":"bad","slot_status":{"bundle":{"version":"2.0.0"}}}}]}"#;
        let known = |slot, version: Option<&str>, is_bad| Known {
            slot,
            version: version.map(str::to_owned),
            is_bad,
        };
        let wanted = [
            known(Slot::A, None, false),
            known(Slot::B, Some("2.0.0"), true),
        ];
        assert_eq!(known_from(said), wanted);
        assert_eq!(known_from("already processing a different method"), []);
    }

    #[test]
    fn an_explicit_downgrade_only_takes_the_least_version_away() {
        let text = "[system]\nmin-bundle-version=2.0.0\ncompatible=x\n";
        assert_eq!(without_least_version(text), "[system]\ncompatible=x\n");
    }
}
