//! Every key of `perch.toml` with values that it does not take: the problem's five fields are what people see.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod common;

use common::reading;
use provisioner::settings::keys::KEYS;
use settings_file::Problem;

const HOST: &str = "a name of 1 to 40 letters a-z, digits and hyphens, such as \"perch\"";
const DOMAIN: &str = "a domain name in lower case, such as \"perch.local\" or \"chat.example.org\"";
const ZONE: &str = "a time zone such as \"Europe/Berlin\" or \"UTC\"";
const PROFILE: &str = "\"balanced\", \"performance\" or \"quiet\"";
const ACCOUNT: &str =
    "a name of 1 to 64 letters a-z, digits, dots, hyphens and underscores, such as \"anna\"";
const SSH_KEY: &str = "a public SSH key on one line, such as \"ssh-ed25519 AAAA… anna@laptop\" (the .pub file's content)";
const IPV4: &str = "\"dhcp\", \"off\", or an address of a host with its prefix length, such as \"192.168.1.50/24\"";
const IPV6: &str = "\"auto\", \"off\", or an address with its prefix length, such as \"fd00:7065:7263:6800::5/64\"";
const ADDRESS: &str = "an IP address, such as \"192.168.1.1\" or \"fe80::1\"";
const GATEWAY4: &str = "another address in the network of a fixed network.ipv4";
const GATEWAY6: &str = "a link-local address or another one in the network of a fixed network.ipv6";
const WIFI_KEY: &str = "a passphrase of 8 to 63 characters, or 64 hexadecimal digits";
const SERVER: &str = "a host name or IP address, such as \"pool.ntp.org\" or \"192.168.1.1\"";
const RESTORE: &str = "\"usb\" (a stick labelled PERCH-BACKUP) or the name of a backup file on this card, such as \"perch.age\"";
const URL: &str = "an address that begins with https://, such as \"https://updates.example/perch\"";
const CHANNEL: &str =
    "a channel's name of letters a-z, digits and hyphens, such as \"stable\" or \"beta\"";
const WINDOW: &str = "two different times of the day, such as \"03:00-05:00\"";
const AUTHORITY: &str =
    "the path of a file on the box with certificates (PEM), such as \"/etc/perch/updates-ca.crt\"";
const KEYS_NEEDED: &str = "at least one key when SSH is enabled: passwords are not accepted there";
const WIFI: &str = "ssid = \"Home\"\ncountry = \"DE\"\n";

/// Table, what else stands in it, key, the value as written, line, what is found, what is accepted.
type Case = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    usize,
    &'static str,
    &'static str,
);

const CASES: &[Case] = &[
    (
        "",
        "",
        "hostname",
        "\"two words\"",
        1,
        "\"two words\"",
        HOST,
    ),
    ("", "", "hostname", "7", 1, "7", HOST),
    ("", "", "domain", "\"local\"", 1, "\"local\"", DOMAIN),
    (
        "",
        "",
        "domain",
        "\"a.b\\n[x]\"",
        1,
        "\"a.b\\n[x]\"",
        DOMAIN,
    ),
    (
        "",
        "",
        "language",
        "\"de\"",
        1,
        "\"de\"",
        "\"en\" or \"zh\"",
    ),
    (
        "",
        "",
        "timezone",
        "\"Europe/Nowhere\"",
        1,
        "\"Europe/Nowhere\"",
        ZONE,
    ),
    (
        "",
        "",
        "timezone",
        "\"../../etc/passwd\"",
        1,
        "\"../../etc/passwd\"",
        ZONE,
    ),
    ("", "", "profile", "\"fast\"", 1, "\"fast\"", PROFILE),
    (
        "",
        "",
        "invitations",
        "101",
        1,
        "101",
        "a whole number from 0 to 100",
    ),
    (
        "",
        "",
        "invitations",
        "\"30\"",
        1,
        "\"30\"",
        "a whole number from 0 to 100",
    ),
    (
        "",
        "",
        "restore_from",
        "\"/dev/sda\"",
        1,
        "\"/dev/sda\"",
        RESTORE,
    ),
    (
        "",
        "",
        "restore_from",
        "\"../x.age\"",
        1,
        "\"../x.age\"",
        RESTORE,
    ),
    (
        "",
        "",
        "setup_code",
        "\"12345\"",
        1,
        "a string of 5 characters",
        "a code of 6 to 64 characters",
    ),
    (
        "",
        "",
        "setup_code",
        "123456",
        1,
        "a value of type integer",
        "a code of 6 to 64 characters",
    ),
    (
        "admin",
        "password = \"\"\n",
        "name",
        "\"Anna\"",
        3,
        "\"Anna\"",
        ACCOUNT,
    ),
    (
        "admin",
        "name = \"anna\"\n",
        "password",
        "\"short\"",
        3,
        "a string of 5 characters",
        "a password of 8 to 256 characters",
    ),
    (
        "ssh",
        "",
        "enabled",
        "\"yes\"",
        2,
        "\"yes\"",
        "true or false",
    ),
    (
        "ssh",
        "",
        "authorized_keys",
        "[\"ssh-ed25519 AAAA\"]",
        2,
        "\"ssh-ed25519 AAAA\"",
        SSH_KEY,
    ),
    (
        "ssh",
        "enabled = true\n",
        "authorized_keys",
        "[]",
        3,
        "[]",
        KEYS_NEEDED,
    ),
    (
        "network",
        "",
        "interface",
        "\"eth0; reboot\"",
        2,
        "\"eth0; reboot\"",
        "a network device's name, such as \"end0\"",
    ),
    (
        "network",
        "",
        "vlan",
        "0",
        2,
        "0",
        "a VLAN's number from 1 to 4094",
    ),
    (
        "network",
        "",
        "vlan",
        "4095",
        2,
        "4095",
        "a VLAN's number from 1 to 4094",
    ),
    (
        "network",
        "",
        "ipv4",
        "\"192.168.1.50\"",
        2,
        "\"192.168.1.50\"",
        IPV4,
    ),
    (
        "network",
        "",
        "ipv4",
        "\"192.168.1.255/24\"",
        2,
        "\"192.168.1.255/24\"",
        IPV4,
    ),
    (
        "network",
        "ipv4 = \"192.168.1.50/24\"\n",
        "ipv4_gateway",
        "\"192.168.2.1\"",
        3,
        "\"192.168.2.1\"",
        GATEWAY4,
    ),
    (
        "network",
        "ipv4 = \"192.168.1.50/24\"\n",
        "ipv4_gateway",
        "\"192.168.1.50\"",
        3,
        "\"192.168.1.50\"",
        GATEWAY4,
    ),
    (
        "network",
        "",
        "ipv4_gateway",
        "\"192.168.1.1\"",
        2,
        "\"192.168.1.1\"",
        GATEWAY4,
    ),
    (
        "network",
        "",
        "ipv4_gateway",
        "\"router\"",
        2,
        "\"router\"",
        ADDRESS,
    ),
    (
        "network",
        "",
        "ipv6",
        "\"fe80::5/64\"",
        2,
        "\"fe80::5/64\"",
        IPV6,
    ),
    (
        "network",
        "ipv4 = \"off\"\n",
        "ipv6",
        "\"off\"",
        3,
        "\"off\"",
        "with IPv4 off, \"auto\", or an address with its prefix length, such as \"fd00:7065:7263:6800::5/64\"",
    ),
    (
        "network",
        "ipv6 = \"fd00::5/64\"\n",
        "ipv6_gateway",
        "\"fd01::1\"",
        3,
        "\"fd01::1\"",
        GATEWAY6,
    ),
    (
        "network",
        "",
        "ipv6_gateway",
        "\"::\"",
        2,
        "\"::\"",
        ADDRESS,
    ),
    (
        "network",
        "",
        "dns",
        "[\"9.9.9.9\", \"dns.example\"]",
        2,
        "\"dns.example\"",
        ADDRESS,
    ),
    (
        "network",
        "",
        "dns",
        "\"9.9.9.9\"",
        2,
        "\"9.9.9.9\"",
        "a list, such as [\"one\", \"two\"]",
    ),
    (
        "wifi",
        "country = \"DE\"\n",
        "ssid",
        "\"\"",
        3,
        "\"\"",
        "the name of a Wi-Fi network, 1 to 32 bytes without control characters",
    ),
    (
        "wifi",
        "ssid = \"Home\"\n",
        "country",
        "\"de\"",
        3,
        "\"de\"",
        "a country of two capital letters, such as \"DE\"",
    ),
    (
        "wifi",
        WIFI,
        "password",
        "\"short\"",
        4,
        "a string of 5 characters",
        WIFI_KEY,
    ),
    (
        "wifi",
        WIFI,
        "password",
        "\"\"",
        4,
        "a string of 0 characters",
        "a passphrase of 8 to 63 characters, or 64 hexadecimal digits: the box knows none for this network",
    ),
    ("wifi", WIFI, "hidden", "1", 4, "1", "true or false"),
    (
        "time",
        "",
        "servers",
        "[\"time server\"]",
        2,
        "\"time server\"",
        SERVER,
    ),
    ("time", "", "servers", "[\"1\", \"-a\"]", 2, "\"1\"", SERVER),
    (
        "updates",
        "",
        "url",
        "\"http://updates.example\"",
        2,
        "\"http://updates.example\"",
        URL,
    ),
    ("updates", "", "url", "\"https://\"", 2, "\"https://\"", URL),
    (
        "updates",
        "",
        "url",
        "\"https://:443/x\"",
        2,
        "\"https://:443/x\"",
        URL,
    ),
    (
        "updates",
        "",
        "url",
        "\"https://u.example/a b\"",
        2,
        "\"https://u.example/a b\"",
        URL,
    ),
    (
        "updates",
        "",
        "url",
        "\"https://me:pw@u.example/\"",
        2,
        "\"https://me:pw@u.example/\"",
        URL,
    ),
    (
        "updates",
        "",
        "url",
        "\"https://u.example/x?y\"",
        2,
        "\"https://u.example/x?y\"",
        URL,
    ),
    ("updates", "", "url", "7", 2, "7", URL),
    ("updates", "", "channel", "\"Beta\"", 2, "\"Beta\"", CHANNEL),
    (
        "updates",
        "",
        "channel",
        "\"../stable\"",
        2,
        "\"../stable\"",
        CHANNEL,
    ),
    ("updates", "", "channel", "\"\"", 2, "\"\"", CHANNEL),
    ("updates", "", "channel", "true", 2, "true", CHANNEL),
    (
        "updates",
        "",
        "automatic",
        "\"yes\"",
        2,
        "\"yes\"",
        "true or false",
    ),
    ("updates", "", "automatic", "1", 2, "1", "true or false"),
    ("updates", "", "window", "\"03:00\"", 2, "\"03:00\"", WINDOW),
    (
        "updates",
        "",
        "window",
        "\"3:00-5:00\"",
        2,
        "\"3:00-5:00\"",
        WINDOW,
    ),
    (
        "updates",
        "",
        "window",
        "\"03:00-03:00\"",
        2,
        "\"03:00-03:00\"",
        WINDOW,
    ),
    (
        "updates",
        "",
        "window",
        "\"24:00-01:00\"",
        2,
        "\"24:00-01:00\"",
        WINDOW,
    ),
    ("updates", "", "window", "5", 2, "5", WINDOW),
    (
        "updates",
        "",
        "authority",
        "\"ca.crt\"",
        2,
        "\"ca.crt\"",
        AUTHORITY,
    ),
    (
        "updates",
        "",
        "authority",
        "\"/etc/../ca.crt\"",
        2,
        "\"/etc/../ca.crt\"",
        AUTHORITY,
    ),
    (
        "updates",
        "",
        "authority",
        "\"/etc/perch/\"",
        2,
        "\"/etc/perch/\"",
        AUTHORITY,
    ),
    (
        "updates",
        "",
        "authority",
        "\"/a b\"",
        2,
        "\"/a b\"",
        AUTHORITY,
    ),
    ("updates", "", "authority", "7", 2, "7", AUTHORITY),
];

fn problems(text: &str) -> Vec<Problem> {
    let (document, wishes) = reading(text);
    match document.into_result(Some(wishes)) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().cloned().collect(),
    }
}

#[test]
fn every_bad_value_is_named_with_file_line_key_found_and_accepted() {
    for (table, before, key, value, line, found, accepted) in CASES {
        let head = if table.is_empty() {
            String::new()
        } else {
            format!("[{table}]\n")
        };
        let text = format!("{head}{before}{key} = {value}\n");
        let path = if table.is_empty() {
            (*key).to_owned()
        } else {
            format!("{table}.{key}")
        };
        let problems = problems(&text);
        let problem = problems
            .first()
            .unwrap_or_else(|| panic!("{text:?} was taken"));
        assert_eq!(problem.file, "perch.toml");
        assert_eq!(problem.line, *line, "{text:?}");
        assert!(
            problem.key == path || problem.key.starts_with(&format!("{path}[")),
            "{} for {text:?}",
            problem.key
        );
        assert_eq!(problem.found, *found, "{text:?}");
        assert_eq!(problem.accepted, *accepted, "{text:?}");
    }
}

#[test]
fn no_key_is_without_a_bad_value() {
    let tried = |name: &str| {
        CASES
            .iter()
            .any(|(table, _, key, ..)| name == *key || name == format!("{table}.{key}"))
    };
    for key in KEYS {
        assert!(tried(key.name), "{} has no case", key.name);
    }
    for name in ["setup_code", "admin.name", "admin.password"] {
        assert!(tried(name), "{name} has no case");
    }
}

#[test]
fn a_whole_file_of_good_values_has_no_problem_and_is_shown_as_it_was_written() {
    let text = "\
hostname = \"office\"
domain = \"chat.example.org\"
language = \"zh\"
timezone = \"Europe/Berlin\"
profile = \"quiet\"
invitations = 30
restore_from = \"usb\"
ssh.enabled = false
ssh.authorized_keys = []
network.interface = \"end0\"
network.vlan = 10
network.ipv4 = \"192.168.1.50/24\"
network.ipv4_gateway = \"192.168.1.1\"
network.ipv6 = \"fd00::5/64\"
network.ipv6_gateway = \"fe80::1\"
network.dns = [\"192.168.1.1\", \"2620:fe::fe\"]
time.servers = [\"pool.ntp.org\", \"192.168.1.1\"]
updates.url = \"https://updates.example:8443/perch\"
updates.channel = \"beta\"
updates.automatic = true
updates.window = \"23:00-01:00\"
updates.authority = \"/etc/perch/updates-ca.crt\"
";
    let (document, wishes) = reading(text);
    let wishes = document.into_result(Some(wishes)).unwrap();
    assert_eq!(wishes.settings.to_toml(), text);
}
