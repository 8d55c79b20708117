//! Makes settings true, whole, or leaves the box as it was.
//!
//! Every file is remembered before it is changed. When a step fails, files are put back in the opposite order and what
//! had taken the new ones up takes up the old ones. A power cut leaves some files new; the next start makes all of
//! them follow the settings that are kept.

use anyhow::{Context, Result, bail};

use super::outputs::{Action, CERTIFICATES, Piece, TAKE_UP_CERTIFICATE};
use super::plan::{Plan, When, plan};
use super::secrets::Secrets;
use crate::acme::service;
use crate::files::{Access, Files, PowerCut};
use crate::firstboot::state::BoxState;
use crate::firstboot::{certificates, ssh};
use crate::system::System;

/// The box that settings are applied to.
#[derive(Clone, Copy)]
pub struct Machine<'a> {
    /// Its files.
    pub files: &'a Files,
    /// Its programs.
    pub system: &'a dyn System,
}

/// Makes the box follow `new` and keeps it. Returns what was done.
///
/// # Errors
/// A step failed, and everything is as before; the error says what failed, and what could not be put back, if anything.
/// In tests also [`PowerCut`], with the box left in the middle.
pub fn apply(
    machine: Machine<'_>,
    old: &BoxState,
    new: &BoxState,
    secrets: &Secrets,
    when: When,
) -> Result<Plan> {
    let mut plan = plan(machine.files, old, new, secrets, when)?;
    let mut undo = Undo::default();
    match forward(machine, &mut plan, new, when, &mut undo) {
        Ok(()) => Ok(plan),
        Err(error) if error.is::<PowerCut>() => Err(error),
        Err(error) => {
            let left = undo.put_back(machine, old, new);
            if left.is_empty() {
                Err(error.context("not applied, everything is as it was"))
            } else {
                let left = left.join("; ");
                Err(error.context(format!(
                    "not applied, and not all could be put back ({left})"
                )))
            }
        }
    }
}

fn forward(
    machine: Machine<'_>,
    plan: &mut Plan,
    new: &BoxState,
    when: When,
    undo: &mut Undo,
) -> Result<()> {
    let Machine { files, system } = machine;
    if plan.needs_host_key {
        // A host key that nobody uses does no harm: it stays.
        ssh::make_host_key_if_missing(files, system)?;
    }
    for (path, access) in CERTIFICATES {
        undo.remember(files, path, access)?;
    }
    certificates::authority(files, system, new)?;
    let (new_certificate, _) = certificates::server(files, system, new)?;
    let settled = service::settle(files, new, system.now().unix_timestamp())?;
    if when == When::Running {
        let own = TAKE_UP_CERTIFICATE.into_iter().filter(|_| new_certificate);
        let domain = service::TAKE_UP.into_iter().filter(|_| settled);
        for action in own.chain(domain) {
            if !plan.actions.contains(&action) {
                plan.actions.push(action);
            }
        }
    }
    for piece in &plan.pieces {
        undo.remember(files, &piece.path, piece.access)?;
        piece.put(files)?;
    }
    for action in &plan.actions {
        undo.actions.push(action.clone());
        action.run(files, system, new)?;
    }
    verify(files, &plan.pieces)?;
    undo.remember(files, crate::firstboot::state::PATH, Access::Everyone)?;
    new.save(files).map(drop)
}

/// Reads everything back.
fn verify(files: &Files, pieces: &[Piece]) -> Result<()> {
    match pieces.iter().find(|piece| !piece.is_there(files)) {
        Some(piece) => bail!("{} does not read back as written", piece.path),
        None => Ok(()),
    }
}

/// What has to be put back after a failure, in the order in which it was changed.
#[derive(Default)]
struct Undo {
    files: Vec<Remembered>,
    actions: Vec<Action>,
}

struct Remembered {
    path: String,
    access: Access,
    was: Was,
}

enum Was {
    Absent,
    File(Vec<u8>),
    Link(String),
}

impl Undo {
    fn remember(&mut self, files: &Files, path: &str, access: Access) -> Result<()> {
        let place = files.path(path);
        let was = if let Ok(target) = std::fs::read_link(&place) {
            Was::Link(target.to_string_lossy().into_owned())
        } else if place.exists() {
            Was::File(std::fs::read(&place).with_context(|| format!("reading {path}"))?)
        } else {
            Was::Absent
        };
        self.files.push(Remembered {
            path: path.to_owned(),
            access,
            was,
        });
        Ok(())
    }

    /// Puts everything back, as far as it goes. Returns what could not be.
    fn put_back(self, machine: Machine<'_>, old: &BoxState, new: &BoxState) -> Vec<String> {
        let Machine { files, system } = machine;
        let mut left = Vec::new();
        for remembered in self.files.iter().rev() {
            let path = &remembered.path;
            let done = match &remembered.was {
                Was::Absent => files.remove(path),
                Was::File(content) => files.replace(path, content, remembered.access).map(drop),
                Was::Link(target) => files.link(path, target),
            };
            left.extend(done.err().map(|error| format!("{error:#}")));
        }
        for action in self.actions {
            // The VLAN of the settings that failed goes, the one from before is made by its file.
            let action = match action {
                Action::ReloadNetwork { .. } => super::outputs::Output::Network
                    .actions(new, old)
                    .into_iter()
                    .next()
                    .unwrap_or(action),
                other => other,
            };
            let done = action.run(files, system, old);
            left.extend(done.err().map(|error| format!("{error:#}")));
        }
        left
    }
}
