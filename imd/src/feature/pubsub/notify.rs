//! Notifications (XEP-0060 §7.1.2, §12; XEP-0163 §4.3): what they look like, and who gets them.

use std::collections::{BTreeSet, HashMap};

use imd_proto::{Element, Jid, Kind, Stanza, ns};
use imd_store::UnixMillis;

use super::access::{Affiliation, Viewer, may_read};
use super::host::{Found, Host, bare, in_groups};
use crate::feature::time;
use crate::route;
use crate::server::Server;

/// What has happened to a node.
#[derive(Debug, Clone, Copy)]
pub enum Event<'e> {
    /// An item was published.
    Published(&'e str, Option<&'e Element>),
    /// Something was published that has no item.
    Announced,
    /// An item was retracted.
    Retracted(&'e str),
    /// All items were removed.
    Purged,
    /// The node is gone.
    Deleted,
    /// The configuration is now this form.
    Configured(&'e Element),
}

/// The `<event/>` for a node.
#[must_use]
pub fn event_element(node: &Found, event: Event<'_>) -> Element {
    let named = |name: &'static str| {
        Element::new(name, ns::PUBSUB_EVENT).with_attr("node", node.stored.name.as_str())
    };
    let inner = match event {
        Event::Published(id, payload) => {
            let mut item = Element::new("item", ns::PUBSUB_EVENT).with_attr("id", id);
            if let Some(payload) = payload.filter(|_| node.config.deliver_payloads) {
                item.push(payload.clone());
            }
            named("items").with_child(item)
        }
        Event::Announced => named("items"),
        Event::Retracted(id) => {
            named("items").with_child(Element::new("retract", ns::PUBSUB_EVENT).with_attr("id", id))
        }
        Event::Purged => named("purge"),
        Event::Deleted => named("delete"),
        Event::Configured(form) => named("configuration").with_child(form.clone()),
    };
    Element::new("event", ns::PUBSUB_EVENT).with_child(inner)
}

/// A message that carries an event, without its addressee.
#[must_use]
pub fn message(host: &Host<'_>, node: &Found, event: Event<'_>) -> Element {
    Element::new("message", ns::CLIENT)
        .with_attr("from", host.jid.as_str())
        .with_attr("type", node.config.notification_type.as_str())
        .with_attr("id", host.server.random_id::<8>())
        .with_child(event_element(node, event))
}

/// The newest item of a node, sent again to one who has just come (XEP-0163 §4.3.4, XEP-0060 §12.13).
#[must_use]
pub fn last_item(
    host: &Host<'_>,
    node: &Found,
    id: &str,
    payload: Option<&Element>,
    published: UnixMillis,
) -> Element {
    message(host, node, Event::Published(id, payload)).with_child(
        Element::new("delay", ns::DELAY)
            .with_attr("from", host.jid.as_str())
            .with_attr("stamp", time::format(published)),
    )
}

/// Tell everybody of an event who wants to know and may. Failures of the store are in the log: what was done stays done.
pub async fn send(host: &Host<'_>, node: &Found, event: Event<'_>) {
    let wanted = match event {
        Event::Published(..) | Event::Announced | Event::Retracted(_) | Event::Purged => true,
        Event::Deleted => node.config.notify_delete,
        Event::Configured(_) => node.config.notify_config,
    };
    if !wanted || !node.config.deliver_notifications {
        return;
    }
    let to = match recipients(host, node).await {
        Ok(to) => to,
        Err(error) => {
            tracing::warn!(service = %host.jid, node = node.stored.name, %error, "cannot notify");
            return;
        }
    };
    if to.is_empty() {
        return;
    }
    let message = message(host, node, event);
    for jid in to {
        deliver(host.server, &host.jid, &message, &jid).await;
    }
}

/// Give a message of a host to an address.
pub async fn deliver(server: &std::sync::Arc<Server>, from: &Jid, message: &Element, to: &Jid) {
    let message = message.clone().with_attr("to", to.as_str());
    if to.same_bare(from)
        && let Some(session) = server.directory.session(to)
    {
        return session.send(&message);
    }
    if let Ok(stanza) = Stanza::stamp(Kind::Message, message, from.clone()) {
        // A notification is made again at the next login: nobody waits for the disk.
        let _ = Box::pin(route::stanza(server, stanza, None)).await;
    }
}

async fn recipients(host: &Host<'_>, node: &Found) -> imd_store::Result<BTreeSet<Jid>> {
    let store = &host.server.store;
    let (service, name) = (host.jid.as_str(), node.stored.name.as_str());
    let affiliations: HashMap<String, Affiliation> = store
        .node_affiliations(service, name)
        .await?
        .into_iter()
        .filter_map(|(jid, name)| Some((jid, Affiliation::from_name(&name)?)))
        .collect();
    let subscriptions = store.node_subscriptions(service, name).await?;
    let approved = |jid: &str| {
        subscriptions
            .iter()
            .any(|s| s.state == "subscribed" && bare(&s.jid) == jid)
    };
    let mut to = BTreeSet::new();
    let mut roster = HashMap::new();
    if let Some(user) = &host.user {
        to.extend(interested_sessions(host.server, user, name));
        for item in store.roster(user).await?.items {
            if item.subscription.is_from() {
                let viewer = Viewer {
                    affiliation: affiliations.get(&item.contact).copied().unwrap_or_default(),
                    sees_presence: true,
                    in_group: in_groups(&item.groups, &node.config),
                    subscribed: approved(&item.contact),
                };
                if may_read(&node.config, &viewer).is_ok() {
                    to.extend(interested_contact(host.server, user, &item.contact, name));
                }
                roster.insert(item.contact, viewer);
            }
        }
    }
    for subscription in subscriptions.iter().filter(|s| s.state == "subscribed") {
        let Ok(jid) = subscription.jid.parse::<Jid>() else {
            continue;
        };
        // On a service, what was approved stays in force until the owner takes it back.
        let mut viewer = roster.get(jid.bare_str()).copied().unwrap_or_default();
        viewer.subscribed = true;
        viewer.affiliation = if host.is_owner_by_nature(node, &jid) {
            Affiliation::Owner
        } else {
            affiliations
                .get(jid.bare_str())
                .copied()
                .unwrap_or_default()
        };
        // Who is notified already because of the presence they see needs no second copy.
        let twice = to.iter().any(|other: &Jid| other.same_bare(&jid));
        if !twice && may_read(&node.config, &viewer).is_ok() {
            to.insert(jid);
        }
    }
    Ok(to)
}

/// The full addresses of an account's sessions that want to hear of a node.
fn interested_sessions(server: &Server, user: &str, node: &str) -> Vec<Jid> {
    server
        .directory
        .sessions(user)
        .iter()
        .filter(|session| session.state().wants(node))
        .map(|session| session.jid.clone())
        .collect()
}

fn interested_contact(server: &Server, user: &str, contact: &str, node: &str) -> Vec<Jid> {
    let Ok(jid) = contact.parse::<Jid>() else {
        return Vec::new();
    };
    match jid.local() {
        Some(local) if server.is_local_account(&jid) => interested_sessions(server, local, node),
        _ => server.interests.elsewhere(user, contact, node),
    }
}
