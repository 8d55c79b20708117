//! Reads `rpi-preseed.toml`, which Raspberry Pi Imager writes onto the card (`init_format` `rpi-preseed`; the format is in
//! that project's rpi-preseed(5)). What a chat box can use is checked as strictly as in `perch.toml`; everything else
//! is named and passed over, as the format asks.

use std::net::IpAddr;

use settings_file::{Document, Table, Value, parse};

use super::Wifi;
use super::read::{Admin, Known, Reading};
use crate::model::network::{Ipv4, Network, host_address};
use crate::model::secret::{Password, WifiKey};
use crate::model::{
    AccountName, Country, HostName, InterfaceName, Language, SshKey, Ssid, TimeServer, TimeZone,
};

/// Its name on the card.
pub const NAME: &str = "rpi-preseed.toml";

/// What is passed over, with the line where it stands.
struct Skipped<'d> {
    document: &'d Document,
    lines: Vec<(usize, String)>,
}

impl Skipped<'_> {
    /// Notes a key of a table.
    fn note(&mut self, table: &Table<'_>, path: &str, key: &str, why: &str) {
        let start = table.span(key).map_or(0, |span| span.start);
        let before = self.document.text().as_bytes().get(..start);
        let line = 1 + before.map_or(0, |text| text.iter().filter(|byte| **byte == b'\n').count());
        let path = if path.is_empty() {
            key.to_owned()
        } else {
            format!("{path}.{key}")
        };
        let why = if why.is_empty() {
            String::new()
        } else {
            format!(": {why}")
        };
        self.lines
            .push((line, format!("{NAME}:{line}: {path}{why}")));
    }

    /// Notes every key of a table that is not one of `used`.
    fn others(&mut self, table: &mut Table<'_>, path: &str, used: &[&str]) {
        for key in table.keys() {
            if !used.contains(&key.as_str()) {
                self.note(table, path, &key, "");
            }
        }
    }
}

/// Reads all that a chat box can use; problems are noted in the document.
pub fn read(document: &Document, known: Known<'_>) -> Reading {
    let mut reading = Reading::default();
    let mut skipped = Skipped {
        document,
        lines: Vec::new(),
    };
    let wishes = &mut reading.wishes;
    let settings = &mut wishes.settings;
    let mut root = document.root();
    let used = [
        "config_version",
        "system",
        "user",
        "ssh",
        "wlan",
        "ethernet",
        "locale",
        "time",
    ];
    skipped.others(&mut root, "", &used);
    root.required("config_version", version);
    settings.host_name = root.table("system").and_then(|mut table| {
        skipped.others(&mut table, "system", &["hostname"]);
        table.optional("hostname", host_name)
    });
    wishes.admin = root
        .table("user")
        .and_then(|table| user(table, &mut skipped));
    if let Some((enabled, keys)) = root.table("ssh").and_then(|table| ssh(table, &mut skipped)) {
        (settings.ssh_enabled, settings.ssh_keys) = (Some(enabled), keys);
    }
    if let Some((wifi, key)) = root
        .table("wlan")
        .and_then(|table| wlan(table, known, &mut skipped))
    {
        (settings.wifi, wishes.wifi_key) = (Some(wifi), key);
    }
    settings.network = root
        .table("ethernet")
        .and_then(|table| ethernet(table, &mut skipped));
    if let Some(table) = root.table("locale") {
        (settings.time_zone, settings.language) = locale(table, known, &mut skipped);
    }
    settings.time_servers = root
        .table("time")
        .and_then(|table| time(table, &mut skipped));
    root.finish();
    skipped.lines.sort();
    reading.skipped = skipped.lines.into_iter().map(|(_, text)| text).collect();
    reading
}

/// A newer minor version may have more keys; a newer major version may mean something else by the same ones.
fn version(value: &Value<'_>) -> Result<(), String> {
    match value.as_str().map(|text| text.split_once('.')) {
        Some(Some(("1", minor))) if minor.parse::<u32>().is_ok() => Ok(()),
        _ => Err("\"1.0\", or another version that starts with 1".to_owned()),
    }
}

/// Imager takes capital letters, which mean the same in a host name (RFC 4343).
fn host_name(value: &Value<'_>) -> Result<HostName, String> {
    HostName::new(&value.as_str().unwrap_or_default().to_ascii_lowercase())
}

fn user(mut table: Table<'_>, skipped: &mut Skipped<'_>) -> Option<Admin> {
    skipped.others(
        &mut table,
        "user",
        &["name", "password", "password_encrypted"],
    );
    table.secret("password");
    let hashed = table.optional("password_encrypted", parse::boolean) == Some(true);
    if hashed || !table.has("password") {
        let why = "no chat password can be made of it; name the administrator in perch.toml, section [admin]";
        let key = if hashed { "password" } else { "name" };
        if table.has(key) {
            skipped.note(&table, "user", key, why);
        }
        return None;
    }
    let name = table.required("name", AccountName::parse);
    let password = table.optional("password", Password::parse).flatten();
    Some(Admin {
        name: name?,
        password: password?,
    })
}

fn ssh(mut table: Table<'_>, skipped: &mut Skipped<'_>) -> Option<(bool, Option<Vec<SshKey>>)> {
    skipped.others(
        &mut table,
        "ssh",
        &["enabled", "authorized_keys", "password_authentication"],
    );
    let enabled = table.optional("enabled", parse::boolean)?;
    let keys = table.list("authorized_keys", SshKey::parse);
    if table.optional("password_authentication", parse::boolean) == Some(true) {
        let why = "a chat box takes keys only";
        skipped.note(&table, "ssh", "password_authentication", why);
    }
    if enabled && keys.as_ref().is_none_or(Vec::is_empty) {
        skipped.note(
            &table,
            "ssh",
            "enabled",
            "there are no authorized_keys, so SSH stays as it was",
        );
        return None;
    }
    Some((enabled, keys))
}

/// The kinds of Wi-Fi security, and whether each is without a password.
const IS_OPEN: &[(&str, bool)] = &[
    ("none", true),
    ("owe", true),
    ("wpa-psk", false),
    ("sae", false),
];

fn wlan(
    mut table: Table<'_>,
    known: Known<'_>,
    skipped: &mut Skipped<'_>,
) -> Option<(Wifi, Option<WifiKey>)> {
    let used = [
        "ssid",
        "password",
        "password_encrypted",
        "hidden",
        "country",
        "key_mgmt",
    ];
    skipped.others(&mut table, "wlan", &used);
    table.secret("password");
    if !table.has("ssid") {
        return None;
    }
    let ssid = table.required("ssid", Ssid::parse);
    let key = table.optional("password", WifiKey::parse);
    if key == Some(None) && ssid.as_ref() != known.wifi {
        let accepted = format!("{}: the box knows none for this network", WifiKey::ACCEPTED);
        table.reject("password", accepted);
    }
    table.optional("password_encrypted", parse::boolean);
    let hidden = table.optional("hidden", parse::boolean);
    let country = table.optional("country", Country::parse);
    let open = table.optional("key_mgmt", parse::one_of(IS_OPEN));
    match (open, table.has("password")) {
        (Some(true), true) => table.reject("password", "nothing, for an open network"),
        (Some(false), false) => table.reject("password", WifiKey::ACCEPTED),
        _ => {}
    }
    let wifi = Wifi {
        ssid: ssid?,
        secured: table.has("password"),
        hidden: hidden.unwrap_or(false),
        country,
    };
    Some((wifi, key.flatten()))
}

/// How the wired network is set up.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Method {
    Dhcp,
    Static,
    Disabled,
}

const METHODS: &[(&str, Method)] = &[
    ("dhcp", Method::Dhcp),
    ("static", Method::Static),
    ("disabled", Method::Disabled),
];

fn ethernet(mut table: Table<'_>, skipped: &mut Skipped<'_>) -> Option<Network> {
    let used = ["method", "address", "gateway", "dns", "interface"];
    skipped.others(&mut table, "ethernet", &used);
    let method = match table.has("method") {
        true => table.optional("method", parse::one_of(METHODS))?,
        false => Method::Dhcp,
    };
    let interface = table.optional("interface", InterfaceName::parse);
    if method == Method::Disabled {
        let why = "a chat box keeps its wired network";
        skipped.note(&table, "ethernet", "method", why);
        return None;
    }
    if method == Method::Dhcp {
        for key in ["address", "gateway", "dns"].map(|key| (key, table.has(key))) {
            if key.1 {
                table.reject(key.0, "nothing, unless ethernet.method is \"static\"");
            }
        }
        return Some(Network {
            interface,
            ..Network::default()
        });
    }
    let ipv4 = table.required("address", |value| match Ipv4::parse(value) {
        Ok(fixed @ Ipv4::Fixed(..)) => Ok(fixed),
        _ => Err("an address with its prefix length, such as \"192.168.1.50/24\"".to_owned()),
    });
    let network = Network {
        interface,
        ipv4: ipv4.unwrap_or_default(),
        ipv4_gateway: table.optional("gateway", host_address),
        dns: table
            .list("dns", host_address::<IpAddr>)
            .unwrap_or_default(),
        ..Network::default()
    };
    if ipv4.is_some() && !network.contradictions().is_empty() {
        table.reject(
            "gateway",
            "another address in the network of ethernet.address",
        );
    }
    Some(network)
}

fn locale(
    mut table: Table<'_>,
    known: Known<'_>,
    skipped: &mut Skipped<'_>,
) -> (Option<TimeZone>, Option<Language>) {
    skipped.others(&mut table, "locale", &["timezone", "lang"]);
    let zone = table.optional("timezone", |value| known.time_zone(value));
    // A POSIX locale such as zh_CN.UTF-8 starts with its language.
    let lang = table.optional("lang", parse::single_line);
    let language = lang
        .as_deref()
        .and_then(|lang| Language::new(lang.get(..2)?).ok());
    if lang.is_some() && language.is_none() {
        skipped.note(
            &table,
            "locale",
            "lang",
            "the box's pages are in English and Chinese",
        );
    }
    (zone, language)
}

fn time(mut table: Table<'_>, skipped: &mut Skipped<'_>) -> Option<Vec<TimeServer>> {
    skipped.others(&mut table, "time", &["ntp", "fallback_ntp"]);
    let first = table.list("ntp", TimeServer::parse);
    let then = table.list("fallback_ntp", TimeServer::parse);
    if first.is_none() && then.is_none() {
        return None;
    }
    let mut servers = first.unwrap_or_default();
    servers.extend(then.unwrap_or_default());
    Some(servers)
}
