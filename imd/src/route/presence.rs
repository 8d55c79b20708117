//! Presence: broadcast, probes and directed presence (RFC 6121 §4).

use std::sync::Arc;

use imd_proto::{Condition, Element, Jid, Kind, Stanza, StanzaError, ns};
use imd_store::{RosterItem, SubscriptionRequest};

use super::subscription::Request;
use super::{blocked, limited, requests};
use crate::feature::{avatar, caps, csi};
use crate::server::Server;
use crate::session::{Presence, Queued, Session};

/// Presence that a local session sends.
pub async fn from_session(server: &Arc<Server>, session: &Arc<Session>, mut stanza: Stanza) {
    let Some(to) = stanza.to.clone() else {
        return match stanza.type_attr() {
            None => broadcast_available(server, session, stanza).await,
            Some("unavailable") => broadcast_unavailable(server, session, stanza.element).await,
            _ => {
                let error = StanzaError::with_text(
                    Condition::BadRequest,
                    "this presence needs an addressee",
                );
                server.bounce(&stanza, &error).await;
            }
        };
    };
    if limited::refuses(server, &stanza, Some(session), &to).await {
        return;
    }
    if let Some(request) = Request::of(stanza.type_attr()) {
        return requests::outbound(server, session, request, stanza, &to).await;
    }
    match stanza.type_attr() {
        None => {
            avatar::complete(
                &mut stanza.element,
                avatar::hash(server, &session.user).await.as_deref(),
            );
            session.state().directed.insert(to);
        }
        Some("unavailable") => {
            session.state().directed.remove(&to);
        }
        _ => {}
    }
    Box::pin(super::stanza(server, stanza, Some(session))).await;
}

async fn broadcast_available(server: &Arc<Server>, session: &Arc<Session>, mut stanza: Stanza) {
    let priority = match stanza
        .element
        .child_text("priority")
        .map(|text| text.trim().parse::<i8>())
    {
        None => 0,
        Some(Ok(priority)) => priority,
        Some(Err(_)) => {
            let error = StanzaError::with_text(
                Condition::BadRequest,
                "a priority is a whole number from -128 to 127",
            );
            return server.bounce(&stanza, &error).await;
        }
    };
    let hash = avatar::hash(server, &session.user).await;
    avatar::complete(&mut stanza.element, hash.as_deref());
    let element = Arc::new(stanza.element.clone());
    let first = {
        let mut state = session.state();
        state
            .presence
            .replace(Presence {
                priority,
                element: Arc::clone(&element),
            })
            .is_none()
    };
    let (roster, requests) = match first {
        true => roster_and_requests(server, &session.user).await,
        false => (roster_of(server, &session.user).await, Vec::new()),
    };
    for other in server.directory.sessions(&session.user) {
        if other.presence().is_none() {
            continue;
        }
        send_presence(&element, &other);
        if first
            && other.id != session.id
            && let Some(theirs) = other.presence()
        {
            send_presence(&theirs.element, session);
        }
    }
    to_subscribers(server, &element, &roster).await;
    if first {
        probe_contacts(server, session, &roster).await;
        show_requests(session, &requests);
    }
    for feature in server.features.iter() {
        feature.available(server, session, &stanza).await;
    }
}

/// The server itself has changed something in the presence of a session: show it to all who see it.
pub async fn show_again(server: &Arc<Server>, session: &Arc<Session>, element: Element) {
    let element = Arc::new(element);
    let directed = {
        let mut state = session.state();
        let Some(presence) = &mut state.presence else {
            return;
        };
        presence.element = Arc::clone(&element);
        state.directed.clone()
    };
    for other in server.directory.sessions(&session.user) {
        if other.presence().is_some() {
            send_presence(&element, &other);
        }
    }
    let roster = roster_of(server, &session.user).await;
    to_subscribers(server, &element, &roster).await;
    for to in directed {
        send_to(server, &element, &to).await;
    }
}

/// A session is not available any more: by its own presence or because it ended.
pub async fn broadcast_unavailable(
    server: &Arc<Server>,
    session: &Arc<Session>,
    mut element: Element,
) {
    let (had, directed) = {
        let mut state = session.state();
        state.notify = None;
        (
            state.presence.take().is_some(),
            std::mem::take(&mut state.directed),
        )
    };
    element.set_attr("from", session.jid.as_str());
    element.set_attr("type", "unavailable");
    element.remove_attr("to");
    if had {
        for other in server.directory.sessions(&session.user) {
            if other.presence().is_some() || other.id == session.id {
                send_presence(&element, &other);
            }
        }
        let roster = roster_of(server, &session.user).await;
        to_subscribers(server, &element, &roster).await;
    }
    for to in directed {
        send_to(server, &element, &to).await;
    }
}

/// The end of a session, told to all who saw it.
pub async fn ended(server: &Arc<Server>, session: &Arc<Session>) {
    let gone = Element::new("presence", ns::CLIENT).with_attr("type", "unavailable");
    broadcast_unavailable(server, session, gone).await;
}

fn send_presence(element: &Element, to: &Session) {
    to.send(&element.clone().with_attr("to", to.jid.as_str()));
}

async fn roster_of(server: &Server, user: &str) -> Vec<RosterItem> {
    match server.store.roster(user).await {
        Ok(roster) => roster.items,
        Err(error) => {
            tracing::warn!(user, %error, "cannot read the roster");
            Vec::new()
        }
    }
}

async fn roster_and_requests(
    server: &Server,
    user: &str,
) -> (Vec<RosterItem>, Vec<SubscriptionRequest>) {
    match server.store.roster_and_requests(user).await {
        Ok((roster, requests)) => (roster.items, requests),
        Err(error) => {
            tracing::warn!(user, %error, "cannot read the roster");
            (Vec::new(), Vec::new())
        }
    }
}

async fn to_subscribers(server: &Arc<Server>, element: &Element, roster: &[RosterItem]) {
    for item in roster.iter().filter(|i| i.subscription.is_from()) {
        if let Ok(contact) = item.contact.parse::<Jid>() {
            send_to(server, element, &contact).await;
        }
    }
}

async fn send_to(server: &Arc<Server>, element: &Element, to: &Jid) {
    // Most contacts are not online: nothing has to be made for them.
    if server.is_local_account(to)
        && server
            .directory
            .sessions(to.local().unwrap_or_default())
            .is_empty()
    {
        return;
    }
    let Some(from) = element.attr("from").and_then(|from| from.parse().ok()) else {
        return;
    };
    if let Ok(stanza) = Stanza::stamp(
        Kind::Presence,
        element.clone().with_attr("to", to.as_str()),
        from,
    ) {
        Box::pin(super::stanza(server, stanza, None)).await;
    }
}

/// RFC 6121 §4.3: ask for the presence of those whom the user sees.
async fn probe_contacts(server: &Arc<Server>, session: &Arc<Session>, roster: &[RosterItem]) {
    for item in roster.iter().filter(|i| i.subscription.is_to()) {
        let Ok(contact) = item.contact.parse::<Jid>() else {
            continue;
        };
        let probe = Element::new("presence", ns::CLIENT).with_attr("type", "probe");
        send_to(
            server,
            &probe.with_attr("from", session.jid.as_str()),
            &contact,
        )
        .await;
    }
}

/// RFC 6121 §3.1.3: requests wait until they are answered, and are shown at each login.
fn show_requests(session: &Session, requests: &[SubscriptionRequest]) {
    for request in requests {
        if let Some(element) = super::read_stored(&request.stanza) {
            session.send(&element);
        }
    }
}

/// Presence for an account or a session of this server, from anybody.
pub(super) async fn local(server: &Arc<Server>, stanza: Stanza, to: &Jid) {
    let Some(user) = to.local() else { return };
    if blocked::refuses_outgoing(server, &stanza, to).await
        || blocked::refuses_incoming(server, &stanza, user).await
    {
        return;
    }
    if let Some(request) = Request::of(stanza.type_attr()) {
        return requests::inbound(server, request, stanza, user).await;
    }
    match stanza.type_attr() {
        Some("probe") => probe(server, &stanza, user).await,
        None | Some("unavailable") if to.is_bare() => {
            caps::contact_presence(server, &stanza, user).await;
            // Nearly everybody has at most one client that is available.
            let mut queued = None;
            for session in server.directory.sessions(user) {
                if session.presence().is_some() {
                    let queued = queued.get_or_insert_with(|| {
                        Queued::whole(stanza.element.to_xml_in(ns::CLIENT).into())
                            .known(csi::can_wait(&stanza.element))
                    });
                    session.send_copy(queued);
                }
            }
        }
        None | Some("unavailable" | "error") => {
            if let Some(session) = server.directory.session(to) {
                session.send(&stanza.element);
            }
        }
        _ => {
            server
                .bounce(&stanza, &StanzaError::new(Condition::BadRequest))
                .await
        }
    }
}

/// RFC 6121 §4.3.2: show the presence of an account to somebody who may see it.
async fn probe(server: &Arc<Server>, stanza: &Stanza, user: &str) {
    let asker = stanza.from.to_bare();
    let own = asker.as_str() == server.account_jid(user).as_str();
    let allowed = own
        || matches!(server.store.roster_item(user, asker.as_str()).await, Ok(Some(item)) if item.subscription.is_from());
    if !allowed {
        return;
    }
    for session in server.directory.sessions(user) {
        let Some(presence) = session.presence() else {
            continue;
        };
        let mut element = (*presence.element).clone();
        element.set_attr("to", stanza.from.as_str());
        if let Ok(presence) = Stanza::stamp(Kind::Presence, element, session.jid.clone()) {
            super::answer(server, presence).await;
        }
    }
}

/// Show the sessions of an account to somebody, or hide them.
pub async fn show(server: &Arc<Server>, user: &str, contact: &Jid, visible: Option<bool>) {
    let Some(visible) = visible else { return };
    for session in server.directory.sessions(user) {
        let Some(presence) = session.presence() else {
            continue;
        };
        let element = if visible {
            (*presence.element).clone()
        } else {
            Element::new("presence", ns::CLIENT)
                .with_attr("from", session.jid.as_str())
                .with_attr("type", "unavailable")
        };
        send_to(server, &element, contact).await;
    }
    if visible {
        caps::for_new_contact(server, user, contact).await;
    }
}

/// Hide an account from those subscribers that `whom` picks.
pub async fn hide_from(server: &Arc<Server>, user: &str, whom: impl Fn(&Jid) -> bool) {
    for contact in subscribers(server, user, whom).await {
        // Past the block that is coming: sent before it takes effect.
        show(server, user, &contact, Some(false)).await;
    }
}

/// Show an account again to those subscribers that `whom` picks.
pub async fn show_to(server: &Arc<Server>, user: &str, whom: impl Fn(&Jid) -> bool) {
    for contact in subscribers(server, user, whom).await {
        show(server, user, &contact, Some(true)).await;
    }
}

async fn subscribers(server: &Server, user: &str, whom: impl Fn(&Jid) -> bool) -> Vec<Jid> {
    roster_of(server, user)
        .await
        .into_iter()
        .filter(|i| i.subscription.is_from())
        .filter_map(|i| i.contact.parse().ok())
        .filter(|jid| whom(jid))
        .collect()
}
