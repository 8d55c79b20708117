//! Reads settings as `perch.toml` has them. The card, the command line and the page come through here.

use settings_file::{Document, Table, Value, parse};

use super::{Settings, Wifi};
use crate::backup::key::{KeyFault, RecoveryKey, WORDS};
use crate::files::Files;
use crate::model::network::{Ipv4, Ipv6, Network, VlanId, host_address};
use crate::model::secret::{Password, S3Secret, SetupCode, WifiKey};
use crate::model::target::AccessKey;
use crate::model::{
    AccountName, Country, Domain, HostName, InterfaceName, Language, Profile, RestoreFrom, SshKey,
    Ssid, TimeServer, TimeZone,
};

/// What somebody asks for. What is absent stays as it is on the box.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// The settings that are named.
    pub settings: Settings,
    /// An administrator to make, or whose password to set. Absent: none, or already done.
    pub admin: Option<Admin>,
    /// What opens the Wi-Fi network. Absent: nothing, or it is in the box already.
    pub wifi_key: Option<WifiKey>,
    /// What opens the S3 target. Absent: nothing, or it is in the box already.
    pub s3_secret: Option<S3Secret>,
    /// Who has this code may claim the box. Absent: none, or its hash is in the box already.
    pub setup_code: Option<SetupCode>,
    /// The backup that a new box becomes. Absent: none is named.
    pub restore: Option<Restore>,
}

/// A backup that a new box becomes.
#[derive(Debug, PartialEq, Eq)]
pub struct Restore {
    /// Where it is.
    pub from: RestoreFrom,
    /// What opens it. Absent: nothing, or it has been used and removed.
    pub key: Option<RecoveryKey>,
    /// The lines in the file of `restore_from` and of `restore_words`, for problems that show later.
    pub lines: [usize; 2],
}

/// What a file of the card says.
#[derive(Debug, Default)]
pub struct Reading {
    /// What it asks for.
    pub wishes: Wishes,
    /// Parts that a box has no use for, for people.
    pub skipped: Vec<String>,
}

/// An administrator's account.
#[derive(Debug, PartialEq, Eq)]
pub struct Admin {
    /// The part of the address before the `@`.
    pub name: AccountName,
    /// The password.
    pub password: Password,
}

/// What values are checked against, besides themselves.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    /// The box, for its time zones.
    pub files: &'a Files,
    /// The Wi-Fi network whose password the box has.
    pub wifi: Option<&'a Ssid>,
    /// The domain that the box keeps when none is named. Absent: that of its host name.
    pub domain: Option<&'a Domain>,
    /// The access key of an S3 target whose secret key the box has.
    pub s3: Option<&'a AccessKey>,
}

/// Most invitations of one sheet: the box makes them before its server starts, several in a second.
const MOST_INVITATIONS: u16 = 100;
/// More are of no use to systemd-timesyncd, which asks one after the other.
const MOST_SERVERS: usize = 8;

/// Reads all keys; problems are noted in the document.
pub fn read(document: &Document, known: Known<'_>) -> Wishes {
    let mut wishes = Wishes::default();
    let settings = &mut wishes.settings;
    let mut root = document.root();
    settings.host_name = root.optional("hostname", HostName::parse);
    settings.domain = root.optional("domain", Domain::parse);
    settings.language = root.optional("language", Language::parse);
    settings.time_zone = root.optional("timezone", |value| known.time_zone(value));
    settings.profile = root.optional("profile", Profile::parse);
    settings.invitations = root.optional("invitations", parse::integer(0..=MOST_INVITATIONS));
    settings.restore_from = root.optional("restore_from", RestoreFrom::parse);
    wishes.restore = restore(&mut root, settings.restore_from.clone());
    root.secret("setup_code");
    wishes.setup_code = root.optional("setup_code", SetupCode::parse).flatten();
    wishes.admin = root.table("admin").and_then(admin);
    (settings.ssh_enabled, settings.ssh_keys) = root.table("ssh").map_or((None, None), ssh);
    settings.network = root.table("network").map(network);
    if let Some((wifi, key)) = root.table("wifi").and_then(|table| wifi(table, known)) {
        (settings.wifi, wishes.wifi_key) = (Some(wifi), key);
    }
    settings.time_servers = root.table("time").and_then(time);
    settings.updates = root
        .table("updates")
        .map_or_else(Default::default, super::updates::read);
    let domain = settings.domain.as_ref().or(known.domain);
    settings.acme = root
        .table("acme")
        .map_or_else(Default::default, |table| super::acme::read(table, domain));
    settings.federation = root
        .table("federation")
        .map_or_else(Default::default, super::federation::read);
    if let Some((target, secret)) = root
        .table("backup")
        .and_then(|table| super::target::read(table, known.s3))
    {
        (settings.backup, wishes.s3_secret) = (Some(target), secret);
    }
    root.finish();
    wishes
}

impl Known<'_> {
    /// A time zone that this box has the rules of.
    ///
    /// # Errors
    /// What is accepted.
    pub fn time_zone(&self, value: &settings_file::Value<'_>) -> Result<TimeZone, String> {
        let zone = TimeZone::parse(value)?;
        let file = format!("/usr/share/zoneinfo/{}", zone.as_str());
        if zone.as_str() == "UTC" || self.files.path(file).is_file() {
            Ok(zone)
        } else {
            Err(TimeZone::ACCEPTED.to_owned())
        }
    }
}

fn restore(root: &mut Table<'_>, from: Option<RestoreFrom>) -> Option<Restore> {
    root.secret("restore_words");
    let key = root.optional("restore_words", recovery_key).flatten();
    if key.is_some() && !root.has("restore_from") {
        root.reject(
            "restore_words",
            "nothing, unless restore_from says where the backup is",
        );
    }
    let line = root.line_of("restore_from");
    let words = if root.has("restore_words") {
        root.line_of("restore_words")
    } else {
        line
    };
    Some(Restore {
        from: from?,
        key,
        lines: [line, words],
    })
}

/// `None` for empty words: they have been used and removed. What is wrong is said without a word of them.
fn recovery_key(value: &Value<'_>) -> Result<Option<RecoveryKey>, String> {
    let text = value.as_str();
    if text == Some("") {
        return Ok(None);
    }
    let wrong = match RecoveryKey::of_words(text.unwrap_or_default()) {
        Ok(key) => return Ok(Some(key)),
        Err(KeyFault::Count(found)) => format!("these are {found}"),
        Err(KeyFault::Unknown { number, .. }) => format!("word {number} is none of a recovery key"),
        Err(KeyFault::Checksum) => {
            "one of these is another word of the list, or their order is another".to_owned()
        }
    };
    Err(format!("the {WORDS} words of a recovery key; {wrong}"))
}

fn admin(mut table: Table<'_>) -> Option<Admin> {
    table.secret("password");
    let name = table.required("name", AccountName::parse);
    let password = table.optional("password", Password::parse).flatten();
    table.finish();
    Some(Admin {
        name: name?,
        password: password?,
    })
}

fn ssh(mut table: Table<'_>) -> (Option<bool>, Option<Vec<SshKey>>) {
    let enabled = table.optional("enabled", parse::boolean);
    let keys = table.list("authorized_keys", SshKey::parse);
    let none = !table.has("authorized_keys") || keys.as_ref().is_some_and(Vec::is_empty);
    if enabled == Some(true) && none {
        table.reject(
            "authorized_keys",
            "at least one key when SSH is enabled: passwords are not accepted there",
        );
    }
    table.finish();
    (enabled, keys)
}

fn network(mut table: Table<'_>) -> Network {
    let network = Network {
        interface: table.optional("interface", InterfaceName::parse),
        vlan: table.optional("vlan", VlanId::parse),
        ipv4: table.optional("ipv4", Ipv4::parse).unwrap_or_default(),
        ipv4_gateway: table.optional("ipv4_gateway", host_address),
        ipv6: table.optional("ipv6", Ipv6::parse).unwrap_or_default(),
        ipv6_gateway: table.optional("ipv6_gateway", host_address),
        dns: table.list("dns", host_address).unwrap_or_default(),
    };
    for (key, accepted) in network.contradictions() {
        table.reject(key, accepted);
    }
    table.finish();
    network
}

fn wifi(mut table: Table<'_>, known: Known<'_>) -> Option<(Wifi, Option<WifiKey>)> {
    table.secret("password");
    let ssid = table.required("ssid", Ssid::parse);
    let key = table.optional("password", WifiKey::parse);
    let country = table.optional("country", Country::parse);
    let hidden = table.optional("hidden", parse::boolean);
    // An empty password is one that has been moved into the box.
    if key == Some(None) && ssid.as_ref() != known.wifi {
        let accepted = format!("{}: the box knows none for this network", WifiKey::ACCEPTED);
        table.reject("password", accepted);
    }
    let secured = table.has("password");
    table.finish();
    let wifi = Wifi {
        ssid: ssid?,
        secured,
        hidden: hidden.unwrap_or(false),
        country,
    };
    Some((wifi, key.flatten()))
}

fn time(mut table: Table<'_>) -> Option<Vec<TimeServer>> {
    let servers = table.list("servers", TimeServer::parse);
    if servers
        .as_ref()
        .is_some_and(|list| list.len() > MOST_SERVERS)
    {
        table.reject("servers", format!("at most {MOST_SERVERS} servers"));
    }
    table.finish();
    servers
}
