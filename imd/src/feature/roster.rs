//! The roster and its versions (RFC 6121 §2).

use std::sync::Arc;

use async_trait::async_trait;
use imd_proto::{Condition, Element, Jid, Kind, Stanza, StanzaError, ns};
use imd_store::{RosterChange, RosterChanges, RosterItem, RosterStep, Subscription};

use super::{Answer, Feature, Reply, Request, Target, store_error};
use crate::route::{self, presence, subscription};
use crate::server::Server;

pub(super) struct Roster;

/// The longest name of a contact or a group, in bytes.
const NAME_BYTES: usize = 1023;

#[async_trait]
impl Feature for Roster {
    fn server_features(&self) -> Vec<&'static str> {
        vec![ns::ROSTER]
    }

    fn account_features(&self) -> Vec<&'static str> {
        vec![ns::ROSTER]
    }

    fn requests(&self) -> Vec<(Target, &'static str)> {
        vec![(Target::Account, ns::ROSTER)]
    }

    fn stream_features(&self) -> Vec<Element> {
        vec![
            Element::new("ver", ns::ROSTER_VERSIONING),
            Element::new("sub", ns::PRE_APPROVAL),
        ]
    }

    async fn request(&self, request: &Request<'_>) -> Answer {
        let (session, user) = request.own()?;
        if request.is_set() {
            set(request.server, user, request.payload).await?;
            return Ok(Reply::Empty);
        }
        session.state().interested = true;
        let store = &request.server.store;
        let Some(known) = request.payload.attr("ver") else {
            let roster = store.roster(user).await.map_err(|e| store_error(&e))?;
            return Ok(Reply::With(whole(&roster, false)));
        };
        // An unknown version is answered with everything (RFC 6121 §2.6.3).
        let since = known.parse().unwrap_or(u64::MAX);
        match store
            .roster_changes(user, since)
            .await
            .map_err(|e| store_error(&e))?
        {
            RosterChanges::Whole(roster) => Ok(Reply::With(whole(&roster, true))),
            RosterChanges::Since(changes) => {
                // The empty result comes first, then the pushes (RFC 6121 §2.6.3).
                session.send(&with_from(request.stanza.result(), &session.jid.to_bare()));
                for change in changes {
                    let (item, version) = match &change {
                        RosterChange::Set { version, item } => (item_element(item), *version),
                        RosterChange::Removed { version, contact } => {
                            (removed_element(contact), *version)
                        }
                    };
                    session.send(&push_element(request.server, &session.jid, &item, version));
                }
                Ok(Reply::Sent)
            }
        }
    }
}

fn with_from(element: Element, from: &Jid) -> Element {
    element.with_attr("from", from.as_str())
}

fn whole(roster: &imd_store::Roster, versioned: bool) -> Element {
    let query =
        Element::new("query", ns::ROSTER).with_children(roster.items.iter().map(item_element));
    if versioned {
        query.with_attr("ver", roster.version.to_string())
    } else {
        query
    }
}

async fn set(server: &Arc<Server>, user: &str, query: &Element) -> Result<(), StanzaError> {
    let bad = |text: &str| StanzaError::with_text(Condition::BadRequest, text);
    let items: Vec<&Element> = query.children().collect();
    let [item] = items[..] else {
        return Err(bad("a roster set has exactly one item"));
    };
    let contact: Jid = item
        .attr("jid")
        .ok_or_else(|| bad("the item needs a jid"))?
        .parse()
        .map_err(|e: imd_proto::JidError| {
            StanzaError::with_text(Condition::JidMalformed, e.to_string())
        })?;
    let contact = contact.to_bare();
    if item.attr("subscription") == Some("remove") {
        return remove(server, user, &contact).await;
    }
    let name = item
        .attr("name")
        .map(str::to_owned)
        .filter(|n| !n.is_empty());
    let groups = read_groups(item)?;
    if name.as_ref().is_some_and(|n| n.len() > NAME_BYTES) {
        return Err(StanzaError::with_text(
            Condition::NotAcceptable,
            format!("a name has {NAME_BYTES} bytes at the most"),
        ));
    }
    if contact == server.account_jid(user) {
        return Err(StanzaError::with_text(
            Condition::NotAllowed,
            "nobody is their own contact",
        ));
    }
    let key = contact.as_str().to_owned();
    let edit = move |before: Option<RosterItem>| {
        let mut item = before.unwrap_or_else(|| RosterItem {
            contact: key.clone(),
            ..RosterItem::default()
        });
        item.name.clone_from(&name);
        item.groups.clone_from(&groups);
        RosterStep::Set(item)
    };
    let max = server.config.limits.roster_items;
    let update = server
        .store
        .edit_roster_item(user, contact.as_str(), max, Box::new(edit))
        .await
        .map_err(|e| store_error(&e))?;
    if let Some(item) = update.after {
        push(server, user, &item_element(&item), update.version);
    }
    Ok(())
}

fn read_groups(item: &Element) -> Result<Vec<String>, StanzaError> {
    let mut groups = Vec::new();
    for group in item.children().filter(|c| c.is("group", ns::ROSTER)) {
        let name = group.text();
        let wrong = |text: String| Err(StanzaError::with_text(Condition::NotAcceptable, text));
        if name.is_empty() || name.len() > NAME_BYTES {
            return wrong(format!("a group's name has 1 to {NAME_BYTES} bytes"));
        }
        if groups.contains(&name) {
            return Err(StanzaError::with_text(
                Condition::BadRequest,
                format!("the group {name:?} stands there twice"),
            ));
        }
        groups.push(name);
    }
    Ok(groups)
}

/// Whether somebody may end the subscription with a contact: not while a group keeps them together.
///
/// # Errors
/// `not-allowed` where it does; when the store fails.
pub async fn may_part(server: &Server, user: &str, contact: &Jid) -> Result<(), StanzaError> {
    let Some(other) = contact.local().filter(|_| server.is_local_account(contact)) else {
        return Ok(());
    };
    let together = server.store.share_a_group(user, other).await;
    if together.map_err(|e| store_error(&e))? {
        let text = "you are in a group together; the administrator changes groups";
        return Err(StanzaError::with_text(Condition::NotAllowed, text));
    }
    Ok(())
}

/// RFC 6121 §2.5: removing a contact ends the subscriptions both ways.
async fn remove(server: &Arc<Server>, user: &str, contact: &Jid) -> Result<(), StanzaError> {
    let failed = |e: imd_store::StoreError| store_error(&e);
    let Some(item) = server
        .store
        .roster_item(user, contact.as_str())
        .await
        .map_err(failed)?
    else {
        return Err(Condition::ItemNotFound.into());
    };
    may_part(server, user, contact).await?;
    let mut goodbyes = Vec::new();
    if item.subscription.is_to() || item.ask {
        goodbyes.push(subscription::Request::Unsubscribe);
    }
    if item.subscription.is_from() {
        goodbyes.push(subscription::Request::Unsubscribed);
        presence::show(server, user, contact, Some(false)).await;
    }
    let version = server
        .store
        .remove_roster_item(user, contact.as_str())
        .await
        .map_err(failed)?;
    server
        .store
        .remove_subscription_request(user, contact.as_str())
        .await
        .map_err(failed)?;
    if let Some(version) = version {
        push(server, user, &removed_element(contact.as_str()), version);
    }
    for request in goodbyes {
        let element = Element::new("presence", ns::CLIENT)
            .with_attr("to", contact.as_str())
            .with_attr("type", request.as_str());
        if let Ok(stanza) = Stanza::stamp(Kind::Presence, element, server.account_jid(user)) {
            Box::pin(route::stanza(server, stanza, None)).await;
        }
    }
    Ok(())
}

/// A contact as it stands in a roster (RFC 6121 §2.1.2).
#[must_use]
pub fn item_element(item: &RosterItem) -> Element {
    Element::new("item", ns::ROSTER)
        .with_attr("jid", item.contact.as_str())
        .with_opt_attr("name", item.name.as_deref())
        .with_attr("subscription", item.subscription.as_str())
        .with_opt_attr(
            "ask",
            (item.ask && item.subscription != Subscription::Both).then_some("subscribe"),
        )
        .with_opt_attr("approved", item.approved.then_some("true"))
        .with_children(
            item.groups
                .iter()
                .map(|g| Element::new("group", ns::ROSTER).with_text(g.as_str())),
        )
}

/// A contact that is no longer in a roster (RFC 6121 §2.5.2).
#[must_use]
pub fn removed_element(contact: &str) -> Element {
    Element::new("item", ns::ROSTER)
        .with_attr("jid", contact)
        .with_attr("subscription", "remove")
}

fn push_element(server: &Server, to: &Jid, item: &Element, version: u64) -> Element {
    Element::new("iq", ns::CLIENT)
        .with_attr("type", "set")
        .with_attr("id", server.random_id::<8>())
        .with_attr("from", to.bare_str())
        .with_attr("to", to.as_str())
        .with_child(
            Element::new("query", ns::ROSTER)
                .with_attr("ver", version.to_string())
                .with_child(item.clone()),
        )
}

/// Tell an account's sessions of a changed item (RFC 6121 §2.1.6).
pub fn push(server: &Server, user: &str, item: &Element, version: u64) {
    for session in server
        .directory
        .sessions(user)
        .iter()
        .filter(|s| s.state().interested)
    {
        session.send(&push_element(server, &session.jid, item, version));
    }
}
