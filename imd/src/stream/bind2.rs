//! Bind 2 (XEP-0386): a resource, and what belongs to the start of a session, in the message of the login.

use std::sync::Arc;

use imd_proto::{Element, StreamCondition, StreamError, ns};

use super::c2s::Ended;
use super::{bind, manage};
use crate::feature::{archive, csi};
use crate::server::Server;
use crate::session::{self, Attached, End, UserAgent, lifecycle};

/// Bytes of a client's tag in its resource.
const TAG_BYTES: usize = 64;

/// The inline feature of SASL2.
pub(super) fn feature() -> Element {
    let features = [ns::CARBONS, csi::NS, ns::SM]
        .into_iter()
        .map(|var| Element::new("feature", ns::BIND2).with_attr("var", var));
    let inline = Element::new("inline", ns::BIND2).with_children(features);
    Element::new("bind", ns::BIND2).with_child(inline)
}

/// Bind: the session, into `entered`, and the `<bound/>` element.
pub(super) async fn bind(
    server: &Arc<Server>,
    user: &str,
    request: &Element,
    agent: Option<UserAgent>,
    entered: &mut Option<Attached>,
) -> Result<Element, Ended> {
    let resource = resource(server, user, request, agent.as_ref());
    replace(server, user, agent.as_ref()).await;
    let session = match bind::enter(server, user, Some(&resource), agent, entered).await {
        Ok(session) => session,
        // The login has no words for this.
        Err(condition) => {
            let text = format!("cannot bind a resource: {}", condition.as_str());
            return Err(StreamError::with_text(StreamCondition::ResourceConstraint, text).into());
        }
    };
    let mut bound = Element::new("bound", ns::BIND2);
    session.state().carbons = request.child("enable", ns::CARBONS).is_some();
    session.set_inactive(request.child("inactive", csi::NS).is_some());
    if let Some(enable) = request.child("enable", ns::SM) {
        bound.push(manage::enable(server, &session, enable));
    }
    if server.config.archive.enabled {
        match archive::metadata(server, &session.jid.to_bare()).await {
            Ok(metadata) => bound.push(metadata),
            Err(error) => tracing::warn!(user, ?error, "cannot read the archive's bounds"),
        }
        // What has waited is in the archive, where this client looks.
        if let Err(error) = server
            .store
            .delete_offline_through(user, i64::MAX as u64)
            .await
        {
            tracing::warn!(user, %error, "cannot clear the offline messages");
        }
    }
    Ok(bound)
}

/// The same client gets the same resource each time, without its id being shown (XEP-0386 §3.2.1).
fn resource(server: &Server, user: &str, request: &Element, agent: Option<&UserAgent>) -> String {
    let own = match agent {
        Some(agent) => session::shown_id(&server.config.domain, user, &agent.id),
        None => server.random_id::<6>(),
    };
    let tag = request
        .child_text("tag")
        .map(|tag| tag.trim().to_owned())
        .filter(|tag| !tag.is_empty() && tag.len() <= TAG_BYTES);
    match tag {
        Some(tag) => {
            let resource = format!("{tag}/{own}");
            // A tag that cannot stand in an address is left out.
            match server.account_jid(user).with_resource(&resource) {
                Ok(_) => resource,
                Err(_) => own,
            }
        }
        None => own,
    }
}

/// End what the same client has left behind.
async fn replace(server: &Arc<Server>, user: &str, agent: Option<&UserAgent>) {
    let Some(agent) = agent else { return };
    for session in server.directory.sessions(user) {
        if session.agent().is_some_and(|a| a.id == agent.id) {
            let conflict = StreamError::with_text(
                StreamCondition::Conflict,
                "the same client has logged in again",
            );
            session.outbound.end(End::Error(conflict));
            lifecycle::end(server, &session).await;
        }
    }
}
