//! Whether the owner still has the recovery key: a week after it was made, two of its words are asked for.
//!
//! The box has forgotten the words. What it keeps of these two is a hash beside the key itself, which is worth more to whoever
//! reads that file: it needs no slow hash.

use anyhow::{Context, Result};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};

use super::key::{ASKED, BoxKey, RecoveryKey, WORDS};
use crate::files::Files;
use crate::model::secret::hex;

/// How long after its making a key is asked for, in seconds.
pub const AFTER: i64 = 7 * 86_400;

/// A question that waits for its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// The numbers of the words, from 1, the smaller one first.
    pub asked: [usize; 2],
    /// Hexadecimal: a key for the hash.
    salt: String,
    /// Hexadecimal: the HMAC-SHA-256 of both words.
    hash: String,
}

impl Check {
    /// A question about a key: two words by chance that were not typed when it was confirmed.
    ///
    /// # Errors
    /// There are no random numbers.
    pub fn of(key: &RecoveryKey) -> Result<Self> {
        let mut random = [0_u8; 18];
        let filled = SystemRandom::new().fill(&mut random);
        filled.ok().context("no random numbers")?;
        let [first, second, salt @ ..] = random;
        let mut left: Vec<usize> = (1..=WORDS).filter(|n| !ASKED.contains(n)).collect();
        let one = left.remove(usize::from(first) % left.len());
        let other = left.remove(usize::from(second) % left.len());
        let asked = [one.min(other), one.max(other)];
        let words = key.words()?;
        let words = asked.map(|n| words.get(n - 1).copied().unwrap_or_default().to_owned());
        let salt = hex(&salt);
        Ok(Self {
            asked,
            hash: hash(&salt, &words),
            salt,
        })
    }

    fn accepts(&self, typed: &[String]) -> bool {
        let typed: Vec<String> = (typed.iter().map(|word| word.trim().to_lowercase())).collect();
        hash(&self.salt, &typed) == self.hash
    }
}

fn hash(salt: &str, words: &[String]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, salt.as_bytes());
    hex(hmac::sign(&key, words.join(" ").as_bytes()).as_ref())
}

/// Whether the words that were typed are those that are asked for; they are not asked for again then.
///
/// # Errors
/// The key cannot be read or kept.
pub fn answer(files: &Files, typed: &[String]) -> Result<bool> {
    let Some(mut key) = BoxKey::load(files)? else {
        return Ok(false);
    };
    if !key.check.as_ref().is_some_and(|check| check.accepts(typed)) {
        return Ok(false);
    }
    key.check = None;
    key.save(files)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::backup::key;

    #[test]
    fn two_words_that_were_not_typed_before_are_asked_for_until_they_are_right() {
        let root = tempfile::tempdir().unwrap();
        let files = Files::new(root.path());
        let made = key::begin(&files).unwrap();
        let words = made.words().unwrap();
        let of = |asked: &[usize]| -> Vec<String> {
            asked.iter().map(|n| words[n - 1].to_owned()).collect()
        };
        assert!(key::confirm(&files, &of(&ASKED), 1).unwrap());
        let kept = BoxKey::load(&files).unwrap().unwrap();
        let [one, other] = kept.check.as_ref().unwrap().asked;
        assert!(one < other && !ASKED.contains(&one) && !ASKED.contains(&other));
        let text = std::fs::read_to_string(files.path(key::PATH)).unwrap();
        assert!(!text.contains(&format!("\"{}\"", words[one - 1])), "{text}");
        for wrong in [vec![], of(&[other, one]), of(&[one]), of(&ASKED)] {
            // Two words of a key may be the same.
            if wrong != of(&[one, other]) {
                assert!(!answer(&files, &wrong).unwrap(), "{wrong:?}");
            }
        }
        let typed = of(&[one, other])
            .iter()
            .map(|w| format!(" {} ", w.to_uppercase()))
            .collect::<Vec<_>>();
        assert!(answer(&files, &typed).unwrap());
        let kept = BoxKey::load(&files).unwrap().unwrap();
        assert!(kept.check.is_none(), "once");
        assert!(!answer(&files, &typed).unwrap());
    }
}
