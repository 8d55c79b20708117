//! Gives the box its identity: clock, names, certificates, SSH, the first administrator.
//!
//! The steps run in the order of [`STEPS`] at every boot, and each does nothing when its work is done. The power may go
//! at any moment: a step's files are replaced whole, what a later step needs is on disk before it starts, and a secret
//! leaves the card only after it has been used. So the next boot finishes what was begun
//! (`tests/first_boot.rs` cuts the power after every single change).

pub mod admin;
pub mod certificates;
pub mod identity;
pub mod perch_toml;
pub mod ssh;
pub mod state;
pub mod status;

use anyhow::{Context, Result};

use crate::files::{Files, PowerCut};
use crate::imd_config;
use crate::system::System;
use perch_toml::PerchToml;
use state::BoxState;

/// A first boot under way.
pub struct FirstBoot<'a> {
    /// The box's files.
    pub files: &'a Files,
    /// The running system.
    pub system: &'a dyn System,
    /// What the box is set to.
    pub state: BoxState,
    /// What `perch.toml` asks for. Absent: there is none, or it has problems.
    pub wishes: Option<PerchToml>,
    /// What went wrong and does not keep the box from working, for the journal and `perch-status.txt`.
    pub problems: Vec<String>,
}

/// A step: its name, whether the box is of no use without it, and what it does. It returns a few words on what it did.
pub type Step = (&'static str, Need, fn(&mut FirstBoot<'_>) -> Result<String>);

/// Whether the box is of use without a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Without it the server must not start.
    Essential,
    /// Without it the box works, with something missing that the status names.
    Helpful,
}

/// The steps in their order.
pub const STEPS: [Step; 13] = [
    // Certificates and the journal carry the time.
    ("clock", Need::Helpful, identity::clock),
    ("machine ID", Need::Helpful, identity::machine_id),
    // From here on a power cut cannot change which name was chosen.
    ("settings", Need::Essential, state::settle),
    ("host name", Need::Helpful, identity::host_name),
    ("time zone", Need::Helpful, identity::time_zone),
    // The authority is on disk before anything is signed with it.
    (
        "certificate authority",
        Need::Essential,
        certificates::authority,
    ),
    ("server certificate", Need::Essential, certificates::server),
    ("SSH", Need::Helpful, ssh::set_up),
    ("imd.toml", Need::Essential, |boot| {
        let changed = imd_config::write(boot.files, &boot.state.domain())?;
        Ok(if changed { "written" } else { "as it was" }.to_owned())
    }),
    // Needs imd.toml, and reads the password that the next step removes.
    ("administrator", Need::Helpful, admin::create),
    (
        "secrets on the card",
        Need::Helpful,
        perch_toml::remove_secrets,
    ),
    ("perch-ca.crt", Need::Helpful, status::publish_authority),
    // Last: it tells about all others.
    ("perch-status.txt", Need::Helpful, status::publish),
];

/// Runs all steps. Returns whether every essential one succeeded.
///
/// # Errors
/// Only a test's power cut.
pub fn run(files: &Files, system: &dyn System, mut say: impl FnMut(&str)) -> Result<bool> {
    let (state, unreadable) = match BoxState::load(files) {
        Ok(state) => (state, None),
        Err(error) => (
            BoxState::default(),
            Some(format!("{error:#}; starting from the defaults")),
        ),
    };
    let mut boot = FirstBoot {
        files,
        system,
        state,
        wishes: None,
        problems: unreadable.into_iter().collect(),
    };
    let mut complete = true;
    for (name, need, step) in STEPS {
        let told = boot.problems.len();
        match step(&mut boot).with_context(|| name.to_owned()) {
            Ok(what) => say(&format!("{name}: {what}")),
            Err(error) if error.is::<PowerCut>() => return Err(error),
            Err(error) => {
                complete &= need == Need::Helpful;
                boot.problems.push(format!("{error:#}"));
            }
        }
        for problem in boot.problems.iter().skip(told) {
            // systemd takes the priority of a line from its prefix (sd-daemon(3)); 3 is an error.
            say(&format!("<3>{problem}"));
        }
    }
    Ok(complete)
}
