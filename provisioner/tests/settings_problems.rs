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
use provisioner::web::texts::{Language, Texts};
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
const VERSION: &str = "a version such as \"1.2.3\" or \"2.0.0-beta.1\"";
const WINDOW: &str = "two times of the day, at least 15 minutes apart, such as \"03:00-05:00\"";
const AUTHORITY: &str =
    "the path of a file on the box with certificates (PEM), such as \"/etc/perch/updates-ca.crt\"";
const DIRECTORY: &str = "an address that begins with https://, such as \"https://acme-v02.api.letsencrypt.org/directory\"";
const CHALLENGE: &str =
    "\"http-01\" (a file on port 80) or \"dns-01\" (a record of the domain, by acme.hook)";
const EMAIL: &str = "an e-mail address, such as \"anna@example.org\"";
const HOOK: &str = "the path of a program in /etc/perch, such as \"/etc/perch/acme-hook\"";
const HOOK_NEEDED: &str =
    "for dns-01, the path of a program in /etc/perch, such as \"/etc/perch/acme-hook\"";
const NOT_PUBLIC: &str =
    "false, unless the setting domain is a public name of yours, such as \"chat.example.org\"";
const TERMS: &str =
    "true when enabled: the certificate authority wants its terms of service agreed to";
const TARGET: &str = "\"sftp://user@host/folder\" (\"host:port\" if the port is not 22, \"/~/folder\" below the user's home), or \"s3://bucket/folder\"";
const ENDPOINT: &str =
    "the address of a server, such as \"https://s3.example.org\" or \"http://192.168.1.9:9000\"";
const REGION: &str = "a region of letters a-z, digits and hyphens, such as \"us-east-1\"";
const ACCESS_KEY: &str =
    "an access key of 3 to 128 letters, digits and signs, as the server's owner gives it out";
const SECRET_KEY: &str =
    "the secret key that belongs to the access key, 8 to 256 characters without blanks";
const ONLY_S3: &str = "nothing, unless backup.target is an S3 target";
const ALLOW: &str = "1 to 100 domains; without the key, all are talked with";
const SFTP: &str = "target = \"sftp://perch@nas/backups\"\n";
const S3: &str =
    "target = \"s3://perch/box\"\nendpoint = \"https://s3.example.org\"\naccess_key = \"AKIA1\"\n";
const S3_OPENED: &str = "target = \"s3://perch/box\"\nendpoint = \"https://s3.example.org\"\naccess_key = \"AKIA1\"\nsecret_key = \"secret/secret\"\n";
const KEYS_NEEDED: &str = "at least one key when SSH is enabled: passwords are not accepted there";
const WIFI: &str = "ssid = \"Home\"\ncountry = \"DE\"\n";

const USB: &str = "restore_from = \"usb\"\n";
const WORDS: &str = "\"abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about\"";
const NO_WORD: &str = "\"abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abaut\"";
const WRONG_ORDER: &str = "\"abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon zoo\"";

/// A value that is not taken.
struct Case {
    table: &'static str,
    /// What else stands in the table, before it.
    before: &'static str,
    key: &'static str,
    /// As it is written.
    value: &'static str,
    found: &'static str,
    accepted: &'static str,
}

const fn bad(
    table: &'static str,
    key: &'static str,
    value: &'static str,
    accepted: &'static str,
) -> Case {
    Case {
        table,
        before: "",
        key,
        value,
        found: value,
        accepted,
    }
}

impl Case {
    const fn after(self, before: &'static str) -> Self {
        Self { before, ..self }
    }

    /// What is named, where that is not the value as it is written.
    const fn found(self, found: &'static str) -> Self {
        Self { found, ..self }
    }

    fn path(&self) -> String {
        match self.table {
            "" => self.key.to_owned(),
            table => format!("{table}.{}", self.key),
        }
    }

    /// The file with it, and its line there.
    fn file(&self) -> (String, usize) {
        let head = match self.table {
            "" => String::new(),
            table => format!("[{table}]\n"),
        };
        let above = format!("{head}{}", self.before);
        let line = 1 + above.lines().count();
        (format!("{above}{} = {}\n", self.key, self.value), line)
    }
}

const CASES: &[Case] = &[
    bad("", "hostname", "\"two words\"", HOST),
    bad("", "hostname", "7", HOST),
    bad("", "domain", "\"local\"", DOMAIN),
    bad("", "domain", "\"a.b\\n[x]\"", DOMAIN),
    bad("", "language", "\"de\"", "\"en\" or \"zh\""),
    bad("", "timezone", "\"Europe/Nowhere\"", ZONE),
    bad("", "timezone", "\"../../etc/passwd\"", ZONE),
    bad("", "profile", "\"fast\"", PROFILE),
    bad("", "invitations", "101", "a whole number from 0 to 100"),
    bad("", "invitations", "\"30\"", "a whole number from 0 to 100"),
    bad("", "restore_from", "\"/dev/sda\"", RESTORE),
    bad("", "restore_from", "\"../x.age\"", RESTORE),
    bad("", "restore_words", "\"abandon about\"", "the 12 words of a recovery key; these are 2").after(USB).found("a string of 13 characters"),
    bad("", "restore_words", NO_WORD, "the 12 words of a recovery key; word 12 is none of a recovery key").after(USB).found("a string of 93 characters"),
    bad("", "restore_words", WRONG_ORDER, "the 12 words of a recovery key; one of these is another word of the list, or their order is another").after(USB).found("a string of 91 characters"),
    bad("", "restore_words", "12", "the 12 words of a recovery key; these are 0").after(USB).found("a value of type integer"),
    bad("", "restore_words", WORDS, "nothing, unless restore_from says where the backup is").found("a string of 93 characters"),
    bad("", "setup_code", "\"12345\"", "a code of 6 to 64 characters").found("a string of 5 characters"),
    bad("", "setup_code", "123456", "a code of 6 to 64 characters").found("a value of type integer"),
    bad("admin", "name", "\"Anna\"", ACCOUNT).after("password = \"\"\n"),
    bad("admin", "password", "\"short\"", "a password of 8 to 256 characters").after("name = \"anna\"\n").found("a string of 5 characters"),
    bad("ssh", "enabled", "\"yes\"", "true or false"),
    bad("ssh", "authorized_keys", "[\"ssh-ed25519 AAAA\"]", SSH_KEY).found("\"ssh-ed25519 AAAA\""),
    bad("ssh", "authorized_keys", "[]", KEYS_NEEDED).after("enabled = true\n"),
    bad("network", "interface", "\"eth0; reboot\"", "a network device's name, such as \"end0\""),
    bad("network", "vlan", "0", "a VLAN's number from 1 to 4094"),
    bad("network", "vlan", "4095", "a VLAN's number from 1 to 4094"),
    bad("network", "ipv4", "\"192.168.1.50\"", IPV4),
    bad("network", "ipv4", "\"192.168.1.255/24\"", IPV4),
    bad("network", "ipv4_gateway", "\"192.168.2.1\"", GATEWAY4).after("ipv4 = \"192.168.1.50/24\"\n"),
    bad("network", "ipv4_gateway", "\"192.168.1.50\"", GATEWAY4).after("ipv4 = \"192.168.1.50/24\"\n"),
    bad("network", "ipv4_gateway", "\"192.168.1.1\"", GATEWAY4),
    bad("network", "ipv4_gateway", "\"router\"", ADDRESS),
    bad("network", "ipv6", "\"fe80::5/64\"", IPV6),
    bad("network", "ipv6", "\"off\"", "with IPv4 off, \"auto\", or an address with its prefix length, such as \"fd00:7065:7263:6800::5/64\"").after("ipv4 = \"off\"\n"),
    bad("network", "ipv6_gateway", "\"fd01::1\"", GATEWAY6).after("ipv6 = \"fd00::5/64\"\n"),
    bad("network", "ipv6_gateway", "\"::\"", ADDRESS),
    bad("network", "dns", "[\"9.9.9.9\", \"dns.example\"]", ADDRESS).found("\"dns.example\""),
    bad("network", "dns", "\"9.9.9.9\"", "a list, such as [\"one\", \"two\"]"),
    bad("wifi", "ssid", "\"\"", "the name of a Wi-Fi network, 1 to 32 bytes without control characters").after("country = \"DE\"\n"),
    bad("wifi", "country", "\"de\"", "a country of two capital letters, such as \"DE\"").after("ssid = \"Home\"\n"),
    bad("wifi", "password", "\"short\"", WIFI_KEY).after(WIFI).found("a string of 5 characters"),
    bad("wifi", "password", "\"\"", "a passphrase of 8 to 63 characters, or 64 hexadecimal digits: the box knows none for this network").after(WIFI).found("a string of 0 characters"),
    bad("wifi", "hidden", "1", "true or false").after(WIFI),
    bad("time", "servers", "[\"time server\"]", SERVER).found("\"time server\""),
    bad("time", "servers", "[\"1\", \"-a\"]", SERVER).found("\"1\""),
    bad("updates", "url", "\"http://updates.example\"", URL),
    bad("updates", "url", "\"https://\"", URL),
    bad("updates", "url", "\"https://:443/x\"", URL),
    bad("updates", "url", "\"https://u.example/a b\"", URL),
    bad("updates", "url", "\"https://me:pw@u.example/\"", URL),
    bad("updates", "url", "\"https://u.example/x?y\"", URL),
    bad("updates", "url", "7", URL),
    bad("updates", "channel", "\"Beta\"", CHANNEL),
    bad("updates", "channel", "\"../stable\"", CHANNEL),
    bad("updates", "channel", "\"\"", CHANNEL),
    bad("updates", "channel", "true", CHANNEL),
    bad("updates", "pinned", "\"1.2\"", VERSION),
    bad("updates", "pinned", "\"1.2.x\"", VERSION),
    bad("updates", "pinned", "\"v1.2.3\"", VERSION),
    bad("updates", "pinned", "\"1.2.3-\"", VERSION),
    bad("updates", "pinned", "\"\"", VERSION),
    bad("updates", "pinned", "1.2", VERSION),
    bad("updates", "automatic", "\"yes\"", "true or false"),
    bad("updates", "automatic", "1", "true or false"),
    bad("updates", "window", "\"03:00\"", WINDOW),
    bad("updates", "window", "\"3:00-5:00\"", WINDOW),
    bad("updates", "window", "\"03:00-03:00\"", WINDOW),
    bad("updates", "window", "\"24:00-01:00\"", WINDOW),
    bad("updates", "window", "\"03:00-03:14\"", WINDOW),
    bad("updates", "window", "5", WINDOW),
    bad("updates", "authority", "\"ca.crt\"", AUTHORITY),
    bad("updates", "authority", "\"/etc/../ca.crt\"", AUTHORITY),
    bad("updates", "authority", "\"/etc/perch/\"", AUTHORITY),
    bad("updates", "authority", "\"/a b\"", AUTHORITY),
    bad("updates", "authority", "7", AUTHORITY),
    bad("acme", "enabled", "\"yes\"", "true or false"),
    bad("acme", "enabled", "true", NOT_PUBLIC).after("agree_terms = true\n"),
    bad("", "acme.enabled", "true", NOT_PUBLIC).after("domain = \"perch.local\"\nacme.agree_terms = true\n"),
    bad("acme", "agree_terms", "1", "true or false"),
    bad("", "acme.agree_terms", "false", TERMS).after("domain = \"chat.example.org\"\nacme.enabled = true\n"),
    bad("acme", "email", "\"anna\"", EMAIL),
    bad("acme", "email", "\"anna@local\"", EMAIL),
    bad("acme", "email", "\"a b@example.org\"", EMAIL),
    bad("acme", "email", "\"a,mailto:b@example.org\"", EMAIL),
    bad("acme", "directory", "\"http://ca.example\"", DIRECTORY),
    bad("acme", "directory", "\"https://ca.example/a?b\"", DIRECTORY),
    bad("acme", "directory", "1", DIRECTORY),
    bad("acme", "authority", "\"ca.crt\"", AUTHORITY),
    bad("acme", "challenge", "\"tls-alpn-01\"", CHALLENGE),
    bad("acme", "challenge", "true", CHALLENGE),
    bad("acme", "hook", "\"acme-hook\"", HOOK),
    bad("acme", "hook", "\"/usr/sbin/reboot\"", HOOK),
    bad("acme", "hook", "\"/etc/perch/../hook\"", HOOK),
    bad("acme", "hook", "\"/etc/perch/hook; reboot\"", HOOK),
    bad("federation", "enabled", "\"on\"", "true or false"),
    bad("federation", "enabled", "1", "true or false"),
    bad("federation", "allow", "[\"school.example\", \"a b\"]", DOMAIN).found("\"a b\""),
    bad("federation", "allow", "[\"School.example\"]", DOMAIN).found("\"School.example\""),
    bad("federation", "allow", "[]", ALLOW),
    bad("federation", "allow", "\"school.example\"", "a list, such as [\"one\", \"two\"]"),
    bad("backup", "target", "\"nas:/backups\"", TARGET),
    bad("backup", "target", "\"sftp://nas/backups\"", TARGET),
    bad("backup", "target", "\"sftp://a@nas/../x\"", TARGET),
    bad("backup", "target", "\"s3://B/x\"", TARGET),
    bad("backup", "target", "7", TARGET),
    bad("backup", "endpoint", "\"s3.example.org\"", ENDPOINT)
        .after("target = \"s3://perch\"\naccess_key = \"AKIA1\"\nsecret_key = \"secret/secret\"\n"),
    bad("backup", "endpoint", "\"https://nas\"", ONLY_S3).after(SFTP),
    bad("backup", "region", "\"US East\"", REGION).after(S3_OPENED),
    bad("backup", "region", "\"us\"", ONLY_S3).after(SFTP),
    bad("backup", "access_key", "\"a b\"", ACCESS_KEY)
        .after("target = \"s3://perch\"\nendpoint = \"https://nas\"\nsecret_key = \"secret/secret\"\n"),
    bad("backup", "access_key", "\"AKIA1\"", ONLY_S3).after(SFTP),
    bad("backup", "secret_key", "\"short\"", SECRET_KEY).after(S3).found("a string of 5 characters"),
    bad("backup", "secret_key", "7", SECRET_KEY).after(S3).found("a value of type integer"),
    bad("backup", "secret_key", "\"\"", "the secret key that belongs to the access key, 8 to 256 characters without blanks: the box has none for this access key")
        .after(S3).found("a string of 0 characters"),
    bad("backup", "secret_key", "\"secret/secret\"", ONLY_S3).after(SFTP).found("a string of 13 characters"),
    bad("backup", "authority", "\"ca.crt\"", AUTHORITY).after(S3_OPENED),
    bad("backup", "authority", "\"/etc/perch/nas.crt\"", ONLY_S3).after(SFTP),
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
    for case in CASES {
        let ((text, line), path) = (case.file(), case.path());
        let problems = problems(&text);
        let problem = problems
            .first()
            .unwrap_or_else(|| panic!("{text:?} was taken"));
        assert_eq!(problem.file, "perch.toml");
        assert_eq!(problem.line, line, "{text:?}");
        assert!(
            problem.key == path || problem.key.starts_with(&format!("{path}[")),
            "{} for {text:?}",
            problem.key
        );
        assert_eq!(problem.found, case.found, "{text:?}");
        assert_eq!(problem.accepted, case.accepted, "{text:?}");
    }
}

#[test]
fn every_problem_that_a_page_can_bring_has_words_in_both_languages() {
    // Only the card has these.
    let of_the_card = ["invitations", "restore_", "setup_code", "admin."];
    for case in CASES {
        let path = case.path();
        if of_the_card.iter().any(|begin| path.starts_with(begin)) {
            continue;
        }
        let key = provisioner::web::settings_words::accepted(case.accepted);
        let key = key.unwrap_or_else(|| panic!("{path}: no text for {:?}", case.accepted));
        let [en, zh] = [Language::En, Language::Zh].map(|language| Texts(language).m(key));
        assert!(en != key && en != zh, "{key}: {en}, {zh}");
    }
}

#[test]
fn what_a_certificate_needs_is_asked_for_where_it_is_wanted() {
    let wanted = "domain = \"chat.example.org\"\n[acme]\nenabled = true\n";
    let found = |more: &str| {
        let found = problems(&format!("{wanted}{more}"));
        let found = found.into_iter();
        found
            .map(|p| (p.key, p.found, p.accepted))
            .collect::<Vec<_>>()
    };
    let missing = |key: &str, accepted: &str| {
        let words = ["nothing", accepted].map(str::to_owned);
        let [nothing, accepted] = words;
        vec![(format!("acme.{key}"), nothing, accepted)]
    };
    assert_eq!(found(""), missing("agree_terms", TERMS));
    assert_eq!(found("agree_terms = true\n"), []);
    let by_dns = "agree_terms = true\nchallenge = \"dns-01\"\n";
    assert_eq!(found(by_dns), missing("hook", HOOK_NEEDED));
    assert_eq!(found(&format!("{by_dns}hook = \"/etc/perch/hook\"\n")), []);
    // What is off may be prepared.
    assert!(problems("[acme]\nenabled = false\nchallenge = \"dns-01\"\n").is_empty());
}

#[test]
fn no_key_is_without_a_bad_value() {
    let tried = |name: &str| CASES.iter().any(|case| case.path() == name);
    for key in KEYS {
        assert!(tried(key.name), "{} has no case", key.name);
    }
    for name in [
        "setup_code",
        "restore_words",
        "admin.name",
        "admin.password",
    ] {
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
updates.pinned = \"2.0.0-beta.1\"
updates.automatic = true
updates.window = \"23:00-01:00\"
updates.authority = \"/etc/perch/updates-ca.crt\"
acme.enabled = true
acme.agree_terms = true
acme.email = \"anna@example.org\"
acme.directory = \"https://ca.example:8443/acme/directory\"
acme.authority = \"/etc/perch/acme-ca.crt\"
acme.challenge = \"dns-01\"
acme.hook = \"/etc/perch/acme-hook\"
federation.enabled = true
federation.allow = [\"school.example\", \"club.example\"]
backup.target = \"sftp://perch@nas.local:2222/~/backups\"
";
    let (document, wishes) = reading(text);
    let wishes = document.into_result(Some(wishes)).unwrap();
    assert_eq!(wishes.settings.to_toml(), text);
}
