//! Values that a person chooses, each a type that can only hold what is safe to write into any file of the box.

use std::fmt;

use serde::{Deserialize, Serialize};
use settings_file::Value;

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

impl Domain {
    /// The domain of a box whose own cannot be told.
    pub fn of_any_box() -> Self {
        Self("perch.local".to_owned())
    }
}

/// A password. It is neither shown nor kept.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// Reads it from a settings file. `None` for an empty one: it has been used and removed.
    ///
    /// # Errors
    /// What is accepted.
    pub fn parse(value: &Value<'_>) -> Result<Option<Self>, String> {
        match value.as_str() {
            Some("") => Ok(None),
            Some(text)
                if (8..=256).contains(&text.chars().count())
                    && !text.chars().any(char::is_control) =>
            {
                Ok(Some(Self(text.to_owned())))
            }
            _ => Err("a password of 8 to 256 characters".to_owned()),
        }
    }

    /// The text, for handing it on.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
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
