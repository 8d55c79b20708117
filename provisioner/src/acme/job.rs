//! What the page asks for: an order goes to the internet and takes minutes, so `perch-certificate.service` does it, as it does
//! every hour by its timer, and what comes of it is kept (`run`).

use std::fs::{File, TryLockError};

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use super::machine::State;
use super::run::{Kept, LOCK, work};
use crate::files::{Access, Files};
use crate::firstboot::state::BoxState;
use crate::settings::apply::Machine;

/// The unit that does it.
pub const UNIT: &str = "perch-certificate.service";
/// Its arguments, where no systemd runs.
pub const ARGUMENTS: [&str; 2] = ["certificate", "work"];
/// Somebody has asked, at this time.
const ASKED: &str = "/run/perch-agent/certificate-asked";
/// Whatever was not taken up within so many seconds never will be: the unit could not be started.
const TAKEN_UP: i64 = 120;

/// All that is known of the certificate for the domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateView {
    /// Whether the settings want one.
    pub is_on: bool,
    /// The domain that is set. Absent: none is.
    pub domain: Option<String>,
    /// Whether an authority could certify it.
    pub is_public: bool,
    /// The authority's directory.
    pub directory: String,
    /// Where it stands.
    pub state: State,
    /// Whether somebody is at work on it, or will be at once.
    pub is_under_way: bool,
}

/// Looks.
///
/// # Errors
/// The box's settings cannot be read.
pub fn view(machine: Machine<'_>) -> Result<CertificateView> {
    let Machine { files, system } = machine;
    let BoxState { settings, .. } = BoxState::load(files)?;
    Ok(CertificateView {
        is_on: settings.acme.is_on(),
        is_public: settings
            .domain
            .as_ref()
            .is_some_and(|domain| domain.is_public()),
        domain: settings.domain.map(String::from),
        directory: settings.acme.directory().to_owned(),
        state: Kept::load(files).state,
        is_under_way: is_locked(files) || is_asked(files, system.now().unix_timestamp()),
    })
}

/// Whether an order is under way. Shared, so that two who look do not take each other for somebody at work.
pub(super) fn is_locked(files: &Files) -> bool {
    let file = File::open(files.path(LOCK));
    file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

fn is_asked(files: &Files, now: i64) -> bool {
    let text = files.read(ASKED).ok().flatten();
    let at = text.and_then(|text| text.trim().parse::<i64>().ok());
    at.is_some_and(|at| (0..TAKEN_UP).contains(&(now - at)))
}

/// Lets the unit order one, whether it is time or not.
///
/// # Errors
/// None is wanted, one is being ordered, the authority bars it, or the unit cannot be started.
pub fn ask(machine: Machine<'_>) -> Result<()> {
    let Machine { files, system } = machine;
    let (view, now) = (view(machine)?, system.now().unix_timestamp());
    if !view.is_on {
        bail!("no certificate from an authority is wanted: acme.enabled is not set");
    }
    if view.is_under_way {
        bail!("an order is under way");
    }
    if let State::Failed {
        barred: Some(until),
        ..
    } = view.state
        && now < until
    {
        bail!(
            "the authority has asked to be left alone for {} minutes",
            (until - now) / 60 + 1
        );
    }
    files.replace(ASKED, now.to_string().as_bytes(), Access::Root)?;
    let started = system.start(UNIT, &files.path("/"), &ARGUMENTS);
    if started.is_err() {
        files.remove(ASKED)?;
    }
    started
}

/// Does what was asked for, or what it is time for.
///
/// # Errors
/// As [`work`].
pub fn take_up(machine: Machine<'_>) -> Result<State> {
    let Machine { files, system } = machine;
    let asked = is_asked(files, system.now().unix_timestamp());
    files.remove(ASKED)?;
    work(machine, asked)
}
