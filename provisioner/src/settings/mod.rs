//! The box's settings: one model for the card, the command line and the web page.
//!
//! - `read`: a settings text (`perch.toml`) into a [`Settings`], with every problem named.
//! - `preseed`: the same for the file that Raspberry Pi Imager writes.
//! - `keys`: the table of keys: how each is shown, and which outputs follow it.
//! - `outputs`: the files that a box with these settings has, and what has to take them up.
//! - `plan`, `apply`: what differs, and making it true, or leaving everything as it was.
//! - `acme`: a certificate for the box's own domain from an authority that all devices trust.
//! - `federation`: whether people talk with those of other servers.
//! - `target`: where backups are sent; `updates`: where new versions come from, and the file of that which was written by hand.
//! - `change`: changes on a running box, by whom, with `history` and undo; `trial`: the network goes back unless confirmed.
//!
//! A setting that is absent has its default; a change replaces what it names and nothing else.

pub mod acme;
pub mod apply;
pub mod change;
pub mod federation;
pub mod history;
pub mod keys;
pub mod outputs;
pub mod plan;
pub mod preseed;
pub mod read;
pub mod render;
pub mod secrets;
pub mod target;
pub mod trial;
pub mod updates;

use serde::{Deserialize, Serialize};

use crate::model::network::Network;
use crate::model::{
    Country, Domain, HostName, Language, Profile, RestoreFrom, SshKey, Ssid, TimeServer, TimeZone,
};

/// What the owner has chosen. Unknown fields are passed over: after a roll-back they may be a newer version's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Name on the network, without `.local`. The one in use has a number when another machine has it.
    pub host_name: Option<HostName>,
    /// Domain of the addresses. Absent: the host name's.
    pub domain: Option<Domain>,
    /// Language of the pages.
    pub language: Option<Language>,
    /// Absent: UTC.
    pub time_zone: Option<TimeZone>,
    /// Speed against heat and noise. Absent: balanced.
    pub profile: Option<Profile>,
    /// How many invitations to print for the people of the first day.
    pub invitations: Option<u16>,
    /// Where a new box takes its data from.
    pub restore_from: Option<RestoreFrom>,
    /// Whether SSH is on. Absent: it is not.
    pub ssh_enabled: Option<bool>,
    /// Who may log in by SSH.
    pub ssh_keys: Option<Vec<SshKey>>,
    /// The wired network.
    pub network: Option<Network>,
    /// The Wi-Fi network to join.
    pub wifi: Option<Wifi>,
    /// Who tells the time. Absent: the system's choice.
    pub time_servers: Option<Vec<TimeServer>>,
    /// Where new versions come from, and when they are installed.
    pub updates: updates::Updates,
    /// A certificate for the domain from an authority that all devices trust.
    pub acme: acme::Acme,
    /// Whether people talk with those of other servers.
    pub federation: federation::Federation,
    /// Where backups are sent every night. Absent: nowhere.
    pub backup: Option<target::Target>,
}

/// A Wi-Fi network to join. What opens it is kept with the secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wifi {
    /// Its name.
    pub ssid: Ssid,
    /// Whether it wants a password.
    pub secured: bool,
    /// Whether it does not announce itself.
    #[serde(default)]
    pub hidden: bool,
    /// Whose rules the radio keeps. Absent: those that hold everywhere.
    pub country: Option<Country>,
}

impl Settings {
    /// These settings, with everything that `wishes` names taken from there.
    #[must_use]
    pub fn with(&self, wishes: &Self) -> Self {
        let mut merged = self.clone();
        for key in keys::KEYS {
            if (key.show)(wishes).is_some() {
                (key.copy)(wishes, &mut merged);
            }
        }
        merged
    }

    /// The profile in use.
    pub fn profile(&self) -> Profile {
        self.profile.clone().unwrap_or_else(Profile::usual)
    }

    /// All that is chosen, one `key = value` a line, as `perch.toml` takes it. Secrets are left out.
    pub fn to_toml(&self) -> String {
        keys::KEYS
            .iter()
            .filter_map(|key| Some(format!("{} = {}\n", key.name, (key.show)(self)?)))
            .collect()
    }
}
