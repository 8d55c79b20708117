//! The files that follow from the settings, and what takes them up.

use anyhow::{Context, Result, bail};

use super::secrets::Secrets;
use super::{render, updates};
use crate::acme::{job, service};
use crate::files::{Access, Files};
use crate::firstboot::state::BoxState;
use crate::firstboot::{certificates, ssh};
use crate::imd_config;
use crate::system::System;
use crate::tuning;

/// Something of the box that follows from its settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Host name and hosts.
    HostName,
    /// Local time.
    TimeZone,
    /// The wired network.
    Network,
    /// The Wi-Fi network.
    Wifi,
    /// Who tells the time.
    TimeServers,
    /// Login by SSH.
    Ssh,
    /// The box's certificates. They are no plain files: what is there and good stays.
    Certificate,
    /// The domain's certificate from an authority. It comes from there later; what is not wanted any more goes at once.
    Acme,
    /// The chat server's configuration.
    Imd,
    /// Where new versions come from.
    Updates,
    /// The tuning values of the profile. They are no files of ours: perch-apply.service writes them at every start.
    Tuning,
}

/// All outputs in the order in which they are made.
pub const ALL: [Output; 11] = [
    Output::HostName,
    Output::TimeZone,
    Output::Network,
    Output::Wifi,
    Output::TimeServers,
    Output::Ssh,
    Output::Certificate,
    Output::Acme,
    Output::Imd,
    Output::Updates,
    Output::Tuning,
];

/// A file of an output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Where it lies.
    pub path: String,
    /// What is to be there.
    pub content: Content,
    /// Who may read it.
    pub access: Access,
}

/// What is to be at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A file with this text.
    Text(String),
    /// A symbolic link to this path.
    Link(String),
    /// Nothing.
    Absent,
}

/// What takes an output up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Give the running system its name.
    SetHostName,
    /// Let networkd read its files, after taking away a VLAN's device that no file has any more.
    ReloadNetwork {
        /// The device.
        delete: Option<String>,
    },
    /// Restart a unit, if it runs.
    Restart(&'static str),
    /// Let a unit take its files up without ending connections, if it runs.
    Reload(&'static str),
    /// Start or stop the SSH server.
    SwitchSsh,
    /// Let the Wi-Fi devices join the network that is set, or leave it.
    SwitchWifi,
    /// Write the tuning values of the profile, and read them back.
    Tune,
    /// Let the unit that orders certificates look at the settings.
    Order,
}

/// Below the image's own 50-perch-wired.network in the order of names, so that it is taken first.
const WIRED: &str = "/etc/systemd/network/40-perch-wired.network";
const VLAN_DEVICE: &str = "/etc/systemd/network/40-perch-vlan.netdev";
const VLAN: &str = "/etc/systemd/network/41-perch-vlan.network";
const WIFI: &str = "/etc/systemd/network/45-perch-wifi.network";
/// The root is read-only: the drop-in is made at every start.
const TIME_SERVERS: &str = "/run/systemd/timesyncd.conf.d/60-perch.conf";
/// What wpa_supplicant takes.
pub const WPA_SUPPLICANT: &str = "/etc/perch/wpa_supplicant.conf";
/// /etc/NAME is a symbolic link to these, which can be replaced.
const HOST_NAME: &str = "/data/etc/hostname";
const HOSTS: &str = "/data/etc/hosts";
const LOCAL_TIME: &str = "/data/etc/localtime";

impl Output {
    /// Whether the server is of no use without it.
    pub fn is_essential(self) -> bool {
        matches!(self, Self::Certificate | Self::Imd)
    }

    /// Its name, for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::HostName => "host name",
            Self::TimeZone => "time zone",
            Self::Network => "network",
            Self::Wifi => "Wi-Fi",
            Self::TimeServers => "time servers",
            Self::Ssh => "SSH",
            Self::Certificate => "certificates",
            Self::Acme => "the domain's certificate",
            Self::Imd => "imd.toml",
            Self::Updates => "updates",
            Self::Tuning => "tuning",
        }
    }

    /// Its files, with the content that the settings ask for.
    pub fn pieces(self, state: &BoxState, secrets: &Secrets) -> Vec<Piece> {
        let settings = &state.settings;
        let everyone = |path: &str, content| Piece {
            path: path.to_owned(),
            content,
            access: Access::Everyone,
        };
        let text = |text: Option<String>| text.map_or(Content::Absent, Content::Text);
        match self {
            Self::HostName => vec![
                everyone(HOST_NAME, Content::Text(format!("{}\n", state.host_name()))),
                everyone(HOSTS, Content::Text(render::hosts(state.host_name()))),
            ],
            Self::TimeZone => {
                let zone = settings
                    .time_zone
                    .as_ref()
                    .map_or("Etc/UTC", |zone| zone.as_str());
                vec![everyone(
                    LOCAL_TIME,
                    Content::Link(format!("/usr/share/zoneinfo/{zone}")),
                )]
            }
            Self::Network => {
                let network = settings.network.as_ref();
                // The image's own file serves a box whose owner says nothing of the network.
                vec![
                    everyone(WIRED, text(network.map(render::wired))),
                    everyone(VLAN_DEVICE, text(network.and_then(render::vlan_device))),
                    everyone(VLAN, text(network.and_then(render::vlan))),
                ]
            }
            Self::Wifi => wifi_pieces(state, secrets, everyone),
            Self::TimeServers => {
                let servers = settings.time_servers.as_deref().unwrap_or_default();
                let drop_in = (!servers.is_empty()).then(|| render::time_servers(servers));
                vec![everyone(TIME_SERVERS, text(drop_in))]
            }
            Self::Ssh => ssh::pieces(state),
            Self::Certificate | Self::Acme | Self::Tuning => Vec::new(),
            Self::Updates => updates::piece(&settings.updates, state.update_file.as_ref())
                .into_iter()
                .collect(),
            Self::Imd => vec![everyone(
                imd_config::PATH,
                Content::Text(imd_config::render(&state.domain(), &settings.federation)),
            )],
        }
    }

    /// What takes it up. `old` is what the box was set to before.
    pub fn actions(self, old: &BoxState, new: &BoxState) -> Vec<Action> {
        let vlan = |state: &BoxState| {
            let network = state.settings.network.as_ref();
            network.and_then(|network| network.vlan_device())
        };
        match self {
            Self::HostName => vec![Action::SetHostName, Action::Restart("avahi-daemon.service")],
            // Updates read their file when they look.
            Self::TimeZone | Self::Updates => Vec::new(),
            Self::Network => vec![Action::ReloadNetwork {
                delete: vlan(old).filter(|device| vlan(new).as_ref() != Some(device)),
            }],
            Self::Wifi => vec![Action::ReloadNetwork { delete: None }, Action::SwitchWifi],
            Self::TimeServers => vec![Action::Restart("systemd-timesyncd.service")],
            Self::Ssh => vec![Action::SwitchSsh],
            Self::Certificate => TAKE_UP_CERTIFICATE.into(),
            Self::Acme if service::wanted(new).is_none() || is_as_before(old, new) => Vec::new(),
            Self::Acme => vec![Action::Order],
            Self::Imd => vec![Action::Restart("imd.service")],
            Self::Tuning if old.settings.profile() == new.settings.profile() => Vec::new(),
            Self::Tuning => vec![Action::Tune],
        }
    }
}

fn wifi_pieces(
    state: &BoxState,
    secrets: &Secrets,
    everyone: impl Fn(&str, Content) -> Piece,
) -> Vec<Piece> {
    let supplicant = |content| Piece {
        path: WPA_SUPPLICANT.to_owned(),
        content,
        access: Access::Root,
    };
    let Some(wifi) = &state.settings.wifi else {
        return vec![everyone(WIFI, Content::Absent), supplicant(Content::Absent)];
    };
    let key = secrets
        .wifi
        .as_ref()
        .filter(|secret| wifi.secured && secret.ssid == wifi.ssid)
        .map(|secret| secret.key.reveal());
    vec![
        everyone(WIFI, Content::Text(render::wifi_network())),
        supplicant(Content::Text(render::wpa_supplicant(wifi, key.as_deref()))),
    ]
}

impl Piece {
    /// Whether it is there as it is to be.
    pub fn is_there(&self, files: &Files) -> bool {
        let place = files.path(&self.path);
        match &self.content {
            Content::Text(text) => files.holds(&self.path, text.as_bytes(), self.access),
            Content::Link(target) => {
                std::fs::read_link(place).is_ok_and(|old| old.as_os_str() == target.as_str())
            }
            Content::Absent => place.symlink_metadata().is_err(),
        }
    }

    /// Puts it there.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn put(&self, files: &Files) -> Result<()> {
        match &self.content {
            Content::Text(text) => files
                .replace(&self.path, text.as_bytes(), self.access)
                .map(drop),
            Content::Link(target) => files.link(&self.path, target),
            Content::Absent => files.remove(&self.path),
        }
    }
}

impl Action {
    /// Whether it is needed while the box starts: what starts later reads its files then.
    pub fn is_for_boot(&self) -> bool {
        match self {
            Self::SetHostName | Self::ReloadNetwork { .. } => true,
            Self::Restart(unit) => *unit == "systemd-timesyncd.service",
            Self::Reload(_) | Self::SwitchSsh | Self::SwitchWifi | Self::Tune | Self::Order => {
                false
            }
        }
    }

    /// Does it.
    ///
    /// # Errors
    /// The system refused, or the unit does not run afterwards.
    pub fn run(&self, files: &Files, system: &dyn System, state: &BoxState) -> Result<()> {
        files.change()?;
        match self {
            Self::SetHostName => system.set_host_name(state.host_name()),
            Self::ReloadNetwork { delete } => {
                if let Some(device) = delete {
                    // It may be gone with its cable's device.
                    let _ = system.run(&["networkctl", "delete", device], None);
                }
                system
                    .run(&["networkctl", "reload"], None)
                    .context("reloading the network")?;
                runs(system, "systemd-networkd.service")
            }
            Self::Restart(unit) => {
                system
                    .run(&["systemctl", "try-restart", unit], None)
                    .with_context(|| format!("restarting {unit}"))?;
                runs(system, unit)
            }
            Self::Reload(unit) => {
                system
                    .run(&["systemctl", "try-reload-or-restart", unit], None)
                    .with_context(|| format!("reloading {unit}"))?;
                runs(system, unit)
            }
            Self::Tune => tuning::follow(files, system, &state.settings.profile()),
            Self::SwitchWifi => switch_wifi(files, system, state),
            Self::Order => {
                // The timer does it within the hour otherwise.
                if let Err(error) = system.start(job::UNIT, &files.path("/"), &job::ARGUMENTS) {
                    eprintln!("<4>{error:#}");
                }
                Ok(())
            }
            Self::SwitchSsh => {
                let on = state.settings.ssh_enabled == Some(true);
                let verb = if on { "restart" } else { "stop" };
                system
                    .run(&["systemctl", verb, "ssh.service"], None)
                    .with_context(|| format!("systemctl {verb} ssh.service"))?;
                if on {
                    runs(system, "ssh.service")
                } else {
                    Ok(())
                }
            }
        }
    }
}

/// A box without a Wi-Fi device keeps the setting for when it gets one.
fn switch_wifi(files: &Files, system: &dyn System, state: &BoxState) -> Result<()> {
    let on = state.settings.wifi.is_some();
    let verb = if on { "restart" } else { "stop" };
    for place in files.matching("/sys/class/net/*/phy80211") {
        let Some(device) = place.split('/').nth(4) else {
            continue;
        };
        let unit = format!("perch-wifi@{device}.service");
        system
            .run(&["systemctl", verb, &unit], None)
            .with_context(|| format!("systemctl {verb} {unit}"))?;
        if on {
            runs(system, &unit)?;
        }
    }
    Ok(())
}

fn is_as_before(old: &BoxState, new: &BoxState) -> bool {
    let about = |state: &BoxState| (state.settings.acme.clone(), state.settings.domain.clone());
    about(old) == about(new)
}

/// Fails for a unit that has failed. One that is off, or not there, is none of a setting's business.
fn runs(system: &dyn System, unit: &str) -> Result<()> {
    match system.unit_property(unit, "ActiveState")?.as_deref() {
        Some("failed") => bail!("{unit} has failed"),
        _ => Ok(()),
    }
}

/// What a new certificate of the server is taken up by. The pages' own connections must outlive it.
pub const TAKE_UP_CERTIFICATE: [Action; 2] = [
    Action::Restart("imd.service"),
    Action::Reload("nginx.service"),
];

/// The certificates' files.
pub const CERTIFICATES: [(&str, Access); 6] = [
    (certificates::AUTHORITY_KEY, Access::Root),
    (certificates::AUTHORITY, Access::Everyone),
    (certificates::SERVER_KEY, Access::Group("imd")),
    (certificates::SERVER_CERTIFICATE, Access::Everyone),
    service::FILES[0],
    service::FILES[1],
];
