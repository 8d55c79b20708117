//! IQ stanzas for this server, its accounts and their sessions (RFC 6121 §8.5.2.1.3 and §8.5.3).

use std::sync::Arc;

use imd_proto::{Condition, Jid, Stanza, StanzaError};

use super::blocked;
use crate::feature::{Reply, Request, Target};
use crate::server::Server;
use crate::session::Session;

pub(super) async fn local(
    server: &Arc<Server>,
    stanza: Stanza,
    session: Option<&Arc<Session>>,
    to: &Jid,
) {
    if let Err(error) = well_formed(&stanza) {
        server.bounce(&stanza, &error).await;
        return;
    }
    if let Some(user) = to.local() {
        if blocked::refuses_outgoing(server, &stanza, to).await
            || blocked::refuses_incoming(server, &stanza, user).await
        {
            return;
        }
        if !to.is_bare() {
            return to_session(server, stanza, to).await;
        }
    }
    if !stanza.is_request() {
        server.asked.answered(stanza);
        return;
    }
    let answer = ask(server, &stanza, session, to).await;
    let reply = match answer {
        Ok(Reply::Empty) => stanza.result(),
        Ok(Reply::With(payload)) => stanza.result_with(payload),
        Ok(Reply::Sent) => return,
        Err(error) => stanza.error(&error),
    };
    if let Ok(reply) = Stanza::stamp(stanza.kind, reply, to.clone()) {
        super::answer(server, reply).await;
    }
}

/// RFC 6120 §8.2.3: an id, a known type, and for a request exactly one child.
fn well_formed(stanza: &Stanza) -> Result<(), StanzaError> {
    let bad = |text: &str| Err(StanzaError::with_text(Condition::BadRequest, text));
    match stanza.type_attr() {
        Some("get" | "set") if stanza.id().is_none() => bad("an IQ needs an id"),
        Some("get" | "set") if stanza.element.children().count() != 1 => {
            bad("an IQ of type get or set needs exactly one child element")
        }
        Some("get" | "set" | "result" | "error") => Ok(()),
        _ => bad("the type of an IQ is get, set, result or error"),
    }
}

async fn to_session(server: &Arc<Server>, stanza: Stanza, to: &Jid) {
    match server.directory.session(to) {
        Some(session) => session.send(&stanza.element),
        None => {
            server
                .bounce(&stanza, &StanzaError::new(Condition::ServiceUnavailable))
                .await
        }
    }
}

async fn ask(
    server: &Arc<Server>,
    stanza: &Stanza,
    session: Option<&Arc<Session>>,
    to: &Jid,
) -> crate::feature::Answer {
    let Some(payload) = stanza.element.first_child() else {
        return Err(Condition::BadRequest.into());
    };
    let account = to.local().is_some();
    let target = if account {
        Target::Account
    } else {
        Target::Server
    };
    let Some(feature) = server.features.find(target, payload.ns()) else {
        return Err(Condition::ServiceUnavailable.into());
    };
    let request = Request {
        server,
        session,
        stanza,
        payload,
        account: account.then(|| to.to_bare()),
    };
    feature.request(&request).await
}
