//! Invitations from within an app (XEP-0401): one for everybody, one for administrators.

use std::sync::Arc;

use async_trait::async_trait;
use imd_proto::form::{Form, FormBuilder};
use imd_proto::{Condition, Element, StanzaError};
use imd_store::{InviteKind, Role};

use super::commands::{Caller, Command, Outcome};
use super::{store_error, time};
use crate::admin::invites::{self, NewInvite};
use crate::admin::people;
use crate::server::Server;

/// XEP-0401.
pub const NS: &str = "urn:xmpp:invite";

/// Invite somebody to be a contact, with a new account where they have none (XEP-0401 §3.1).
pub(super) struct Invite;

#[async_trait]
impl Command for Invite {
    fn node(&self) -> &'static str {
        "urn:xmpp:invite#invite"
    }

    fn name(&self) -> &'static str {
        "Invite somebody"
    }

    fn is_for(&self, _: &Server, caller: &Caller) -> bool {
        caller.role != Role::Limited
    }

    fn form(&self, _: &Server) -> Option<Element> {
        None
    }

    async fn run(
        &self,
        server: &Arc<Server>,
        caller: &Caller,
        _: &Form,
    ) -> Result<Outcome, StanzaError> {
        let mut new = NewInvite::by(&caller.user);
        if !server.config.web.members_invite && caller.role != Role::Admin {
            new.kind = InviteKind::Contact;
        }
        create(server, new).await
    }
}

/// Invite somebody to an account, of a name where one is given (XEP-0401 §3.2).
pub(super) struct CreateAccount;

#[async_trait]
impl Command for CreateAccount {
    fn node(&self) -> &'static str {
        "urn:xmpp:invite#create-account"
    }

    fn name(&self) -> &'static str {
        "Invite somebody to a new account"
    }

    fn is_for(&self, _: &Server, caller: &Caller) -> bool {
        caller.role == Role::Admin
    }

    fn form(&self, _: &Server) -> Option<Element> {
        let contact = "Becomes a contact of mine";
        Some(
            FormBuilder::new("form", NS)
                .title("Invite somebody to a new account")
                .field(
                    "username",
                    "text-single",
                    Some("Name (may be left empty)"),
                    &[],
                )
                .field("roster-subscription", "boolean", Some(contact), &["0"])
                .build(),
        )
    }

    async fn run(
        &self,
        server: &Arc<Server>,
        caller: &Caller,
        form: &Form,
    ) -> Result<Outcome, StanzaError> {
        let mut new = NewInvite::by(&caller.user);
        if form.boolean("roster-subscription") != Some(true) {
            new.inviter = None;
        }
        if let Some(name) = form
            .value("username")
            .filter(|name| !name.trim().is_empty())
        {
            let user = people::username(name).ok_or_else(|| {
                StanzaError::with_text(
                    Condition::BadRequest,
                    "username: letters, digits and . _ - are accepted, without @ and what follows",
                )
            })?;
            let taken = server.store.account(&user).await;
            if taken.map_err(|e| store_error(&e))?.is_some() {
                let text = format!("the name {user:?} is taken");
                return Err(StanzaError::with_text(Condition::Conflict, text));
            }
            new.username = Some(user);
        }
        create(server, new).await
    }
}

/// Make an invitation and tell its addresses.
async fn create(server: &Arc<Server>, new: NewInvite) -> Result<Outcome, StanzaError> {
    let invite = invites::create(server, new)
        .await
        .map_err(|e| store_error(&e))?;
    let mut form = FormBuilder::plain("result")
        .title("The invitation")
        .field(
            "uri",
            "text-single",
            Some("For apps"),
            &[&invites::uri(server, &invite)],
        )
        .field(
            "landing-url",
            "text-single",
            Some("For people"),
            &[&invites::page_url(server, &invite)],
        );
    if let Some(end) = invite.expires_at {
        form = form.field(
            "expire",
            "text-single",
            Some("Until"),
            &[&time::format(end)],
        );
    }
    Ok(Outcome {
        note: None,
        form: Some(form.build()),
    })
}
