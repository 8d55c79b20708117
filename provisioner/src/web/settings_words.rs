//! What the settings say in English, in the reader's language: problems, choices, and what is done for a change.

use super::texts::Texts;
use crate::agent::command::{BadValue, Refusal};
use crate::settings::plan::Step;

/// What is accepted, as the settings say it, and the text for it.
const ACCEPTED: [(&str, &str); 42] = [
    (
        "a version such as \"1.2.3\" or \"2.0.0-beta.1\"",
        "accepted-version",
    ),
    (
        "1 to 100 domains; without the key, all are talked with",
        "accepted-allow",
    ),
    (
        "a name of 1 to 40 letters a-z, digits and hyphens, such as \"perch\"",
        "accepted-host-name",
    ),
    (
        "a domain name in lower case, such as \"perch.local\" or \"chat.example.org\"",
        "accepted-domain",
    ),
    ("\"en\" or \"zh\"", "accepted-language"),
    (
        "a time zone such as \"Europe/Berlin\" or \"UTC\"",
        "accepted-time-zone",
    ),
    (
        "\"balanced\", \"performance\" or \"quiet\"",
        "accepted-profile",
    ),
    (
        "a public SSH key on one line, such as \"ssh-ed25519 AAAA… anna@laptop\" (the .pub file's content)",
        "accepted-ssh-key",
    ),
    (
        "at least one key when SSH is enabled: passwords are not accepted there",
        "accepted-ssh-keys",
    ),
    (
        "a network device's name, such as \"end0\"",
        "accepted-interface",
    ),
    ("a VLAN's number from 1 to 4094", "accepted-vlan"),
    (
        "\"dhcp\", \"off\", or an address of a host with its prefix length, such as \"192.168.1.50/24\"",
        "accepted-ipv4",
    ),
    (
        "\"auto\", \"off\", or an address with its prefix length, such as \"fd00:7065:7263:6800::5/64\"",
        "accepted-ipv6",
    ),
    (
        "with IPv4 off, \"auto\", or an address with its prefix length, such as \"fd00:7065:7263:6800::5/64\"",
        "accepted-ipv6-needed",
    ),
    (
        "an IP address, such as \"192.168.1.1\" or \"fe80::1\"",
        "accepted-address",
    ),
    (
        "another address in the network of a fixed network.ipv4",
        "accepted-gateway4",
    ),
    (
        "a link-local address or another one in the network of a fixed network.ipv6",
        "accepted-gateway6",
    ),
    (
        "the name of a Wi-Fi network, 1 to 32 bytes without control characters",
        "accepted-ssid",
    ),
    (
        "a country of two capital letters, such as \"DE\"",
        "accepted-country",
    ),
    (
        "a passphrase of 8 to 63 characters, or 64 hexadecimal digits",
        "accepted-wifi-key",
    ),
    (
        "a passphrase of 8 to 63 characters, or 64 hexadecimal digits: the box knows none for this network",
        "accepted-wifi-key-needed",
    ),
    (
        "a host name or IP address, such as \"pool.ntp.org\" or \"192.168.1.1\"",
        "accepted-time-server",
    ),
    (
        "an address that begins with https://, such as \"https://updates.example/perch\"",
        "accepted-updates-url",
    ),
    (
        "a channel's name of letters a-z, digits and hyphens, such as \"stable\" or \"beta\"",
        "accepted-channel",
    ),
    (
        "two times of the day, at least 15 minutes apart, such as \"03:00-05:00\"",
        "accepted-window",
    ),
    (
        "the path of a file on the box with certificates (PEM), such as \"/etc/perch/updates-ca.crt\"",
        "accepted-authority",
    ),
    (
        "an address that begins with https://, such as \"https://acme-v02.api.letsencrypt.org/directory\"",
        "accepted-directory",
    ),
    (
        "\"http-01\" (a file on port 80) or \"dns-01\" (a record of the domain, by acme.hook)",
        "accepted-challenge",
    ),
    (
        "an e-mail address, such as \"anna@example.org\"",
        "accepted-email",
    ),
    (
        "the path of a program in /etc/perch, such as \"/etc/perch/acme-hook\"",
        "accepted-hook",
    ),
    (
        "for dns-01, the path of a program in /etc/perch, such as \"/etc/perch/acme-hook\"",
        "accepted-hook-needed",
    ),
    (
        "false, unless the setting domain is a public name of yours, such as \"chat.example.org\"",
        "accepted-no-public-domain",
    ),
    (
        "true when enabled: the certificate authority wants its terms of service agreed to",
        "accepted-terms",
    ),
    (
        "\"sftp://user@host/folder\" (\"host:port\" if the port is not 22, \"/~/folder\" below the user's home), or \"s3://bucket/folder\"",
        "accepted-target",
    ),
    (
        "the address of a server, such as \"https://s3.example.org\" or \"http://192.168.1.9:9000\"",
        "accepted-endpoint",
    ),
    (
        "a region of letters a-z, digits and hyphens, such as \"us-east-1\"",
        "accepted-region",
    ),
    (
        "an access key of 3 to 128 letters, digits and signs, as the server's owner gives it out",
        "accepted-access-key",
    ),
    (
        "the secret key that belongs to the access key, 8 to 256 characters without blanks",
        "accepted-secret-key",
    ),
    (
        "the secret key that belongs to the access key, 8 to 256 characters without blanks: the box has none for this access key",
        "accepted-secret-key-needed",
    ),
    (
        "nothing, unless backup.target is an S3 target",
        "accepted-only-s3",
    ),
    ("true or false", "accepted-yes-no"),
    ("a list, such as [\"one\", \"two\"]", "accepted-list"),
];

/// Choices that are words of ours and not names.
const CHOICES: [(&str, &str); 9] = [
    ("true", "settings-yes"),
    ("false", "settings-no"),
    ("balanced", "settings-balanced"),
    ("performance", "settings-performance"),
    ("quiet", "settings-quiet"),
    ("http-01", "settings-http-01"),
    ("dns-01", "settings-dns-01"),
    ("en", "settings-english"),
    ("zh", "settings-chinese"),
];

/// The text for what a setting accepts. `None`: there is none, and the setting's own English is shown.
#[must_use]
pub fn accepted(english: &str) -> Option<&'static str> {
    let found = ACCEPTED.iter().find(|(known, _)| *known == english);
    found.map(|(_, key)| *key)
}

/// Why settings are refused: a line for each bad value, without the place in a file that nobody has written.
/// `label` names a setting as the page does.
pub fn refusal(t: Texts, refusal: &Refusal, label: impl Fn(&str) -> String) -> String {
    if refusal.bad_values.is_empty() {
        return refusal.text.clone();
    }
    let lines = refusal
        .bad_values
        .iter()
        .map(|bad| bad_value(t, bad, &label));
    lines.collect::<Vec<_>>().join("\n")
}

fn bad_value(t: Texts, bad: &BadValue, label: impl Fn(&str) -> String) -> String {
    let accepted = accepted(&bad.accepted).map_or_else(|| bad.accepted.clone(), |key| t.m(key));
    // One of a list has its number behind it.
    let key = label(bad.key.split('[').next().unwrap_or_default());
    let mut values = vec![("key", key.as_str()), ("accepted", &accepted)];
    let Some(found) = found(t, &bad.found) else {
        return t.with("settings-missing", &values);
    };
    values.push(("found", &found));
    t.with("settings-bad-value", &values)
}

/// A secret is never shown, only its length. `None`: there is nothing.
fn found(t: Texts, english: &str) -> Option<String> {
    let length = english
        .strip_prefix("a string of ")
        .and_then(|rest| rest.strip_suffix(" characters")?.parse::<u64>().ok());
    match (english, length) {
        ("nothing", _) | (_, Some(0)) => None,
        (_, Some(length)) => Some(t.count("settings-found-secret", length)),
        _ => {
            let bare = english.strip_prefix('"').and_then(|e| e.strip_suffix('"'));
            Some(bare.unwrap_or(english).to_owned())
        }
    }
}

/// A choice, or any other value as it stands.
pub fn choice(t: Texts, value: &str) -> String {
    let found = CHOICES.iter().find(|(known, _)| *known == value);
    found.map_or_else(|| value.to_owned(), |(_, key)| t.m(key))
}

/// What is done for a change.
pub fn step(t: Texts, step: &Step) -> String {
    let of = |key: &str, what: &str| t.with(key, &[("what", what)]);
    match step {
        Step::Write(path) | Step::Link(path) => of("settings-step-write", path),
        Step::Remove(path) => of("settings-step-remove", path),
        Step::SetHostName => t.m("settings-step-host-name"),
        Step::ReloadNetwork(_) => t.m("settings-step-network"),
        Step::Restart(unit) => of("settings-step-restart", unit),
        Step::Reload(unit) => of("settings-step-reload", unit),
        Step::Tune => t.m("settings-step-tune"),
        Step::SwitchWifi => t.m("settings-step-wifi"),
        Step::SwitchSsh => t.m("settings-step-ssh"),
        Step::Order => t.m("settings-step-order"),
    }
}
