//! Each command, carried out.

use anyhow::Context;
use settings_file::Problems;

use super::audit::{self, Entry};
use super::command::{
    Actor, Answer, Changed, Command, PowerView, Refusal, Reply, Request, SettingsView, Why,
};
use super::{backups, claim, clock, status, support, unlock, updates};
use crate::acme::job;
use crate::firstboot::certificates::AUTHORITY;
use crate::firstboot::state::BoxState;
use crate::model::AccountName;
use crate::power::{self, LocalTime, NoPlan, Power};
use crate::settings::apply::Machine;
use crate::settings::change::{self, Done, request_of_pairs, request_of_undo};
use crate::settings::keys::KEYS;
use crate::settings::secrets::Secrets;
use crate::settings::trial::Trial;
use crate::tuning::report::Report;

/// Claims are decided one after the other.
const LOCK: &str = "/run/perch-agent/claim.lock";
/// The longest list of the log.
const MOST_ENTRIES: usize = 1000;

/// Carries a command out and writes it into the log, whatever came of it.
pub fn carry_out(machine: Machine<'_>, request: &Request) -> Reply {
    let Request { actor, command } = request;
    let reply = answer(machine, actor, command);
    if let Some(action) = command.logged_as() {
        let entry = Entry {
            at: String::new(),
            who: actor.shown(),
            action: action.to_owned(),
            subject: command.subject(),
            error: reply.as_ref().err().map(|refusal| refusal.text.clone()),
        };
        if let Err(error) = audit::add(machine.files, machine.system.now(), entry) {
            // A full disk must not keep the owner from mending it.
            eprintln!("<3>the log of administration: {error:#}");
        }
    }
    reply
}

fn answer(machine: Machine<'_>, actor: &Actor, command: &Command) -> Reply {
    let Machine { files, system } = machine;
    match command {
        Command::Status => Ok(Answer::Status(Box::new(status::look(files, system)?))),
        Command::Authority => {
            let text = files.read(AUTHORITY)?;
            Ok(Answer::Authority(
                text.context("there is no authority yet")?,
            ))
        }
        Command::Claim { code, visit } => {
            let _lock = files.lock(LOCK)?;
            let wanted = Secrets::load(files)?.setup_code;
            let (now, code) = (system.now(), code.as_deref());
            claim::begin(files, now, &wanted, actor.address, code, visit)?;
            Ok(Answer::Done)
        }
        Command::FinishClaim { visit } => {
            let _lock = files.lock(LOCK)?;
            let name = actor.name.as_ref().map(AccountName::as_str);
            let name = name.context("nobody has signed in")?;
            claim::finish(files, system.now(), name, actor.address, visit)?;
            Ok(Answer::Done)
        }
        Command::FinishSetup => claim::set_up(files).map(|()| Answer::Done),
        Command::SetClock { unix } => clock::set(files, system, *unix).map(|()| Answer::Done),
        Command::ChangeSettings { pairs, dry_run } => {
            change_settings(machine, actor, pairs, *dry_run)
        }
        Command::UndoSettings { number } => {
            let request = request_of_undo(machine, Some(*number)).map_err(invalid)?;
            let done = change::change(machine, &request, &actor.shown())?;
            Ok(Answer::Changed(changed(done)))
        }
        Command::ConfirmNetwork { reached } => {
            if let Some(reached) = reached
                && !change::is_shown_by(machine, *reached)?
            {
                let text =
                    format!("came to {reached}, which is no address of the network on trial");
                return Err(Refusal::new(Why::Elsewhere, text));
            }
            change::confirm(machine)?;
            Ok(Answer::Done)
        }
        Command::Settings => Ok(Answer::Settings(Box::new(settings(machine)?))),
        Command::TakeUnlock => Ok(Answer::Unlock(unlock::take(files)?)),
        Command::Record {
            action,
            subject,
            error,
        } => {
            let entry = Entry {
                at: String::new(),
                who: actor.shown(),
                action: action.clone(),
                subject: subject.clone(),
                error: error.clone(),
            };
            audit::add(files, system.now(), entry)?;
            Ok(Answer::Done)
        }
        Command::Audit { most } => Ok(Answer::Audit(audit::last(
            files,
            (*most).min(MOST_ENTRIES),
        )?)),
        Command::Certificate => Ok(Answer::Certificate(Box::new(job::view(machine)?))),
        Command::RenewCertificate => {
            job::ask(machine)?;
            Ok(Answer::Done)
        }
        Command::Backups
        | Command::NewRecoveryKey
        | Command::ConfirmRecoveryKey { .. }
        | Command::CheckRecoveryKey { .. }
        | Command::AcceptStick { .. }
        | Command::ForgetStick
        | Command::MakeBackup
        | Command::BackUpToStick
        | Command::Target(_)
        | Command::RunDrill
        | Command::LookAtStick
        | Command::Restore { .. } => backups::answer(machine, actor, command),
        Command::UpdateState
        | Command::Updates
        | Command::CheckForUpdate
        | Command::InstallUpdate { .. }
        | Command::InstallUpload { .. }
        | Command::LookAtSticks
        | Command::InstallFromStick { .. }
        | Command::GoBack
        | Command::FailedJournal => updates::answer(machine, actor, command),
        Command::Support => Ok(Answer::Support(Box::new(support::facts(machine)?))),
        Command::SupportFile => Ok(Answer::SupportFile(support::file(machine)?)),
        Command::FactoryReset { keep_backups } => {
            crate::reset::ask(files, *keep_backups)?;
            system.restart()?;
            Ok(Answer::Done)
        }
        Command::Restart => go_down(machine, Power::Restart),
        Command::ShutDown => go_down(machine, Power::ShutDown),
        Command::PowerPlan => Ok(Answer::PowerPlan(power_view(machine)?)),
        Command::PlanPower { what, at } => {
            let when = at
                .parse::<LocalTime>()
                .map_err(|fault| invalid(fault.into()))?;
            let planned = power::plan(machine, *what, &when, &actor.shown());
            planned.map_err(|error| match error.is::<NoPlan>() {
                true => invalid(error),
                false => error.into(),
            })?;
            Ok(Answer::Done)
        }
        Command::CancelPower => {
            power::cancel(machine)?;
            Ok(Answer::Done)
        }
    }
}

fn go_down(machine: Machine<'_>, what: Power) -> Reply {
    what.carry_out(machine.system)?;
    Ok(Answer::Done)
}

fn power_view(machine: Machine<'_>) -> anyhow::Result<PowerView> {
    let Machine { files, system } = machine;
    let now = system.now().unix_timestamp();
    let plan = power::planned(files, now)?;
    Ok(PowerView {
        at: plan.as_ref().and_then(|plan| power::local(system, plan.at)),
        plan,
        clock: power::local(system, now),
    })
}

fn invalid(error: anyhow::Error) -> Refusal {
    let problems = error.downcast_ref::<Problems>();
    Refusal {
        bad_values: problems.map_or_else(Vec::new, |all| all.iter().map(Into::into).collect()),
        ..Refusal::new(Why::Invalid, format!("{error:#}"))
    }
}

fn change_settings(
    machine: Machine<'_>,
    actor: &Actor,
    pairs: &[(String, String)],
    dry_run: bool,
) -> Reply {
    let request = request_of_pairs(machine, pairs).map_err(invalid)?;
    let done = if dry_run {
        change::preview(machine, &request)?
    } else {
        change::change(machine, &request, &actor.shown())?
    };
    Ok(Answer::Changed(changed(done)))
}

fn changed(done: Done) -> Changed {
    Changed {
        steps: done.plan.steps(),
        changes: done.plan.changes,
        number: done.number,
        on_trial: done.on_trial,
        warning: done.warning,
    }
}

fn settings(machine: Machine<'_>) -> anyhow::Result<SettingsView> {
    let state = BoxState::load(machine.files)?;
    Ok(SettingsView {
        values: KEYS
            .iter()
            .map(|key| (key.name.to_owned(), (key.show)(&state.settings)))
            .collect(),
        on_trial: state.trial != Trial::Settled,
        history: state.history,
        tuning: Report::last(machine.files)?,
    })
}
