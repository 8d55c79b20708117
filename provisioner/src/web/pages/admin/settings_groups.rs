//! Which settings the page has, and how they are typed.

use std::collections::BTreeMap;

use crate::settings::keys::{SECRET_KEYS, quoted};
use crate::web::texts::Texts;

/// Settings that are lists; they are typed with commas.
const LISTS: [&str; 4] = [
    "network.dns",
    "time.servers",
    "ssh.authorized_keys",
    "federation.allow",
];
/// Settings whose texts may look like a number or another value.
const FREE_TEXTS: [&str; 2] = ["wifi.ssid", "wifi.password"];

/// The settings that the page offers, in groups: key, text, and the choices where there are few.
pub const GROUPS: [(&str, &[Field]); 8] = [
    (
        "settings-group-box",
        &[
            ("hostname", "host-name", &[]),
            ("domain", "domain", &[]),
            ("language", "language", &["en", "zh"]),
            ("timezone", "time-zone", &[]),
            ("time.servers", "settings-time-servers", &[]),
        ],
    ),
    (
        "settings-group-speed",
        &[(
            "profile",
            "settings-profile",
            &["balanced", "performance", "quiet"],
        )],
    ),
    (
        "settings-group-network",
        &[
            ("network.ipv4", "settings-ipv4", &[]),
            ("network.ipv4_gateway", "settings-ipv4-gateway", &[]),
            ("network.ipv6", "settings-ipv6", &[]),
            ("network.ipv6_gateway", "settings-ipv6-gateway", &[]),
            ("network.dns", "settings-dns", &[]),
            ("network.vlan", "settings-vlan", &[]),
            ("network.interface", "settings-interface", &[]),
        ],
    ),
    (
        "settings-group-wifi",
        &[
            ("wifi.ssid", "settings-wifi-ssid", &[]),
            ("wifi.password", "settings-wifi-password", &[]),
            ("wifi.country", "settings-wifi-country", &[]),
            ("wifi.hidden", "settings-wifi-hidden", &["true", "false"]),
        ],
    ),
    (
        "settings-group-federation",
        &[
            (
                "federation.enabled",
                "settings-federation-enabled",
                &["true", "false"],
            ),
            ("federation.allow", "settings-federation-allow", &[]),
        ],
    ),
    (
        "settings-group-updates",
        &[
            ("updates.url", "settings-updates-url", &[]),
            ("updates.channel", "settings-updates-channel", &[]),
            ("updates.pinned", "settings-updates-pinned", &[]),
            (
                "updates.automatic",
                "settings-updates-automatic",
                &["true", "false"],
            ),
            ("updates.window", "settings-updates-window", &[]),
        ],
    ),
    (
        "settings-group-acme",
        &[
            ("acme.enabled", "settings-acme-enabled", &["true", "false"]),
            (
                "acme.agree_terms",
                "settings-acme-terms",
                &["true", "false"],
            ),
            ("acme.email", "settings-acme-email", &[]),
            (
                "acme.challenge",
                "settings-acme-challenge",
                &["http-01", "dns-01"],
            ),
            ("acme.hook", "settings-acme-hook", &[]),
            ("acme.directory", "settings-acme-directory", &[]),
        ],
    ),
    (
        "settings-group-ssh",
        &[
            ("ssh.enabled", "settings-ssh", &["true", "false"]),
            ("ssh.authorized_keys", "settings-ssh-keys", &[]),
        ],
    ),
];

/// Key, text, and the choices where there are few.
pub type Field = (&'static str, &'static str, &'static [&'static str]);

/// Settings that are not on the page, and why.
#[cfg(test)]
const ELSEWHERE: [(&str, &str); 10] = [
    (
        "invitations",
        "the sheet of a card's first start; the page Invitations makes them on a box that runs",
    ),
    (
        "restore_from",
        "for the card of a new box; the page Backups restores on a box that runs",
    ),
    (
        "updates.authority",
        "a file on the box: who can put it there has a shell",
    ),
    (
        "acme.authority",
        "a file on the box: who can put it there has a shell",
    ),
    (
        "backup.target",
        "the page Backups has it, with the keys that belong to it",
    ),
    ("backup.endpoint", "with backup.target"),
    ("backup.region", "with backup.target"),
    ("backup.access_key", "with backup.target"),
    ("backup.secret_key", "with backup.target"),
    ("backup.authority", "with backup.target"),
];

/// A group as the page shows it.
pub struct GroupView {
    /// Other pages point to it.
    pub id: &'static str,
    /// Its title.
    pub title: String,
    /// Its fields.
    pub fields: Vec<FieldView>,
}

/// A field as the page shows it.
pub struct FieldView {
    /// The setting.
    pub key: &'static str,
    /// What it is, for people.
    pub label: String,
    /// Its value as it is typed; empty for a secret.
    pub value: String,
    /// Where there are few.
    pub choices: &'static [&'static str],
    /// Whether it is never shown, and an empty field keeps it.
    pub is_secret: bool,
}

/// What a tick at the Wi-Fi network's password says: there is none.
pub const OPEN_WIFI: &str = "wifi.open";

/// A value as people type it: a text without quotes, a list with commas.
pub fn typed(toml: &str) -> String {
    let table: Option<toml::Table> = format!("value = {toml}").parse().ok();
    match table.as_ref().and_then(|table| table.get("value")) {
        Some(toml::Value::String(text)) => text.clone(),
        Some(toml::Value::Array(items)) => {
            let items = items.iter().filter_map(toml::Value::as_str);
            items.collect::<Vec<_>>().join(", ")
        }
        _ => toml.to_owned(),
    }
}

/// What people have typed as the agent takes it: lists in TOML.
pub fn as_value(key: &str, typed: &str) -> String {
    if typed.is_empty() {
        return String::new();
    }
    // A network may be called 1984, and a password look like a date.
    if FREE_TEXTS.contains(&key) {
        return quoted(typed);
    }
    if !LISTS.contains(&key) {
        return typed.to_owned();
    }
    let items = typed
        .split([',', '\n', '，'])
        .map(str::trim)
        .filter(|item| !item.is_empty());
    let items = items.map(|item| toml::Value::String(item.to_owned()));
    toml::Value::Array(items.collect()).to_string()
}

/// The groups with these values.
pub fn group_views(t: Texts, values: &BTreeMap<String, String>) -> Vec<GroupView> {
    let field = |(key, label, choices): &Field| FieldView {
        key,
        label: t.m(label),
        value: values
            .get(*key)
            .filter(|_| !SECRET_KEYS.contains(key))
            .cloned()
            .unwrap_or_default(),
        choices,
        is_secret: SECRET_KEYS.contains(key),
    };
    let groups = GROUPS.iter().map(|(title, fields)| GroupView {
        id: title,
        title: t.m(title),
        fields: fields.iter().map(field).collect(),
    });
    groups.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::keys::KEYS;

    #[test]
    fn values_are_typed_without_signs_of_toml() {
        for (key, shown, toml) in [
            ("hostname", "office", "\"office\""),
            ("network.vlan", "10", "10"),
            (
                "network.dns",
                "192.168.1.1, fd00::1",
                "[\"192.168.1.1\", \"fd00::1\"]",
            ),
        ] {
            assert_eq!(typed(toml), shown);
            let back = as_value(key, shown);
            assert!(back == shown || back == toml, "{back}");
        }
        assert_eq!(as_value("network.dns", ""), "");
        assert_eq!(as_value("wifi.ssid", "1984"), "\"1984\"");
        assert_eq!(as_value("wifi.password", ""), "");
    }

    #[test]
    fn every_setting_is_on_the_page_or_has_a_reason() {
        for key in KEYS {
            let on_page = GROUPS
                .iter()
                .any(|(_, fields)| fields.iter().any(|(field, ..)| *field == key.name));
            let elsewhere = ELSEWHERE.iter().any(|(other, _)| *other == key.name);
            assert!(on_page != elsewhere, "{}", key.name);
        }
        let known = |name: &str| KEYS.iter().any(|key| key.name == name);
        assert!(
            ELSEWHERE
                .iter()
                .all(|(name, why)| known(name) && !why.is_empty())
        );
    }
}
