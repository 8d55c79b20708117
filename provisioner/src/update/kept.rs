//! What is kept of an update, so that a start, the page and the command line know of it.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::job::Job;
use super::machine::{Release, State};
use crate::files::{Access, Files};

const STATE: &str = "/var/lib/perch/update/state.json";
/// Held by whoever is at work on the update.
pub(super) const LOCK: &str = "/var/lib/perch/update/lock";

/// What is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Where the update is.
    pub update: State,
    /// When the channel was last asked, seconds since 1970.
    #[serde(default)]
    pub checked: Option<i64>,
    /// When the download began, seconds since 1970.
    #[serde(default)]
    pub began: Option<i64>,
    /// The version that ran when the box last left a slot for the other one.
    #[serde(default)]
    pub left: Option<String>,
    /// The last start that came as far as to look at the update, by the kernel's boot ID. Later ones have not been heard of.
    #[serde(default)]
    pub last_boot: Option<String>,
    /// Why what was asked for last was not begun, or a channel not heard. Absent: all that came of it is in `update`.
    #[serde(default)]
    pub trouble: Option<Trouble>,
}

/// Why something was not begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// What.
    pub job: Job,
    /// When, seconds since 1970.
    pub at: i64,
    /// One sentence.
    pub reason: String,
}

impl Kept {
    /// Reads it; absent: nothing ever happened.
    ///
    /// # Errors
    /// It cannot be read, or is not understood.
    pub fn load(files: &Files) -> Result<Self> {
        match files.read(STATE)? {
            Some(text) => {
                serde_json::from_str(&text).with_context(|| format!("{STATE} is not understood"))
            }
            None => Ok(Self::default()),
        }
    }

    /// The version in the slot that does not run. `None`: nobody knows, as RAUC does not for what the card was written with.
    #[must_use]
    pub fn other_version(&self, known: Option<String>, running: &str) -> Option<String> {
        let left = self.left.as_ref().filter(|left| *left != running);
        known.or_else(|| left.cloned())
    }

    /// Whether the box may install a release without being asked. Going back is the owner's choice alone, also where a power cut has
    /// interrupted it; and what the owner has gone back from is not installed again the next night.
    #[must_use]
    pub fn may_install_by_itself(&self, release: &Release) -> bool {
        release.source.is_some() && self.left.as_ref() != Some(&release.version)
    }

    pub(super) fn save(&self, files: &Files) -> Result<()> {
        let text = serde_json::to_vec_pretty(self).context("writing the update's state as JSON")?;
        files.replace(STATE, &text, Access::Root).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_night_a_box_takes_what_is_new_and_not_what_its_owner_went_back_from() {
        let release = |version: &str, source: Option<&str>| Release {
            version: version.to_owned(),
            source: source.map(str::to_owned),
            bytes: None,
            downgrade: false,
        };
        let kept = Kept {
            left: Some("2.0.0".to_owned()),
            ..Kept::default()
        };
        for (version, source, wanted) in [
            ("2.0.0", Some("https://u/b"), false),
            ("2.0.1", Some("https://u/b"), true),
            // What the other slot has: a way back that was interrupted.
            ("1.0.0", None, false),
        ] {
            let release = release(version, source);
            assert_eq!(kept.may_install_by_itself(&release), wanted, "{release:?}");
        }
    }
}
