//! Resource binding (RFC 6120 §7), or the resumption of a session in its place (XEP-0198 §5).

use std::sync::Arc;

use imd_proto::{Condition, Element, Kind, Stanza, StreamCondition, StreamError, ns};

use super::c2s::{Ended, element, features};
use super::{Transport, manage};
use crate::server::Server;
use crate::session::{Attached, End, Session, UserAgent, lifecycle};

/// Give an authenticated client a session, which is in `entered` as soon as others can see it.
pub(super) async fn bind<T: Transport>(
    server: &Arc<Server>,
    transport: &mut T,
    user: &str,
    agent: Option<UserAgent>,
    entered: &mut Option<Attached>,
) -> Result<(), Ended> {
    transport.send(&features(server)).await?;
    loop {
        let element = element(transport).await?;
        if element.is("resume", ns::SM) {
            match manage::resume(server, user, &element).await {
                Ok((attached, resumed)) => {
                    *entered = Some(attached);
                    transport.send(&resumed).await?;
                    return Ok(());
                }
                Err(failed) => transport.send(&failed).await?,
            }
            continue;
        }
        let Some(kind) = Kind::of(&element).filter(|_| element.ns() == ns::CLIENT) else {
            return Err(StreamCondition::UnsupportedStanzaType.into());
        };
        let wanted = element
            .child("bind", ns::BIND)
            .map(|b| b.child_text("resource"));
        let account = server.account_jid(user);
        let stanza = Stanza::stamp(kind, element, account)
            .map_err(|_| StreamCondition::ImproperAddressing)?;
        let (Some(wanted), true) = (wanted, stanza.is_request()) else {
            return Err(StreamError::with_text(
                StreamCondition::NotAuthorized,
                "bind a resource first",
            )
            .into());
        };
        match enter(server, user, wanted.as_deref(), agent.clone(), entered).await {
            Ok(session) => {
                let jid = Element::new("jid", ns::BIND).with_text(session.jid.as_str());
                let mut result = stanza.result_with(Element::new("bind", ns::BIND).with_child(jid));
                result.remove_attr("from");
                result.remove_attr("to");
                transport.send(&result).await?;
                return Ok(());
            }
            Err(condition) => transport.send(&stanza.error(&condition.into())).await?,
        }
    }
}

/// Enter a new session into the directory, and its connection into `entered`. A session with the same resource ends
/// with `conflict`.
///
/// # Errors
/// `bad-request` for a resource that is none, `resource-constraint` when the account has too many sessions.
pub(super) async fn enter(
    server: &Arc<Server>,
    user: &str,
    wanted: Option<&str>,
    agent: Option<UserAgent>,
    entered: &mut Option<Attached>,
) -> Result<Arc<Session>, Condition> {
    let account = server.account_jid(user);
    let jid = match wanted.filter(|w| !w.is_empty()) {
        Some(resource) => account.with_resource(resource),
        None => account.with_resource(&server.random_id::<8>()),
    };
    let jid = jid.map_err(|_| Condition::BadRequest)?;
    let session = Session::new(jid, server.config.limits.outbound_bytes);
    if let Some(agent) = agent {
        session.set_agent(agent);
    }
    let attached = session
        .attach()
        .await
        .ok_or(Condition::InternalServerError)?;
    let max = server.config.limits.sessions_per_account;
    let replaced = server
        .directory
        .enter(&session, max)
        .map_err(|_| Condition::ResourceConstraint)?;
    *entered = Some(attached);
    tracing::info!(jid = %session.jid, "session begins");
    if let Some(old) = replaced {
        let conflict = StreamError::with_text(
            StreamCondition::Conflict,
            "the same resource has logged in elsewhere",
        );
        old.outbound.end(End::Error(conflict));
        lifecycle::end(server, &old).await;
    }
    Ok(session)
}
