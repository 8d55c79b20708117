//! Gives the box its identity: clock, names, settings, certificates, the first administrator.
//!
//! The steps run in the order of [`STEPS`] at every boot, and each does nothing when its work is done. The power may go
//! at any moment: a step's files are replaced whole, what a later step needs is on disk before it starts, and a secret
//! leaves the card only after it has been used. So the next boot finishes what was begun
//! (`tests/first_boot.rs` cuts the power after every single change).

pub mod admin;
pub mod card;
pub mod certificates;
pub mod follow;
pub mod identity;
pub mod invitations;
pub mod ssh;
pub mod state;
pub mod status;

use anyhow::{Context, Result};

use crate::files::{Files, PowerCut};
use crate::settings::secrets::Secrets;
use crate::system::System;
use card::Card;
use state::BoxState;

/// A first boot under way.
pub struct FirstBoot<'a> {
    /// The box's files.
    pub files: &'a Files,
    /// The running system.
    pub system: &'a dyn System,
    /// What the box is set to.
    pub state: BoxState,
    /// What the card asks for; nothing of a file with a problem.
    pub card: Card,
    /// The secrets that the box has.
    pub secrets: Secrets,
    /// The secrets that it is to have.
    pub new_secrets: Secrets,
    /// The settings that were changed.
    pub applied: Vec<String>,
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
pub const STEPS: [Step; 10] = [
    ("leftovers", Need::Helpful, remove_leftovers),
    // Certificates and the journal carry the time.
    ("clock", Need::Helpful, identity::clock),
    ("machine ID", Need::Helpful, identity::machine_id),
    // From here on a power cut cannot change which name was chosen.
    ("settings", Need::Essential, state::settle),
    ("outputs", Need::Essential, follow::follow),
    // Needs imd.toml, and reads the password that the next step removes.
    ("administrator", Need::Helpful, admin::create),
    ("invitations", Need::Helpful, invitations::print),
    ("secrets on the card", Need::Helpful, card::remove_secrets),
    ("perch-ca.crt", Need::Helpful, status::publish_authority),
    // Last: it tells about all others.
    ("perch-status.txt", Need::Helpful, status::publish),
];

/// Runs all steps. Returns whether every essential one succeeded.
///
/// # Errors
/// Only a test's power cut.
pub fn run(files: &Files, system: &dyn System, mut say: impl FnMut(&str)) -> Result<bool> {
    let mut problems = Vec::new();
    let state = or_default(BoxState::load(files), &mut problems);
    let secrets = or_default(Secrets::load(files), &mut problems);
    let mut boot = FirstBoot {
        files,
        system,
        state,
        card: Card::default(),
        new_secrets: secrets.clone(),
        secrets,
        applied: Vec::new(),
        problems,
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

/// Where new files may have been left by a power cut before they got their names.
const LEFTOVERS: [&str; 9] = [
    "/var/lib/perch/*.new",
    "/var/lib/perch/acme/*.new",
    "/var/lib/perch/backup/*.new",
    "/var/lib/perch/tls/*.new",
    "/data/etc/*.new",
    "/etc/perch/*.new",
    "/etc/systemd/network/*.new",
    "/etc/ssh/keys/*.new*",
    "/boot/firmware/perch-*.new",
];

/// Step: takes away new files that never got their names. They may hold secrets, and nothing else would ever look at
/// them again.
fn remove_leftovers(boot: &mut FirstBoot<'_>) -> Result<String> {
    let found: Vec<String> = LEFTOVERS
        .iter()
        .flat_map(|pattern| boot.files.matching(pattern))
        .collect();
    for path in &found {
        boot.files.remove(path)?;
    }
    Ok(format!("{} of an earlier power cut", found.len()))
}

/// A damaged file must not keep the box from starting.
fn or_default<T: Default>(read: Result<T>, problems: &mut Vec<String>) -> T {
    read.unwrap_or_else(|error| {
        problems.push(format!("{error:#}; starting from the defaults"));
        T::default()
    })
}
