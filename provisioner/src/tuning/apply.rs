//! Carries out a plan: writes, reads back, and says what came of it.

use super::machine::Machine;
use super::plan::{Change, State, Step, Target, normal, plan};
use super::report::{Outcome, Row};
use super::setting::Setting;

/// What would be done, without changing anything.
pub fn preview(machine: &Machine<'_>, settings: &[Setting]) -> Vec<Row> {
    steps(machine, settings)
        .into_iter()
        .map(|step| {
            let (outcome, note) = match &step.change {
                Change::None => (Outcome::Unchanged, String::new()),
                Change::Write(_) => (Outcome::WouldApply, String::new()),
                Change::NotAvailable(why) => (Outcome::NotAvailable, why.clone()),
                Change::Broken(why) => (Outcome::Failed, why.clone()),
            };
            row(&step, step.before.clone(), outcome, note)
        })
        .collect()
}

/// Applies the settings one after the other; a failed one does not stop the others.
pub fn apply(machine: &Machine<'_>, settings: &[Setting]) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut journald_rows = Vec::new();
    for step in steps(machine, settings) {
        let row = carry_out(machine, &step);
        if matches!(step.target, Target::Journald(_)) && row.outcome == Outcome::Applied {
            journald_rows.push(rows.len());
        }
        rows.push(row);
    }
    if !journald_rows.is_empty()
        && let Err(error) = machine.restart_journald()
    {
        for index in journald_rows {
            if let Some(row) = rows.get_mut(index) {
                row.outcome = Outcome::Failed;
                row.note = format!("{error:#}");
            }
        }
    }
    rows
}

fn steps(machine: &Machine<'_>, settings: &[Setting]) -> Vec<Step> {
    settings
        .iter()
        .flat_map(|setting| plan(setting, &machine.observe(setting)))
        .map(|step| possible(machine, step))
        .collect()
}

/// A file that the kernel lets nobody write is none of this machine's settings.
fn possible(machine: &Machine<'_>, mut step: Step) -> Step {
    if let (Change::Write(_), Target::File(path)) = (&step.change, &step.target)
        && machine.is_read_only(path)
    {
        step.change = Change::NotAvailable("this kernel lets nobody change it".to_owned());
    }
    step
}

fn carry_out(machine: &Machine<'_>, step: &Step) -> Row {
    let value = match &step.change {
        Change::None => {
            return row(step, step.before.clone(), Outcome::Unchanged, String::new());
        }
        Change::NotAvailable(why) => return row(step, None, Outcome::NotAvailable, why.clone()),
        Change::Broken(why) => return row(step, None, Outcome::Failed, why.clone()),
        Change::Write(value) => value,
    };
    let written = machine.write(&step.target, value);
    let (now, offered) = match machine.read(&step.target) {
        Ok(State::Value { value, offered }) => (Some(value), offered),
        Ok(State::Absent(_) | State::Unreadable(_)) | Err(_) => (None, None),
    };
    let took = now
        .as_deref()
        .is_some_and(|now| normal(now) == normal(value));
    let (outcome, note) = match (written, took) {
        (Ok(()), true) => (Outcome::Applied, String::new()),
        (Ok(()), false) => (
            Outcome::Failed,
            format!("wrote {value}, but it does not read back"),
        ),
        (Err(error), _) => match offered {
            Some(offered) if !offered.contains(value) && matches!(step.target, Target::File(_)) => {
                (
                    Outcome::NotAvailable,
                    format!("this kernel offers only {}", offered.join(", ")),
                )
            }
            _ => (Outcome::Failed, format!("{error:#}")),
        },
    };
    row(step, now, outcome, note)
}

fn row(step: &Step, now: Option<String>, outcome: Outcome, note: String) -> Row {
    Row {
        name: step.name.clone(),
        place: step.target.place(),
        wanted: step.wanted.clone(),
        before: step.before.clone(),
        now,
        outcome,
        // Programs complain in several lines; the table has one for each setting.
        note: normal(&note),
        reason: step.reason.clone(),
        source: step.source.clone(),
    }
}
