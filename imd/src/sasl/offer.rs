//! What is offered to a client that has not logged in: mechanisms, and what they can be bound to (XEP-0440).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use imd_store::Credentials;
use ring::digest;

use super::{ChannelBinding, Hash, Mechanism};

/// Between two of a kind (XEP-0474 §5.1).
const BETWEEN: &str = "\u{1e}";
/// Between mechanisms and channel bindings.
const THEN: &str = "\u{1f}";

/// Mechanisms and channel bindings of one stream.
#[derive(Debug, Clone)]
pub struct Offer {
    /// Strongest first.
    pub mechanisms: Vec<Mechanism>,
    /// What a mechanism can be bound to; empty when nothing.
    pub binding: ChannelBinding,
}

impl Offer {
    /// What can be offered over a connection. `known`: the account that wants to log in, where the client has said
    /// so and it exists; it is offered only what it has keys for (XEP-0388 §2.1).
    #[must_use]
    pub fn new(binding: ChannelBinding, known: Option<&Credentials>) -> Self {
        let usable = |mechanism: &Mechanism| match (mechanism, known) {
            (Mechanism::Scram { hash, .. }, Some(keys)) => match hash {
                Hash::Sha1 => keys.sha1.is_some(),
                Hash::Sha256 => keys.sha256.is_some(),
            },
            _ => true,
        };
        Self {
            mechanisms: Mechanism::offered(!binding.is_empty())
                .into_iter()
                .filter(usable)
                .collect(),
            binding,
        }
    }

    /// The mechanism of a name, if it was offered.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Mechanism> {
        self.mechanisms.iter().copied().find(|m| m.name() == name)
    }

    /// What lets a client see that somebody has taken something from the offer (XEP-0474 §5.1).
    #[must_use]
    pub fn digest(&self, hash: Hash) -> String {
        let mut mechanisms: Vec<_> = self.mechanisms.iter().map(|m| m.name()).collect();
        mechanisms.sort_unstable();
        let mut text = mechanisms.join(BETWEEN);
        if !self.binding.is_empty() {
            let mut types = self.binding.types();
            types.sort_unstable();
            text.push_str(THEN);
            text.push_str(&types.join(BETWEEN));
        }
        BASE64.encode(digest::digest(hash.digest(), text.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_that_of_the_example_of_xep_0474() {
        let mut binding = ChannelBinding::default();
        binding.add("tls-server-end-point", vec![1]);
        binding.add("tls-exporter", vec![2]);
        let offer = Offer {
            mechanisms: vec![
                Mechanism::Scram {
                    hash: Hash::Sha1,
                    plus: true,
                },
                Mechanism::Scram {
                    hash: Hash::Sha1,
                    plus: false,
                },
            ],
            binding,
        };
        assert_eq!(offer.digest(Hash::Sha1), "G6k/rBLDqgOhRRaCuuatSDFkJ08=");
    }

    #[test]
    fn an_account_is_offered_what_it_has_keys_for() {
        let mut keys = super::super::derive("secret").unwrap();
        keys.sha256 = None;
        let names = |known| {
            let offer = Offer::new(ChannelBinding::default(), known);
            offer
                .mechanisms
                .iter()
                .map(|m| m.name())
                .collect::<Vec<_>>()
        };
        assert_eq!(names(Some(&keys)), ["SCRAM-SHA-1", "PLAIN"]);
        assert_eq!(names(None), ["SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN"]);
    }
}
