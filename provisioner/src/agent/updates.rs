//! The commands about updates. What takes long is left to a unit of its own (`update::job`).

use std::fs::File;
use std::io::Read;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::command::{Actor, Answer, Command, Refusal, Reply, Why};
use crate::settings::apply::Machine;
use crate::update::backup_age::{self, BackupAge};
use crate::update::channel::{self, Source};
use crate::update::failed_journal::FAILED_JOURNAL;
use crate::update::job::{self, Job, Order};
use crate::update::kept::{Kept, SchemaGap, Trouble};
use crate::update::machine::{Slot, State};
use crate::update::progress::Progress;
use crate::update::stick::{self, Look, StickView};
use crate::update::stick_copy::Chosen;
use crate::update::{database, health, slots};

/// Jobs are begun one after the other.
const LOCK: &str = "/run/perch-agent/update.lock";
/// Some thousand lines for each of three starts are shorter.
const LONGEST_JOURNAL: u64 = 4 << 20;

/// All that is known of updates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateView {
    /// The version that runs.
    pub running: String,
    /// Where. Absent: the box was not started from a slot.
    pub slot: Option<Slot>,
    /// The version in the other slot. Absent: not known.
    pub other: Option<String>,
    /// Whether the other slot has something else that the box could start.
    pub may_go_back: bool,
    /// Why it would be of no use. Absent: nothing is known against it.
    pub no_way_back: Option<SchemaGap>,
    /// Why not all of an update that failed is undone. Absent: all is, or nothing kept it.
    pub left_over: Option<String>,
    /// When a trial that failed left what was written during it beside the database, in seconds since 1970. Absent: none has.
    pub aside: Option<i64>,
    /// Where an update is.
    pub update: State,
    /// Whether somebody is at work on it.
    pub is_under_way: bool,
    /// What was asked for and is not taken up yet.
    pub asked: Option<Job>,
    /// How far the other slot is written.
    pub progress: Option<Progress>,
    /// When the publisher was last heard, in seconds since 1970.
    pub checked: Option<i64>,
    /// Why what was asked for last was not begun.
    pub trouble: Option<Trouble>,
    /// The publisher's address. Absent: none is set.
    pub publisher: Option<String>,
    /// What is wrong with what was written down about the publisher.
    pub publisher_fault: Option<String>,
    /// Which of the publisher's lists is read.
    pub channel: String,
    /// When the box may install by itself, as `03:00-05:00`.
    pub window: String,
    /// Whether it does.
    pub is_automatic: bool,
    /// Whether a block of the running system is damaged.
    pub is_damaged: bool,
    /// Whether there is a journal of the slot that failed.
    pub has_journal: bool,
    /// What the newest backup's age means for an update.
    pub backup: BackupAge,
    /// The USB sticks that are plugged in, with the bundles that were found on them.
    pub sticks: Vec<StickView>,
}

pub(super) fn answer(machine: Machine<'_>, actor: &Actor, command: &Command) -> Reply {
    let files = machine.files;
    let who = |without: bool| without.then(|| actor.shown());
    match command {
        Command::UpdateState => {
            return Ok(Answer::UpdateState {
                state: Box::new(Kept::load(files)?.update),
                is_damaged: health::has_logged_damage(machine.system),
            });
        }
        Command::FailedJournal => return Ok(Answer::FailedJournal(journal(machine)?)),
        Command::CheckForUpdate => {
            Source::read(files)?.folder()?;
            begin(machine, Order::new(Job::Check, None), |_| true)?;
        }
        Command::InstallUpdate {
            version,
            without_backup,
        } => {
            let order = Order::new(Job::Install, who(*without_backup));
            begin(machine, order, |view| {
                available(&view.update) == Some(version)
            })?;
        }
        Command::InstallUpload { without_backup } => {
            let order = Order::new(Job::Upload, who(*without_backup));
            begin(machine, order, |_| true)?;
        }
        Command::LookAtSticks => stick::ask(machine)?,
        Command::InstallFromStick {
            chosen,
            without_backup,
        } => {
            let order = Order {
                chosen: Some(chosen.clone()),
                ..Order::new(Job::Stick, who(*without_backup))
            };
            begin(machine, order, |view| is_there(view, chosen))?;
        }
        Command::GoBack => begin(machine, Order::new(Job::Rollback, None), |view| {
            view.may_go_back
        })?,
        _ => return Ok(Answer::Updates(Box::new(view(machine)?))),
    }
    Ok(Answer::Done)
}

/// The version that can be installed. `None`: none, or only what the other slot has already.
#[must_use]
pub fn available(state: &State) -> Option<&String> {
    match state {
        State::Available { release } => release.source.as_ref().map(|_| &release.version),
        _ => None,
    }
}

/// Whether a bundle was found on a stick that is still plugged in.
fn is_there(view: &UpdateView, chosen: &Chosen) -> bool {
    let mut sticks = view.sticks.iter();
    let stick = sticks.find(|stick| stick.id == chosen.stick);
    match stick.map(|stick| &stick.look) {
        Some(Look::Found(bundles)) => bundles.iter().any(|bundle| bundle.name == chosen.name),
        _ => false,
    }
}

/// Whether a state stays as it is until somebody wants something.
#[must_use]
pub fn is_at_rest(state: &State) -> bool {
    use State::{Available, Committed, Failed, Idle};
    matches!(
        state,
        Idle | Available { .. } | Committed { .. } | Failed { .. }
    )
}

fn begin(
    machine: Machine<'_>,
    order: Order,
    makes_sense: impl FnOnce(&UpdateView) -> bool,
) -> Result<(), Refusal> {
    let _lock = machine.files.lock(LOCK)?;
    let view = view(machine)?;
    if view.is_under_way {
        return Err(Refusal::new(Why::UnderWay, "an update is under way"));
    }
    if !makes_sense(&view) {
        return Err(Refusal::new(
            Why::Invalid,
            "the other slot has changed, or another version is available, since the page was opened",
        ));
    }
    Ok(job::start(machine, order)?)
}

fn view(machine: Machine<'_>) -> anyhow::Result<UpdateView> {
    let Machine { files, system } = machine;
    let now = system.now().unix_timestamp();
    let mut is_under_way = job::is_at_work(files, now);
    let kept = Kept::load(files)?;
    if !is_at_rest(&kept.update) {
        // Whoever has begun in between is at work, and has not left something half done.
        let is_on_trial = matches!(kept.update, State::Trial { .. });
        is_under_way |= is_on_trial || job::is_at_work(files, now);
    }
    let slot = slots::booted(files).ok();
    let running = channel::running(files).unwrap_or_else(|_| env!("CARGO_PKG_VERSION").to_owned());
    // RAUC says nothing while it writes.
    let known = if is_under_way {
        Vec::new()
    } else {
        slots::known(system)
    };
    let other = slot.and_then(|slot| known.iter().find(|known| known.slot == slot.other()));
    // What the card was written with is in both slots; another version is there once one was installed.
    let was_updated = known.iter().any(|known| known.version.is_some());
    let version = other.and_then(|other| other.version.clone());
    let version = kept.other_version(version, &running);
    // The agent may not read the database itself.
    let no_way_back = kept.too_new_for(version.as_deref(), None);
    let (source, publisher_fault) = match Source::read(files) {
        Ok(source) => (source, None),
        Err(error) => (Source::default(), Some(format!("{error:#}"))),
    };
    Ok(UpdateView {
        may_go_back: was_updated
            && no_way_back.is_none()
            && other.is_some_and(|other| !other.is_bad),
        no_way_back,
        aside: database::aside(files),
        other: version,
        slot,
        is_under_way,
        asked: job::asked(files, now),
        progress: Progress::look(system, &kept),
        checked: kept.checked,
        is_automatic: source.automatic,
        channel: source.channel().to_owned(),
        window: source.window.unwrap_or_default().to_string(),
        publisher: source.url,
        publisher_fault,
        is_damaged: health::has_logged_damage(system),
        has_journal: has_journal(&kept.update) && files.path(FAILED_JOURNAL).exists(),
        backup: backup_age::judge(&backup_age::look(files), now),
        sticks: stick::views(files, now),
        left_over: kept.left_over,
        trouble: kept.trouble,
        update: kept.update,
        running,
    })
}

fn has_journal(state: &State) -> bool {
    matches!(state, State::Failed { boots, .. } if !boots.is_empty())
}

fn journal(machine: Machine<'_>) -> anyhow::Result<String> {
    let place = machine.files.path(FAILED_JOURNAL);
    let mut text = Vec::new();
    let read =
        File::open(&place).and_then(|file| file.take(LONGEST_JOURNAL).read_to_end(&mut text));
    read.with_context(|| format!("reading {}", place.display()))?;
    // Programs may log anything.
    Ok(String::from_utf8_lossy(&text).into_owned())
}
