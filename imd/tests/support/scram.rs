//! SCRAM (RFC 5802, RFC 7677), the client's side, with a check that the server knows the password as well.

use std::num::NonZeroU32;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use imd::sasl::Hash;
use imd_proto::{Element, ns};
use ring::{digest, hmac, pbkdf2};

pub struct Scram {
    hash: Hash,
    password: String,
    header: String,
    binding: Vec<u8>,
    bare: String,
    /// What the offer amounts to (XEP-0474).
    offer: Option<String>,
    expected: String,
}

impl Scram {
    /// `binding`: bind the login to the TLS connection with these data (RFC 9266).
    pub fn new(hash: Hash, user: &str, password: &str, binding: Option<[u8; 32]>) -> Self {
        let nonce: [u8; 12] = ring::rand::generate(&ring::rand::SystemRandom::new())
            .map(ring::rand::Random::expose)
            .unwrap_or_default();
        let user = user.replace('=', "=3D").replace(',', "=2C");
        Self {
            hash,
            password: password.to_owned(),
            header: if binding.is_some() {
                "p=tls-exporter,,".to_owned()
            } else {
                "n,,".to_owned()
            },
            binding: binding.map(Vec::from).unwrap_or_default(),
            bare: format!("n={user},r={}", BASE64.encode(nonce)),
            offer: None,
            expected: String::new(),
        }
    }

    pub fn first(&self) -> String {
        format!("{}{}", self.header, self.bare)
    }

    /// Insist that the server has offered what came here in the features (XEP-0474).
    pub fn check_offer(&mut self, features: &Element, name: &str, ns: &str) {
        let sorted = |parent: &Element, text: &dyn Fn(&Element) -> Option<String>| {
            let mut all: Vec<_> = parent.children().filter_map(text).collect();
            all.sort();
            all.join("\u{1e}")
        };
        let Some(offer) = features.child(name, ns) else {
            return;
        };
        let mut text = sorted(offer, &|e| e.is("mechanism", ns).then(|| e.text()));
        if let Some(bindings) = features.child("sasl-channel-binding", ns::SASL_CHANNEL_BINDING) {
            text.push('\u{1f}');
            text.push_str(&sorted(bindings, &|e| e.attr("type").map(str::to_owned)));
        }
        let hash = match self.hash {
            Hash::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Hash::Sha256 => &digest::SHA256,
        };
        self.offer = Some(BASE64.encode(digest::digest(hash, text.as_bytes())));
    }

    /// The final message.
    pub fn answer(&mut self, challenge: &[u8]) -> Result<String> {
        let challenge = std::str::from_utf8(challenge).context("the challenge is no text")?;
        let field = |name: &str| {
            challenge
                .split(',')
                .find_map(|f| f.strip_prefix(name))
                .with_context(|| format!("the challenge {challenge:?} lacks {name}"))
        };
        if let Some(offer) = &self.offer {
            ensure!(
                field("h=")? == offer,
                "the offer was changed on the way: {challenge:?}"
            );
        }
        let rounds: u32 = field("i=")?.parse()?;
        let salt = BASE64.decode(field("s=")?)?;
        let (hmac_with, hash_with, salt_with) = match self.hash {
            Hash::Sha1 => (
                hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
                &digest::SHA1_FOR_LEGACY_USE_ONLY,
                pbkdf2::PBKDF2_HMAC_SHA1,
            ),
            Hash::Sha256 => (
                hmac::HMAC_SHA256,
                &digest::SHA256,
                pbkdf2::PBKDF2_HMAC_SHA256,
            ),
        };
        let mut salted = vec![0; hash_with.output_len()];
        let rounds = NonZeroU32::new(rounds).context("no iterations")?;
        pbkdf2::derive(
            salt_with,
            rounds,
            &salt,
            self.password.as_bytes(),
            &mut salted,
        );
        let sign = |key: &[u8], data: &[u8]| {
            hmac::sign(&hmac::Key::new(hmac_with, key), data)
                .as_ref()
                .to_vec()
        };
        let client_key = sign(&salted, b"Client Key");
        let stored = digest::digest(hash_with, &client_key);
        let bound = BASE64.encode([self.header.as_bytes(), &self.binding].concat());
        let unproved = format!("c={bound},r={}", field("r=")?);
        let whole = format!("{},{challenge},{unproved}", self.bare);
        let signature = sign(stored.as_ref(), whole.as_bytes());
        let proof: Vec<u8> = client_key
            .iter()
            .zip(&signature)
            .map(|(a, b)| a ^ b)
            .collect();
        let server_key = sign(&salted, b"Server Key");
        self.expected = format!("v={}", BASE64.encode(sign(&server_key, whole.as_bytes())));
        Ok(format!("{unproved},p={}", BASE64.encode(proof)))
    }

    /// The server's last word must prove that it knows the password.
    pub fn check(&self, last: &[u8]) -> Result<()> {
        let last = String::from_utf8_lossy(last);
        ensure!(
            !self.expected.is_empty() && last == self.expected,
            "the server did not prove that it knows the password: {last:?}"
        );
        Ok(())
    }
}
