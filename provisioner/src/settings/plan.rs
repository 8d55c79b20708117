//! Decides what has to be done so that the box is as its settings say. Renders everything before anything is written.

use std::fmt;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::keys::{Change, diff_with_secrets};
use super::outputs::{ALL, Action, Content, Output, Piece};
use super::secrets::Secrets;
use crate::files::Files;
use crate::firstboot::state::BoxState;

/// When settings are applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// While the box starts: most units start later, with the new files.
    Boot,
    /// On a running box: what has read the old files takes up the new ones.
    Running,
}

/// What is to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The settings that change.
    pub changes: Vec<Change>,
    /// Files that are not as they are to be.
    pub pieces: Vec<Piece>,
    /// What takes them up afterwards.
    pub actions: Vec<Action>,
    /// Whether login by SSH is on, so that it needs a host key.
    pub needs_host_key: bool,
}

/// What differs between the box as it is and as `new` says. `old` is what it was set to.
///
/// # Errors
/// The secrets cannot be read, or written as JSON.
pub fn plan(
    files: &Files,
    old: &BoxState,
    new: &BoxState,
    secrets: &Secrets,
    when: When,
) -> Result<Plan> {
    let mut plan = Plan {
        changes: diff_with_secrets(
            (&old.settings, &Secrets::load(files)?),
            (&new.settings, secrets),
        ),
        needs_host_key: new.settings.ssh_enabled == Some(true),
        ..Plan::default()
    };
    plan.pieces
        .extend(Some(secrets.piece()?).filter(|piece| !piece.is_there(files)));
    for output in ALL {
        let (pieces, actions) = of_output(files, output, old, new, secrets, when);
        plan.pieces.extend(pieces);
        for action in actions {
            if !plan.actions.contains(&action) {
                plan.actions.push(action);
            }
        }
    }
    Ok(plan)
}

/// The files of one output that are not as they are to be, and what takes them up.
pub fn of_output(
    files: &Files,
    output: Output,
    old: &BoxState,
    new: &BoxState,
    secrets: &Secrets,
    when: When,
) -> (Vec<Piece>, Vec<Action>) {
    let mut pieces = output.pieces(new, secrets);
    pieces.retain(|piece| !piece.is_there(files));
    let mut actions = output.actions(old, new);
    actions.retain(|action| when == When::Running || action.is_for_boot());
    if pieces.is_empty() {
        // The running system forgets its name at every start. Tuning and orders have no files that are written here.
        actions.retain(|action| match action {
            Action::SetHostName => when == When::Boot,
            other => matches!(other, Action::Tune | Action::Order),
        });
    }
    (pieces, actions)
}

impl Plan {
    /// Whether nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.pieces.is_empty()
    }

    /// What would be done, a line each, for people.
    pub fn lines(&self) -> Vec<String> {
        let changes = self.changes.iter().map(Change::line);
        let steps = self.steps();
        changes
            .chain(steps.iter().map(ToString::to_string))
            .collect()
    }

    /// What would be done for the changes.
    pub fn steps(&self) -> Vec<Step> {
        let pieces = self.pieces.iter().map(|piece| match &piece.content {
            Content::Text(_) => Step::Write(piece.path.clone()),
            Content::Link(target) => Step::Link(format!("{} to {target}", piece.path)),
            Content::Absent => Step::Remove(piece.path.clone()),
        });
        let actions = self.actions.iter().map(|action| match action {
            Action::SetHostName => Step::SetHostName,
            Action::ReloadNetwork { delete } => Step::ReloadNetwork(delete.clone()),
            Action::Restart(unit) => Step::Restart((*unit).to_owned()),
            Action::Reload(unit) => Step::Reload((*unit).to_owned()),
            Action::Tune => Step::Tune,
            Action::SwitchWifi => Step::SwitchWifi,
            Action::SwitchSsh => Step::SwitchSsh,
            Action::Order => Step::Order,
        });
        pieces.chain(actions).collect()
    }
}

/// One thing that is done for a change of settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Write a file.
    Write(String),
    /// Make a symbolic link: its path, and where it leads.
    Link(String),
    /// Remove a file.
    Remove(String),
    /// As in [`Action`], as all that follow.
    SetHostName,
    /// Without a VLAN's device, where one goes.
    ReloadNetwork(Option<String>),
    /// The unit.
    Restart(String),
    /// The unit.
    Reload(String),
    /// The values of the profile.
    Tune,
    /// To join or to leave.
    SwitchWifi,
    /// On or off.
    SwitchSsh,
    /// A certificate for the domain.
    Order,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write(path) => write!(f, "write {path}"),
            Self::Link(link) => write!(f, "link {link}"),
            Self::Remove(path) => write!(f, "remove {path}"),
            Self::SetHostName => f.write_str("set the running system's host name"),
            Self::ReloadNetwork(None) => f.write_str("reload the network"),
            Self::ReloadNetwork(Some(device)) => write!(f, "reload the network, without {device}"),
            Self::Restart(unit) => write!(f, "restart {unit}"),
            Self::Reload(unit) => write!(f, "reload {unit}"),
            Self::Tune => f.write_str("write the tuning values of the profile"),
            Self::SwitchWifi => f.write_str("join the Wi-Fi network, or leave it"),
            Self::SwitchSsh => f.write_str("start or stop ssh.service"),
            Self::Order => f.write_str("order a certificate for the domain"),
        }
    }
}
