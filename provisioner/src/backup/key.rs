//! The recovery key: twelve words (BIP 39), from which the key that opens backups follows.
//!
//! The box keeps the key and not the words: its weekly drill opens real backups, and nobody can have the words shown again.

use std::fmt;

use age::x25519::{Identity, Recipient};
use anyhow::{Context, Result, anyhow};
use bech32::Bech32;
use bip39::{Language, Mnemonic};
use ring::hkdf;
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};

use super::key_check::Check;
use crate::files::{Access, Files};

/// The key in use, for root alone.
pub const PATH: &str = "/var/lib/perch/backup/key.json";
/// The words of a key that nobody has confirmed yet; in memory, so that they are gone with the next start.
const PENDING: &str = "/run/perch-agent/recovery-key";
/// How many words a key has.
pub const WORDS: usize = 12;
/// What the key is derived for (RFC 5869, `info`). Another number would be another way of deriving it.
const PURPOSE: &[u8] = b"perch backup key 1";
/// The prefix of an identity of age (<https://age-encryption.org/v1>, "The X25519 recipient type").
const PREFIX: &str = "age-secret-key-";

/// A recovery key.
#[derive(Clone, PartialEq, Eq)]
pub struct RecoveryKey([u8; 16]);

impl fmt::Debug for RecoveryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryKey")
    }
}

/// Why words are no recovery key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// There are more or fewer than twelve.
    #[error("{0} words; a recovery key has {WORDS}")]
    Count(usize),
    /// One is not in the list.
    #[error("word {number}, \"{word}\", is none of a recovery key")]
    Unknown {
        /// Which, from 1.
        number: usize,
        /// As it was typed.
        word: String,
    },
    /// Each is in the list, but they do not belong together.
    #[error(
        "the words do not belong together: one is another word of the list, or their order is another"
    )]
    Checksum,
}

impl RecoveryKey {
    /// A new one.
    ///
    /// # Errors
    /// There are no random numbers.
    pub fn generate() -> Result<Self> {
        let mut entropy = [0_u8; 16];
        let filled = SystemRandom::new().fill(&mut entropy);
        filled.ok().context("no random numbers")?;
        Ok(Self(entropy))
    }

    /// Reads words as people type them: in any case, with any white space, commas or numbers between them.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn of_words(text: &str) -> Result<Self, KeyFault> {
        let lower = text.to_lowercase();
        let words: Vec<&str> = lower
            .split(|c: char| !c.is_alphabetic())
            .filter(|word| !word.is_empty())
            .collect();
        if words.len() != WORDS {
            return Err(KeyFault::Count(words.len()));
        }
        let mnemonic = Mnemonic::parse_in_normalized(Language::English, &words.join(" "));
        let mnemonic = mnemonic.map_err(|error| match error {
            bip39::Error::UnknownWord(index) => KeyFault::Unknown {
                number: index + 1,
                word: words.get(index).copied().unwrap_or_default().to_owned(),
            },
            _ => KeyFault::Checksum,
        })?;
        let entropy = mnemonic.to_entropy().try_into();
        entropy.map(Self).map_err(|_| KeyFault::Checksum)
    }

    /// The words.
    ///
    /// # Errors
    /// Never for a key of this length.
    pub fn words(&self) -> Result<Vec<&'static str>> {
        let mnemonic = Mnemonic::from_entropy_in(Language::English, &self.0);
        let mnemonic = mnemonic.map_err(|error| anyhow!("words of a key: {error}"))?;
        Ok(mnemonic.words().collect())
    }

    /// The key of age that opens backups, as its programs take it.
    ///
    /// # Errors
    /// Never for a key of this length.
    pub fn identity(&self) -> Result<String> {
        let mut secret = [0_u8; 32];
        let derived = hkdf::Salt::new(hkdf::HKDF_SHA256, b"").extract(&self.0);
        derived
            .expand(&[PURPOSE], hkdf::HKDF_SHA256)
            .and_then(|derived| derived.fill(&mut secret))
            .ok()
            .context("deriving a key")?;
        let prefix = bech32::Hrp::parse(PREFIX).context("the prefix of a key")?;
        let text = bech32::encode::<Bech32>(prefix, &secret).context("writing a key")?;
        Ok(text.to_uppercase())
    }
}

/// The key in use.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoxKey {
    identity: String,
    /// To whom backups are encrypted.
    pub recipient: String,
    /// When it was confirmed, in seconds since 1970.
    pub made: i64,
    /// What its owner is asked later. Absent: it has been answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<Check>,
}

impl BoxKey {
    /// The key of words.
    ///
    /// # Errors
    /// It cannot be derived.
    pub fn of(key: &RecoveryKey, now: i64) -> Result<Self> {
        let text = key.identity()?;
        let identity = parse(&text)?;
        Ok(Self {
            recipient: identity.to_public().to_string(),
            identity: text,
            made: now,
            check: None,
        })
    }

    /// The key in use. `None`: nobody has confirmed one.
    ///
    /// # Errors
    /// The file is there but cannot be read.
    pub fn load(files: &Files) -> Result<Option<Self>> {
        let text = files.read(PATH)?;
        let read = text.map(|text| serde_json::from_str(&text));
        read.transpose().with_context(|| format!("reading {PATH}"))
    }

    /// Keeps it.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn save(&self, files: &Files) -> Result<()> {
        let text = serde_json::to_vec_pretty(self).context("writing the backups' key as JSON")?;
        files.replace(PATH, &text, Access::Root).map(drop)
    }

    /// What opens backups.
    ///
    /// # Errors
    /// The file has been changed.
    pub fn identity(&self) -> Result<Identity> {
        parse(&self.identity)
    }

    /// What closes them.
    ///
    /// # Errors
    /// The file has been changed.
    pub fn recipient(&self) -> Result<Recipient> {
        let read = self.recipient.parse();
        read.map_err(|error| anyhow!("reading the recipient in {PATH}: {error}"))
    }
}

fn parse(identity: &str) -> Result<Identity> {
    let read = identity.parse();
    read.map_err(|error| anyhow!("reading a key of age: {error}"))
}

/// Makes a key and keeps its words until they are confirmed; one that waits already is shown again.
///
/// # Errors
/// It cannot be made or kept.
pub fn begin(files: &Files) -> Result<RecoveryKey> {
    if let Some(waiting) = pending(files)? {
        return Ok(waiting);
    }
    let key = RecoveryKey::generate()?;
    let words = key.words()?.join(" ");
    files.replace(PENDING, words.as_bytes(), Access::Root)?;
    Ok(key)
}

/// The key that waits for its confirmation.
///
/// # Errors
/// It cannot be read.
pub fn pending(files: &Files) -> Result<Option<RecoveryKey>> {
    let text = files.read(PENDING)?;
    Ok(text.and_then(|text| RecoveryKey::of_words(&text).ok()))
}

/// The words that a confirmation asks for: their numbers from 1. Far apart, so that all were written down.
pub const ASKED: [usize; 3] = [2, 7, 11];

/// Puts the waiting key to use if `typed` has the words that [`ASKED`] names. False: it has others, or nothing waits.
///
/// # Errors
/// It cannot be kept.
pub fn confirm(files: &Files, typed: &[String], now: i64) -> Result<bool> {
    let Some(key) = pending(files)? else {
        return Ok(false);
    };
    let words = key.words()?;
    let wanted: Vec<&str> = ASKED
        .iter()
        .filter_map(|number| words.get(number - 1).copied())
        .collect();
    let typed: Vec<String> = typed
        .iter()
        .map(|word| word.trim().to_lowercase())
        .collect();
    if typed != wanted {
        return Ok(false);
    }
    let used = BoxKey {
        check: Some(Check::of(&key)?),
        ..BoxKey::of(&key, now)?
    };
    used.save(files)?;
    files.remove(PENDING)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    const WORDS_OF_ZEROS: &str = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";

    #[test]
    fn words_lead_to_the_same_key_however_they_are_typed() {
        let key = RecoveryKey::of_words(WORDS_OF_ZEROS).unwrap();
        assert_eq!(key.words().unwrap().join(" "), WORDS_OF_ZEROS);
        let typed = WORDS_OF_ZEROS.to_uppercase().replace(' ', ", \n");
        assert!(RecoveryKey::of_words(&format!("1. {typed}")).unwrap() == key);
        let identity = key.identity().unwrap();
        // Backups that are somewhere must open with every later version: this must never change.
        assert_eq!(BoxKey::of(&key, 0).unwrap().recipient, RECIPIENT_OF_ZEROS);
        assert!(identity.starts_with("AGE-SECRET-KEY-1"), "{identity}");
    }

    const RECIPIENT_OF_ZEROS: &str =
        "age1t5qrqjx8fa8czztsnhssxmkwqxgg2t08t4vatzara0m98nwrkgls2ttnkj";

    #[test]
    fn a_mistyped_key_is_refused_with_what_is_wrong() {
        assert_eq!(
            RecoveryKey::of_words("abandon about").err(),
            Some(KeyFault::Count(2))
        );
        let unknown = WORDS_OF_ZEROS.replace("about", "abaut");
        let fault = RecoveryKey::of_words(&unknown).err().unwrap();
        assert_eq!(
            fault.to_string(),
            "word 12, \"abaut\", is none of a recovery key"
        );
        let swapped = WORDS_OF_ZEROS.replace("about", "zoo");
        assert_eq!(
            RecoveryKey::of_words(&swapped).err(),
            Some(KeyFault::Checksum)
        );
    }

    #[test]
    fn a_key_is_used_once_its_words_are_confirmed_and_not_before() {
        let root = tempfile::tempdir().unwrap();
        let files = Files::new(root.path());
        let key = begin(&files).unwrap();
        assert!(begin(&files).unwrap() == key, "shown again while it waits");
        let words = key.words().unwrap();
        let mut typed: Vec<String> = ASKED.iter().map(|n| words[n - 1].to_owned()).collect();
        typed.swap(0, 1);
        assert!(!confirm(&files, &typed, 1).unwrap());
        assert!(BoxKey::load(&files).unwrap().is_none());
        typed.swap(0, 1);
        assert!(confirm(&files, &typed, 1).unwrap());
        assert!(pending(&files).unwrap().is_none(), "never shown again");
        let kept = BoxKey::load(&files).unwrap().unwrap();
        assert_eq!(
            kept.identity().unwrap().to_public().to_string(),
            kept.recipient
        );
    }
}
