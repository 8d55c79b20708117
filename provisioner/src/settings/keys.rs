//! The table of settings: each key, how its value is shown, and which outputs follow it.

use super::outputs::Output;
use super::secrets::Secrets;
use super::target::Target;
use super::{Settings, Wifi};
use crate::model::network::Network;
use crate::model::{
    AuthorityFile, ChallengeKind, ChannelName, DirectoryUrl, Domain, Email, HookFile, HostName,
    Language, Profile, RestoreFrom, SshKey, TimeServer, TimeZone, UpdateUrl, VersionName,
};
use crate::update::window::Window;

/// A setting as people name it.
pub struct Key {
    /// Its path, such as `network.ipv4`.
    pub name: &'static str,
    /// The value as TOML. `None`: not chosen.
    pub show: fn(&Settings) -> Option<String>,
    /// Copies the setting, with the group that it is checked with.
    pub copy: fn(&Settings, &mut Settings),
    /// What is made anew when it changes.
    pub outputs: &'static [Output],
}

macro_rules! key {
    ($name:literal, $($field:ident).+: $type:ty, $outputs:expr, |$value:ident| $show:expr) => {
        Key {
            name: $name,
            show: |settings| {
                let $value: &$type = settings.$($field).+.as_ref()?;
                $show
            },
            copy: |from, to| to.$($field).+.clone_from(&from.$($field).+),
            outputs: $outputs,
        }
    };
}

/// All settings, in the order in which they are shown.
pub const KEYS: &[Key] = &[
    key!("hostname", host_name: HostName, NAMED, |name| text(name.as_str())),
    key!("domain", domain: Domain, ADDRESSED, |domain| text(domain.as_str())),
    key!("language", language: Language, &[], |language| text(language.as_str())),
    key!("timezone", time_zone: TimeZone, &[Output::TimeZone], |zone| text(zone.as_str())),
    key!("profile", profile: Profile, &[Output::Tuning], |profile| text(profile.as_str())),
    key!("invitations", invitations: u16, &[], |number| Some(number.to_string())),
    key!("restore_from", restore_from: RestoreFrom, &[], |place| text(place.as_str())),
    key!("ssh.enabled", ssh_enabled: bool, &[Output::Ssh], |on| Some(on.to_string())),
    key!("ssh.authorized_keys", ssh_keys: Vec<SshKey>, &[Output::Ssh], |keys| {
        list(keys.iter().map(|key| key.as_str().to_owned()))
    }),
    key!("network.interface", network: Network, NETWORK, |network| {
        text(network.interface.as_ref()?.as_str())
    }),
    key!("network.vlan", network: Network, NETWORK, |network| {
        Some(network.vlan?.number().to_string())
    }),
    key!("network.ipv4", network: Network, NETWORK, |network| {
        text(&network.ipv4.to_string())
    }),
    key!("network.ipv4_gateway", network: Network, NETWORK, |network| {
        text(&network.ipv4_gateway?.to_string())
    }),
    key!("network.ipv6", network: Network, NETWORK, |network| {
        text(&network.ipv6.to_string())
    }),
    key!("network.ipv6_gateway", network: Network, NETWORK, |network| {
        text(&network.ipv6_gateway?.to_string())
    }),
    key!("network.dns", network: Network, NETWORK, |network| {
        if network.dns.is_empty() {
            return None;
        }
        list(network.dns.iter().map(ToString::to_string))
    }),
    key!("wifi.ssid", wifi: Wifi, WIFI, |wifi| text(wifi.ssid.as_str())),
    key!("wifi.country", wifi: Wifi, WIFI, |wifi| text(wifi.country.as_ref()?.as_str())),
    key!("wifi.hidden", wifi: Wifi, WIFI, |wifi| Some(wifi.hidden.to_string())),
    // As it is on the card once the box has it.
    key!("wifi.password", wifi: Wifi, WIFI, |wifi| {
        wifi.secured.then(|| "\"\"".to_owned())
    }),
    key!("time.servers", time_servers: Vec<TimeServer>, &[Output::TimeServers], |servers| {
        list(servers.iter().map(|server| server.as_str().to_owned()))
    }),
    key!("updates.url", updates.url: UpdateUrl, UPDATES, |url| text(url.as_str())),
    key!("updates.channel", updates.channel: ChannelName, UPDATES, |name| text(name.as_str())),
    key!("updates.pinned", updates.pinned: VersionName, UPDATES, |name| text(name.as_str())),
    key!("updates.automatic", updates.automatic: bool, UPDATES, |on| Some(on.to_string())),
    key!("updates.window", updates.window: Window, UPDATES, |window| text(&window.to_string())),
    key!("updates.authority", updates.authority: AuthorityFile, UPDATES, |path| text(path.as_str())),
    key!("acme.enabled", acme.enabled: bool, ACME, |on| Some(on.to_string())),
    key!("acme.agree_terms", acme.agree_terms: bool, ACME, |agreed| Some(agreed.to_string())),
    key!("acme.email", acme.email: Email, ACME, |email| text(email.as_str())),
    key!("acme.directory", acme.directory: DirectoryUrl, ACME, |url| text(url.as_str())),
    key!("acme.authority", acme.authority: AuthorityFile, ACME, |path| text(path.as_str())),
    key!("acme.challenge", acme.challenge: ChallengeKind, ACME, |kind| text(kind.as_str())),
    key!("acme.hook", acme.hook: HookFile, ACME, |path| text(path.as_str())),
    key!("federation.enabled", federation.enabled: bool, IMD, |on| Some(on.to_string())),
    key!("federation.allow", federation.allow: Vec<Domain>, IMD, |domains| {
        list(domains.iter().map(|domain| domain.as_str().to_owned()))
    }),
    key!("backup.target", backup: Target, &[], |target| text(target.url.as_str())),
    key!("backup.endpoint", backup: Target, &[], |target| text(target.endpoint.as_ref()?.as_str())),
    key!("backup.region", backup: Target, &[], |target| text(target.region.as_ref()?.as_str())),
    key!("backup.access_key", backup: Target, &[], |target| {
        text(target.access_key.as_ref()?.as_str())
    }),
    // As it is on the card once the box has it.
    key!("backup.secret_key", backup: Target, &[], |target| {
        target.access_key.as_ref().map(|_| "\"\"".to_owned())
    }),
    key!("backup.authority", backup: Target, &[], |target| text(target.authority.as_ref()?.as_str())),
];

const NAMED: &[Output] = &[Output::HostName, Output::Certificate, Output::Imd];
const ADDRESSED: &[Output] = &[Output::Certificate, Output::Acme, Output::Imd];
const ACME: &[Output] = &[Output::Acme];
const IMD: &[Output] = &[Output::Imd];
const NETWORK: &[Output] = &[Output::Network];
const UPDATES: &[Output] = &[Output::Updates];
const WIFI: &[Output] = &[Output::Wifi];

/// Keys whose values are secrets: what they open is kept elsewhere, or only as a hash.
pub const SECRET_KEYS: &[&str] = &[
    "setup_code",
    "restore_words",
    "admin.password",
    "wifi.password",
    "backup.secret_key",
];

fn text(value: &str) -> Option<String> {
    Some(quoted(value))
}

fn list(values: impl Iterator<Item = String>) -> Option<String> {
    let values: Vec<String> = values.map(|value| quoted(&value)).collect();
    Some(format!("[{}]", values.join(", ")))
}

/// A text as TOML takes it.
pub fn quoted(value: &str) -> String {
    toml::Value::String(value.to_owned()).to_string()
}

/// A change of one key.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Change {
    /// The key.
    pub key: String,
    /// What it was, as TOML. Absent: not chosen.
    pub before: Option<String>,
    /// What it is, as TOML. Absent: not chosen any more.
    pub after: Option<String>,
    /// Whether a secret has become another one, of which neither is told, nor the earlier one kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_secret: bool,
}

impl Change {
    /// A secret has become another one.
    #[must_use]
    pub fn of_secret(key: &str) -> Self {
        Self {
            key: key.to_owned(),
            before: None,
            after: None,
            is_secret: true,
        }
    }

    /// What happened, for people.
    #[must_use]
    pub fn line(&self) -> String {
        let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "default".to_owned());
        let (before, after) = (shown(&self.before), shown(&self.after));
        if self.is_secret {
            format!("{}: (changed)", self.key)
        } else {
            format!("{}: {before} -> {after}", self.key)
        }
    }
}

/// Whether some of these changes can be taken back: earlier secrets are not kept.
#[must_use]
pub fn can_be_undone(changes: &[Change]) -> bool {
    changes.iter().any(|change| !change.is_secret)
}

/// What differs between two settings and the secrets that belong to them.
pub fn diff_with_secrets(
    (old, old_secrets): (&Settings, &Secrets),
    (new, new_secrets): (&Settings, &Secrets),
) -> Vec<Change> {
    let mut changes = diff(old, new);
    for key in old_secrets.changed(new_secrets) {
        if !changes.iter().any(|change| change.key == key) {
            changes.push(Change::of_secret(key));
        }
    }
    changes
}

/// What differs between two settings.
pub fn diff(old: &Settings, new: &Settings) -> Vec<Change> {
    KEYS.iter()
        .filter_map(|key| {
            let (before, after) = ((key.show)(old), (key.show)(new));
            (before != after).then(|| Change {
                key: key.name.to_owned(),
                before,
                after,
                is_secret: false,
            })
        })
        .collect()
}
