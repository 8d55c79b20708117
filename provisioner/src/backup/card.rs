//! A new box becomes that of a backup which `perch.toml` names, as in the wizard but without anybody at a browser. It happens at a
//! start, before anything of the box runs, and once only: a box that has an owner passes it over. What does not work leaves a new
//! box, which tries again at its next start.

use std::time::{Duration, Instant};

use anyhow::{Error, Result};
use settings_file::Problem;

use super::job::Source;
use super::key::BoxKey;
use super::open::Fault;
use super::outcome::{Outcome, Outcomes};
use super::restore::{self, Ready};
use super::source::{NotThere, find};
use super::stick;
use crate::agent::claim::{self, Claim};
use crate::files::{Files, PowerCut};
use crate::firstboot::card;
use crate::firstboot::state::BoxState;
use crate::settings::apply::Machine;
use crate::settings::keys::quoted;
use crate::settings::read::Restore;
use crate::settings::secrets::Secrets;

/// The file that asks for it, which stands for whoever wrote it.
pub const WHO: &str = "perch.toml";
/// What came of it, among [`Outcomes`]. A restored box has it, too: it is in no backup.
const KIND: &str = "card";
/// How long a stick may take to be found after the machine was switched on.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(100);

/// Whether a box is as it came: nobody owns it, nobody was invited to it, and it has not become another one.
#[must_use]
pub fn is_new(files: &Files, state: &BoxState) -> bool {
    let claim = claim::current(files, state);
    claim.is_ok_and(|claim| !matches!(claim, Claim::Made { .. }))
        && state.invitations_printed == 0
        && !is_restored(files)
}

fn outcome(files: &Files) -> Option<Outcome> {
    Outcomes::load(files).0.remove(KIND)
}

fn is_restored(files: &Files) -> bool {
    outcome(files).is_some_and(|outcome| outcome.error.is_none())
}

/// Prepares the restore that the card asks for, so that [`restore::finish`] carries it out. Returns the problem if it cannot be.
///
/// # Errors
/// What came of it cannot be kept.
pub fn prepare(machine: Machine<'_>) -> Result<Option<String>> {
    let files = machine.files;
    let is_new = BoxState::load(files).is_ok_and(|state| is_new(files, &state));
    if restore::is_ready(files) {
        return Ok(None);
    }
    let Some(asked) = asked(files).filter(|_| is_new) else {
        if !is_restored(files) {
            // What did not work at an earlier start is over.
            Outcomes::forget(files, KIND)?;
        }
        return Ok(None);
    };
    let Err(error) = try_it(machine, &asked) else {
        return Ok(None);
    };
    if is_power_cut(&error) {
        return Err(error);
    }
    let problem = explain(&asked, &error);
    keep(machine, failed(problem.clone()))?;
    Ok(Some(problem))
}

/// What the card asks for now. `None`: nothing, or its file has a problem, which the first boot names.
fn asked(files: &Files) -> Option<Restore> {
    let secrets = Secrets::load(files).unwrap_or_default();
    card::read(files, &secrets, &Default::default(), None)
        .wishes
        .restore
}

fn try_it(machine: Machine<'_>, asked: &Restore) -> Result<()> {
    let Some(key) = &asked.key else {
        return Err(NoWords.into());
    };
    let from = match asked.from.as_str() {
        "usb" => Source::Stick,
        name => Source::Card {
            name: name.to_owned(),
        },
    };
    if from == Source::Stick {
        wait_for_stick(machine.files);
    }
    let identity = BoxKey::of(key, 0)?.identity()?;
    let found = find(machine, &from)?;
    restore::prepare(machine, &found.place, &identity, WHO)?;
    Ok(())
}

/// The start is ahead of USB, whose devices take seconds to be found.
fn wait_for_stick(files: &Files) {
    let begun = Instant::now();
    while files.is_running_system()
        && stick::plugged_in(files).is_empty()
        && begun.elapsed() < PATIENCE
    {
        std::thread::sleep(PAUSE);
    }
}

/// The card has no recovery key.
#[derive(Debug, thiserror::Error)]
#[error("no recovery key is there")]
struct NoWords;

fn is_power_cut(error: &Error) -> bool {
    let inner = match error.downcast_ref::<Fault>() {
        Some(Fault::Box(inner)) => inner,
        _ => error,
    };
    inner.is::<PowerCut>()
}

/// An error in the form of every problem of `perch.toml`.
fn explain(asked: &Restore, error: &Error) -> String {
    let [line, words_line] = asked.lines;
    let value = quoted(asked.from.as_str());
    let place = |found: String, accepted: &str| ("restore_from", line, found, accepted.to_owned());
    let words = |found: &str| {
        let accepted = "the twelve words of the backup's recovery key".to_owned();
        ("restore_words", words_line, found.to_owned(), accepted)
    };
    let whole = "a whole backup of a Perch box";
    let (key, line, found, accepted) = match (
        error.downcast_ref::<NotThere>(),
        error.downcast_ref::<Fault>(),
    ) {
        _ if error.is::<NoWords>() => words("nothing"),
        (Some(NotThere::NoFile(_)), _) => place(
            format!("{value}, and no such file on this card"),
            "the name of a backup beside this file",
        ),
        (Some(not_there), _) => place(
            format!("{value}, and {not_there}"),
            "a stick with a backup that is plugged in before the box is switched on",
        ),
        (_, Some(Fault::WrongKey)) => words("the words of another recovery key"),
        (_, Some(Fault::Newer(version))) => place(
            format!("{value}, which was made by version {version}"),
            concat!(
                "a backup of version ",
                env!("CARGO_PKG_VERSION"),
                " or an earlier one"
            ),
        ),
        (_, Some(fault @ (Fault::Foreign | Fault::Damaged(_)))) => {
            place(format!("{value}, and {fault}"), whole)
        }
        _ => place(
            format!("{value}, which cannot be restored: {error:#}"),
            whole,
        ),
    };
    Problem {
        file: WHO.to_owned(),
        line,
        key: key.to_owned(),
        found,
        accepted,
        hint: None,
    }
    .to_string()
}

fn failed(error: String) -> Outcome {
    Outcome {
        error: Some(error),
        ..Outcome::default()
    }
}

fn keep(machine: Machine<'_>, outcome: Outcome) -> Result<()> {
    let at = machine.system.now().unix_timestamp();
    Outcomes::note(machine.files, KIND, Outcome { at, ..outcome })
}

/// Keeps what came of the restore that the card asked for.
///
/// # Errors
/// Only a test's power cut: what cannot be kept must not let the restore begin again.
pub(super) fn note(machine: Machine<'_>, done: &Result<Ready>) -> Result<()> {
    let outcome = match (done, asked(machine.files)) {
        (Ok(ready), _) => Outcome {
            name: ready.manifest.domain.clone(),
            counts: Some(ready.counts.clone()),
            ..Outcome::default()
        },
        (Err(error), Some(asked)) => failed(explain(&asked, error)),
        (Err(error), None) => failed(format!("{WHO}: {error:#}")),
    };
    match keep(machine, outcome) {
        Err(error) if is_power_cut(&error) => Err(error),
        Err(error) => {
            eprintln!("<3>what came of the restore: {error:#}");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

/// Why the restore that the card asks for did not work at this start.
#[must_use]
pub fn problem(files: &Files) -> Option<String> {
    outcome(files)?.error
}

/// What `perch-status.txt` says of it besides problems; `asked`: whether the card asks for it. `None`: nothing.
#[must_use]
pub fn told(files: &Files, state: &BoxState, asked: bool) -> Option<String> {
    match outcome(files) {
        Some(Outcome {
            error: None,
            counts: Some(counts),
            name,
            ..
        }) => Some(format!(
            "Restored from a backup: {name}, {} people, {} messages, {} files\n",
            counts.people, counts.messages, counts.uploads
        )),
        None if asked && !is_new(files, state) => Some(
            "restore_from: passed over, as this box is no new one (after a factory reset it is)\n"
                .to_owned(),
        ),
        _ => None,
    }
}
