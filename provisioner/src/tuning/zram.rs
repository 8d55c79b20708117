//! Compressed swap in memory: the kernel's zram device 0, set up whole or not at all.

use anyhow::{Context, Result, bail};

use super::plan::{State, selection};
use crate::files::Files;
use crate::system::System;

const DEVICE: &str = "/sys/block/zram0";

/// How a set-up is written in plans and reports. Reading one back gives the same text.
pub fn describe(algorithm: &str, size: u64, priority: u16) -> String {
    format!("{algorithm}, {} MiB, priority {priority}", size >> 20)
}

/// The size that `percent` of this machine's memory is, in whole MiB. `None`: the memory's size is not known.
pub fn size(files: &Files, percent: u64) -> Option<u64> {
    let meminfo = files.read("/proc/meminfo").ok()??;
    let total = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = total.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some((kibibytes * percent / 100 / 1024) << 20)
}

/// What the device holds: its set-up if it is swapped to, else `off`.
pub fn read(files: &Files) -> State {
    match read_device(files) {
        Ok(Some(state)) => state,
        Ok(None) => State::Absent(format!("no {DEVICE}: the kernel module zram is missing")),
        Err(error) => State::Unreadable(format!("{error:#}")),
    }
}

fn read_device(files: &Files) -> Result<Option<State>> {
    let Some(algorithms) = files.read(format!("{DEVICE}/comp_algorithm"))? else {
        return Ok(None);
    };
    let (selected, offered) = selection(&algorithms)
        .with_context(|| format!("{DEVICE}/comp_algorithm reads {algorithms:?}"))?;
    let size: u64 = files
        .read(format!("{DEVICE}/disksize"))?
        .unwrap_or_default()
        .trim()
        .parse()
        .unwrap_or(0);
    let swaps = files.read("/proc/swaps")?.unwrap_or_default();
    let priority = swaps
        .lines()
        .find(|line| is_device(line))
        .and_then(|line| line.split_whitespace().last())
        .and_then(|priority| priority.parse::<u16>().ok());
    let value = match priority {
        Some(priority) => describe(&selected, size, priority),
        None => "off".to_owned(),
    };
    Ok(Some(State::Value {
        value,
        offered: Some(offered),
    }))
}

/// Sets the device up and swaps to it.
///
/// # Errors
/// The kernel or a tool refused.
pub fn set_up(
    files: &Files,
    system: &dyn System,
    algorithm: &str,
    size: u64,
    priority: u16,
) -> Result<()> {
    let swaps = files.read("/proc/swaps")?.unwrap_or_default();
    if swaps.lines().any(is_device) {
        files.change()?;
        system.run(&["swapoff", "/dev/zram0"], None)?;
    }
    files.write_setting(format!("{DEVICE}/reset"), "1")?;
    files.write_setting(format!("{DEVICE}/comp_algorithm"), algorithm)?;
    files.write_setting(format!("{DEVICE}/disksize"), &size.to_string())?;
    files.change()?;
    system.run(&["mkswap", "--quiet", "/dev/zram0"], None)?;
    let priority = priority.to_string();
    let output = system.run(&["swapon", "--priority", &priority, "/dev/zram0"], None)?;
    if output.is_empty() {
        return Ok(());
    }
    bail!("swapon said: {output}")
}

/// Whether a line of /proc/swaps is the device's. The kernel shows the path of whoever turned it on: for a service
/// with mounts of its own it starts elsewhere than at /dev.
fn is_device(line: &str) -> bool {
    line.split_whitespace()
        .next()
        .is_some_and(|path| path.ends_with("/zram0"))
}
