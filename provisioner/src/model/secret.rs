//! Secrets: neither shown nor written into logs; what is kept of them is in `secrets.json`, for root alone.

use std::fmt;
use std::num::NonZeroU32;

use anyhow::{Context, Result};
use ring::pbkdf2;
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use settings_file::Value;

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

/// What opens a Wi-Fi network: a passphrase of 8 to 63 characters (IEEE 802.11i Annex H.4.1), or the key made of it in
/// 64 hexadecimal digits, as Raspberry Pi Imager writes it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WifiKey(String);

impl WifiKey {
    /// What is accepted, for people.
    pub const ACCEPTED: &'static str =
        "a passphrase of 8 to 63 characters, or 64 hexadecimal digits";

    /// Reads it from a settings file. `None` for an empty one: it has been moved into the box.
    ///
    /// # Errors
    /// What is accepted.
    pub fn parse(value: &Value<'_>) -> Result<Option<Self>, String> {
        let text = value.as_str().ok_or_else(|| Self::ACCEPTED.to_owned())?;
        let is_key = text.len() == 64 && text.chars().all(|c| c.is_ascii_hexdigit());
        let is_phrase = (8..=63).contains(&text.len()) && !text.chars().any(char::is_control);
        match text {
            "" => Ok(None),
            _ if is_key || is_phrase => Ok(Some(Self(text.to_owned()))),
            _ => Err(Self::ACCEPTED.to_owned()),
        }
    }

    /// As wpa_supplicant.conf(5) wants it: digits bare, a phrase in quotes (which may hold any character).
    pub fn reveal(&self) -> String {
        if self.0.len() == 64 {
            self.0.clone()
        } else {
            format!("\"{}\"", self.0)
        }
    }
}

impl fmt::Debug for WifiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WifiKey")
    }
}

/// The secret part of what opens an S3 target.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct S3Secret(String);

impl S3Secret {
    /// What is accepted, for people.
    pub const ACCEPTED: &'static str =
        "the secret key that belongs to the access key, 8 to 256 characters without blanks";

    /// Reads it from a settings file. `None` for an empty one: it has been moved into the box.
    ///
    /// # Errors
    /// What is accepted.
    pub fn parse(value: &Value<'_>) -> Result<Option<Self>, String> {
        match value.as_str() {
            Some("") => Ok(None),
            Some(text)
                if (8..=256).contains(&text.len())
                    && text.chars().all(|c| c.is_ascii_graphic()) =>
            {
                Ok(Some(Self(text.to_owned())))
            }
            _ => Err(Self::ACCEPTED.to_owned()),
        }
    }

    /// The text, for signing with it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for S3Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("S3Secret")
    }
}

/// The code that lets somebody claim the box from its page.
#[derive(Clone, PartialEq, Eq)]
pub struct SetupCode(String);

impl SetupCode {
    /// Reads it from a settings file. `None` for an empty one: its hash is in the box.
    ///
    /// # Errors
    /// What is accepted.
    pub fn parse(value: &Value<'_>) -> Result<Option<Self>, String> {
        match value.as_str() {
            Some("") => Ok(None),
            text => match text.and_then(Self::new) {
                Some(code) => Ok(Some(code)),
                None => Err("a code of 6 to 64 characters".to_owned()),
            },
        }
    }

    /// A code that somebody typed. Absent: no code looks like that.
    pub fn new(text: &str) -> Option<Self> {
        let fits = (6..=64).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        fits.then(|| Self(text.to_owned()))
    }
}

impl fmt::Debug for SetupCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SetupCode")
    }
}

/// What is kept of a [`SetupCode`]: PBKDF2-HMAC-SHA256 (RFC 8018 §5.2) with a salt, both in hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetupCodeHash {
    salt: String,
    hash: String,
}

/// A tenth of a second on a Pi 4: a code is tried by hand, and few times.
const ROUNDS: NonZeroU32 = match NonZeroU32::new(100_000) {
    Some(rounds) => rounds,
    None => NonZeroU32::MIN,
};

impl SetupCodeHash {
    /// Hashes a code with a new salt.
    ///
    /// # Errors
    /// There are no random numbers.
    pub fn of(code: &SetupCode) -> Result<Self> {
        let mut salt = [0_u8; 16];
        SystemRandom::new()
            .fill(&mut salt)
            .ok()
            .context("no random numbers")?;
        let salt = hex(&salt);
        let mut hash = [0_u8; 32];
        pbkdf2::derive(
            pbkdf2::PBKDF2_HMAC_SHA256,
            ROUNDS,
            salt.as_bytes(),
            code.0.as_bytes(),
            &mut hash,
        );
        Ok(Self {
            salt,
            hash: hex(&hash),
        })
    }

    /// Whether it was made of this code.
    pub fn is_of(&self, code: &SetupCode) -> bool {
        let mut hash = [0_u8; 32];
        pbkdf2::derive(
            pbkdf2::PBKDF2_HMAC_SHA256,
            ROUNDS,
            self.salt.as_bytes(),
            code.0.as_bytes(),
            &mut hash,
        );
        // Both are hashes: how long their comparison takes tells nothing of the code.
        hex(&hash) == self.hash
    }
}

/// Bytes in hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
