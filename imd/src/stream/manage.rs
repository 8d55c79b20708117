//! Stream management (XEP-0198): enabling it, acknowledgements, resumption.

use std::sync::Arc;
use std::time::Duration;

use imd_proto::{Element, StreamCondition, StreamError, ns};

use crate::server::Server;
use crate::session::{Attached, End, Session, lifecycle};

/// How long the old connection of a resumed session has to let go.
const HANDOVER: Duration = Duration::from_secs(10);

/// The stream feature.
pub(super) fn feature() -> Element {
    Element::new("sm", ns::SM)
}

/// Answer `<enable/>`.
pub(super) fn enable(server: &Server, session: &Arc<Session>, request: &Element) -> Element {
    if session.management().is_some() {
        return failed("unexpected-request");
    }
    let resumable = matches!(request.attr("resume"), Some("true" | "1"))
        && server.config.limits.resume_timeout > Duration::ZERO;
    let id = resumable.then(|| server.random_id::<16>());
    session.manage(id.clone());
    session.outbound.manage();
    let mut enabled = Element::new("enabled", ns::SM);
    if let Some(id) = id {
        server.resumable.enter(&id, session);
        enabled.set_attr("id", id);
        enabled.set_attr("resume", "true");
        enabled.set_attr(
            "max",
            server.config.limits.resume_timeout.as_secs().to_string(),
        );
    }
    enabled
}

fn failed(condition: &'static str) -> Element {
    Element::new("failed", ns::SM).with_child(Element::new(condition, ns::STANZA_ERRORS))
}

/// Answer `<resume/>`: take the session over from its old connection.
///
/// # Errors
/// With the `<failed/>` to send.
pub(crate) async fn resume(
    server: &Arc<Server>,
    user: &str,
    request: &Element,
) -> Result<(Attached, Element), Element> {
    let unknown = || failed("item-not-found");
    let id = request
        .attr("previd")
        .ok_or_else(|| failed("bad-request"))?;
    let handled = number(request, "h").ok_or_else(|| failed("bad-request"))?;
    let session = server
        .resumable
        .find(id)
        .filter(|s| &*s.user == user)
        .ok_or_else(unknown)?;
    session.outbound.end(End::Resumed);
    let attached = match tokio::time::timeout(HANDOVER, session.attach()).await {
        Ok(Some(attached)) => attached,
        _ => return Err(unknown()),
    };
    if session.outbound.acknowledge(handled).is_err() {
        // The client counts wrongly; the right one may still come.
        lifecycle::detach(server, attached);
        return Err(unknown());
    }
    session.outbound.rewind();
    // A client that comes back is awake until it says otherwise (XEP-0352 §5).
    session.set_inactive(false);
    tracing::info!(jid = %session.jid, "session resumed");
    let resumed = Element::new("resumed", ns::SM)
        .with_attr("previd", id)
        .with_attr("h", session.handled().to_string());
    Ok((attached, resumed))
}

/// Read a counter of stanzas.
pub(super) fn number(element: &Element, name: &str) -> Option<u32> {
    element.attr(name)?.trim().parse().ok()
}

/// Take `<a/>`.
pub(super) fn acknowledged(session: &Session, ack: &Element) -> Result<(), StreamError> {
    let handled = number(ack, "h").ok_or(StreamCondition::InvalidXml)?;
    session.outbound.acknowledge(handled).map_err(|sent| {
        // XEP-0198 §4: the client counts wrongly, and nothing that follows could be trusted.
        StreamError::with_text(
            StreamCondition::UndefinedCondition,
            format!("acknowledged {handled} stanzas, but only {sent} were sent"),
        )
    })
}
