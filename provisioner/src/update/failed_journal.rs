//! The journal of the slot that failed.

use anyhow::Result;

use super::kept::Kept;
use super::machine::State;
use crate::files::{Access, Files};
use crate::system::System;

/// Where it is kept.
pub const FAILED_JOURNAL: &str = "/var/lib/perch/update/failed-journal.txt";
/// Lines of each start that are kept.
const LINES: &str = "5000";
/// Starts that are kept at the most: the boot loader gives a slot three.
const STARTS: usize = 3;

/// Keeps the journal of the starts that failed, and notes in the state which these were. A slot that did not get as far as saying that it has
/// started may have logged something all the same.
///
/// # Errors
/// The file cannot be written.
pub(super) fn keep(files: &Files, system: &dyn System, kept: &mut Kept, now: &str) -> Result<()> {
    let last = kept.last_boot.clone();
    let State::Failed { boots, reason, .. } = &mut kept.update else {
        return Ok(());
    };
    if boots.is_empty() {
        *boots = unheard_of(system, last.as_deref(), now);
    }
    let mut text = format!("{reason}\n");
    if boots.is_empty() {
        text += "\nNothing that it logged has reached the disk.\n";
    }
    for boot in boots.iter() {
        let command = [
            "journalctl",
            "-b",
            boot,
            "-n",
            LINES,
            "--no-pager",
            "-o",
            "short-iso",
        ];
        let said = system.run(&command, None);
        let said = said.unwrap_or_else(|error| format!("{error:#}"));
        text += &format!("\n-- start {boot}\n{said}\n");
    }
    files
        .replace(FAILED_JOURNAL, text.as_bytes(), Access::Root)
        .map(drop)
}

/// The last starts between the one that was heard of last and this one, the oldest first.
fn unheard_of(system: &dyn System, last: Option<&str>, now: &str) -> Vec<String> {
    let Some(last) = last else {
        return Vec::new();
    };
    let command = ["journalctl", "--list-boots", "--no-pager", "--quiet"];
    let said = system.run(&command, None).unwrap_or_default();
    let known: Vec<&str> = said.lines().filter_map(boot_id).collect();
    let Some(at) = known.iter().position(|boot| *boot == last) else {
        return Vec::new();
    };
    let since: Vec<String> = known[at + 1..]
        .iter()
        .filter(|boot| **boot != now)
        .map(|boot| (*boot).to_owned())
        .collect();
    since[since.len().saturating_sub(STARTS)..].to_vec()
}

/// ` -1 0123456789abcdef0123456789abcdef Mon 2026-11-30 …`
fn boot_id(line: &str) -> Option<&str> {
    let word = line.split_whitespace().nth(1)?;
    (word.len() == 32 && word.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(word)
}
