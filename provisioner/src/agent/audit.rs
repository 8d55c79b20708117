//! The log of administrative acts: one JSON object a line, for root alone to write.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::files::Files;

/// Where it is kept.
pub const PATH: &str = "/var/lib/perch/audit.jsonl";
/// The older half, after it has grown too long.
pub const OLDER: &str = "/var/lib/perch/audit.1.jsonl";
/// Some thousand acts.
const LONGEST: u64 = 512 << 10;
/// Texts from outside are cut there.
const TEXT_CHARS: usize = 400;

/// One act.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When (RFC 3339, UTC).
    pub at: String,
    /// Who, and from which address.
    pub who: String,
    /// What, such as `settings.change`.
    pub action: String,
    /// To whom or what.
    pub subject: String,
    /// Why it did not work. Absent: it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Writes an act down.
///
/// # Errors
/// The log cannot be written.
pub fn add(files: &Files, now: OffsetDateTime, entry: Entry) -> Result<()> {
    let short = |text: String| text.chars().take(TEXT_CHARS).collect::<String>();
    let second = now.replace_nanosecond(0).unwrap_or(now);
    let entry = Entry {
        at: second.format(&Rfc3339).unwrap_or_default(),
        who: short(entry.who),
        action: short(entry.action),
        subject: short(entry.subject),
        error: entry.error.map(short),
    };
    let mut line = serde_json::to_string(&entry).context("writing an act as JSON")?;
    line.push('\n');
    let place = files.path(PATH);
    if place
        .metadata()
        .is_ok_and(|metadata| metadata.len() > LONGEST)
    {
        files.rename(&place, &files.path(OLDER))?;
    }
    files.change()?;
    let append = || -> std::io::Result<()> {
        if let Some(folder) = place.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut options = OpenOptions::new();
        let mut file = options.create(true).append(true).mode(0o600).open(&place)?;
        file.write_all(line.as_bytes())
    };
    append().with_context(|| format!("writing {}", place.display()))
}

/// The last acts, newest first. A line that a power cut has left unfinished is passed over.
///
/// # Errors
/// The log cannot be read.
pub fn last(files: &Files, most: usize) -> Result<Vec<Entry>> {
    let mut found = Vec::new();
    for path in [PATH, OLDER] {
        let text = files.read(path)?.unwrap_or_default();
        let entries = text.lines().rev().map(serde_json::from_str);
        found.extend(entries.filter_map(Result::ok).take(most - found.len()));
        if found.len() == most {
            break;
        }
    }
    Ok(found)
}
