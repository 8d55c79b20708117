//! What can be asked of the agent, and what it answers.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::audit::Entry;
use super::backups::{BackupView, TargetCommand};
use super::status::BoxStatus;
use super::support::SupportFacts;
use super::updates::UpdateView;
use crate::acme::job::CertificateView;
use crate::backup::job::Source;
use crate::model::AccountName;
use crate::power::{Plan, Power};
use crate::settings::keys::{Change, can_be_undone};
use crate::settings::plan::Step;
use crate::update::machine::State;
use crate::update::stick_copy::Chosen;

/// Who is behind a command, as the web process knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Actor {
    /// The account. Absent: nobody has signed in.
    pub name: Option<AccountName>,
    /// Where the request came from. Absent: not over the network.
    pub address: Option<IpAddr>,
}

impl Actor {
    /// For the log, and for the history of the settings.
    pub fn shown(&self) -> String {
        let name = self.name.as_ref().map_or("nobody", AccountName::as_str);
        match self.address {
            Some(address) => format!("{name} ({address})"),
            None => name.to_owned(),
        }
    }
}

/// One line to the agent.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Who asks.
    pub actor: Actor,
    /// For what.
    pub command: Command,
}

/// Everything that the agent does for the web process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Command {
    /// What is known of the box. Changes nothing and is not logged, as all that only look.
    Status,
    /// The certificate of the box's authority. Public.
    Authority,
    /// Make the one at the actor's address the box's owner-to-be.
    Claim {
        /// The code of `perch.toml`. Absent: none was typed.
        code: Option<String>,
        /// By what the web process knows the browser again.
        visit: String,
    },
    /// The owner has an account now: nobody else can claim the box.
    FinishClaim {
        /// As above.
        visit: String,
    },
    /// The wizard has been gone through.
    FinishSetup,
    /// Set the clock, forward only.
    SetClock {
        /// Seconds since 1970 (UTC).
        unix: i64,
    },
    /// Change settings, or say what would change.
    ChangeSettings {
        /// Keys and values, as `provisioner settings set` takes them; an empty value brings the default back.
        pairs: Vec<(String, String)>,
        /// Only say what would be done.
        dry_run: bool,
    },
    /// Take a change of the settings back.
    UndoSettings {
        /// Its number in the history.
        number: u32,
    },
    /// The box can be reached over the network that is on trial.
    ConfirmNetwork {
        /// The box's address that the request came to. Absent: not known.
        reached: Option<IpAddr>,
    },
    /// The settings, their history, and the tuning values wanted and found.
    Settings,
    /// Whether the owner has asked on the card for sign-in without delay; the request is taken away.
    TakeUnlock,
    /// Write down what the web process has done itself.
    Record {
        /// What, such as `person.add`.
        action: String,
        /// To whom or what.
        subject: String,
        /// What came of it. Absent: it worked.
        error: Option<String>,
    },
    /// The last entries of the log.
    Audit {
        /// At most so many.
        most: usize,
    },
    /// Where the certificate for the domain stands.
    Certificate,
    /// Order one now.
    RenewCertificate,
    /// What is known of backups.
    Backups,
    /// Make a recovery key, and say its words; one that waits for its confirmation is said again.
    NewRecoveryKey,
    /// Put the key that waits to use.
    ConfirmRecoveryKey {
        /// The words that are asked for.
        words: Vec<String>,
    },
    /// The owner still has the key in use.
    CheckRecoveryKey {
        /// The words that are asked for.
        words: Vec<String>,
    },
    /// Accept the stick with this serial number for backups.
    AcceptStick {
        /// The number.
        serial: String,
    },
    /// Accept no stick any more.
    ForgetStick,
    /// Make a backup for downloading.
    MakeBackup,
    /// Make a backup on the accepted stick.
    BackUpToStick,
    /// Something about the target of backups.
    Target(TargetCommand),
    /// Unpack the newest backup, and count what is in it.
    RunDrill,
    /// List the backups on the first stick with the label, for choosing one.
    LookAtStick,
    /// Become what a backup says: it is read and checked, and then the box starts again.
    Restore {
        /// Where it is.
        from: Source,
        /// The recovery key.
        words: String,
    },
    /// Where an update is, and no more.
    UpdateState,
    /// All that is known of updates.
    Updates,
    /// Ask the publisher for a newer version.
    CheckForUpdate,
    /// Install the version that is available, and restart into it.
    InstallUpdate {
        /// Which, as it was read on the page.
        version: String,
        /// Although the newest backup is too old.
        without_backup: bool,
    },
    /// Install the bundle that was sent to the pages, and restart into it.
    InstallUpload {
        /// As above.
        without_backup: bool,
    },
    /// See which bundles are on the USB sticks that are plugged in.
    LookAtSticks,
    /// Install a bundle that is on a USB stick, and restart into it.
    InstallFromStick {
        /// Which, as it was read on the page.
        chosen: Chosen,
        /// As above.
        without_backup: bool,
    },
    /// Restart into what the other slot has.
    GoBack,
    /// The journal of the slot that failed.
    FailedJournal,
    /// What went wrong since the start, and what the box knows of its connections.
    Support,
    /// The support file.
    SupportFile,
    /// Forget everything, and start as a new box.
    FactoryReset {
        /// Leave the backups that lie on the box.
        keep_backups: bool,
    },
    /// Restart the box.
    Restart,
    /// Shut the box down.
    ShutDown,
    /// What is planned for the box.
    PowerPlan,
    /// Restart or shut down at a chosen time, in the place of what was planned.
    PlanPower {
        /// Which of them.
        what: Power,
        /// When, by the box's clock, as somebody has typed it.
        at: String,
    },
    /// Give up what is planned.
    CancelPower,
}

/// What the agent says to a command that it has carried out.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// It is done, and there is nothing to say.
    Done,
    /// To `Status`.
    Status(Box<BoxStatus>),
    /// To `Authority`: PEM.
    Authority(String),
    /// To `ChangeSettings` and `UndoSettings`.
    Changed(Changed),
    /// To `Settings`.
    Settings(Box<SettingsView>),
    /// To `TakeUnlock`: whether there was such a request.
    Unlock(bool),
    /// To `Audit`, newest first.
    Audit(Vec<Entry>),
    /// To `Support`.
    Support(Box<SupportFacts>),
    /// To `SupportFile`.
    SupportFile(String),
    /// To `Certificate`.
    Certificate(Box<CertificateView>),
    /// To `Backups`.
    Backups(Box<BackupView>),
    /// To `NewRecoveryKey`.
    RecoveryKey(Vec<String>),
    /// To `UpdateState`.
    UpdateState {
        /// Where an update is.
        state: Box<State>,
        /// Whether a block of the running system is damaged.
        is_damaged: bool,
    },
    /// To `Updates`.
    Updates(Box<UpdateView>),
    /// To `FailedJournal`.
    FailedJournal(String),
    /// To `PowerPlan`.
    PowerPlan(PowerView),
}

/// What is planned for the box.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PowerView {
    /// The plan. Absent: there is none.
    pub plan: Option<Plan>,
    /// When that is, by the box's clock.
    pub at: Option<String>,
    /// What the box's clock says now. Absent: no system runs that could tell.
    pub clock: Option<String>,
}

/// What a change of settings does, or would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// Each setting that differs.
    pub changes: Vec<Change>,
    /// Everything that is done for it.
    pub steps: Vec<Step>,
    /// Its number in the history. Absent: nothing was changed.
    pub number: Option<u32>,
    /// Whether it goes back unless it is confirmed.
    pub on_trial: bool,
    /// What did not work, and does not keep the change from counting.
    pub warning: Option<String>,
}

impl Changed {
    /// Whether there is something to take back.
    #[must_use]
    pub fn can_be_undone(&self) -> bool {
        can_be_undone(&self.changes)
    }
}

/// The settings as they are.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SettingsView {
    /// Each key with its value as TOML. `None`: not chosen.
    pub values: Vec<(String, Option<String>)>,
    /// The last changes, oldest first.
    pub history: Vec<crate::settings::history::Entry>,
    /// Whether a change of the network waits for its confirmation.
    pub on_trial: bool,
    /// What the last start, or a change of the profile since, wrote and read back. Absent: no report was written.
    pub tuning: Option<crate::tuning::report::Report>,
}

/// Why a command was not carried out, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// Somebody else has claimed the box.
    Taken,
    /// The address is not one of the local network.
    NotLocal,
    /// The hour after the start is over.
    TooLate,
    /// `perch.toml` has a code, and this is not it, or none was given.
    Code,
    /// The code was tried too often; it can be tried again in a while.
    Wait,
    /// The network on trial is confirmed by who has come over it, and this one has not.
    Elsewhere,
    /// The clock goes forward only.
    Backward,
    /// An update is under way.
    UnderWay,
    /// A value is not accepted; the text says which and why.
    Invalid,
    /// It was tried and did not work; the text says why.
    Failed,
}

/// Why a command was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{text}")]
pub struct Refusal {
    /// For programs.
    pub why: Why,
    /// For people who look into it.
    pub text: String,
    /// Each setting that is not accepted, where that is why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bad_values: Vec<BadValue>,
}

/// The five fields of a setting's problem, so that pages can say it in the reader's language.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadValue {
    /// The file, or what stands for it.
    pub file: String,
    /// Its line there.
    pub line: usize,
    /// The key.
    pub key: String,
    /// What is there; never a secret.
    pub found: String,
    /// What would be accepted, in English.
    pub accepted: String,
}

impl From<&settings_file::Problem> for BadValue {
    fn from(problem: &settings_file::Problem) -> Self {
        Self {
            file: problem.file.clone(),
            line: problem.line,
            key: problem.key.clone(),
            found: problem.found.clone(),
            accepted: problem.accepted.clone(),
        }
    }
}

impl Refusal {
    /// Refuses.
    pub fn new(why: Why, text: impl Into<String>) -> Self {
        Self {
            why,
            text: text.into(),
            bad_values: Vec::new(),
        }
    }
}

impl From<anyhow::Error> for Refusal {
    fn from(error: anyhow::Error) -> Self {
        Self::new(Why::Failed, format!("{error:#}"))
    }
}

/// One line from the agent.
pub type Reply = Result<Answer, Refusal>;

impl Command {
    /// Its name in the log. `None`: it only looks.
    pub fn logged_as(&self) -> Option<&'static str> {
        Some(match self {
            Self::Status
            | Self::Authority
            | Self::Settings
            | Self::Certificate
            | Self::Backups
            | Self::UpdateState
            | Self::Updates
            | Self::LookAtSticks
            | Self::Support
            | Self::PowerPlan
            | Self::Audit { .. }
            | Self::Record { .. } => return None,
            Self::ChangeSettings { dry_run: true, .. } => return None,
            Self::TakeUnlock => return None,
            Self::Claim { .. } => "box.claim",
            Self::FinishClaim { .. } => "box.claimed",
            Self::FinishSetup => "box.set-up",
            Self::SetClock { .. } => "clock.set",
            Self::ChangeSettings { .. } => "settings.change",
            Self::UndoSettings { .. } => "settings.undo",
            Self::ConfirmNetwork { .. } => "network.confirm",
            Self::RenewCertificate => "certificate.renew",
            Self::NewRecoveryKey => "backup.new-key",
            Self::ConfirmRecoveryKey { .. } => "backup.confirm-key",
            Self::CheckRecoveryKey { .. } => "backup.check-key",
            Self::AcceptStick { .. } => "backup.accept-stick",
            Self::ForgetStick => "backup.forget-stick",
            Self::MakeBackup => "backup.make",
            Self::BackUpToStick => "backup.stick",
            Self::Target(command) => command.logged_as(),
            Self::RunDrill => "backup.drill",
            Self::LookAtStick => "backup.look",
            Self::Restore { .. } => "box.restore",
            Self::CheckForUpdate => "update.check",
            Self::InstallUpdate { .. } => "update.install",
            Self::InstallUpload { .. } => "update.install-file",
            Self::InstallFromStick { .. } => "update.install-from-stick",
            Self::GoBack => "update.go-back",
            Self::FailedJournal => "update.journal",
            Self::SupportFile => "box.support-file",
            Self::FactoryReset { .. } => "box.factory-reset",
            Self::Restart => "box.restart",
            Self::ShutDown => "box.shut-down",
            Self::PlanPower { .. } => "box.plan",
            Self::CancelPower => "box.cancel-plan",
        })
    }

    /// What it is about, for the log, without secrets.
    pub fn subject(&self) -> String {
        match self {
            Self::SetClock { unix } => unix.to_string(),
            Self::ChangeSettings { pairs, .. } => {
                let keys: Vec<&str> = pairs.iter().map(|(key, _)| key.as_str()).collect();
                keys.join(", ")
            }
            Self::UndoSettings { number } => number.to_string(),
            Self::AcceptStick { serial } => serial.clone(),
            Self::Target(command) => command.subject(),
            Self::InstallUpdate { version, .. } => version.clone(),
            Self::InstallFromStick { chosen, .. } => {
                format!("{} on {}", chosen.name.as_str(), chosen.stick.as_str())
            }
            Self::PlanPower { what, at } => format!("{} {at}", what.name()),
            Self::FactoryReset { keep_backups: true } => "backups stay".to_owned(),
            _ => String::new(),
        }
    }
}

#[cfg(test)]
#[path = "command_tests.rs"]
mod tests;
