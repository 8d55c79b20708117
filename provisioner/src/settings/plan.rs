//! Decides what has to be done so that the box is as its settings say. Renders everything before anything is written.

use anyhow::Result;

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
        let pieces = self.pieces.iter().map(|piece| match &piece.content {
            Content::Text(_) => format!("write {}", piece.path),
            Content::Link(target) => format!("link {} to {target}", piece.path),
            Content::Absent => format!("remove {}", piece.path),
        });
        let actions = self.actions.iter().map(|action| match action {
            Action::SetHostName => "set the running system's host name".to_owned(),
            Action::ReloadNetwork { delete: None } => "reload the network".to_owned(),
            Action::ReloadNetwork {
                delete: Some(device),
            } => {
                format!("reload the network, without {device}")
            }
            Action::Restart(unit) => format!("restart {unit}"),
            Action::Reload(unit) => format!("reload {unit}"),
            Action::Tune => "write the tuning values of the profile".to_owned(),
            Action::SwitchWifi => "join the Wi-Fi network, or leave it".to_owned(),
            Action::SwitchSsh => "start or stop ssh.service".to_owned(),
            Action::Order => "order a certificate for the domain".to_owned(),
        });
        changes.chain(pieces).chain(actions).collect()
    }
}
