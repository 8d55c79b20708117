//! SCRAM (RFC 5802, RFC 7677), the server's side, with channel binding by `tls-exporter` (RFC 9266).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use imd_store::ScramKeys;
use ring::{digest, hmac, pbkdf2};
use subtle::ConstantTimeEq as _;

use super::{ChannelBinding, Failure};

/// The hash function of a SCRAM mechanism.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    /// SHA-1 (RFC 5802).
    Sha1,
    /// SHA-256 (RFC 7677).
    Sha256,
}

impl Hash {
    pub(super) fn hmac(self) -> hmac::Algorithm {
        match self {
            Self::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => hmac::HMAC_SHA256,
        }
    }

    pub(super) fn digest(self) -> &'static digest::Algorithm {
        match self {
            Self::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => &digest::SHA256,
        }
    }

    pub(super) fn pbkdf2(self) -> pbkdf2::Algorithm {
        match self {
            Self::Sha1 => pbkdf2::PBKDF2_HMAC_SHA1,
            Self::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
        }
    }

    pub(crate) fn output_bytes(self) -> usize {
        self.digest().output_len()
    }
}

/// The client's first message, taken apart.
#[derive(Debug)]
pub struct ClientFirst {
    /// The name, unescaped, not prepared.
    pub username: String,
    /// Whom the client wants to act for; absent means itself.
    pub authorization: Option<String>,
    /// What `c=` has to decode to in the final message.
    binding_input: Vec<u8>,
    bare: String,
    nonce: String,
}

impl ClientFirst {
    /// Take the message apart. `plus`: the mechanism is a `-PLUS` one. `binding`: what the server offered.
    ///
    /// # Errors
    /// When it is malformed, or its channel binding flag does not fit the mechanism (RFC 5802 §6).
    pub fn parse(message: &[u8], plus: bool, binding: &ChannelBinding) -> Result<Self, Failure> {
        let text = std::str::from_utf8(message).map_err(|_| Failure::malformed())?;
        let mut parts = text.splitn(3, ',');
        let (flag, authorization, bare) = match (parts.next(), parts.next(), parts.next()) {
            (Some(flag), Some(authorization), Some(bare)) => (flag, authorization, bare),
            _ => return Err(Failure::malformed()),
        };
        let header_len = text.len() - bare.len();
        let mut binding_input = text.as_bytes()[..header_len].to_vec();
        match (flag, plus) {
            ("n", false) => {}
            // The client could bind and believes that the server cannot: somebody took the offer away.
            ("y", false) if !binding.is_empty() => {
                return Err(Failure::with_text(
                    "not-authorized",
                    "the offer of channel binding was removed on the way",
                ));
            }
            ("y", false) => {}
            (flag, true) => {
                let name = flag.strip_prefix("p=").ok_or_else(Failure::malformed)?;
                // RFC 5802 §6 and §7: one that was not offered.
                let data = binding.data(name).ok_or(Failure::with_text(
                    "malformed-request",
                    "this channel binding was not offered",
                ))?;
                binding_input.extend_from_slice(data);
            }
            _ => return Err(Failure::malformed()),
        }
        let authorization = match authorization {
            "" => None,
            other => Some(unescape(
                other.strip_prefix("a=").ok_or_else(Failure::malformed)?,
            )?),
        };
        let mut fields = bare.split(',');
        let username = fields
            .next()
            .and_then(|f| f.strip_prefix("n="))
            .ok_or_else(Failure::malformed)?;
        let nonce = fields
            .next()
            .and_then(|f| f.strip_prefix("r="))
            .ok_or_else(Failure::malformed)?;
        if nonce.is_empty() || !nonce.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Failure::malformed());
        }
        Ok(Self {
            username: unescape(username)?,
            authorization,
            binding_input,
            bare: bare.to_owned(),
            nonce: nonce.to_owned(),
        })
    }
}

/// `=2C` is a comma and `=3D` an equals sign (RFC 5802 §5.1).
fn unescape(name: &str) -> Result<String, Failure> {
    let mut parts = name.split('=');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = if let Some(rest) = part.strip_prefix("2C") {
            out.push(',');
            rest
        } else if let Some(rest) = part.strip_prefix("3D") {
            out.push('=');
            rest
        } else {
            return Err(Failure::malformed());
        };
        out.push_str(rest);
    }
    if out.is_empty() {
        Err(Failure::malformed())
    } else {
        Ok(out)
    }
}

/// The exchange after the server's first message.
pub struct Exchange {
    hash: Hash,
    first: ClientFirst,
    keys: ScramKeys,
    nonce: String,
    server_first: String,
    known: bool,
}

impl Exchange {
    /// Answer the first message: the exchange and the challenge. `offer_digest`: what the
    /// client can check the offer by (XEP-0474). `known`: false when the keys are decoys.
    #[must_use]
    pub fn begin(
        hash: Hash,
        first: ClientFirst,
        keys: ScramKeys,
        nonce: &str,
        offer_digest: Option<&str>,
        known: bool,
    ) -> (Self, Vec<u8>) {
        let nonce = format!("{}{nonce}", first.nonce);
        let mut server_first = format!(
            "r={nonce},s={},i={}",
            BASE64.encode(&keys.salt),
            keys.iterations
        );
        if let Some(digest) = offer_digest {
            server_first.push_str(",h=");
            server_first.push_str(digest);
        }
        let challenge = server_first.clone().into_bytes();
        (
            Self {
                hash,
                first,
                keys,
                nonce,
                server_first,
                known,
            },
            challenge,
        )
    }

    /// Check the client's final message; what comes back proves the server to the client.
    ///
    /// # Errors
    /// When the message is malformed or the proof is wrong.
    pub fn finish(self, message: &[u8]) -> Result<Vec<u8>, Failure> {
        let text = std::str::from_utf8(message).map_err(|_| Failure::malformed())?;
        let (without_proof, proof) = text.rsplit_once(",p=").ok_or_else(Failure::malformed)?;
        let mut fields = without_proof.split(',');
        let binding = fields
            .next()
            .and_then(|f| f.strip_prefix("c="))
            .ok_or_else(Failure::malformed)?;
        let nonce = fields
            .next()
            .and_then(|f| f.strip_prefix("r="))
            .ok_or_else(Failure::malformed)?;
        let binding = BASE64.decode(binding).map_err(|_| Failure::malformed())?;
        let proof = BASE64.decode(proof).map_err(|_| Failure::malformed())?;
        if !bool::from(binding.ct_eq(&self.first.binding_input)) || nonce != self.nonce {
            return Err(Failure::not_authorized());
        }
        let auth_message = format!("{},{},{without_proof}", self.first.bare, self.server_first);
        let stored = hmac::Key::new(self.hash.hmac(), &self.keys.stored_key);
        let signature = hmac::sign(&stored, auth_message.as_bytes());
        if proof.len() != signature.as_ref().len() {
            return Err(Failure::not_authorized());
        }
        let client_key: Vec<u8> = proof
            .iter()
            .zip(signature.as_ref())
            .map(|(p, s)| p ^ s)
            .collect();
        let computed = digest::digest(self.hash.digest(), &client_key);
        if !bool::from(computed.as_ref().ct_eq(&self.keys.stored_key)) || !self.known {
            return Err(Failure::not_authorized());
        }
        let server = hmac::Key::new(self.hash.hmac(), &self.keys.server_key);
        let signature = hmac::sign(&server, auth_message.as_bytes());
        Ok(format!("v={}", BASE64.encode(signature)).into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn none() -> ChannelBinding {
        ChannelBinding::default()
    }

    /// The keys of the password "pencil" with the salt and count of the RFCs' examples.
    fn pencil(hash: Hash, salt: &str) -> ScramKeys {
        let mut salted = vec![0; hash.output_bytes()];
        let salt = BASE64.decode(salt).unwrap();
        pbkdf2::derive(
            hash.pbkdf2(),
            4096.try_into().unwrap(),
            &salt,
            b"pencil",
            &mut salted,
        );
        let key = hmac::Key::new(hash.hmac(), &salted);
        let client_key = hmac::sign(&key, b"Client Key");
        ScramKeys {
            salt,
            iterations: 4096,
            stored_key: digest::digest(hash.digest(), client_key.as_ref())
                .as_ref()
                .to_vec(),
            server_key: hmac::sign(&key, b"Server Key").as_ref().to_vec(),
        }
    }

    #[test]
    fn the_example_of_rfc_5802_succeeds() {
        let first =
            ClientFirst::parse(b"n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL", false, &none()).unwrap();
        let keys = pencil(Hash::Sha1, "QSXCR+Q6sek8bf92");
        let (exchange, challenge) =
            Exchange::begin(Hash::Sha1, first, keys, "3rfcNHYJY1ZVvWVs7j", None, true);
        assert_eq!(
            challenge,
            b"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096"
        );
        let answer = exchange
            .finish(b"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=")
            .unwrap();
        assert_eq!(answer, b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=");
    }

    #[test]
    fn the_example_of_rfc_7677_succeeds_and_a_wrong_proof_fails() {
        let run = |proof: &str, known| {
            let first =
                ClientFirst::parse(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO", false, &none()).unwrap();
            let keys = pencil(Hash::Sha256, "W22ZaJ0SNY7soEsUEjb6gQ==");
            let (exchange, _) = Exchange::begin(
                Hash::Sha256,
                first,
                keys,
                "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
                None,
                known,
            );
            let last =
                format!("c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p={proof}");
            exchange.finish(last.as_bytes())
        };
        let proof = "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        assert_eq!(
            run(proof, true).unwrap(),
            b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
        );
        assert_eq!(run(proof, false).unwrap_err(), Failure::not_authorized());
        assert_eq!(
            run(&proof.replace('d', "e"), true).unwrap_err(),
            Failure::not_authorized()
        );
    }

    #[test]
    fn a_binding_to_another_connection_fails() {
        let mut binding = none();
        binding.add("tls-exporter", vec![7; 32]);
        let finish = |data: &[u8]| {
            let first =
                ClientFirst::parse(b"p=tls-exporter,,n=user,r=abc", true, &binding).unwrap();
            let (exchange, _) = Exchange::begin(
                Hash::Sha1,
                first,
                pencil(Hash::Sha1, "QSXCR+Q6sek8bf92"),
                "def",
                None,
                true,
            );
            let input = [b"p=tls-exporter,,", data].concat();
            let without_proof = format!("c={},r=abcdef", BASE64.encode(input));
            let auth = format!("n=user,r=abc,{},{without_proof}", exchange.server_first);
            let mut salted = [0; 20];
            let salt = BASE64.decode("QSXCR+Q6sek8bf92").unwrap();
            pbkdf2::derive(
                Hash::Sha1.pbkdf2(),
                4096.try_into().unwrap(),
                &salt,
                b"pencil",
                &mut salted,
            );
            let client_key = hmac::sign(&hmac::Key::new(Hash::Sha1.hmac(), &salted), b"Client Key");
            let stored = digest::digest(Hash::Sha1.digest(), client_key.as_ref());
            let signature = hmac::sign(
                &hmac::Key::new(Hash::Sha1.hmac(), stored.as_ref()),
                auth.as_bytes(),
            );
            let proof: Vec<u8> = client_key
                .as_ref()
                .iter()
                .zip(signature.as_ref())
                .map(|(a, b)| a ^ b)
                .collect();
            exchange.finish(format!("{without_proof},p={}", BASE64.encode(proof)).as_bytes())
        };
        assert!(finish(&[7; 32]).is_ok());
        assert_eq!(finish(&[8; 32]).unwrap_err(), Failure::not_authorized());
    }

    #[test]
    fn downgrades_and_malformed_messages_are_refused() {
        let mut binding = none();
        binding.add("tls-exporter", vec![7; 32]);
        assert!(ClientFirst::parse(b"y,,n=user,r=abc", false, &binding).is_err());
        assert!(ClientFirst::parse(b"y,,n=user,r=abc", false, &none()).is_ok());
        for bad in [
            "",
            "n,,",
            "n,,n=,r=abc",
            "n,,n=a=2,r=abc",
            "n,,n=user,r=",
            "p=tls-exporter,,n=user,r=a",
            "n,x,n=user,r=a",
        ] {
            assert!(
                ClientFirst::parse(bad.as_bytes(), false, &none()).is_err(),
                "{bad}"
            );
        }
        assert_eq!(unescape("a=2Cb=3D").unwrap(), "a,b=");
    }
}
