//! Whether a booted box is tuned as `configs/tuning/` wants it: by the kernel's word, not only the provisioner's.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::lab::repository;
use crate::vm::Vm;

/// A kernel value that `configs/tuning/` asks for.
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    key: String,
    /// The exact value, or the least when `at_least`.
    value: String,
    at_least: bool,
}

/// Every `[[sysctl]]` of `configs/tuning/` that is the same for all boxes.
fn wanted_kernel_values() -> Result<Vec<Wanted>> {
    let folder = repository().join("configs/tuning");
    let mut wanted = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("read {}", folder.display()))? {
        let path = entry.context("read configs/tuning")?.path();
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        let table: toml::Table = text
            .parse()
            .with_context(|| format!("read {}", path.display()))?;
        for setting in table
            .get("sysctl")
            .and_then(toml::Value::as_array)
            .into_iter()
            .flatten()
        {
            // One of several values for different storage: what the provisioner chose is in its report.
            if setting.get("storage").is_some() {
                continue;
            }
            let key = setting
                .get("key")
                .and_then(toml::Value::as_str)
                .context("a sysctl without a key")?
                .to_owned();
            let least = setting.get("at_least").and_then(toml::Value::as_integer);
            let exact = setting.get("value").and_then(toml::Value::as_str);
            let value = exact
                .map(str::to_owned)
                .or(least.map(|number| number.to_string()));
            let value = value.with_context(|| format!("{key} has no value"))?;
            wanted.push(Wanted {
                key,
                value,
                at_least: exact.is_none(),
            });
        }
    }
    Ok(wanted)
}

/// Each wanted value is set, or is a named thing that this machine lacks; the kernel itself is asked.
///
/// # Errors
///
/// The values that are otherwise.
pub fn assert_tuned(vm: &Vm) -> Result<()> {
    let report: Value =
        serde_json::from_str(&vm.run("cat /run/perch/apply.json")?).context("read apply.json")?;
    let rows = report["settings"]
        .as_array()
        .context("apply.json has no list of settings")?;
    let outcome = |row: &Value| row["outcome"].as_str().unwrap_or_default().to_owned();
    for row in rows {
        ensure!(
            ["applied", "unchanged", "not-available"].contains(&outcome(row).as_str()),
            "not applied: {row}"
        );
        ensure!(
            outcome(row) != "not-available"
                || row["note"].as_str().is_some_and(|note| !note.is_empty()),
            "{row} says not why"
        );
    }
    let wanted = wanted_kernel_values()?;
    ensure!(
        wanted.len() >= 10,
        "configs/tuning has only {} kernel values",
        wanted.len()
    );
    let paths = wanted
        .iter()
        .map(|value| format!("/proc/sys/{}", value.key.replace('.', "/")));
    let answers = vm.run(&format!(
        "for path in {}; do printf '%s=' $path; cat $path 2>/dev/null || echo absent; done",
        paths.collect::<Vec<_>>().join(" ")
    ))?;
    let kernel: BTreeMap<&str, &str> = answers
        .lines()
        .filter_map(|line| line.split_once('='))
        .collect();
    for Wanted {
        key,
        value,
        at_least,
    } in &wanted
    {
        let path = format!("/proc/sys/{}", key.replace('.', "/"));
        let now = kernel.get(path.as_str()).copied().unwrap_or("absent");
        let row = rows
            .iter()
            .find(|row| row["name"] == *key || row["place"] == *path);
        let row = row.with_context(|| format!("apply.json says nothing of {key}"))?;
        if now == "absent" {
            ensure!(
                outcome(row) == "not-available",
                "{key} is absent, but apply.json has {row}"
            );
        } else if *at_least {
            let number = |text: &str| {
                text.trim()
                    .parse::<u64>()
                    .with_context(|| format!("{key} is {text:?}"))
            };
            ensure!(
                number(now)? >= number(value)?,
                "{key} is {now}; at least {value} is wanted"
            );
        } else {
            ensure!(
                words(now) == words(value),
                "{key} is {now}; {value} is wanted"
            );
        }
    }
    Ok(())
}

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

/// By the journal's order: the provisioner had finished before the first word of `imd`.
///
/// # Errors
///
/// It had not.
pub fn assert_tuned_before_imd(vm: &Vm) -> Result<()> {
    let stamp = |unit: &str, property: &str| -> Result<u64> {
        let text = vm.run(&format!("systemctl show -P {property} {unit}"))?;
        text.trim()
            .parse()
            .with_context(|| format!("{property} of {unit} is {text:?}"))
    };
    let applied = stamp("perch-apply.service", "ExecMainExitTimestampMonotonic")?;
    let started = stamp("imd.service", "ExecMainStartTimestampMonotonic")?;
    ensure!(
        applied > 0 && applied <= started,
        "applied at {applied} µs, imd started at {started} µs"
    );
    let journal =
        vm.run("journalctl -b --no-pager -o json -u perch-apply.service -u imd.service")?;
    let units: Vec<String> = journal
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|entry| entry["_SYSTEMD_UNIT"].as_str().map(str::to_owned))
        .collect();
    let last_apply = units
        .iter()
        .rposition(|unit| unit == "perch-apply.service")
        .context("the journal has no table of settings")?;
    let first_imd = units
        .iter()
        .position(|unit| unit == "imd.service")
        .context("the journal has nothing from imd")?;
    ensure!(
        last_apply < first_imd,
        "imd spoke before the settings were applied"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::wanted_kernel_values;

    #[test]
    fn the_wanted_kernel_values_are_read_from_the_repository() {
        let wanted = wanted_kernel_values().unwrap();
        let backlog = wanted
            .iter()
            .find(|value| value.key == "net.core.somaxconn")
            .unwrap();
        assert!(backlog.at_least && backlog.value == "4096");
    }
}
