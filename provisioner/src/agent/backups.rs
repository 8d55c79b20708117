//! The commands about backups. What takes long is left to a process of its own (`backup::job`).

use serde::{Deserialize, Serialize};

use super::command::{Actor, Answer, Command, Refusal, Reply, Why};
use crate::backup::job::{self, Job};
use crate::backup::key::{self, BoxKey, RecoveryKey};
use crate::backup::outcome::Outcomes;
use crate::backup::shelf::Lying;
use crate::backup::stick::{Accepted, Stick};
use crate::backup::target::{self, host_key, state};
use crate::backup::{FOLDER, key_check, restore, shelf, source, stick};
use crate::settings::apply::Machine;

/// Keys are made and confirmed one after the other.
const LOCK: &str = "/run/perch-agent/recovery-key.lock";

/// What is known of backups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupView {
    /// When the recovery key was confirmed, in seconds since 1970. Absent: there is none.
    pub key_made: Option<i64>,
    /// The numbers of the two words of it that are asked for now. Absent: none are.
    #[serde(default)]
    pub key_check: Option<[usize; 2]>,
    /// The backups on the box, newest first.
    pub on_the_box: Vec<Lying>,
    /// The stick that the owner has accepted.
    pub accepted: Option<Accepted>,
    /// The sticks with the label that are plugged in.
    pub sticks: Vec<Stick>,
    /// The backups on the first of these sticks, newest first. Absent: nobody has looked.
    pub on_the_stick: Option<Vec<Lying>>,
    /// The target of the settings. Absent: they have none.
    pub target: Option<state::TargetView>,
    /// The kind of the job that is under way.
    pub under_way: Option<String>,
    /// Whether a restore waits for the next start.
    pub is_restoring: bool,
    /// What came of the last jobs.
    pub outcomes: Outcomes,
}

/// What can be asked about the target of backups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum TargetCommand {
    /// Make a backup, and send it there.
    Send,
    /// See whether it can be used, and what lies there.
    Look,
    /// Accept the host key that its server has shown.
    AcceptHostKey {
        /// Its fingerprint, as it was read on the page.
        fingerprint: String,
    },
    /// Accept no host key of its server any more.
    ForgetHostKey,
}

impl TargetCommand {
    /// Its name in the log.
    pub(super) fn logged_as(&self) -> &'static str {
        match self {
            Self::Send => "backup.send",
            Self::Look => "backup.look-at-target",
            Self::AcceptHostKey { .. } => "backup.accept-host-key",
            Self::ForgetHostKey => "backup.forget-host-key",
        }
    }

    /// What it is about, for the log.
    pub(super) fn subject(&self) -> String {
        match self {
            Self::AcceptHostKey { fingerprint } => fingerprint.clone(),
            _ => String::new(),
        }
    }
}

pub(super) fn answer(machine: Machine<'_>, actor: &Actor, command: &Command) -> Reply {
    let files = machine.files;
    match command {
        Command::NewRecoveryKey => {
            let _lock = files.lock(LOCK)?;
            let words = key::begin(files)?.words()?;
            let words = words.into_iter().map(str::to_owned).collect();
            return Ok(Answer::RecoveryKey(words));
        }
        Command::ConfirmRecoveryKey { words } => {
            let _lock = files.lock(LOCK)?;
            let now = machine.system.now().unix_timestamp();
            if !key::confirm(files, words, now)? {
                return Err(Refusal::new(
                    Why::Invalid,
                    "other words than those of the key",
                ));
            }
        }
        Command::CheckRecoveryKey { words } => {
            let _lock = files.lock(LOCK)?;
            if !key_check::answer(files, words)? {
                return Err(Refusal::new(
                    Why::Invalid,
                    "other words than those of the key",
                ));
            }
        }
        Command::AcceptStick { serial } => {
            if !stick::accept(files, serial)? {
                return Err(Refusal::new(Why::Invalid, "no such stick is plugged in"));
            }
        }
        Command::ForgetStick => stick::forget(files)?,
        Command::MakeBackup => job::start(machine, &Job::Make)?,
        Command::BackUpToStick => job::start(machine, &Job::Stick)?,
        Command::Target(command) => at_target(machine, command)?,
        Command::RunDrill => job::start(machine, &Job::Drill)?,
        Command::LookAtStick => job::start(machine, &Job::LookAtStick)?,
        Command::Restore { from, words } => {
            let key = RecoveryKey::of_words(words);
            key.map_err(|fault| Refusal::new(Why::Invalid, fault.to_string()))?;
            let job = Job::Restore {
                from: from.clone(),
                words: words.clone(),
                who: actor.shown(),
            };
            job::start(machine, &job)?;
        }
        _ => return Ok(Answer::Backups(Box::new(view(machine)?))),
    }
    Ok(Answer::Done)
}

fn at_target(machine: Machine<'_>, command: &TargetCommand) -> Result<(), Refusal> {
    let files = machine.files;
    match command {
        TargetCommand::Send => job::start(machine, &Job::MakeAndSend)?,
        TargetCommand::Look => job::start(machine, &Job::Look)?,
        TargetCommand::AcceptHostKey { fingerprint } => {
            let target = target::configured(machine);
            let accepted = target.map(|target| state::accept(files, &target, fingerprint));
            if !accepted.transpose()?.unwrap_or_default() {
                return Err(Refusal::new(Why::Invalid, "no such host key waits"));
            }
        }
        TargetCommand::ForgetHostKey => host_key::forget(files)?,
    }
    Ok(())
}

fn view(machine: Machine<'_>) -> anyhow::Result<BackupView> {
    let files = machine.files;
    let sticks = stick::plugged_in(files);
    let key = BoxKey::load(files)?;
    let now = machine.system.now().unix_timestamp();
    let due = key
        .as_ref()
        .filter(|key| now - key.made >= key_check::AFTER);
    Ok(BackupView {
        on_the_stick: sticks.first().and_then(|s| source::seen(files, &s.serial)),
        key_check: due.and_then(|key| Some(key.check.as_ref()?.asked)),
        key_made: key.map(|key| key.made),
        on_the_box: shelf::list(&files.path(FOLDER)),
        accepted: stick::accepted(files)?,
        sticks,
        target: state::view(files)?,
        under_way: job::under_way(files),
        is_restoring: restore::is_ready(files),
        outcomes: Outcomes::load(files),
    })
}
