//! Values that a person chooses, each a type that can only hold what is safe to write into any file of the box.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use settings_file::Value;

pub mod network;
pub mod secret;

macro_rules! text_type {
    ($(#[$doc:meta])* $name:ident, $accepted:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// What is accepted, for people.
            pub const ACCEPTED: &'static str = $accepted;

            /// Checks a text.
            ///
            /// # Errors
            /// What is accepted.
            pub fn new(text: &str) -> Result<Self, String> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) { Ok(Self(text.to_owned())) } else { Err(Self::ACCEPTED.to_owned()) }
            }

            /// Reads it from a settings file.
            ///
            /// # Errors
            /// What is accepted.
            pub fn parse(value: &Value<'_>) -> Result<Self, String> {
                Self::new(value.as_str().unwrap_or_default())
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                Self::new(&text)
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.0
            }
        }
    };
}

// After the macro that they use.
pub mod bundle;
pub mod target;

text_type! {
    /// A machine's name on the local network, without `.local` (RFC 1123 §2.1, in lower case).
    HostName,
    "a name of 1 to 40 letters a-z, digits and hyphens, such as \"perch\"",
    |text| text.len() <= 40 && is_label(text)
}

text_type! {
    /// A DNS name, the part after the `@` of the box's addresses.
    Domain,
    "a domain name in lower case, such as \"perch.local\" or \"chat.example.org\"",
    |text| text.len() <= 253 && text.contains('.') && text.split('.').all(|label| label.len() <= 63 && is_label(label))
        && !text.rsplit('.').next().unwrap_or_default().chars().all(|c| c.is_ascii_digit())
}

text_type! {
    /// The part before the `@` of an address, in the plain form that every client can type.
    AccountName,
    "a name of 1 to 64 letters a-z, digits, dots, hyphens and underscores, such as \"anna\"",
    |text| (1..=64).contains(&text.len())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-_".contains(c))
}

text_type! {
    /// A time zone's name in the IANA database.
    TimeZone,
    "a time zone such as \"Europe/Berlin\" or \"UTC\"",
    |text| text.len() <= 64 && !text.is_empty() && text.split('/').all(|part| {
        part.starts_with(|c: char| c.is_ascii_alphabetic())
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "_+-".contains(c))
    })
}

text_type! {
    /// A public key as it stands in `authorized_keys`: type, key, and maybe a comment; no options.
    SshKey,
    "a public SSH key on one line, such as \"ssh-ed25519 AAAA… anna@laptop\" (the .pub file's content)",
    |text| {
        let mut parts = text.split(' ');
        let kind = parts.next().unwrap_or_default();
        let key = parts.next().unwrap_or_default();
        let known = ["ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521",
            "sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com"];
        text.len() <= 4096 && known.contains(&kind) && key.starts_with("AAAA") && key.len() >= 60
            && key.chars().all(|c| c.is_ascii_alphanumeric() || "+/=".contains(c))
            && !text.chars().any(char::is_control)
    }
}

text_type! {
    /// The language of the box's pages (BCP 47, the two that there are texts for).
    Language,
    "\"en\" or \"zh\"",
    |text| ["en", "zh"].contains(&text)
}

text_type! {
    /// How the box weighs speed against heat and noise.
    Profile,
    "\"balanced\", \"performance\" or \"quiet\"",
    |text| ["balanced", "performance", "quiet"].contains(&text)
}

text_type! {
    /// A server that tells the time (NTP), by name or address.
    TimeServer,
    "a host name or IP address, such as \"pool.ntp.org\" or \"192.168.1.1\"",
    |text| text.parse::<IpAddr>().is_ok() || is_host(text)
}

text_type! {
    /// A network device as the kernel names it.
    InterfaceName,
    "a network device's name, such as \"end0\"",
    |text| (1..=15).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
}

text_type! {
    /// The name of a Wi-Fi network (IEEE 802.11: 1 to 32 bytes).
    Ssid,
    "the name of a Wi-Fi network, 1 to 32 bytes without control characters",
    |text| (1..=32).contains(&text.len()) && !text.chars().any(char::is_control)
}

text_type! {
    /// The country whose rules the radio keeps (ISO 3166-1, two letters).
    Country,
    "a country of two capital letters, such as \"DE\"",
    |text| text.len() == 2 && text.chars().all(|c| c.is_ascii_uppercase())
}

text_type! {
    /// Where a new box takes its data from.
    RestoreFrom,
    "\"usb\" (a stick labelled PERCH-BACKUP) or the name of a backup file on this card, such as \"perch.age\"",
    |text| text == "usb" || (text.len() <= 64 && text.ends_with(".age") && !text.starts_with('.')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)))
}

text_type! {
    /// The folder of a publisher of new versions: any HTTPS server's.
    UpdateUrl,
    "an address that begins with https://, such as \"https://updates.example/perch\"",
    is_https
}

text_type! {
    /// The directory of a certificate authority that speaks ACME (RFC 8555 §7.1.1).
    DirectoryUrl,
    "an address that begins with https://, such as \"https://acme-v02.api.letsencrypt.org/directory\"",
    is_https
}

text_type! {
    /// How a certificate authority finds out that a domain is the box's (RFC 8555 §8).
    ChallengeKind,
    "\"http-01\" (a file on port 80) or \"dns-01\" (a record of the domain, by acme.hook)",
    |text| ["http-01", "dns-01"].contains(&text)
}

text_type! {
    /// Whom a certificate authority may write to.
    Email,
    "an e-mail address, such as \"anna@example.org\"",
    |text| text.len() <= 254 && text.split_once('@').is_some_and(|(name, domain)| {
        (1..=64).contains(&name.len()) && Domain::new(&domain.to_ascii_lowercase()).is_ok()
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "._%+-".contains(c))
    })
}

text_type! {
    /// A program of the owner's: only root can put one into this folder.
    HookFile,
    "the path of a program in /etc/perch, such as \"/etc/perch/acme-hook\"",
    |text| text.starts_with("/etc/perch/") && is_path(text)
}

text_type! {
    /// One of a publisher's lists of versions.
    ChannelName,
    "a channel's name of letters a-z, digits and hyphens, such as \"stable\" or \"beta\"",
    |text| text.len() <= 40 && is_label(text)
}

text_type! {
    /// A release's version (Semantic Versioning 2.0.0, without build metadata).
    VersionName,
    "a version such as \"1.2.3\" or \"2.0.0-beta.1\"",
    is_version
}

text_type! {
    /// A file of the box with certificates of authorities.
    AuthorityFile,
    "the path of a file on the box with certificates (PEM), such as \"/etc/perch/updates-ca.crt\"",
    is_path
}

impl Profile {
    /// The profile of a box whose owner says nothing.
    pub fn usual() -> Self {
        Self("balanced".to_owned())
    }
}

impl Domain {
    /// The domain of a box whose own cannot be told.
    pub fn of_any_box() -> Self {
        Self("perch.local".to_owned())
    }

    /// Whether an authority could certify it: names of the local network and of this machine belong to nobody (RFC 6761,
    /// RFC 6762).
    pub fn is_public(&self) -> bool {
        !["local", "localhost"].contains(&self.0.rsplit('.').next().unwrap_or_default())
    }
}

fn is_https(text: &str) -> bool {
    text.len() <= 500
        && text.strip_prefix("https://").is_some_and(|rest| {
            let host = rest.split('/').next().unwrap_or_default();
            !host.is_empty()
                && !host.starts_with(':')
                && rest
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "-._~/:%[]".contains(c))
        })
}

fn is_version(text: &str) -> bool {
    let (numbers, pre) = text.split_once('-').unwrap_or((text, "1"));
    let is_number =
        |part: &str| (1..=9).contains(&part.len()) && part.chars().all(|c| c.is_ascii_digit());
    let is_identifier = |part: &str| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    text.len() <= 60
        && numbers.split('.').count() == 3
        && numbers.split('.').all(is_number)
        && pre.split('.').all(is_identifier)
}

fn is_path(text: &str) -> bool {
    text.len() <= 200
        && text.starts_with('/')
        && !text.ends_with('/')
        && !text.contains("..")
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c))
}

/// Labels of letters, digits and hyphens in either case; a name of digits alone would be a broken address.
fn is_host(text: &str) -> bool {
    text.len() <= 253
        && text
            .split('.')
            .all(|label| label.len() <= 63 && is_label(&label.to_ascii_lowercase()))
        && text.chars().any(|c| c.is_ascii_alphabetic())
}

fn is_label(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_could_break_a_file_or_a_name_are_refused() {
        for text in [
            "",
            "Perch",
            "two words",
            "a.b",
            "-a",
            "a-",
            "a\nb",
            "perch_1",
            &"a".repeat(41),
        ] {
            assert!(HostName::new(text).is_err(), "host name {text:?}");
        }
        for text in [
            "local",
            "Perch.local",
            "a..b",
            "10.0.0.1",
            "a.b\n",
            "a.b/c",
            ".local",
        ] {
            assert!(Domain::new(text).is_err(), "domain {text:?}");
        }
        for text in ["", "Anna", "a@b", "a b", "a/b", "\"a"] {
            assert!(AccountName::new(text).is_err(), "account {text:?}");
        }
        for text in [
            "",
            "../etc/passwd",
            "/etc/passwd",
            "Europe//Berlin",
            "Europe/Berlin\n",
        ] {
            assert!(TimeZone::new(text).is_err(), "time zone {text:?}");
        }
        let key = format!("ssh-ed25519 AAAA{}", "b".repeat(64));
        for text in [
            format!("command=\"sh\" {key}"),
            format!("{key}\nssh-rsa"),
            "ssh-ed25519 AAAA".to_owned(),
        ] {
            assert!(SshKey::new(&text).is_err(), "key {text:?}");
        }
    }

    #[test]
    fn usual_values_are_accepted() {
        assert!(HostName::new("perch-2").is_ok());
        assert!(Domain::new("chat.example.org").is_ok());
        assert!(AccountName::new("anna.b_c-1").is_ok());
        for zone in [
            "UTC",
            "Europe/Berlin",
            "America/Argentina/Buenos_Aires",
            "Etc/GMT+3",
        ] {
            assert!(TimeZone::new(zone).is_ok(), "{zone}");
        }
        assert!(SshKey::new(&format!("ssh-ed25519 AAAA{} anna@laptop", "b".repeat(64))).is_ok());
    }
}
