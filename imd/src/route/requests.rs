//! Requests for subscriptions and their answers carried out (RFC 6121 §3): rosters change as [`subscription`] says, both sides hear of it.

use std::sync::Arc;

use imd_proto::{Element, Jid, Kind, Stanza, ns};
use imd_store::{RosterItem, RosterStep, SubscriptionRequest};

use super::subscription::{self, Request};
use super::{blocked, preauth, presence};
use crate::feature::roster;
use crate::server::Server;
use crate::session::Session;

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

/// A request of a client: its own side changes, and the contact hears of it.
pub(super) async fn outbound(
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
    presence::show(server, &session.user, &contact, change.presence).await;
}

/// Change a user's side of a subscription as its own request says, and push the roster item.
///
/// # Errors
/// When the store fails.
async fn apply_outbound(
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

/// A request for an account of this server.
pub(super) async fn inbound(server: &Arc<Server>, request: Request, stanza: Stanza, user: &str) {
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
    presence::show(server, user, contact, change.presence).await;
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
