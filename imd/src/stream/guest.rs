//! Somebody without an account, before the login: an invitation is shown (XEP-0445), then an account is made by it
//! (XEP-0077).

use std::sync::Arc;

use imd_proto::{Condition, Element, Kind, Stanza, StanzaError, StreamCondition, StreamError, ns};

use super::Transport;
use super::c2s::Ended;
use crate::admin::invites::{self, RedeemError};
use crate::feature::{register, store_error};
use crate::server::Server;

/// Pre-authenticated registration and subscription (XEP-0379, XEP-0445).
pub const PARS: &str = "urn:xmpp:pars:0";
/// Requests of one connection before it has logged in.
const REQUESTS: u32 = 20;

/// What a guest has shown so far.
#[derive(Debug, Default)]
pub(super) struct Guest {
    token: Option<String>,
    requests: u32,
}

/// What is announced before the login (XEP-0077 §8, XEP-0401 §4.2).
pub(super) fn features() -> [Element; 2] {
    [
        Element::new("register", "http://jabber.org/features/iq-register"),
        Element::new("register", crate::feature::invite::NS),
    ]
}

impl Guest {
    /// Answer an element, if it is about registration; false when it is not.
    pub(super) async fn answer<T: Transport>(
        &mut self,
        server: &Arc<Server>,
        transport: &mut T,
        element: &Element,
    ) -> Result<bool, Ended> {
        let about = element.first_child().map(Element::ns);
        if !element.is("iq", ns::CLIENT) || !matches!(about, Some(PARS | register::NS)) {
            return Ok(false);
        }
        self.requests += 1;
        if self.requests > REQUESTS {
            let text = "too many requests on one connection before the login";
            return Err(StreamError::with_text(StreamCondition::PolicyViolation, text).into());
        }
        let stanza = Stanza::stamp(Kind::Iq, element.clone(), server.domain.clone())
            .map_err(|_| StreamCondition::ImproperAddressing)?;
        if !stanza.is_request() {
            return Ok(true);
        }
        let elsewhere = stanza.to.as_ref().is_some_and(|to| *to != server.domain);
        let answer = if elsewhere {
            Err(Condition::NotAllowed.into())
        } else {
            self.request(server, &stanza).await
        };
        let mut reply = match answer {
            Ok(Some(payload)) => stanza.result_with(payload),
            Ok(None) => stanza.result(),
            Err(error) => stanza.error(&error),
        };
        // A guest has no address.
        reply.remove_attr("to");
        transport.send(&reply).await?;
        Ok(true)
    }

    async fn request(
        &mut self,
        server: &Arc<Server>,
        stanza: &Stanza,
    ) -> Result<Option<Element>, StanzaError> {
        let Some(payload) = stanza.element.first_child() else {
            return Err(Condition::BadRequest.into());
        };
        let set = stanza.type_attr() == Some("set");
        match (payload.name(), payload.ns()) {
            ("preauth", PARS) if set => {
                let token = payload.attr("token").unwrap_or_default();
                invites::usable(server, token)
                    .await
                    .map_err(|e| refusal(&e))?;
                self.token = Some(token.to_owned());
                Ok(None)
            }
            ("query", register::NS) => {
                let Some(token) = self.token.clone() else {
                    return Err(StanzaError::with_text(
                        Condition::NotAllowed,
                        "accounts are made by invitation: open the invitation's link first",
                    ));
                };
                if set {
                    let text = |name| payload.child_text(name).unwrap_or_default();
                    invites::redeem(server, &token, &text("username"), &text("password"))
                        .await
                        .map_err(|e| refusal(&e))?;
                    self.token = None;
                    return Ok(None);
                }
                let invite = invites::usable(server, &token)
                    .await
                    .map_err(|e| refusal(&e))?;
                let name = invite.username.unwrap_or_default();
                let child = |name| Element::new(name, register::NS);
                let query = Element::new("query", register::NS)
                    .with_child(child("instructions").with_text("Choose a name and a password."))
                    .with_child(child("username").with_text(name))
                    .with_child(child("password"));
                Ok(Some(query))
            }
            _ => Err(Condition::BadRequest.into()),
        }
    }
}

fn refusal(error: &RedeemError) -> StanzaError {
    let condition = match error {
        RedeemError::NotUsable => Condition::ItemNotFound,
        RedeemError::BadName | RedeemError::OtherName(_) | RedeemError::Password(_) => {
            Condition::NotAcceptable
        }
        RedeemError::NameTaken => Condition::Conflict,
        RedeemError::Store(error) => return store_error(error),
    };
    StanzaError::with_text(condition, error.to_string())
}
