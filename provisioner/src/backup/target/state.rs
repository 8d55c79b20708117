//! What is known of the target: what lay there when it was last looked at, and the host key that its server shows.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::host_key::{self, HostKey};
use super::sftp;
use crate::backup::STATE;
use crate::backup::shelf::Lying;
use crate::files::{Access, Files};
use crate::firstboot::state::BoxState;
use crate::model::target::Address;
use crate::settings::target::Target;

/// What is known of one target.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Known {
    /// The target, as in the settings: what is known of another one counts no more.
    pub target: String,
    /// The backups that lay there, newest first.
    pub lying: Vec<Lying>,
    /// When that was, in seconds since 1970. Absent: nobody has looked yet.
    pub looked: Option<i64>,
    /// The host key that waits for the owner.
    pub offered: Option<HostKey>,
}

/// The target, for the page and the command line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetView {
    /// Its settings.
    pub settings: Target,
    /// The box's own key, as a line of authorized_keys. Absent: it is made when the target is first used, or it is no SFTP target.
    pub public_key: Option<String>,
    /// The fingerprint of the accepted host key.
    pub accepted: Option<String>,
    /// The fingerprint of the host key that waits for the owner.
    pub offered: Option<String>,
    /// The backups that lay there, newest first.
    pub lying: Vec<Lying>,
    /// When that was, in seconds since 1970. Absent: nobody has looked yet.
    pub looked: Option<i64>,
}

fn place() -> String {
    format!("{STATE}/target.json")
}

/// What is known of this target; nothing if it was another one, or cannot be read.
#[must_use]
pub fn load(files: &Files, target: &Target) -> Known {
    let text = files.read(place()).ok().flatten();
    let known = text.and_then(|text| serde_json::from_str::<Known>(&text).ok());
    let same = known.filter(|known| known.target == target.url.as_str());
    same.unwrap_or_else(|| Known {
        target: target.url.as_str().to_owned(),
        ..Known::default()
    })
}

/// Writes it down.
///
/// # Errors
/// It cannot be written.
pub fn save(files: &Files, known: &Known) -> Result<()> {
    let text = serde_json::to_vec_pretty(known).context("writing a target as JSON")?;
    files.replace(place(), &text, Access::Everyone).map(drop)
}

/// Accepts the host key that waits, if it is the one with this fingerprint. False: none with it waits.
///
/// # Errors
/// It cannot be kept.
pub fn accept(files: &Files, target: &Target, fingerprint: &str) -> Result<bool> {
    let known = load(files, target);
    let is_it = |key: &&HostKey| key.fingerprint() == fingerprint.trim();
    let Some(key) = known.offered.as_ref().filter(is_it) else {
        return Ok(false);
    };
    key.accept(files)?;
    let known = Known {
        offered: None,
        ..known
    };
    save(files, &known)?;
    Ok(true)
}

/// The target of the settings. `None`: they have none.
///
/// # Errors
/// The box's state cannot be read.
pub fn view(files: &Files) -> Result<Option<TargetView>> {
    let Some(settings) = BoxState::load(files)?.settings.backup else {
        return Ok(None);
    };
    let known = load(files, &settings);
    let (mut public_key, mut accepted) = (None, None);
    if let Some(Address::Sftp(address)) = settings.url.address() {
        public_key = sftp::public_key(files)?;
        accepted = host_key::accepted(files, &address.known_as())?;
    }
    Ok(Some(TargetView {
        public_key,
        accepted: accepted.map(|key| key.fingerprint()),
        offered: known.offered.map(|key| key.fingerprint()),
        lying: known.lying,
        looked: known.looked,
        settings,
    }))
}
