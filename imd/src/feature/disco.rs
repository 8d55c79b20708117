//! Service discovery (XEP-0030), computed from the features that are there.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use imd_proto::form::FormBuilder;
use imd_proto::{Condition, Element, StanzaError, ns};

use super::pubsub::{host::Host, read};
use super::{Answer, Feature, Reply, Request, Target, caps, commands};
use crate::server::Server;

pub(super) struct Disco;

#[async_trait]
impl Feature for Disco {
    fn server_features(&self) -> Vec<&'static str> {
        vec![ns::DISCO_INFO, ns::DISCO_ITEMS]
    }

    fn account_features(&self) -> Vec<&'static str> {
        vec![ns::DISCO_INFO, ns::DISCO_ITEMS]
    }

    fn requests(&self) -> Vec<(Target, &'static str)> {
        [Target::Server, Target::Account]
            .into_iter()
            .flat_map(|target| [(target, ns::DISCO_INFO), (target, ns::DISCO_ITEMS)])
            .collect()
    }

    async fn request(&self, request: &Request<'_>) -> Answer {
        if request.is_set() {
            return Err(Condition::NotAllowed.into());
        }
        if request.account.is_some() && !may_look(request).await {
            return Err(Condition::ServiceUnavailable.into());
        }
        let node = request.payload.attr("node");
        let wants_info = request.payload.ns() == ns::DISCO_INFO;
        if request.account.is_some() {
            let host = Host::account(request.server, request.user()?);
            let from = &request.stanza.from;
            return match (wants_info, node) {
                (true, None) => Ok(Reply::With(account_info(request.server))),
                (true, Some(node)) => read::node_info(&host, from, node).await.map(Reply::With),
                (false, node) => read::disco_items(&host, from, node).await.map(Reply::With),
            };
        }
        if let Some(node) = node
            && let Some(shown) = commands::disco(request, node).await
        {
            return Ok(Reply::With(shown));
        }
        match (wants_info, node) {
            (true, None) => Ok(Reply::With(server_info(request.server))),
            (true, Some(node)) => capabilities(request.server, node),
            (false, None) => Ok(Reply::With(items(request))),
            (false, Some(node)) => unknown_node(node),
        }
    }
}

/// What the server's capabilities (XEP-0115) stand for.
fn capabilities(server: &Arc<Server>, node: &str) -> Answer {
    let info = server_info(server);
    let ver = caps::hash::ver(&info, "sha-1").unwrap_or_default();
    if node
        .strip_prefix(caps::NODE)
        .and_then(|rest| rest.strip_prefix('#'))
        == Some(ver.as_str())
    {
        Ok(Reply::With(info.with_attr("node", node)))
    } else {
        unknown_node(node)
    }
}

fn unknown_node(node: &str) -> Answer {
    Err(StanzaError::with_text(
        Condition::ItemNotFound,
        format!("there is no node {node:?}"),
    ))
}

/// An account is shown to its owner and to those who see its presence (XEP-0030 §8).
async fn may_look(request: &Request<'_>) -> bool {
    if request.is_own() {
        return true;
    }
    let Ok(user) = request.user() else {
        return false;
    };
    let item = request
        .server
        .store
        .roster_item(user, request.stanza.from.bare_str())
        .await;
    matches!(item, Ok(Some(item)) if item.subscription.is_from())
}

/// What the server can do.
#[must_use]
pub fn server_info(server: &Arc<Server>) -> Element {
    let features = server.features.iter().flat_map(|f| f.server_features());
    Element::new("query", ns::DISCO_INFO)
        .with_child(identity("server", "im", Some("imd")))
        .with_children(feature_elements(features))
        .with_children(contact_form(server))
}

/// Whom to write to about the server (XEP-0157).
fn contact_form(server: &Server) -> Option<Element> {
    let addresses = &server.config.contact.addresses;
    if addresses.is_empty() {
        return None;
    }
    let mut form = FormBuilder::new("result", "http://jabber.org/network/serverinfo");
    for (field, uris) in addresses {
        let uris: Vec<&str> = uris.iter().map(String::as_str).collect();
        form = form.field(field, "list-multi", None, &uris);
    }
    Some(form.build())
}

/// What an account can do.
fn account_info(server: &Arc<Server>) -> Element {
    let features = server.features.iter().flat_map(|f| f.account_features());
    Element::new("query", ns::DISCO_INFO)
        .with_child(identity("account", "registered", None))
        .with_child(identity("pubsub", "pep", None))
        .with_children(feature_elements(features))
}

/// Each feature once, in order.
fn feature_elements(features: impl Iterator<Item = &'static str>) -> impl Iterator<Item = Element> {
    let features: BTreeSet<&str> = features.collect();
    features
        .into_iter()
        .map(|f| Element::new("feature", ns::DISCO_INFO).with_attr("var", f))
}

fn identity(category: &str, kind: &str, name: Option<&str>) -> Element {
    Element::new("identity", ns::DISCO_INFO)
        .with_attr("category", category)
        .with_attr("type", kind)
        .with_opt_attr("name", name)
}

fn items(request: &Request<'_>) -> Element {
    let query = Element::new("query", ns::DISCO_ITEMS);
    let server = request.server;
    let listed = server.service_domains().into_iter().filter_map(|domain| {
        let name = server.service(&domain)?.name()?;
        Some(
            Element::new("item", ns::DISCO_ITEMS)
                .with_attr("jid", domain)
                .with_attr("name", name),
        )
    });
    query.with_children(listed)
}
