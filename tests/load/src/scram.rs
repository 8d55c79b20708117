//! The client's side of SCRAM (RFC 5802, RFC 7677) with its expensive part, PBKDF2, done once for each account and salt,
//! so that the load tool does not compete with the server for the processor.

use std::collections::HashMap;
use std::fs;
use std::num::NonZeroU32;
use std::path::Path;

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::rand::{SecureRandom, SystemRandom};
use ring::{digest, hmac, pbkdf2};

/// Which hash function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    /// RFC 5802.
    Sha1,
    /// RFC 7677.
    Sha256,
}

impl Hash {
    /// The mechanism's name, without channel binding.
    #[must_use]
    pub fn mechanism(self) -> &'static str {
        match self {
            Self::Sha1 => "SCRAM-SHA-1",
            Self::Sha256 => "SCRAM-SHA-256",
        }
    }

    fn hmac(self) -> hmac::Algorithm {
        match self {
            Self::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => hmac::HMAC_SHA256,
        }
    }

    fn pbkdf2(self) -> pbkdf2::Algorithm {
        match self {
            Self::Sha1 => pbkdf2::PBKDF2_HMAC_SHA1,
            Self::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
        }
    }

    fn digest(self) -> &'static digest::Algorithm {
        match self {
            Self::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => &digest::SHA256,
        }
    }
}

/// Salted passwords that have been computed, in a file between runs.
#[derive(Debug, Default)]
pub struct Keys {
    /// By mechanism, iterations, salt (base64) and password.
    salted: HashMap<String, Vec<u8>>,
    derived: u64,
}

impl Keys {
    /// Reads what an earlier run has kept; nothing if there is no such file.
    ///
    /// # Errors
    ///
    /// The file is something else.
    pub fn open(file: &Path) -> Result<Self> {
        let Ok(text) = fs::read_to_string(file) else {
            return Ok(Self::default());
        };
        let kept: HashMap<String, String> =
            serde_json::from_str(&text).with_context(|| format!("read {}", file.display()))?;
        let decode = |(key, value): (String, String)| Ok((key, BASE64.decode(value)?));
        let salted: Result<_> = kept.into_iter().map(decode).collect();
        Ok(Self {
            salted: salted.with_context(|| format!("read {}", file.display()))?,
            derived: 0,
        })
    }

    /// Keeps them, if there are new ones.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn save(&self, file: &Path) -> Result<()> {
        if self.derived == 0 {
            return Ok(());
        }
        let encode = |(key, value): (&String, &Vec<u8>)| (key.clone(), BASE64.encode(value));
        let kept: HashMap<_, _> = self.salted.iter().map(encode).collect();
        fs::write(file, serde_json::to_vec(&kept)?)
            .with_context(|| format!("write {}", file.display()))
    }

    /// How many were computed since the start: logins that were slow for that reason.
    #[must_use]
    pub fn derived(&self) -> u64 {
        self.derived
    }

    fn salted(&mut self, hash: Hash, password: &str, salt: &str, rounds: u32) -> Result<Vec<u8>> {
        let key = format!("{} {rounds} {salt} {password}", hash.mechanism());
        if let Some(salted) = self.salted.get(&key) {
            return Ok(salted.clone());
        }
        let bytes = BASE64.decode(salt).context("the salt")?;
        let mut salted = vec![0; hash.digest().output_len()];
        let rounds = NonZeroU32::new(rounds).context("no SCRAM rounds")?;
        pbkdf2::derive(
            hash.pbkdf2(),
            rounds,
            &bytes,
            password.as_bytes(),
            &mut salted,
        );
        self.derived += 1;
        self.salted.insert(key, salted.clone());
        Ok(salted)
    }
}

/// One login.
#[derive(Debug)]
pub struct Scram {
    hash: Hash,
    bare: String,
    nonce: String,
    /// What the server has to say in the end.
    proof_of_server: String,
}

impl Scram {
    /// Begins, with a fresh nonce.
    ///
    /// # Errors
    ///
    /// The system has no random numbers.
    pub fn new(hash: Hash, user: &str) -> Result<Self> {
        let mut nonce = [0; 18];
        if SystemRandom::new().fill(&mut nonce).is_err() {
            bail!("the system has no random numbers");
        }
        let nonce = BASE64.encode(nonce);
        Ok(Self::with_nonce(hash, user, nonce))
    }

    fn with_nonce(hash: Hash, user: &str, nonce: String) -> Self {
        Self {
            hash,
            bare: format!("n={user},r={nonce}"),
            nonce,
            proof_of_server: String::new(),
        }
    }

    /// The mechanism's name.
    #[must_use]
    pub fn mechanism(&self) -> &'static str {
        self.hash.mechanism()
    }

    /// The first message, in base64.
    #[must_use]
    pub fn first(&self) -> String {
        BASE64.encode(format!("n,,{}", self.bare))
    }

    /// The second message for a challenge, both in base64.
    ///
    /// # Errors
    ///
    /// The challenge is not one, or not for this login.
    pub fn answer(&mut self, keys: &mut Keys, password: &str, challenge: &[u8]) -> Result<String> {
        let challenge = decode(challenge)?;
        let field = |name: &str| {
            let mut fields = challenge.split(',');
            fields
                .find_map(|field| field.strip_prefix(name)?.strip_prefix('='))
                .with_context(|| format!("no {name}= in the challenge {challenge}"))
        };
        let (nonce, salt) = (field("r")?, field("s")?);
        let rounds = field("i")?.parse().context("SCRAM rounds")?;
        if !nonce.starts_with(&self.nonce) {
            bail!("the challenge has another nonce");
        }
        let salted = keys.salted(self.hash, password, salt, rounds)?;
        let sign = |key: &[u8], text: &[u8]| {
            hmac::sign(&hmac::Key::new(self.hash.hmac(), key), text)
                .as_ref()
                .to_vec()
        };
        let key = sign(&salted, b"Client Key");
        let stored = digest::digest(self.hash.digest(), &key);
        // "biws" is "n,,": no channel binding.
        let unproved = format!("c=biws,r={nonce}");
        let whole = format!("{},{challenge},{unproved}", self.bare);
        let signature = sign(stored.as_ref(), whole.as_bytes());
        let proof: Vec<u8> = key.iter().zip(signature).map(|(a, b)| a ^ b).collect();
        self.proof_of_server = format!(
            "v={}",
            BASE64.encode(sign(&sign(&salted, b"Server Key"), whole.as_bytes()))
        );
        Ok(BASE64.encode(format!("{unproved},p={}", BASE64.encode(proof))))
    }

    /// Checks what the server says in the end (base64).
    ///
    /// # Errors
    ///
    /// It does not know the password.
    pub fn check(&self, end: &[u8]) -> Result<()> {
        if decode(end)? != self.proof_of_server {
            bail!("the server did not prove that it knows the password");
        }
        Ok(())
    }
}

fn decode(text: &[u8]) -> Result<String> {
    let bytes = BASE64
        .decode(text.trim_ascii())
        .context("SCRAM in base64")?;
    String::from_utf8(bytes).context("SCRAM text is not UTF-8")
}

/// The message of a hashed-token login (draft-schmaus-kitten-sasl-ht) without channel binding, in base64.
#[must_use]
pub fn token_message(user: &str, token: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, token.as_bytes());
    let hashed = hmac::sign(&key, b"Initiator");
    BASE64.encode([user.as_bytes(), b"\0", hashed.as_ref()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7677 §3.
    #[test]
    fn the_example_of_rfc_7677_is_answered_as_there() {
        let nonce = "rOprNGfwEbeRWgbNEkqO".to_owned();
        let mut scram = Scram::with_nonce(Hash::Sha256, "user", nonce);
        let challenge = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let mut keys = Keys::default();
        let challenge = BASE64.encode(challenge);
        for _ in 0..2 {
            let answer = scram
                .answer(&mut keys, "pencil", challenge.as_bytes())
                .unwrap();
            let answer = String::from_utf8(BASE64.decode(answer).unwrap()).unwrap();
            assert_eq!(
                answer,
                "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                 p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
            );
        }
        assert_eq!(
            keys.derived(),
            1,
            "the second login takes what the first has computed"
        );
        let end = BASE64.encode("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
        scram.check(end.as_bytes()).unwrap();
        let forged = BASE64.encode("v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
        assert!(scram.check(forged.as_bytes()).is_err());
    }

    #[test]
    fn a_challenge_for_another_login_is_refused() {
        let mut scram = Scram::with_nonce(Hash::Sha1, "user", "mine".to_owned());
        let challenge = BASE64.encode("r=theirs,s=AAAA,i=4096");
        let answer = scram.answer(&mut Keys::default(), "secret", challenge.as_bytes());
        assert!(answer.is_err());
    }
}
