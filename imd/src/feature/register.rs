//! In-band registration (XEP-0077): a new password, or the end of the account, for whoever is logged in. New accounts
//! come by invitation only and are made in [`crate::stream`] before the login.

use async_trait::async_trait;
use imd_proto::{Condition, Element, StanzaError};

use super::{Answer, Feature, Reply, Request, Target, store_error};
use crate::admin::people;

/// XEP-0077.
pub const NS: &str = "jabber:iq:register";

pub(super) struct Register;

#[async_trait]
impl Feature for Register {
    fn server_features(&self) -> Vec<&'static str> {
        vec![NS]
    }

    fn requests(&self) -> Vec<(Target, &'static str)> {
        vec![(Target::Server, NS), (Target::Account, NS)]
    }

    async fn request(&self, request: &Request<'_>) -> Answer {
        let (session, user) = request.own()?;
        let query = request.payload;
        if query.name() != "query" {
            return Err(Condition::BadRequest.into());
        }
        if !request.is_set() {
            return Ok(Reply::With(
                Element::new("query", NS)
                    .with_child(Element::new("registered", NS))
                    .with_child(Element::new("username", NS).with_text(user))
                    .with_child(Element::new("password", NS)),
            ));
        }
        if query.child("remove", NS).is_some() {
            if query.children().count() > 1 {
                return Err(Condition::BadRequest.into());
            }
            // §3.2: the answer comes before the stream's end.
            session.send(&request.stanza.result());
            people::remove(request.server, user)
                .await
                .map_err(|e| store_error(&e))?;
            return Ok(Reply::Sent);
        }
        let name = query.child_text("username").unwrap_or_default();
        if people::username(&name).as_deref() != Some(user) {
            return Err(StanzaError::with_text(
                Condition::NotAllowed,
                "only the password of one's own account can be changed",
            ));
        }
        let password = query.child_text("password").unwrap_or_default();
        let keys = people::keys(&password)
            .await
            .map_err(|e| StanzaError::with_text(Condition::NotAcceptable, e.to_string()))?;
        people::set_password(request.server, user, keys)
            .await
            .map_err(|e| store_error(&e))?;
        Ok(Reply::Empty)
    }
}
