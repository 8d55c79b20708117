//! Queue disciplines of network devices, by tc(8).

use anyhow::{Context, Result};

use super::plan::State;
use crate::system::System;

/// The kind of discipline that a device sends through. A device with several hardware queues has one for each below `mq`: then theirs count,
/// and several that differ are named together.
///
/// # Errors
/// `tc` is missing or said something else than JSON.
pub fn read(system: &dyn System, device: &str) -> Result<State> {
    let said = system.run(&["tc", "-j", "qdisc", "show", "dev", device], None)?;
    let list: Vec<serde_json::Value> =
        serde_json::from_str(&said).with_context(|| format!("tc said {said:?}"))?;
    let kind = |one: &serde_json::Value| one["kind"].as_str().unwrap_or_default().to_owned();
    let mut kinds: Vec<String> = list.iter().map(kind).filter(|kind| kind != "mq").collect();
    kinds.dedup();
    match kinds.as_slice() {
        [] => Ok(State::Absent(format!("{device} has no queue"))),
        [one] if one == "noqueue" => Ok(State::Absent(format!("{device} sends without a queue"))),
        all => Ok(State::Value {
            value: all.join(", "),
            offered: None,
        }),
    }
}

/// Gives a device another discipline.
///
/// # Errors
/// The kernel has no such discipline.
pub fn write(system: &dyn System, device: &str, kind: &str) -> Result<()> {
    system.run(
        &["tc", "qdisc", "replace", "dev", device, "root", kind],
        None,
    )?;
    Ok(())
}
