//! Presence: broadcast, probes, directed presence and subscriptions (RFC 6121 §3 and §4).

use std::sync::Arc;

use imd_proto::{Condition, Element, Jid, Kind, Stanza, StanzaError, ns};
use imd_store::{RosterItem, RosterStep, SubscriptionRequest};

use super::subscription::{self, Request};
use super::{blocked, limited, preauth};
use crate::feature::{avatar, caps, roster};
use crate::server::Server;
use crate::session::{Presence, Session};

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
        return outbound_request(server, session, request, stanza, &to).await;
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
        return inbound_request(server, request, stanza, user).await;
    }
    match stanza.type_attr() {
        Some("probe") => probe(server, &stanza, user).await,
        None | Some("unavailable") if to.is_bare() => {
            caps::contact_presence(server, &stanza, user).await;
            for session in server.directory.sessions(user) {
                if session.presence().is_some() {
                    session.send(&stanza.element);
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

async fn is_waiting(
    server: &Server,
    user: &str,
    contact: &str,
) -> Result<bool, imd_store::StoreError> {
    Ok(server
        .store
        .subscription_requests(user)
        .await?
        .iter()
        .any(|r| r.from == contact))
}

async fn outbound_request(
    server: &Arc<Server>,
    session: &Arc<Session>,
    request: Request,
    mut stanza: Stanza,
    to: &Jid,
) {
    let contact = to.to_bare();
    if contact.same_bare(&session.jid) {
        return; // One always sees oneself.
    }
    if blocked::refuses_outgoing(server, &stanza, &contact).await {
        return;
    }
    let ends = matches!(request, Request::Unsubscribe | Request::Unsubscribed);
    if ends && let Err(error) = roster::may_part(server, &session.user, &contact).await {
        return server.bounce(&stanza, &error).await;
    }
    let outcome = apply_outbound(server, &session.user, request, &contact).await;
    let change = match outcome {
        Ok(change) => change,
        Err(error) => {
            return server
                .bounce(&stanza, &crate::feature::store_error(&error))
                .await;
        }
    };
    if change.forward {
        let own = session.jid.to_bare();
        stanza.element.set_attr("from", own.as_str());
        stanza.from = own;
        stanza.set_to(contact.clone());
        Box::pin(super::stanza(server, stanza, None)).await;
    }
    show(server, &session.user, &contact, change.presence).await;
}

/// Change a user's side of a subscription as its own request says, and push the roster item.
///
/// # Errors
/// When the store fails.
pub async fn apply_outbound(
    server: &Arc<Server>,
    user: &str,
    request: Request,
    contact: &Jid,
) -> Result<subscription::Outbound, imd_store::StoreError> {
    let name = contact.as_str().to_owned();
    let waiting = is_waiting(server, user, &name).await?;
    let before = server.store.roster_item(user, &name).await?;
    let change = subscription::outbound(request, before, &name, waiting);
    let edit_name = name.clone();
    edit(server, user, &name, move |item| {
        subscription::outbound(request, item, &edit_name, waiting).item
    })
    .await?;
    if change.answers {
        server
            .store
            .remove_subscription_request(user, &name)
            .await?;
    }
    Ok(change)
}

async fn edit(
    server: &Arc<Server>,
    user: &str,
    contact: &str,
    change: impl Fn(Option<RosterItem>) -> Option<RosterItem> + Send + 'static,
) -> Result<(), imd_store::StoreError> {
    let step = move |item: Option<RosterItem>| match change(item.clone()) {
        Some(after) if Some(&after) != item.as_ref() => RosterStep::Set(after),
        _ => RosterStep::Keep,
    };
    let max = server.config.limits.roster_items;
    let update = server
        .store
        .edit_roster_item(user, contact, max, Box::new(step))
        .await?;
    if update.before != update.after
        && let Some(item) = &update.after
    {
        roster::push(server, user, &roster::item_element(item), update.version);
    }
    Ok(())
}

async fn inbound_request(server: &Arc<Server>, request: Request, stanza: Stanza, user: &str) {
    let contact = stanza.from.to_bare();
    if let Err(error) = apply_inbound(server, request, &stanza, user, &contact).await {
        server
            .bounce(&stanza, &crate::feature::store_error(&error))
            .await;
    }
}

async fn apply_inbound(
    server: &Arc<Server>,
    request: Request,
    stanza: &Stanza,
    user: &str,
    contact: &Jid,
) -> Result<(), imd_store::StoreError> {
    if server.store.account(user).await?.is_none() {
        if request == Request::Subscribe {
            reply(server, user, contact, Request::Unsubscribed).await;
        }
        return Ok(());
    }
    let invited =
        request == Request::Subscribe && preauth::is_invited(server, &stanza.element, user).await;
    if invited {
        approve(server, user, contact).await?;
    }
    let before = server.store.roster_item(user, contact.as_str()).await?;
    let change = subscription::inbound(request, before);
    edit(server, user, contact.as_str(), move |item| {
        subscription::inbound(request, item).item
    })
    .await?;
    let mut deliver = change.deliver;
    if change.wait {
        let kept = SubscriptionRequest {
            from: contact.as_str().to_owned(),
            stanza: stanza.element.to_xml(),
        };
        server
            .store
            .add_subscription_request(user, kept, server.config.limits.subscription_requests)
            .await?;
    }
    if change.withdraws {
        deliver |= server
            .store
            .remove_subscription_request(user, contact.as_str())
            .await?;
    }
    if deliver {
        for session in server.directory.sessions(user) {
            let state_allows = session.presence().is_some() || session.state().interested;
            if state_allows {
                session.send(&stanza.element);
            }
        }
    }
    if let Some(answer) = change.reply {
        reply(server, user, contact, answer).await;
    }
    show(server, user, contact, change.presence).await;
    if invited {
        ask_back(server, user, contact).await?;
    }
    Ok(())
}

/// Approve a contact before it asks (RFC 6121 §3.4).
async fn approve(server: &Server, user: &str, contact: &Jid) -> Result<(), imd_store::StoreError> {
    let name = contact.as_str().to_owned();
    let approved = move |item: Option<RosterItem>| {
        let item = item.unwrap_or_default();
        RosterStep::Set(RosterItem {
            contact: name.clone(),
            approved: !item.subscription.is_from(),
            ..item
        })
    };
    let max = server.config.limits.roster_items;
    server
        .store
        .edit_roster_item(user, contact.as_str(), max, Box::new(approved))
        .await?;
    Ok(())
}

/// Whoever came by an invitation is a contact both ways (XEP-0379 §3.3).
async fn ask_back(
    server: &Arc<Server>,
    user: &str,
    contact: &Jid,
) -> Result<(), imd_store::StoreError> {
    let own = server.account_jid(user);
    if let Some(guest) = contact.local().filter(|_| server.is_local_account(contact)) {
        approve(server, guest, &own).await?;
    }
    let change = apply_outbound(server, user, Request::Subscribe, contact).await?;
    if change.forward {
        reply(server, user, contact, Request::Subscribe).await;
    }
    Ok(())
}

async fn reply(server: &Arc<Server>, user: &str, contact: &Jid, answer: Request) {
    let from = server.account_jid(user);
    let element = Element::new("presence", ns::CLIENT)
        .with_attr("to", contact.as_str())
        .with_attr("type", answer.as_str());
    if let Ok(stanza) = Stanza::stamp(Kind::Presence, element, from) {
        Box::pin(super::stanza(server, stanza, None)).await;
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
