//! journald's configuration as systemd puts it together: journald.conf, then the drop-ins in the order of their
//! names, of which /etc hides /run hides /usr/local/lib hides /usr/lib (systemd.unit(5), journald.conf(5)).

use std::collections::BTreeMap;

use anyhow::Result;

use crate::files::{Access, Files};

/// The drop-in that the image brings; its content is checked against `configs/tuning` in a test. Its name sorts after
/// Debian's own `syslog.conf`.
pub const SHIPPED: &str = "/usr/lib/systemd/journald.conf.d/zz-perch.conf";
/// The drop-in for values that differ from the image's.
const RUNTIME: &str = "/run/systemd/journald.conf.d/zzz-perch-tuning.conf";
const FOLDERS: [&str; 4] = ["/usr/lib", "/usr/local/lib", "/run", "/etc"];

/// The value in force of every key that is set.
///
/// # Errors
/// A file cannot be read.
pub fn read(files: &Files) -> Result<BTreeMap<String, String>> {
    let mut settings = BTreeMap::new();
    let main = FOLDERS
        .iter()
        .rev()
        .find_map(|folder| {
            files
                .read(format!("{folder}/systemd/journald.conf"))
                .transpose()
        })
        .transpose()?;
    settings.extend(main.as_deref().map(pairs).unwrap_or_default());
    let mut drop_ins: BTreeMap<String, String> = BTreeMap::new();
    for folder in FOLDERS {
        for path in files.matching(&format!("{folder}/systemd/journald.conf.d/*.conf")) {
            let name = path.rsplit('/').next().unwrap_or_default().to_owned();
            drop_ins.insert(name, path);
        }
    }
    for path in drop_ins.values() {
        settings.extend(files.read(path)?.as_deref().map(pairs).unwrap_or_default());
    }
    Ok(settings)
}

/// Whether this system has journald's configuration at all.
pub fn is_present(files: &Files) -> bool {
    [
        "/usr/lib/systemd/systemd-journald",
        "/usr/lib/systemd/journald.conf",
        "/etc/systemd/journald.conf",
    ]
    .iter()
    .any(|path| files.path(path).exists())
}

/// Adds a value to the runtime drop-in. journald takes it up when it is restarted.
///
/// # Errors
/// The drop-in cannot be written.
pub fn write(files: &Files, key: &str, value: &str) -> Result<()> {
    let mut settings = files
        .read(RUNTIME)?
        .as_deref()
        .map(pairs)
        .unwrap_or_default();
    settings.insert(key.to_owned(), value.to_owned());
    files.replace(RUNTIME, render(&settings).as_bytes(), Access::Everyone)?;
    Ok(())
}

/// A drop-in with these settings.
pub fn render(settings: &BTreeMap<String, String>) -> String {
    let mut text =
        String::from("# From configs/tuning, where each value has its reason.\n[Journal]\n");
    for (key, value) in settings {
        text.push_str(&format!("{key}={value}\n"));
    }
    text
}

fn pairs(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.starts_with(['#', ';', '[']))
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
        .collect()
}
