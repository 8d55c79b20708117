//! What came of the last jobs, written down for the page, for updates, and for the night after.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::STATE;
use super::check::Counts;
use super::open::FaultKind;
use super::target::fault;
use crate::files::{Access, Files};

/// What came of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Outcome {
    /// When it ended, in seconds since 1970.
    pub at: i64,
    /// When one of its kind last worked, in seconds since 1970. Absent: see [`Outcome::last_good`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worked: Option<i64>,
    /// The backup.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// What was counted in it.
    pub counts: Option<Counts>,
    /// Why it did not work. Absent: it did.
    pub error: Option<String>,
    /// The same for programs, where a backup cannot be used.
    pub fault: Option<FaultKind>,
    /// The same where the target could not be used.
    pub target: Option<fault::Kind>,
}

/// What is known of the last jobs of each kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Outcomes(pub BTreeMap<String, Outcome>);

impl Outcome {
    /// When one of its kind last worked, in seconds since 1970. `None`: never, as far as is known.
    #[must_use]
    pub fn last_good(&self) -> Option<i64> {
        let now = self.error.is_none().then_some(self.at);
        now.or(self.worked)
    }
}

impl Outcomes {
    /// Reads them; none if there are none yet, or if they cannot be read.
    pub fn load(files: &Files) -> Self {
        let text = files.read(format!("{STATE}/outcomes.json"));
        let text = text.ok().flatten();
        text.and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default()
    }

    /// When a backup was last made, wherever it lies, in seconds since 1970. `None`: never, as far as is known.
    #[must_use]
    pub fn newest_backup(&self) -> Option<i64> {
        let made = ["make", "stick", "folder", "target"].map(|kind| self.0.get(kind)?.last_good());
        made.into_iter().flatten().max()
    }

    /// Writes one down. When its kind worked before is kept where it did not now.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn note(files: &Files, kind: &str, outcome: Outcome) -> Result<()> {
        let mut all = Self::load(files);
        let worked = all.0.get(kind).and_then(Outcome::last_good);
        let worked = worked.filter(|_| outcome.error.is_some());
        all.0.insert(kind.to_owned(), Outcome { worked, ..outcome });
        all.save(files)
    }

    /// Forgets what came of a kind.
    ///
    /// # Errors
    /// That cannot be written.
    pub fn forget(files: &Files, kind: &str) -> Result<()> {
        let mut all = Self::load(files);
        let is_there = all.0.remove(kind).is_some();
        if is_there { all.save(files) } else { Ok(()) }
    }

    fn save(&self, files: &Files) -> Result<()> {
        let text = serde_json::to_vec_pretty(self).context("writing outcomes as JSON")?;
        let place = format!("{STATE}/outcomes.json");
        files.replace(place, &text, Access::Everyone).map(drop)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_failure_does_not_hide_when_a_backup_was_last_made() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::new(folder.path());
        let outcome = |at, error: Option<&str>| Outcome {
            at,
            error: error.map(str::to_owned),
            ..Outcome::default()
        };
        for (at, error, newest) in [
            (1, Some("no stick"), None),
            (2, None, Some(2)),
            (3, Some("no stick"), Some(2)),
            (4, Some("no stick"), Some(2)),
            (5, None, Some(5)),
        ] {
            Outcomes::note(&files, "stick", outcome(at, error)).unwrap();
            assert_eq!(Outcomes::load(&files).newest_backup(), newest, "{at}");
        }
    }
}
