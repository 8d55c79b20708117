//! What is kept of an update, so that a start, the page and the command line know of it.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::job::Job;
use super::machine::{Release, State};
use super::surroundings::Surroundings;
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
    /// The database's schema when the box left that version, which knows no later one.
    #[serde(default)]
    pub left_schema: Option<u32>,
    /// The database's schema when the present version was trusted.
    #[serde(default)]
    pub schema: Option<u32>,
    /// What the version before had around it, which the one on trial is to have too.
    #[serde(default)]
    pub before: Surroundings,
    /// The last start that came as far as to look at the update, by the kernel's boot ID. Later ones have not been heard of.
    #[serde(default)]
    pub last_boot: Option<String>,
    /// Why something that the last start had to do is left to the next one. Absent: nothing is.
    #[serde(default)]
    pub left_over: Option<String>,
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

/// A version does not know the database's schema.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error(
    "version {version} cannot read the database any more: the version that runs has changed it from schema {old} to {new}. To go back all the \
     same, write the image of version {version} to a card and restore a backup that was made before the update"
)]
pub struct SchemaGap {
    /// The version that does not.
    pub version: String,
    /// The schema that it knows.
    pub old: u32,
    /// What there is.
    pub new: u32,
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

    /// Why the version in the other slot would be of no use: it does not know what the present one has made of the database, as the two
    /// schemas say (`now` is the present one's). `None`: nothing is known against it.
    #[must_use]
    pub fn too_new_for(&self, other: Option<&str>, now: Option<u32>) -> Option<SchemaGap> {
        let version = self.left.clone()?;
        let (old, new) = (self.left_schema?, now.or(self.schema)?);
        (other == Some(version.as_str()) && new > old).then_some(SchemaGap { version, old, new })
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
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_version_that_knows_only_an_older_schema_is_no_way_back() {
        let kept = |old, new| Kept {
            left: Some("1.0.0".to_owned()),
            left_schema: old,
            schema: new,
            ..Kept::default()
        };
        for (old, new, now, other, refused) in [
            (Some(2), Some(3), None, "1.0.0", true),
            (Some(2), None, Some(3), "1.0.0", true),
            (Some(2), Some(2), Some(2), "1.0.0", false),
            // A newer version takes an older database along.
            (Some(3), Some(2), Some(2), "1.0.0", false),
            (None, Some(3), Some(3), "1.0.0", false),
            (Some(2), Some(3), Some(3), "0.9.0", false),
        ] {
            let found = kept(old, new).too_new_for(Some(other), now);
            assert_eq!(found.is_some(), refused, "{old:?} {new:?} {now:?} {other}");
        }
        let gap = kept(Some(2), Some(3)).too_new_for(Some("1.0.0"), None);
        let text = gap.unwrap().to_string();
        assert!(text.contains("schema 2 to 3") && text.contains("restore a backup"));
    }

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
