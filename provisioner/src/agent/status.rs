//! What the pages show of the box.

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::claim::{self, Claim};
use crate::files::Files;
use crate::firstboot::state::BoxState;
use crate::firstboot::{certificates, identity};
use crate::settings::secrets::Secrets;
use crate::settings::trial::Trial;
use crate::system::System;

/// What is known of the box.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BoxStatus {
    /// The version of the software.
    pub version: String,
    /// Whose it is.
    pub claim: Claim,
    /// Whether claiming it needs the code of `perch.toml`.
    pub needs_code: bool,
    /// Its name on the network, without `.local`.
    pub host_name: String,
    /// Its second name, which no other box has, without `.local`.
    pub second_name: String,
    /// The domain of its addresses.
    pub domain: String,
    /// `en` or `zh`. Absent: not chosen.
    pub language: Option<String>,
    /// SHA-256 of the certificate authority. Absent: there is none.
    pub fingerprint: Option<String>,
    /// Its clock, in seconds since 1970.
    pub clock: i64,
    /// Whether a time server has been heard since the start.
    pub clock_is_synchronised: bool,
    /// Seconds since the start.
    pub uptime: u64,
    /// Whether a change of the network waits for its confirmation.
    pub network_on_trial: bool,
    /// The slot that it was started from. Absent: not started from one.
    pub slot: Option<String>,
}

impl BoxStatus {
    /// A name of the box that is not `host`: the browser has made no exception for its certificate.
    pub fn other_name(&self, host: &str) -> String {
        let (first, second) = (
            format!("{}.local", self.host_name),
            format!("{}.local", self.second_name),
        );
        if host == second { first } else { second }
    }
}

/// systemd-timesyncd makes it when it has heard from a server (systemd-timesyncd.service(8)).
pub(crate) const SYNCHRONISED: &str = "/run/systemd/timesync/synchronized";

/// Looks at the box.
///
/// # Errors
/// A file of its state cannot be read.
pub fn look(files: &Files, system: &dyn System) -> Result<BoxStatus> {
    let state = BoxState::load(files)?;
    Ok(BoxStatus {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        claim: claim::current(files, &state)?,
        needs_code: Secrets::load(files)?.setup_code.is_some(),
        host_name: state.host_name().to_owned(),
        second_name: identity::second_name(files),
        domain: state.domain().as_str().to_owned(),
        language: state
            .settings
            .language
            .as_ref()
            .map(|language| language.as_str().to_owned()),
        fingerprint: certificates::fingerprint(files),
        clock: system.now().unix_timestamp(),
        clock_is_synchronised: files.path(SYNCHRONISED).exists(),
        uptime: claim::uptime(files),
        network_on_trial: state.trial != Trial::Settled,
        slot: slot(files),
    })
}

fn slot(files: &Files) -> Option<String> {
    let line = files.read("/proc/cmdline").ok().flatten()?;
    let found = line
        .split_whitespace()
        .find_map(|word| word.strip_prefix("rauc.slot="));
    found.map(str::to_owned)
}
