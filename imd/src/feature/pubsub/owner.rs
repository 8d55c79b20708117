//! What owners do with nodes: create, configure, delete, affiliations (XEP-0060 §8).

use imd_proto::form::Form;
use imd_proto::{Condition, Element, Jid, StanzaError, ns};

use super::access::{Affiliation, refuse};
use super::host::Host;
use super::notify::{self, Event};
use super::publish::NAME_BYTES;
use super::{NODE_CONFIG, convert, node_name};
use crate::feature::{Answer, Reply, store_error};

/// Answer `<create/>`, with or without `<configure/>` (§8.1).
pub(super) async fn create(
    host: &Host<'_>,
    from: &Jid,
    create: &Element,
    pubsub: &Element,
) -> Answer {
    if !host.may_create(from) {
        return Err(Condition::Forbidden.into());
    }
    host.may_meet_strangers(from).await?;
    let named = create.attr("node").filter(|name| !name.is_empty());
    let name = match named {
        Some(name) if name.len() > NAME_BYTES => {
            return Err(StanzaError::with_text(
                Condition::NotAcceptable,
                format!("a node's name has {NAME_BYTES} bytes at the most"),
            ));
        }
        Some(name) => name.to_owned(),
        None => host.server.random_id::<8>(),
    };
    let mut config = host.default_config();
    if let Some(form) = pubsub.child("configure", ns::PUBSUB).and_then(Form::find) {
        check_form(&form)?;
        config
            .apply(&form, &host.bounds())
            .map_err(|text| StanzaError::with_text(Condition::NotAcceptable, text))?;
    }
    host.server
        .store
        .create_node(host.new_node(&name, from, &config), host.max_nodes())
        .await
        .map_err(|e| store_error(&e))?;
    if named.is_some() {
        return Ok(Reply::Empty);
    }
    let created = Element::new("create", ns::PUBSUB).with_attr("node", name);
    Ok(Reply::With(
        Element::new("pubsub", ns::PUBSUB).with_child(created),
    ))
}

fn check_form(form: &Form) -> Result<(), StanzaError> {
    match form.context() {
        None | Some(NODE_CONFIG) => Ok(()),
        Some(other) => Err(StanzaError::with_text(
            Condition::NotAcceptable,
            format!("the form's FORM_TYPE is {NODE_CONFIG}, not {other:?}"),
        )),
    }
}

/// Answer `<configure/>` (§8.2).
pub(super) async fn configure(
    host: &Host<'_>,
    from: &Jid,
    configure: &Element,
    set: bool,
) -> Answer {
    let mut node = host.owned(node_name(configure)?, from).await?;
    let bounds = host.bounds();
    if !set {
        let shown = Element::new("configure", ns::PUBSUB_OWNER)
            .with_attr("node", node.stored.name.as_str())
            .with_child(node.config.form(&bounds));
        return Ok(Reply::With(
            Element::new("pubsub", ns::PUBSUB_OWNER).with_child(shown),
        ));
    }
    let form = Form::find(configure).ok_or_else(|| {
        StanzaError::with_text(Condition::BadRequest, "configure needs a submitted form")
    })?;
    if form.form_type == "cancel" {
        return Ok(Reply::Empty);
    }
    check_form(&form)?;
    node.config
        .apply(&form, &bounds)
        .map_err(|text| StanzaError::with_text(Condition::NotAcceptable, text))?;
    host.server
        .store
        .configure_node(
            host.jid.as_str(),
            &node.stored.name,
            node.config.max_items.resolve(bounds.max_items),
            node.config.to_stored(),
        )
        .await
        .map_err(|e| store_error(&e))?;
    notify::send(host, &node, Event::Configured(&node.config.form(&bounds))).await;
    Ok(Reply::Empty)
}

/// Answer `<default/>` (§8.3).
pub(super) fn default(host: &Host<'_>) -> Answer {
    let form = host.default_config().form(&host.bounds());
    let default = Element::new("default", ns::PUBSUB_OWNER).with_child(form);
    Ok(Reply::With(
        Element::new("pubsub", ns::PUBSUB_OWNER).with_child(default),
    ))
}

/// Answer `<delete/>` (§8.4).
pub(super) async fn delete(host: &Host<'_>, from: &Jid, delete: &Element) -> Answer {
    let node = host.owned(node_name(delete)?, from).await?;
    // Told before the subscriptions are gone.
    notify::send(host, &node, Event::Deleted).await;
    host.server
        .store
        .delete_node(host.jid.as_str(), &node.stored.name)
        .await
        .map_err(|e| store_error(&e))?;
    convert::retracted(host, &node.stored.name).await;
    Ok(Reply::Empty)
}

/// Answer `<affiliations/>` (§8.9).
pub(super) async fn affiliations(
    host: &Host<'_>,
    from: &Jid,
    request: &Element,
    set: bool,
) -> Answer {
    let node = host.owned(node_name(request)?, from).await?;
    let (service, name) = (host.jid.as_str(), node.stored.name.as_str());
    let store = &host.server.store;
    let one = |jid: &str, affiliation: &str| {
        Element::new("affiliation", ns::PUBSUB_OWNER)
            .with_attr("jid", jid)
            .with_attr("affiliation", affiliation)
    };
    if !set {
        let all = store
            .node_affiliations(service, name)
            .await
            .map_err(|e| store_error(&e))?;
        let list = Element::new("affiliations", ns::PUBSUB_OWNER)
            .with_attr("node", name)
            .with_child(one(&node.stored.creator, "owner"))
            .with_children(all.iter().map(|(jid, affiliation)| one(jid, affiliation)));
        return Ok(Reply::With(
            Element::new("pubsub", ns::PUBSUB_OWNER).with_child(list),
        ));
    }
    let mut changes = Vec::new();
    for change in request.children() {
        let jid: Jid = change
            .attr("jid")
            .and_then(|jid| jid.parse().ok())
            .ok_or_else(|| refuse(Condition::BadRequest, "invalid-jid"))?;
        let wanted = change.attr("affiliation").unwrap_or_default();
        let affiliation = Affiliation::from_name(wanted).ok_or_else(|| {
            StanzaError::with_text(
                Condition::NotAcceptable,
                format!("an affiliation is owner, publisher, publish-only, member, outcast or none, not {wanted:?}"),
            )
        })?;
        if host.is_owner_by_nature(&node, &jid) {
            if affiliation == Affiliation::Owner {
                continue;
            }
            return Err(StanzaError::with_text(
                Condition::NotAcceptable,
                "whoever created a node stays its owner",
            ));
        }
        changes.push((jid, affiliation));
    }
    for (jid, affiliation) in changes {
        let kept = (affiliation != Affiliation::None).then(|| affiliation.as_str().to_owned());
        store
            .set_node_affiliation(service, name, jid.bare_str(), kept)
            .await
            .map_err(|e| store_error(&e))?;
    }
    Ok(Reply::Empty)
}
