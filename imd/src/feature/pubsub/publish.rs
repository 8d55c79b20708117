//! Publishing, retracting and purging items (XEP-0060 §7, §8.5).

use imd_proto::form::Form;
use imd_proto::{Condition, Element, ErrorType, Jid, StanzaError, ns};
use imd_store::{Item, Node, now_millis};

use super::access::{Affiliation, may_publish, may_retract, refuse};
use super::host::{Found, Host};
use super::node::NodeConfig;
use super::notify::{self, Event};
use super::{convert, node_name};
use crate::feature::{Answer, Reply, store_error};

/// The longest item id or node name, in bytes.
pub(super) const NAME_BYTES: usize = 1023;

/// Answer `<publish/>`.
pub(super) async fn publish(
    host: &Host<'_>,
    from: &Jid,
    publish: &Element,
    pubsub: &Element,
) -> Answer {
    let name = node_name(publish)?;
    let options = pubsub
        .child("publish-options", ns::PUBSUB)
        .and_then(Form::find);
    let (node, create) = target(host, from, name, options.as_ref()).await?;
    if create.is_none() {
        let viewer = host.viewer(&node, from).await?;
        may_publish(&node.config, &viewer)?;
        if viewer.affiliation == Affiliation::None {
            host.may_meet_strangers(from).await?;
        }
    }
    // §4.3: a node that neither keeps nor delivers anything only announces that something has happened.
    let only_announces = !node.config.persist_items && !node.config.deliver_payloads;
    let mut items = publish.children().filter(|c| c.is("item", ns::PUBSUB));
    let item = match (items.next(), only_announces) {
        (None, true) => return announce(host, &node, create).await,
        (None, false) => return Err(refuse(Condition::BadRequest, "item-required")),
        (Some(_), true) => return Err(refuse(Condition::BadRequest, "item-forbidden")),
        (Some(item), false) => item,
    };
    if items.next().is_some() {
        return Err(StanzaError::with_text(
            Condition::BadRequest,
            "one item is published at a time",
        ));
    }
    let payload = payload(&node, item)?;
    let id = match item.attr("id").filter(|id| !id.is_empty()) {
        Some(id) if id.len() > NAME_BYTES => {
            return Err(StanzaError::with_text(
                Condition::NotAcceptable,
                format!("an item's id has {NAME_BYTES} bytes at the most"),
            ));
        }
        Some(id) => id.to_owned(),
        None => host.server.random_id::<8>(),
    };
    put(host, &node, create, from, &id, payload).await?;
    convert::published(host, name, &id, payload).await;
    let published = Element::new("publish", ns::PUBSUB)
        .with_attr("node", name)
        .with_child(Element::new("item", ns::PUBSUB).with_attr("id", id));
    Ok(Reply::With(
        Element::new("pubsub", ns::PUBSUB).with_child(published),
    ))
}

/// Publish without an item.
async fn announce(host: &Host<'_>, node: &Found, create: Option<Node>) -> Answer {
    if let Some(create) = create {
        let created = host.server.store.create_node(create, host.max_nodes());
        created.await.map_err(|e| store_error(&e))?;
    }
    notify::send(host, node, Event::Announced).await;
    Ok(Reply::Empty)
}

/// The node to publish to; with the node to create where there is none (XEP-0060 §7.1.4, §7.1.5).
async fn target(
    host: &Host<'_>,
    from: &Jid,
    name: &str,
    options: Option<&Form>,
) -> Result<(Found, Option<Node>), StanzaError> {
    let bounds = host.bounds();
    if let Some(node) = host.find(name).await? {
        if let Some(field) = options.and_then(|form| node.config.disagrees(form, &bounds)) {
            return Err(precondition_not_met(&field));
        }
        return Ok((node, None));
    }
    if !host.may_create(from) || host.user.is_none() {
        return host.get(name).await.map(|node| (node, None));
    }
    if name.len() > NAME_BYTES {
        return Err(StanzaError::with_text(
            Condition::NotAcceptable,
            format!("a node's name has {NAME_BYTES} bytes at the most"),
        ));
    }
    let mut config = host.default_config();
    if let Some(form) = options {
        config
            .apply_options(form, &bounds)
            .map_err(|field| precondition_not_met(&field))?;
    }
    let node = host.new_node(name, from, &config);
    Ok((Found::from(node.clone()), Some(node)))
}

fn precondition_not_met(field: &str) -> StanzaError {
    StanzaError {
        text: Some(format!("the publish-option {field} does not fit the node")),
        ..refuse(Condition::Conflict, "precondition-not-met")
    }
    .of_type(ErrorType::Cancel)
}

fn payload<'e>(node: &Found, item: &'e Element) -> Result<Option<&'e Element>, StanzaError> {
    let mut children = item.children();
    let payload = children.next();
    if children.next().is_some() {
        return Err(refuse(Condition::BadRequest, "invalid-payload"));
    }
    if payload.is_none() && node.config.deliver_payloads {
        return Err(refuse(Condition::BadRequest, "payload-required"));
    }
    Ok(payload)
}

/// Keep an item where the node keeps items, and notify. The node is created first where it has to be.
pub(super) async fn put(
    host: &Host<'_>,
    node: &Found,
    create: Option<Node>,
    publisher: &Jid,
    id: &str,
    payload: Option<&Element>,
) -> Result<(), StanzaError> {
    let store = &host.server.store;
    let failed = |e: imd_store::StoreError| store_error(&e);
    if node.config.persist_items {
        let item = Item {
            id: id.to_owned(),
            publisher: publisher.bare_str().to_owned(),
            time: now_millis(),
            payload: payload.map(Element::to_xml).unwrap_or_default(),
        };
        store
            .publish(
                host.jid.as_str(),
                &node.stored.name,
                item,
                create,
                host.publish_limits(),
            )
            .await
            .map_err(failed)?;
    } else if let Some(create) = create {
        store
            .create_node(create, host.max_nodes())
            .await
            .map_err(failed)?;
    }
    notify::send(host, node, Event::Published(id, payload)).await;
    Ok(())
}

/// Publish for the account itself, as conversions between old and new protocols do.
///
/// # Errors
/// When the store fails.
pub async fn put_own(
    host: &Host<'_>,
    name: &str,
    config: NodeConfig,
    id: &str,
    payload: &Element,
) -> Result<(), StanzaError> {
    let (node, create) = match host.find(name).await? {
        Some(node) => (node, None),
        None => {
            let node = host.new_node(name, &host.jid, &config);
            (Found::from(node.clone()), Some(node))
        }
    };
    put(host, &node, create, &host.jid, id, Some(payload)).await
}

/// Retract for the account itself; says whether there was such an item.
///
/// # Errors
/// When the store fails.
pub async fn retract_own(host: &Host<'_>, node: &Found, id: &str) -> Result<bool, StanzaError> {
    let gone = host
        .server
        .store
        .retract(host.jid.as_str(), &node.stored.name, id)
        .await
        .map_err(|e| store_error(&e))?;
    if gone {
        notify::send(host, node, Event::Retracted(id)).await;
    }
    Ok(gone)
}

/// Answer `<retract/>` (XEP-0060 §7.2).
pub(super) async fn retract(host: &Host<'_>, from: &Jid, retract: &Element) -> Answer {
    let node = host.get(node_name(retract)?).await?;
    let id = retract
        .child("item", ns::PUBSUB)
        .and_then(|item| item.attr("id"))
        .ok_or_else(|| refuse(Condition::BadRequest, "item-required"))?;
    let viewer = host.viewer(&node, from).await?;
    let store = &host.server.store;
    let (service, name) = (host.jid.as_str(), node.stored.name.as_str());
    let item = store
        .item(service, name, id)
        .await
        .map_err(|e| store_error(&e))?;
    let mine = item
        .as_ref()
        .is_some_and(|i| i.publisher == from.bare_str());
    may_retract(&node.config, &viewer, mine)?;
    let gone = store
        .retract(service, name, id)
        .await
        .map_err(|e| store_error(&e))?;
    if !gone {
        return Err(StanzaError::with_text(
            Condition::ItemNotFound,
            format!("the node has no item {id:?}"),
        ));
    }
    let asked = matches!(retract.attr("notify"), Some("1" | "true"));
    if asked || node.config.notify_retract {
        notify::send(host, &node, Event::Retracted(id)).await;
    }
    convert::retracted(host, name).await;
    Ok(Reply::Empty)
}

/// Answer `<purge/>` (XEP-0060 §8.5).
pub(super) async fn purge(host: &Host<'_>, from: &Jid, purge: &Element) -> Answer {
    let node = host.owned(node_name(purge)?, from).await?;
    host.server
        .store
        .purge_node(host.jid.as_str(), &node.stored.name)
        .await
        .map_err(|e| store_error(&e))?;
    notify::send(host, &node, Event::Purged).await;
    convert::retracted(host, &node.stored.name).await;
    Ok(Reply::Empty)
}
