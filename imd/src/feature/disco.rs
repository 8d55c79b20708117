//! Service discovery (XEP-0030), computed from the features that are there.

use std::collections::BTreeSet;

use async_trait::async_trait;
use imd_proto::{Condition, Element, StanzaError, ns};

use super::{Answer, Feature, Reply, Request, Target, commands};

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
        if let Some(node) = node {
            if request.account.is_none()
                && let Some(shown) = commands::disco(request, node).await
            {
                return Ok(Reply::With(shown));
            }
            return unknown_node(node);
        }
        Ok(Reply::With(if request.payload.ns() == ns::DISCO_INFO {
            info(request)
        } else {
            items(request)
        }))
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

fn info(request: &Request<'_>) -> Element {
    let account = request.account.is_some();
    let features: BTreeSet<&str> = request
        .server
        .features
        .iter()
        .flat_map(|f| {
            if account {
                f.account_features()
            } else {
                f.server_features()
            }
        })
        .collect();
    let (category, kind) = if account {
        ("account", "registered")
    } else {
        ("server", "im")
    };
    let mut query = Element::new("query", ns::DISCO_INFO).with_child(identity(
        category,
        kind,
        if account { None } else { Some("imd") },
    ));
    if account {
        query.push(identity("pubsub", "pep", None));
    }
    query.with_children(
        features
            .into_iter()
            .map(|f| Element::new("feature", ns::DISCO_INFO).with_attr("var", f)),
    )
}

fn identity(category: &str, kind: &str, name: Option<&str>) -> Element {
    Element::new("identity", ns::DISCO_INFO)
        .with_attr("category", category)
        .with_attr("type", kind)
        .with_opt_attr("name", name)
}

fn items(request: &Request<'_>) -> Element {
    let query = Element::new("query", ns::DISCO_ITEMS);
    if request.account.is_some() {
        return query;
    }
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
