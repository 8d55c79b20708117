//! Where stanzas go. [`stanza`] takes one from anybody (a session, a service, another server) whose `from`
//! is authenticated, and sees to it that it arrives or is answered.

pub mod asked;
pub mod blocked;
pub mod decide;
pub mod directory;
mod iq;
pub mod limited;
mod message;
mod preauth;
pub mod presence;
mod requests;
pub mod subscription;
mod written;

use std::sync::Arc;

use imd_proto::{Condition, Jid, Kind, Stanza, StanzaError};
use imd_store::Commit;

use crate::server::Server;
use crate::session::Session;

pub use message::{read_client_xml, requeue};

/// Route a stanza. `session`: the sender's, for local senders. The commit resolves when what has to be on the
/// disk is there; absent when nothing has to.
pub async fn stanza(
    server: &Arc<Server>,
    stanza: Stanza,
    session: Option<&Arc<Session>>,
) -> Option<Commit> {
    let to = match &stanza.to {
        Some(to) => to.clone(),
        None => stanza.from.to_bare(),
    };
    if limited::refuses(server, &stanza, session, &to).await {
        return None;
    }
    if to.domain() != server.config.domain {
        return elsewhere(server, stanza, session, &to).await;
    }
    match stanza.kind {
        Kind::Iq => {
            iq::local(server, stanza, session, &to).await;
            None
        }
        Kind::Presence => {
            presence::local(server, stanza, &to).await;
            None
        }
        Kind::Message => message::local(server, stanza, session, &to).await,
    }
}

/// Route an answer that the server or a service made: it is never answered itself.
pub async fn answer(server: &Arc<Server>, answer: Stanza) {
    if let Some(session) = answer
        .to
        .as_ref()
        .and_then(|to| server.directory.session(to))
    {
        session.send(&answer.element);
    } else {
        // Whoever asked has gone, or is elsewhere.
        Box::pin(stanza(server, answer, None)).await;
    }
}

/// A stanza for a service on another domain of this server, or for another server.
async fn elsewhere(
    server: &Arc<Server>,
    stanza: Stanza,
    session: Option<&Arc<Session>>,
    to: &Jid,
) -> Option<Commit> {
    if blocked::refuses_outgoing(server, &stanza, to).await {
        return None;
    }
    if stanza.kind == Kind::Message && session.is_some() && to.domain() != server.config.domain {
        return message::outgoing(server, stanza, session, to).await;
    }
    away(server, stanza, to).await
}

/// Hand a stanza to the service or server that has its domain.
async fn away(server: &Arc<Server>, stanza: Stanza, to: &Jid) -> Option<Commit> {
    if let Some(service) = server.service(to.domain()) {
        return service.stanza(server, stanza).await;
    }
    if let Some(remote) = server.remote() {
        return remote.stanza(server, stanza).await;
    }
    server
        .bounce(&stanza, &StanzaError::new(Condition::RemoteServerNotFound))
        .await;
    None
}

/// Read a stanza as the store keeps it; absent, and said in the log, when it is damaged.
#[must_use]
pub fn read_stored(xml: &str) -> Option<imd_proto::Element> {
    let limits = imd_proto::xml::Limits {
        stanza_bytes: usize::MAX,
        depth: 1000,
        elements: usize::MAX,
    };
    match imd_proto::xml::parse_document(xml, limits) {
        Ok(element) => Some(element),
        Err(error) => {
            tracing::error!(%error, "a stored stanza cannot be read");
            None
        }
    }
}
