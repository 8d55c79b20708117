//! The outcome of a run: one table for people, one JSON document for programs.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::files::{Access, Files};

/// The last report since the boot, for programs and the page.
pub const PATH: &str = "/run/perch/apply.json";

/// What came of one setting in one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The setting's name.
    pub name: String,
    /// Where it is set.
    pub place: String,
    /// What is wanted.
    pub wanted: String,
    /// What was there before. Absent: nothing, or not readable.
    pub before: Option<String>,
    /// What is there now, read back. Absent: nothing, or not readable.
    pub now: Option<String>,
    /// What came of it.
    pub outcome: Outcome,
    /// Why it is not available or failed; empty otherwise.
    pub note: String,
    /// Why the setting is wanted.
    pub reason: String,
    /// Where the thing itself is explained.
    pub source: String,
}

/// What came of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Written and read back as wanted.
    Applied,
    /// It was as wanted before.
    Unchanged,
    /// A plan only: it would be written.
    WouldApply,
    /// This machine has no such thing.
    NotAvailable,
    /// The machine has it, and it is not as wanted.
    Failed,
}

impl Outcome {
    fn words(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Unchanged => "unchanged",
            Self::WouldApply => "would apply",
            Self::NotAvailable => "not available",
            Self::Failed => "FAILED",
        }
    }
}

/// The outcome of a whole run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// Whether nothing failed.
    pub ok: bool,
    /// Every setting in every place.
    pub settings: Vec<Row>,
}

impl Report {
    /// Sums up rows.
    pub fn new(settings: Vec<Row>) -> Self {
        Self {
            ok: settings.iter().all(|row| row.outcome != Outcome::Failed),
            settings,
        }
    }

    /// The last one since the boot. `None`: none has been written, or by another version.
    ///
    /// # Errors
    /// It is there, but cannot be read.
    pub fn last(files: &Files) -> Result<Option<Self>> {
        let text = files.read(PATH)?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// Keeps it as the last one.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn keep(&self, files: &Files) -> Result<()> {
        let json = serde_json::to_vec_pretty(self).context("writing the result as JSON")?;
        files.replace(PATH, &json, Access::Everyone).map(drop)
    }

    /// With the rows of another run in the place of all that `is_replaced`.
    #[must_use]
    pub fn with(self, rows: Vec<Row>, is_replaced: impl Fn(&Row) -> bool) -> Self {
        let stays = self.settings.into_iter().filter(|row| !is_replaced(row));
        Self::new(rows.into_iter().chain(stays).collect())
    }

    /// The table, and below it one line that counts the outcomes.
    pub fn table(&self) -> String {
        let head = ["RESULT", "SETTING", "WANTED", "BEFORE", "NOW", "NOTE"].map(str::to_owned);
        let mut lines = vec![head];
        for row in &self.settings {
            lines.push([
                row.outcome.words().to_owned(),
                if row.place.starts_with("/proc/sys/") || row.place.starts_with(&row.name) {
                    row.name.clone()
                } else {
                    format!("{} ({})", row.name, row.place)
                },
                row.wanted.clone(),
                row.before.clone().unwrap_or_else(|| "-".to_owned()),
                row.now.clone().unwrap_or_else(|| "-".to_owned()),
                row.note.clone(),
            ]);
        }
        let mut widths = [0; 6];
        for line in &lines {
            for (width, cell) in widths.iter_mut().zip(line) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let mut table = String::new();
        for line in &lines {
            let cells: Vec<String> = line
                .iter()
                .zip(widths)
                .map(|(cell, width)| format!("{cell:width$}"))
                .collect();
            table.push_str(cells.join("  ").trim_end());
            table.push('\n');
        }
        table.push_str(&self.summary());
        table
    }

    fn summary(&self) -> String {
        let mut parts = Vec::new();
        for outcome in [
            Outcome::Applied,
            Outcome::Unchanged,
            Outcome::WouldApply,
            Outcome::NotAvailable,
            Outcome::Failed,
        ] {
            let count = self
                .settings
                .iter()
                .filter(|row| row.outcome == outcome)
                .count();
            if count > 0 {
                parts.push(format!("{count} {}", outcome.words()));
            }
        }
        format!("{} settings: {}", self.settings.len(), parts.join(", "))
    }
}
