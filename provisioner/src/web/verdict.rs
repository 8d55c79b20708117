//! The one sentence that says whether all is well, and what to do if not.

use crate::acme::machine::State as Certificate;
use crate::agent::backups::BackupView;
use crate::agent::status::BoxStatus;
use crate::agent::updates::available;
use crate::backup::target::fault::Kind;
use crate::disk::State;
use crate::update::machine::State as UpdateState;
use crate::web::figures::Figures;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// All is well.
    Well,
    /// Something is worth doing some time.
    Soon,
    /// Something is wrong.
    Unwell,
}

/// What the sentence is made from.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Whether the chat server answers.
    pub chat: bool,
    /// What the agent knows.
    pub status: &'a BoxStatus,
    /// What it knows of backups. Absent: nothing.
    pub backups: Option<&'a BackupView>,
    /// Where an update is. Absent: not known.
    pub update: Option<&'a UpdateState>,
    /// Where the certificate for the domain is. Absent: not known.
    pub certificate: Option<&'a Certificate>,
    /// Whether a block of the running system is damaged.
    pub is_damaged: bool,
    /// How the machine is.
    pub figures: &'a Figures,
    /// In how many days the disk is full.
    pub days_left: Option<u64>,
    /// Now, in seconds since 1970.
    pub now: i64,
}

/// Hotter than this (in tenths of a degree), the processor slows down.
const HOT: i64 = 800;
/// A disk with less than this free has no room for what SQLite does.
const FULL: u64 = 256 << 20;
/// The days in which somebody should do something about the disk.
const SOON_FULL: u64 = 21;
/// Time servers are heard within so many seconds of a start, or not.
pub const PATIENCE: u64 = 900;
/// A backup older than this (in seconds) is as good as none.
const OLD: i64 = 30 * 86_400;
/// Another computer may be off for a night or two.
const AWAY: i64 = 3 * 86_400;

/// The worst thing first: a level and the key of its text.
pub fn verdict(facts: &Facts<'_>) -> (Level, &'static str) {
    let Facts {
        figures, status, ..
    } = facts;
    let little_memory = figures.memory > 0 && figures.memory_free < figures.memory / 16;
    let unwell = [
        (!facts.chat, "home-no-chat"),
        (figures.disk_errors > 0, "home-disk-errors"),
        (disk_is(figures, State::Failing), "home-disk-failing"),
        (facts.is_damaged, "update-damaged"),
        (
            figures.disk > 0 && figures.disk_free < FULL,
            "home-disk-full",
        ),
        (figures.low_voltage == Some(true), "home-low-voltage"),
        (is_hot(figures), "home-hot"),
        (little_memory, "home-memory-low"),
    ];
    if let Some((_, key)) = unwell.into_iter().find(|(is_so, _)| *is_so) {
        return (Level::Unwell, key);
    }
    let alone = !status.clock_is_synchronised && status.uptime > PATIENCE;
    let soon = [
        (
            facts.days_left.is_some_and(|days| days < SOON_FULL),
            "home-disk-soon",
        ),
        (figures.worn.is_some_and(|tenths| tenths >= 9), "home-worn"),
        (disk_is(figures, State::Worn), "home-worn"),
        (ends_soon(facts), "home-certificate-soon"),
        (
            matches!(
                facts.certificate,
                Some(Certificate::Failed { held: None, .. })
            ),
            "home-certificate-failed",
        ),
        (cannot_be_restored(facts), "home-drill-failed"),
        (has_failed(facts, "stick"), "home-backup-failed"),
        (is_target_behind(facts), "home-target-failed"),
        (is_without_backup(facts), "home-no-backup"),
        (alone, "home-no-time"),
        (
            matches!(facts.update, Some(UpdateState::Failed { .. })),
            "home-update-failed",
        ),
        (
            facts
                .update
                .is_some_and(|update| available(update).is_some()),
            "home-update-available",
        ),
    ];
    match soon.into_iter().find(|(is_so, _)| *is_so) {
        Some((_, key)) => (Level::Soon, key),
        None => (Level::Well, "home-well"),
    }
}

fn disk_is(figures: &Figures, state: State) -> bool {
    figures
        .health
        .as_ref()
        .is_some_and(|disk| disk.state == state)
}

fn is_hot(figures: &Figures) -> bool {
    figures.temperature.is_some_and(|tenths| tenths > HOT)
}

/// The certificate that is in service could not be renewed for long.
fn ends_soon(facts: &Facts<'_>) -> bool {
    let held = facts.certificate.and_then(Certificate::held);
    held.is_some_and(|held| held.ends_soon(facts.now))
}

fn has_failed(facts: &Facts<'_>, kind: &str) -> bool {
    let outcome = facts.backups.and_then(|view| view.outcomes.0.get(kind));
    outcome.is_some_and(|outcome| outcome.error.is_some())
}

/// Whether a backup was tried in vain. A target that could not be reached for that says nothing about its backups.
fn cannot_be_restored(facts: &Facts<'_>) -> bool {
    let of_target = facts
        .backups
        .filter(|view| view.target.is_some())
        .and_then(|view| view.outcomes.0.get("target-drill"));
    let is_bad = of_target.is_some_and(|outcome| {
        let there = matches!(outcome.target, Some(Kind::Altered | Kind::NoBackup));
        outcome.fault.is_some() || there
    });
    has_failed(facts, "drill") || is_bad
}

/// Whether the target has got nothing for days. One that was never reached is said at once: somebody has just set it up.
fn is_target_behind(facts: &Facts<'_>) -> bool {
    let Some(view) = facts.backups.filter(|view| view.target.is_some()) else {
        return false;
    };
    let outcome = view.outcomes.0.get("target");
    let failed = outcome.filter(|outcome| outcome.error.is_some());
    failed.is_some_and(|outcome| outcome.worked.is_none_or(|at| facts.now - at > AWAY))
}

fn is_without_backup(facts: &Facts<'_>) -> bool {
    let Some(view) = facts.backups else {
        return false;
    };
    let newest = view.outcomes.newest_backup();
    view.key_made.is_none() || newest.is_none_or(|at| facts.now - at > OLD)
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
