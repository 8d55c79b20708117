//! Server dialback (XEP-0220): a domain is proved by asking the server that DNS names for it whether it made a key.

use std::sync::Arc;

use imd_proto::{Condition, Element, StanzaError, ns};
use ring::{digest, hmac};
use subtle::ConstantTimeEq as _;

use super::connect::{self, Connected};
use super::{Federation, Problem};
use crate::server::Server;

/// What a key is made and checked with.
pub struct Secret(hmac::Key);

impl Secret {
    /// From a secret text or random bytes.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        // XEP-0185 §3: the key is the hash of the secret, in hexadecimal.
        let key = hex(digest::digest(&digest::SHA256, secret).as_ref());
        Self(hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()))
    }

    /// The key for a stream from `originating`, one of our domains, to `receiving` (XEP-0185 §3).
    #[must_use]
    pub fn key(&self, receiving: &str, originating: &str, stream: &str) -> String {
        let text = format!("{receiving} {originating} {stream}");
        hex(hmac::sign(&self.0, text.as_bytes()).as_ref())
    }

    /// Whether we made a key.
    #[must_use]
    pub fn made(&self, key: &str, receiving: &str, originating: &str, stream: &str) -> bool {
        let expected = self.key(receiving, originating, stream);
        bool::from(expected.as_bytes().ct_eq(key.as_bytes()))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// A dialback element: `result` or `verify`.
#[must_use]
pub fn element(name: &'static str, from: &str, to: &str) -> Element {
    Element::new(name, ns::DIALBACK)
        .with_attr("from", from)
        .with_attr("to", to)
}

/// The same, reporting an error (XEP-0220 §2.5).
#[must_use]
pub fn error(name: &'static str, from: &str, to: &str, condition: Condition) -> Element {
    let mut error = StanzaError::new(condition).to_element();
    error.change_ns(ns::CLIENT, ns::SERVER);
    element(name, from, to)
        .with_attr("type", "error")
        .with_child(error)
}

/// A key that somebody showed as proof that they are a domain.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The domain that they say they are.
    pub originating: String,
    /// Our domain that they want to reach.
    pub receiving: String,
    /// The id that we gave to their stream.
    pub stream: String,
    /// The key.
    pub key: String,
}

/// Ask the domain's own server whether it made the key (XEP-0220 §2.3).
///
/// # Errors
/// When there is no answer.
pub async fn verify(
    server: &Arc<Server>,
    federation: &Federation,
    claim: &Claim,
) -> Result<bool, Problem> {
    let asking = async {
        let connected =
            connect::connect(server, federation, &claim.receiving, &claim.originating).await?;
        ask(connected, claim).await
    };
    let patience = server.config.federation.connect_timeout;
    tokio::time::timeout(patience, asking)
        .await
        .unwrap_or_else(|_| Err(Problem::timeout("it does not answer about a key")))
}

async fn ask(mut connected: Connected, claim: &Claim) -> Result<bool, Problem> {
    let verify = element("verify", &claim.receiving, &claim.originating)
        .with_attr("id", claim.stream.as_str())
        .with_text(claim.key.as_str());
    connected.wire.send(&verify).await?;
    loop {
        let answer = connect::element(&mut connected.wire).await?;
        let ours =
            answer.is("verify", ns::DIALBACK) && answer.attr("id") == Some(claim.stream.as_str());
        match answer.attr("type") {
            Some("valid") if ours => return Ok(true),
            Some("invalid") if ours => return Ok(false),
            _ if ours => return Err(Problem::timeout("it cannot say whether a key is right")),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_of_the_specification() {
        // XEP-0185 §3, example.
        let secret = Secret::new(b"s3cr3tf0rd14lb4ck");
        let key = "37c69b1cf07a3f67c04a5ef5902fa5114f2c76fe4a2686482ba5b89323075643";
        assert_eq!(
            secret.key("xmpp.example.com", "example.org", "D60000229F"),
            key
        );
        assert!(secret.made(key, "xmpp.example.com", "example.org", "D60000229F"));
        assert!(!secret.made(key, "xmpp.example.com", "example.org", "D60000229E"));
        assert!(!secret.made("", "xmpp.example.com", "example.org", "D60000229F"));
    }
}
