//! Options of mounted file systems (mount(8)), read from the kernel's own list. The initrd (`image/boot/init`) gives them.

use anyhow::Result;

use super::plan::State;
use crate::files::Files;

/// The value of an option; an option that the kernel does not list has its default.
///
/// # Errors
/// The list cannot be read.
pub fn read(files: &Files, path: &str, option: &str) -> Result<State> {
    let mounts = files.read("/proc/self/mounts")?.unwrap_or_default();
    let found = mounts.lines().rev().find_map(|line| {
        let mut words = line.split(' ').skip(1);
        (words.next()? == path).then(|| words.nth(1)).flatten()
    });
    let Some(options) = found else {
        return Ok(State::Absent(format!("nothing is mounted at {path}")));
    };
    let value = options
        .split(',')
        .filter_map(|one| one.split_once('='))
        .find_map(|(name, value)| (name == option).then_some(value));
    Ok(State::Value {
        value: value.unwrap_or("default").to_owned(),
        offered: None,
    })
}
