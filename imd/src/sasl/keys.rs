//! What is kept of a password: SCRAM keys, from which it cannot be computed (RFC 5802 §3).

use std::num::NonZeroU32;

use imd_store::{Credentials, ScramKeys};
use ring::rand::{SecureRandom, SystemRandom};
use ring::{digest, hmac, pbkdf2};
use subtle::ConstantTimeEq as _;

use super::scram::Hash;

/// PBKDF2 iterations of new keys. RFC 7677 wants 4,096 at the least.
const ITERATIONS: u32 = 10_000;

/// The keys for a new password.
///
/// # Errors
/// When the password cannot be used (it is empty or has forbidden characters), in words.
pub fn derive(password: &str) -> Result<Credentials, String> {
    let password = prepare(password)?;
    let (salt, _) = new_salt()?;
    Ok(Credentials {
        sha1: Some(keys(Hash::Sha1, &password, &salt, ITERATIONS)),
        sha256: Some(keys(Hash::Sha256, &password, &salt, ITERATIONS)),
    })
}

/// A salt for new keys, and the number of iterations.
///
/// # Errors
/// When the system has no random numbers, in words.
pub fn new_salt() -> Result<([u8; 16], u32), String> {
    let mut salt = [0; 16];
    SystemRandom::new()
        .fill(&mut salt)
        .map_err(|_| "the system has no random numbers".to_owned())?;
    Ok((salt, ITERATIONS))
}

fn prepare(password: &str) -> Result<String, String> {
    if password.is_empty() {
        return Err("the password is empty".to_owned());
    }
    if password.len() > 1024 {
        return Err("the password is longer than 1,024 bytes".to_owned());
    }
    match imd_proto::jid::prepare_password(password) {
        Ok(prepared) if !prepared.is_empty() => Ok(prepared),
        _ => Err("the password has characters that cannot be typed".to_owned()),
    }
}

fn keys(hash: Hash, password: &str, salt: &[u8], iterations: u32) -> ScramKeys {
    let mut salted = vec![0; hash.output_bytes()];
    let rounds = NonZeroU32::new(iterations).unwrap_or(NonZeroU32::MIN);
    pbkdf2::derive(
        hash.pbkdf2(),
        rounds,
        salt,
        password.as_bytes(),
        &mut salted,
    );
    from_salted(hash, &salted, salt, iterations)
}

/// The keys from RFC 5802's `SaltedPassword`.
#[must_use]
pub fn from_salted(hash: Hash, salted: &[u8], salt: &[u8], iterations: u32) -> ScramKeys {
    let key = hmac::Key::new(hash.hmac(), salted);
    let client_key = hmac::sign(&key, b"Client Key");
    ScramKeys {
        salt: salt.to_vec(),
        iterations,
        stored_key: digest::digest(hash.digest(), client_key.as_ref())
            .as_ref()
            .to_vec(),
        server_key: hmac::sign(&key, b"Server Key").as_ref().to_vec(),
    }
}

/// Whether a password is that of an account. As slow for an account that does not exist.
#[must_use]
pub fn verify_plain(password: &str, credentials: Option<&Credentials>) -> bool {
    let Ok(password) = prepare(password) else {
        return false;
    };
    let sha256 = credentials.and_then(|c| c.sha256.as_ref());
    // An account from before, with keys for SHA-1 only.
    let sha1 = credentials.and_then(|c| c.sha1.as_ref());
    let (hash, found) = match (sha256, sha1) {
        (None, Some(keys)) => (Hash::Sha1, Some(keys)),
        (keys, _) => (Hash::Sha256, keys),
    };
    let (salt, iterations) =
        found.map_or((&[0; 16][..], ITERATIONS), |k| (&k.salt[..], k.iterations));
    let computed = keys(hash, &password, salt, iterations);
    found.is_some_and(|keys| bool::from(keys.stored_key.ct_eq(&computed.stored_key)))
}

/// Keys that nobody has the password of, the same each time for a name, so that a stranger cannot tell
/// accounts from names that are free.
pub(super) fn decoy(key: &hmac::Key, user: &str, hash: Hash) -> ScramKeys {
    let salt = hmac::sign(key, user.as_bytes());
    ScramKeys {
        salt: salt.as_ref()[..16].to_vec(),
        iterations: ITERATIONS,
        stored_key: vec![0; hash.output_bytes()],
        server_key: vec![0; hash.output_bytes()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_recognised_by_its_keys() {
        let credentials = derive("correct horse").unwrap();
        assert!(verify_plain("correct horse", Some(&credentials)));
        assert!(!verify_plain("correct horsf", Some(&credentials)));
        assert!(!verify_plain("correct horse", None));
        assert!(derive("").is_err());
    }
}
