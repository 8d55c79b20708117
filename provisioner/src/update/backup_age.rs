//! How old the newest backup is, and what that means for an update. Writing a whole slot is much work for a card that is about to
//! fail: what is on it should be elsewhere, too.

use serde::{Deserialize, Serialize};

use crate::backup::open::FaultKind;
use crate::backup::outcome::{Outcome, Outcomes};
use crate::backup::stick;
use crate::files::Files;
use crate::firstboot::state::BoxState;

/// An update waits when the newest backup is older than so many days: a stick that is there has one of every night, and one that has
/// been away for a week has been forgotten.
pub const OLDEST_DAYS: i64 = 7;
const DAY: i64 = 86_400;

/// What is known of the box's backups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backups {
    /// Whether the nightly ones have a place: an accepted stick, or a target.
    pub has_place: bool,
    /// When one was last made and written whole, in seconds since 1970. Absent: never.
    pub newest: Option<i64>,
    /// When one was last tried and found damaged. Absent: never, or the last trial was good.
    pub damaged: Option<i64>,
}

/// What they mean for an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BackupAge {
    /// Young enough.
    Fresh {
        /// When it was made, in seconds since 1970.
        at: i64,
    },
    /// Nobody has ever wanted one: the owner is told, and the update goes on.
    NeverSetUp,
    /// The nightly ones have a place, and nothing is there yet.
    Missing,
    /// The weekly trial could not read it.
    Damaged,
    /// Older than [`OLDEST_DAYS`].
    Old {
        /// When it was made, in seconds since 1970.
        at: i64,
        /// How many days ago.
        days: i64,
    },
}

/// What the box's backups mean for an update at this moment. A time ahead of the clock counts as now: that the clock is wrong is
/// another refusal's matter.
#[must_use]
pub fn judge(backups: &Backups, now: i64) -> BackupAge {
    let Some(at) = backups.newest else {
        return if backups.has_place {
            BackupAge::Missing
        } else {
            BackupAge::NeverSetUp
        };
    };
    if backups.damaged.is_some_and(|tried| tried >= at) {
        return BackupAge::Damaged;
    }
    let age = now.saturating_sub(at);
    if age > OLDEST_DAYS * DAY {
        let days = age / DAY;
        BackupAge::Old { at, days }
    } else {
        BackupAge::Fresh { at }
    }
}

impl BackupAge {
    /// Why an update has to wait, with what to do. `None`: it has not.
    #[must_use]
    pub fn refusal(self) -> Option<String> {
        let what = match self {
            Self::Fresh { .. } | Self::NeverSetUp => return None,
            Self::Missing => {
                "a place for nightly backups is set up, and none has been made yet".to_owned()
            }
            Self::Damaged => "the newest backup was damaged when it was tried".to_owned(),
            Self::Old { days, .. } => format!("the newest backup is {days} days old"),
        };
        Some(format!(
            "{what}: plug the stick in or start the target and make a backup, or make one for downloading (page Backups, or `provisioner backup now`); \
             `provisioner update install --without-backup` installs all the same"
        ))
    }

    /// One line for people.
    #[must_use]
    pub fn line(self, now: i64) -> String {
        match self {
            Self::NeverSetUp => {
                "none has ever been made: what is on the card is nowhere else (page Backups, or `provisioner backup`)".to_owned()
            }
            Self::Fresh { at } => match now.saturating_sub(at) / DAY {
                ..=0 => "less than a day old".to_owned(),
                1 => "1 day old".to_owned(),
                days => format!("{days} days old"),
            },
            Self::Missing | Self::Damaged | Self::Old { .. } => {
                self.refusal().unwrap_or_default()
            }
        }
    }

    /// The unit that makes a newer one before an update that nobody has asked for by hand. `None`: none is needed, or nobody ever
    /// wanted one.
    #[must_use]
    pub fn remedy(self, backups: &Backups) -> Option<&'static str> {
        self.refusal()?;
        Some(if backups.has_place {
            "perch-backup@night.service"
        } else {
            "perch-backup@now.service"
        })
    }
}

/// Looks at what is known of the backups, without a stick having to be there.
#[must_use]
pub fn look(files: &Files) -> Backups {
    let outcomes = Outcomes::load(files);
    let drill = outcomes.0.get("drill");
    let is_damaged = |drill: &&Outcome| drill.fault == Some(FaultKind::Damaged);
    Backups {
        has_place: stick::accepted(files).is_ok_and(|accepted| accepted.is_some())
            || BoxState::load(files).is_ok_and(|state| state.settings.backup.is_some()),
        newest: outcomes.newest_backup(),
        damaged: drill.filter(is_damaged).map(|drill| drill.at),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    const NOW: i64 = 1_796_126_400;

    fn backups(has_place: bool, newest: Option<i64>, damaged: Option<i64>) -> Backups {
        Backups {
            has_place,
            newest,
            damaged,
        }
    }

    #[test]
    fn what_backups_mean_for_an_update() {
        let day = |days: i64| NOW - days * DAY;
        for (backups, meant) in [
            (backups(false, None, None), BackupAge::NeverSetUp),
            (backups(true, None, None), BackupAge::Missing),
            (
                backups(true, Some(day(1)), None),
                BackupAge::Fresh { at: day(1) },
            ),
            // To the second.
            (
                backups(false, Some(day(7)), None),
                BackupAge::Fresh { at: day(7) },
            ),
            (
                backups(false, Some(day(7) - 1), None),
                BackupAge::Old {
                    at: day(7) - 1,
                    days: 7,
                },
            ),
            (
                backups(true, Some(day(30)), None),
                BackupAge::Old {
                    at: day(30),
                    days: 30,
                },
            ),
            // The one that was damaged, and one that was made after that.
            (
                backups(true, Some(day(3)), Some(day(2))),
                BackupAge::Damaged,
            ),
            (
                backups(true, Some(day(1)), Some(day(2))),
                BackupAge::Fresh { at: day(1) },
            ),
            // The clock went back.
            (
                backups(true, Some(NOW + DAY), None),
                BackupAge::Fresh { at: NOW + DAY },
            ),
        ] {
            assert_eq!(judge(&backups, NOW), meant, "{backups:?}");
        }
    }

    #[test]
    fn a_target_is_a_place_for_backups_as_a_stick_is() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::new(folder.path());
        assert!(!look(&files).has_place);
        let settings = r#"{"settings":{"backup":{"url":"sftp://perch@nas/x"}}}"#;
        let everyone = crate::files::Access::Everyone;
        files
            .replace("/var/lib/perch/box.json", settings.as_bytes(), everyone)
            .unwrap();
        assert!(look(&files).has_place);
    }

    #[test]
    fn who_never_wanted_a_backup_is_told_and_not_refused() {
        assert_eq!(BackupAge::NeverSetUp.refusal(), None);
        assert!(BackupAge::NeverSetUp.line(NOW).contains("nowhere else"));
        for age in [
            BackupAge::Missing,
            BackupAge::Damaged,
            BackupAge::Old { at: 0, days: 9 },
        ] {
            let refusal = age.refusal().unwrap();
            assert!(refusal.contains("make a backup"), "{refusal}");
            assert!(refusal.contains("--without-backup"), "{refusal}");
        }
    }

    #[test]
    fn at_night_a_newer_one_is_made_where_the_owner_has_them() {
        let old = BackupAge::Old { at: 0, days: 9 };
        for (age, has_place, unit) in [
            (old, true, Some("perch-backup@night.service")),
            (old, false, Some("perch-backup@now.service")),
            (BackupAge::NeverSetUp, false, None),
            (BackupAge::Fresh { at: NOW }, true, None),
        ] {
            assert_eq!(age.remedy(&backups(has_place, None, None)), unit, "{age:?}");
        }
    }
}
