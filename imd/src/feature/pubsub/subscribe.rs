//! Subscriptions to nodes, and what somebody is to them (XEP-0060 §6.1, §6.2, §5.6, §5.7).

use imd_proto::{Condition, Element, Jid, StanzaError, ns};
use imd_store::NodeSubscription;

use super::access::{Affiliation, may_subscribe, refuse};
use super::host::{Found, Host, bare};
use super::node::SendLast;
use super::{node_name, notify, read};
use crate::feature::{Answer, Reply, store_error};

/// Whose subscription is meant: the sender's, bare or the very resource (§6.1.3.1).
fn subscriber(from: &Jid, element: &Element) -> Result<Jid, StanzaError> {
    let mismatch = || refuse(Condition::BadRequest, "invalid-jid");
    let jid: Jid = element
        .attr("jid")
        .ok_or_else(mismatch)?
        .parse()
        .map_err(|_| mismatch())?;
    if jid.same_bare(from) && (jid.is_bare() || jid == *from) {
        Ok(jid)
    } else {
        Err(mismatch())
    }
}

/// Answer `<subscribe/>`.
pub(super) async fn subscribe(host: &Host<'_>, from: &Jid, subscribe: &Element) -> Answer {
    let jid = subscriber(from, subscribe)?;
    let node = host.get(node_name(subscribe)?).await?;
    let viewer = host.viewer(&node, from).await?;
    let in_force = may_subscribe(&node.config, &viewer)?;
    let store = &host.server.store;
    let (service, name) = (host.jid.as_str(), node.stored.name.as_str());
    let existing = store
        .node_subscriptions(service, name)
        .await
        .map_err(|e| store_error(&e))?;
    let subscription = match existing.iter().find(|s| s.jid == jid.as_str()) {
        // Subscribing twice is subscribing once (§6.1.6).
        Some(same) => same.clone(),
        None => {
            if existing.len() >= host.server.config.limits.pubsub_subscriptions as usize {
                return Err(StanzaError::with_text(
                    Condition::ResourceConstraint,
                    "the node has as many subscribers as it may have",
                ));
            }
            let new = NodeSubscription {
                node: name.to_owned(),
                jid: jid.as_str().to_owned(),
                subid: host.server.random_id::<8>(),
                state: (if in_force { "subscribed" } else { "pending" }).to_owned(),
                options: None,
            };
            store
                .subscribe_node(service, new.clone())
                .await
                .map_err(|e| store_error(&e))?;
            new
        }
    };
    if subscription.state == "subscribed" && node.config.send_last != SendLast::Never {
        send_last(host, &node, &jid).await;
    }
    Ok(Reply::With(Element::new("pubsub", ns::PUBSUB).with_child(
        subscription_element(&subscription, ns::PUBSUB),
    )))
}

/// The newest item for a new subscriber.
async fn send_last(host: &Host<'_>, node: &Found, jid: &Jid) {
    let newest = host
        .server
        .store
        .items(host.jid.as_str(), &node.stored.name, 1)
        .await;
    let Some(item) = newest.ok().and_then(|items| items.into_iter().next()) else {
        return;
    };
    let payload = read::read_payload(&item);
    let message = notify::last_item(host, node, &item.id, payload.as_ref(), item.time);
    notify::deliver(host.server, &host.jid, &message, jid).await;
}

/// A subscription as it stands in an answer.
pub(super) fn subscription_element(subscription: &NodeSubscription, ns: &'static str) -> Element {
    Element::new("subscription", ns)
        .with_attr("node", subscription.node.as_str())
        .with_attr("jid", subscription.jid.as_str())
        .with_attr("subid", subscription.subid.as_str())
        .with_attr("subscription", subscription.state.as_str())
}

/// Answer `<unsubscribe/>`.
pub(super) async fn unsubscribe(host: &Host<'_>, from: &Jid, unsubscribe: &Element) -> Answer {
    let jid = subscriber(from, unsubscribe)?;
    let node = host.get(node_name(unsubscribe)?).await?;
    let gone = host
        .server
        .store
        .unsubscribe_node(host.jid.as_str(), &node.stored.name, jid.as_str())
        .await
        .map_err(|e| store_error(&e))?;
    if gone {
        Ok(Reply::Empty)
    } else {
        Err(refuse(Condition::UnexpectedRequest, "not-subscribed")
            .of_type(imd_proto::ErrorType::Cancel))
    }
}

/// Answer `<subscriptions/>`: one's own, at one node or all.
pub(super) async fn own_subscriptions(host: &Host<'_>, from: &Jid, request: &Element) -> Answer {
    let store = &host.server.store;
    let mut all = Vec::new();
    for jid in [from.bare_str(), from.as_str()] {
        all.extend(
            store
                .subscriptions_of(host.jid.as_str(), jid)
                .await
                .map_err(|e| store_error(&e))?,
        );
    }
    let node = request.attr("node");
    all.retain(|s| node.is_none_or(|node| node == s.node));
    all.dedup_by(|a, b| a.subid == b.subid);
    let list = Element::new("subscriptions", ns::PUBSUB)
        .with_opt_attr("node", node)
        .with_children(all.iter().map(|s| subscription_element(s, ns::PUBSUB)));
    Ok(Reply::With(
        Element::new("pubsub", ns::PUBSUB).with_child(list),
    ))
}

/// Answer `<affiliations/>`: one's own, with one node or all.
pub(super) async fn own_affiliations(host: &Host<'_>, from: &Jid, request: &Element) -> Answer {
    let only = request.attr("node");
    let nodes = match only {
        Some(name) => vec![host.get(name).await?],
        None => host
            .server
            .store
            .nodes(host.jid.as_str())
            .await
            .map_err(|e| store_error(&e))?
            .into_iter()
            .map(Found::from)
            .collect(),
    };
    let mut list = Element::new("affiliations", ns::PUBSUB).with_opt_attr("node", only);
    for node in nodes {
        let affiliation = host.affiliation(&node, from).await?;
        if affiliation != Affiliation::None {
            list.push(
                Element::new("affiliation", ns::PUBSUB)
                    .with_attr("node", node.stored.name.as_str())
                    .with_attr("affiliation", affiliation.as_str()),
            );
        }
    }
    Ok(Reply::With(
        Element::new("pubsub", ns::PUBSUB).with_child(list),
    ))
}

/// Answer an owner's `<subscriptions/>` (§8.8).
pub(super) async fn manage(host: &Host<'_>, from: &Jid, request: &Element, set: bool) -> Answer {
    let node = host.owned(node_name(request)?, from).await?;
    let (service, name) = (host.jid.as_str(), node.stored.name.as_str());
    let store = &host.server.store;
    let existing = store
        .node_subscriptions(service, name)
        .await
        .map_err(|e| store_error(&e))?;
    if !set {
        let list = Element::new("subscriptions", ns::PUBSUB_OWNER)
            .with_attr("node", name)
            .with_children(
                existing
                    .iter()
                    .map(|s| subscription_element(s, ns::PUBSUB_OWNER)),
            );
        return Ok(Reply::With(
            Element::new("pubsub", ns::PUBSUB_OWNER).with_child(list),
        ));
    }
    let mut changes = Vec::new();
    for change in request.children() {
        let jid: Jid = change
            .attr("jid")
            .and_then(|jid| jid.parse().ok())
            .ok_or(Condition::BadRequest)?;
        let state = change.attr("subscription").unwrap_or_default();
        if !matches!(state, "none" | "subscribed" | "pending") {
            return Err(StanzaError::with_text(
                Condition::NotAcceptable,
                format!("a subscription is none, pending or subscribed, not {state:?}"),
            ));
        }
        changes.push((jid, state));
    }
    for (jid, state) in changes {
        let before = existing.iter().find(|s| s.jid == jid.as_str());
        if state == "none" {
            store
                .unsubscribe_node(service, name, jid.as_str())
                .await
                .map_err(|e| store_error(&e))?;
        } else {
            let new = NodeSubscription {
                node: name.to_owned(),
                jid: jid.as_str().to_owned(),
                subid: before.map_or_else(|| host.server.random_id::<8>(), |s| s.subid.clone()),
                state: state.to_owned(),
                options: before.and_then(|s| s.options.clone()),
            };
            store
                .subscribe_node(service, new)
                .await
                .map_err(|e| store_error(&e))?;
        }
        if before.map_or("none", |s| s.state.as_str()) != state {
            announce(host, &node, &jid, state).await;
        }
    }
    Ok(Reply::Empty)
}

/// Tell somebody that an owner has changed their subscription (§8.8.4).
async fn announce(host: &Host<'_>, node: &Found, jid: &Jid, state: &str) {
    let subscription = Element::new("subscription", ns::PUBSUB)
        .with_attr("node", node.stored.name.as_str())
        .with_attr("jid", bare(jid.as_str()))
        .with_attr("subscription", state);
    let message = Element::new("message", ns::CLIENT)
        .with_attr("id", host.server.random_id::<8>())
        .with_child(Element::new("pubsub", ns::PUBSUB).with_child(subscription));
    notify::deliver(host.server, &host.jid, &message, jid).await;
}
