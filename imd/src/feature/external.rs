//! STUN and TURN servers for calls (XEP-0215), with names and passwords that run out where a secret is shared with them.

use async_trait::async_trait;
use base64::Engine as _;
use imd_proto::{Condition, Element};
use imd_store::{UnixMillis, now_millis};
use ring::hmac;

use super::{Answer, Feature, Reply, Request, Target, time};
use crate::config::ExternalService;

/// XEP-0215.
pub const NS: &str = "urn:xmpp:extdisco:2";
/// How long a password is good for.
const LIFE_MILLIS: i64 = 12 * 3_600_000;

pub(super) struct External;

#[async_trait]
impl Feature for External {
    fn server_features(&self) -> Vec<&'static str> {
        vec![NS]
    }

    fn requests(&self) -> Vec<(Target, &'static str)> {
        vec![(Target::Server, NS)]
    }

    async fn request(&self, request: &Request<'_>) -> Answer {
        if request.is_set() {
            return Err(Condition::NotAllowed.into());
        }
        // Passwords are for people of this server.
        let (_, user) = request.own()?;
        let services = &request.server.config.external_services;
        let until = now_millis() + LIFE_MILLIS;
        let wanted = request.payload;
        match wanted.name() {
            "services" => {
                let kind = wanted.attr("type");
                let shown = services
                    .iter()
                    .filter(|s| kind.is_none_or(|kind| kind == s.kind))
                    .map(|s| service(s, user, until));
                Ok(Reply::With(
                    Element::new("services", NS)
                        .with_opt_attr("type", kind)
                        .with_children(shown),
                ))
            }
            "credentials" => {
                let asked = wanted.child("service", NS);
                let asked = asked.ok_or(Condition::BadRequest)?;
                let port = asked.attr("port").and_then(|p| p.parse::<u16>().ok());
                let found = services.iter().find(|s| {
                    asked.attr("host") == Some(&s.host)
                        && asked.attr("type") == Some(s.kind)
                        && port.is_none_or(|port| port == s.port)
                });
                let found = found.ok_or(Condition::ItemNotFound)?;
                Ok(Reply::With(
                    Element::new("credentials", NS).with_child(service(found, user, until)),
                ))
            }
            _ => Err(Condition::BadRequest.into()),
        }
    }
}

fn service(service: &ExternalService, user: &str, until: UnixMillis) -> Element {
    let element = Element::new("service", NS)
        .with_attr("type", service.kind)
        .with_attr("host", service.host.as_str())
        .with_attr("port", service.port.to_string())
        .with_attr("transport", service.transport);
    let Some(secret) = &service.secret else {
        return element;
    };
    let (name, password) = credentials(secret, user, until);
    element
        .with_attr("restricted", "true")
        .with_attr("username", name)
        .with_attr("password", password)
        .with_attr("expires", time::format(until))
}

/// The end of the life and the user, signed with the secret: what TURN servers such as coturn check with
/// `use-auth-secret` (draft-uberti-behave-turn-rest).
fn credentials(secret: &str, user: &str, until: UnixMillis) -> (String, String) {
    let name = format!("{}:{user}", until / 1000);
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes());
    let signature = hmac::sign(&key, name.as_bytes());
    let password = base64::engine::general_purpose::STANDARD.encode(signature.as_ref());
    (name, password)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_the_signature_of_the_name() {
        // Computed with: printf '1700000000:alice' | openssl dgst -sha1 -hmac north -binary | base64
        let (name, password) = credentials("north", "alice", 1_700_000_000_000);
        assert_eq!(name, "1700000000:alice");
        assert_eq!(password, "Cd/49soE35ICqcJF/bCTn8Z4OyE=");
    }
}
