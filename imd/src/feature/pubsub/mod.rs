//! Publish-subscribe (XEP-0060): on every account as PEP (XEP-0163), and as a service for channels.
//!
//! A request's way: [`answer`] → [`publish`], [`read`], [`subscribe`] or [`owner`], which ask [`host`] what is known
//! of the sender, [`access`] and [`node`] (both pure) whether they may, and let [`notify`] tell the others.
//! Who wants to hear of which node is known by [`crate::feature::caps`].

pub mod access;
pub mod bookmarks;
mod convert;
mod fields;
pub mod host;
pub mod node;
pub mod notify;
mod owner;
pub mod publish;
pub mod read;
mod service;
mod subscribe;

use async_trait::async_trait;
use imd_proto::{Condition, Element, Jid, StanzaError, ns};

use super::{Answer, Feature, Request, Target};
use access::{refuse, unsupported};
use host::Host;

pub use service::Channels;

/// `FORM_TYPE` of a configuration.
pub const NODE_CONFIG: &str = "http://jabber.org/protocol/pubsub#node_config";
/// `FORM_TYPE` of publish-options, and the feature.
pub const PUBLISH_OPTIONS: &str = "http://jabber.org/protocol/pubsub#publish-options";
/// `FORM_TYPE` of what discovery shows of a node.
pub const META_DATA: &str = "http://jabber.org/protocol/pubsub#meta-data";

/// What accounts and the service can do (XEP-0060 §10).
const COMMON: &[&str] = &[
    ns::PUBSUB,
    "http://jabber.org/protocol/pubsub#access-authorize",
    "http://jabber.org/protocol/pubsub#access-open",
    "http://jabber.org/protocol/pubsub#access-whitelist",
    "http://jabber.org/protocol/pubsub#config-node",
    "http://jabber.org/protocol/pubsub#config-node-max",
    "http://jabber.org/protocol/pubsub#create-and-configure",
    "http://jabber.org/protocol/pubsub#create-nodes",
    "http://jabber.org/protocol/pubsub#delete-items",
    "http://jabber.org/protocol/pubsub#delete-nodes",
    "http://jabber.org/protocol/pubsub#instant-nodes",
    "http://jabber.org/protocol/pubsub#item-ids",
    "http://jabber.org/protocol/pubsub#last-published",
    "http://jabber.org/protocol/pubsub#manage-subscriptions",
    "http://jabber.org/protocol/pubsub#member-affiliation",
    "http://jabber.org/protocol/pubsub#meta-data",
    "http://jabber.org/protocol/pubsub#modify-affiliations",
    "http://jabber.org/protocol/pubsub#multi-items",
    "http://jabber.org/protocol/pubsub#outcast-affiliation",
    "http://jabber.org/protocol/pubsub#persistent-items",
    "http://jabber.org/protocol/pubsub#publish",
    "http://jabber.org/protocol/pubsub#publish-only-affiliation",
    PUBLISH_OPTIONS,
    "http://jabber.org/protocol/pubsub#publisher-affiliation",
    "http://jabber.org/protocol/pubsub#purge-nodes",
    "http://jabber.org/protocol/pubsub#retract-items",
    "http://jabber.org/protocol/pubsub#retrieve-affiliations",
    "http://jabber.org/protocol/pubsub#retrieve-default",
    "http://jabber.org/protocol/pubsub#retrieve-items",
    "http://jabber.org/protocol/pubsub#retrieve-subscriptions",
    "http://jabber.org/protocol/pubsub#rsm",
    "http://jabber.org/protocol/pubsub#subscribe",
    ns::RSM,
];

/// What accounts can do besides (XEP-0163 §6.1).
const ACCOUNT: &[&str] = &[
    "http://jabber.org/protocol/pubsub#access-presence",
    "http://jabber.org/protocol/pubsub#access-roster",
    "http://jabber.org/protocol/pubsub#auto-create",
    "http://jabber.org/protocol/pubsub#auto-subscribe",
    "http://jabber.org/protocol/pubsub#filtered-notifications",
    "http://jabber.org/protocol/pubsub#presence-notifications",
    "http://jabber.org/protocol/pubsub#presence-subscribe",
    "urn:xmpp:bookmarks-conversion:0",
    "urn:xmpp:bookmarks:1#compat",
];

pub(super) struct Pep;

#[async_trait]
impl Feature for Pep {
    fn account_features(&self) -> Vec<&'static str> {
        [COMMON, ACCOUNT].concat()
    }

    fn requests(&self) -> Vec<(Target, &'static str)> {
        vec![
            (Target::Account, ns::PUBSUB),
            (Target::Account, ns::PUBSUB_OWNER),
        ]
    }

    async fn request(&self, request: &Request<'_>) -> Answer {
        let host = Host::account(request.server, request.user()?);
        answer(
            &host,
            &request.stanza.from,
            request.payload,
            request.is_set(),
        )
        .await
    }
}

/// Answer a publish-subscribe request to a host.
///
/// # Errors
/// With the error of XEP-0060 that applies.
pub async fn answer(host: &Host<'_>, from: &Jid, pubsub: &Element, set: bool) -> Answer {
    let ns = pubsub.ns();
    let action = pubsub.children().find(|c| c.ns() == ns).ok_or_else(|| {
        StanzaError::with_text(
            Condition::BadRequest,
            "the request needs a child that says what is wanted",
        )
    })?;
    let owner = ns == ns::PUBSUB_OWNER;
    match (owner, action.name(), set) {
        (false, "publish", true) => publish::publish(host, from, action, pubsub).await,
        (false, "retract", true) => publish::retract(host, from, action).await,
        (false, "items", false) => read::items(host, from, action, pubsub).await,
        (false, "create", true) => owner::create(host, from, action, pubsub).await,
        (false, "subscribe", true) => subscribe::subscribe(host, from, action).await,
        (false, "unsubscribe", true) => subscribe::unsubscribe(host, from, action).await,
        (false, "subscriptions", false) => subscribe::own_subscriptions(host, from, action).await,
        (false, "affiliations", false) => subscribe::own_affiliations(host, from, action).await,
        (false, "options" | "default", _) => Err(unsupported("subscription-options")),
        (true, "configure", set) => owner::configure(host, from, action, set).await,
        (true, "default", false) => owner::default(host),
        (true, "delete", true) => owner::delete(host, from, action).await,
        (true, "purge", true) => publish::purge(host, from, action).await,
        (true, "affiliations", set) => owner::affiliations(host, from, action, set).await,
        (true, "subscriptions", set) => subscribe::manage(host, from, action, set).await,
        (_, name, _) => Err(StanzaError::with_text(
            Condition::BadRequest,
            format!(
                "<{name}/> is not known in a {} here",
                if set { "set" } else { "get" }
            ),
        )),
    }
}

/// The node that a request names.
fn node_name(action: &Element) -> Result<&str, StanzaError> {
    action
        .attr("node")
        .filter(|name| !name.is_empty())
        .ok_or_else(|| refuse(Condition::BadRequest, "nodeid-required"))
}
