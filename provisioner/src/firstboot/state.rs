//! What the box has been set to, kept on the data partition so that it outlives `perch.toml`.

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::{FirstBoot, perch_toml};
use crate::files::{Access, Files};
use crate::model::{AccountName, Domain, HostName, SshKey, TimeZone};

/// Where it is kept.
pub const PATH: &str = "/var/lib/perch/box.json";
/// The name of a box whose owner gave none.
const DEFAULT_HOST_NAME: &str = "perch";
/// How many boxes of one name a network may have.
const MOST_NAMESAKES: u32 = 99;

/// The box's settings. Unknown fields are passed over: after a roll-back the file may be a newer version's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BoxState {
    /// The name in use. Absent: not chosen yet.
    pub host_name: Option<HostName>,
    /// The name that was asked for; the one in use has a number when another machine had it.
    pub wanted_host_name: Option<HostName>,
    /// The domain that the owner chose. Absent: the host name's.
    pub domain: Option<Domain>,
    /// Absent: UTC.
    pub time_zone: Option<TimeZone>,
    /// The administrator made from `perch.toml`. Absent: none yet.
    pub admin: Option<AccountName>,
    /// Whether SSH is on.
    pub ssh_enabled: bool,
    /// Who may log in by SSH.
    pub ssh_keys: Vec<SshKey>,
}

impl BoxState {
    /// Reads it; the default if there is none yet.
    ///
    /// # Errors
    /// It is there but not readable.
    pub fn load(files: &Files) -> Result<Self> {
        match files.read(PATH)? {
            Some(text) => serde_json::from_str(&text).with_context(|| format!("reading {PATH}")),
            None => Ok(Self::default()),
        }
    }

    /// Keeps it.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn save(&self, files: &Files) -> Result<bool> {
        let mut text =
            serde_json::to_vec_pretty(self).context("writing the box's settings as JSON")?;
        text.push(b'\n');
        files.replace(PATH, &text, Access::Everyone)
    }

    /// The name on the network, without `.local`.
    pub fn host_name(&self) -> &str {
        self.host_name
            .as_ref()
            .map_or(DEFAULT_HOST_NAME, HostName::as_str)
    }

    /// The domain of the box's addresses.
    pub fn domain(&self) -> Domain {
        let fallback = || Domain::new(&format!("{}.local", self.host_name())).ok();
        self.domain
            .clone()
            .or_else(fallback)
            .unwrap_or_else(Domain::of_any_box)
    }
}

/// Step: takes the wishes of `perch.toml` over, chooses the host name, and keeps both. A bad `perch.toml` changes
/// nothing.
///
/// # Errors
/// The settings cannot be kept.
pub fn settle(boot: &mut FirstBoot<'_>) -> Result<String> {
    let read = match perch_toml::read(boot.files) {
        Ok(Some(wishes)) => {
            take_over(&mut boot.state, &wishes);
            boot.wishes = Some(wishes);
            "from perch.toml"
        }
        Ok(None) => {
            boot.problems.extend(perch_toml::misnamed(boot.files));
            "no perch.toml"
        }
        Err(problems) => {
            boot.problems
                .extend(problems.iter().map(ToString::to_string));
            "perch.toml has problems; nothing of it was used"
        }
    };
    let name = boot
        .wishes
        .as_ref()
        .and_then(|wishes| wishes.host_name.clone());
    let wanted = name.or_else(|| boot.state.wanted_host_name.clone());
    let wanted = match wanted {
        Some(name) => name,
        None => HostName::new(DEFAULT_HOST_NAME).map_err(anyhow::Error::msg)?,
    };
    if boot.state.host_name.is_none() || boot.state.wanted_host_name.as_ref() != Some(&wanted) {
        let chosen = choose_name(boot, &wanted)?;
        boot.state.host_name = Some(chosen);
        boot.state.wanted_host_name = Some(wanted);
    }
    boot.state.save(boot.files)?;
    Ok(format!(
        "{read}; host name {}, domain {}",
        boot.state.host_name(),
        boot.state.domain().as_str()
    ))
}

fn take_over(state: &mut BoxState, wishes: &perch_toml::PerchToml) {
    state.domain = wishes.domain.clone().or(state.domain.take());
    state.time_zone = wishes.time_zone.clone().or(state.time_zone.take());
    state.ssh_enabled = wishes.ssh_enabled.unwrap_or(state.ssh_enabled);
    if let Some(keys) = &wishes.ssh_keys {
        state.ssh_keys.clone_from(keys);
    }
}

/// The wanted name, or the first of `name-2`, `name-3`, … that no other machine has. It is asked for once only:
/// a name that renumbers itself would change the box's addresses.
fn choose_name(boot: &mut FirstBoot<'_>, wanted: &HostName) -> Result<HostName> {
    for number in 1..=MOST_NAMESAKES {
        let candidate = match number {
            1 => wanted.clone(),
            _ => HostName::new(&format!("{}-{number}", wanted.as_str()))
                .map_err(anyhow::Error::msg)?,
        };
        if boot.state.host_name.as_ref() == Some(&candidate) {
            return Ok(candidate);
        }
        match boot.system.is_name_taken(candidate.as_str()) {
            Ok(true) => {}
            Ok(false) => return Ok(candidate),
            Err(error) => {
                let name = candidate.as_str();
                boot.problems.push(format!(
                    "could not ask whether another machine is named {name}: {error:#}"
                ));
                return Ok(candidate);
            }
        }
    }
    bail!(
        "the network has {MOST_NAMESAKES} machines named {}",
        wanted.as_str()
    )
}
