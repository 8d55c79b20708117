//! Publish-subscribe nodes, their items and subscriptions (XEP-0060), also for PEP (XEP-0163).

use async_trait::async_trait;

use crate::{Result, UnixMillis};

/// A node. A service is a bare JID: of a user (PEP), or of a publish-subscribe service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The service's bare JID.
    pub service: String,
    /// The node's name.
    pub name: String,
    /// The bare JID of its creator.
    pub creator: String,
    /// How many items are kept; older ones go when a new one comes.
    pub max_items: u32,
    /// The configuration in a form of the caller's choice; the store does not look inside.
    pub config: String,
}

/// A published item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its id, unique in the node.
    pub id: String,
    /// The JID that published it.
    pub publisher: String,
    /// When it was published.
    pub time: UnixMillis,
    /// The payload as XML; empty for a notification without payload.
    pub payload: String,
}

/// What publishing did besides.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Published {
    /// True when the node was created.
    pub created: bool,
    /// True when an item of the same id was replaced.
    pub replaced: bool,
    /// Ids of the items that had to go, because the node holds only `max_items`.
    pub dropped: Vec<String>,
}

/// A subscription to a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSubscription {
    /// The node's name.
    pub node: String,
    /// Who gets the notifications.
    pub jid: String,
    /// Its id.
    pub subid: String,
    /// `subscribed`, `pending` or `unconfigured`.
    pub state: String,
    /// Options in a form of the caller's choice; `None`: none set.
    pub options: Option<String>,
}

/// Bounds on publishing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublishLimits {
    /// The most nodes of the service.
    pub nodes: u32,
    /// The most bytes of payloads of all its nodes together.
    pub bytes: u64,
}

/// The newest item of a node, for somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Newest {
    /// The node.
    pub node: Node,
    /// Its newest item.
    pub item: Item,
    /// The affiliation with the node of the one who wants to know; `None`: no entry.
    pub affiliation: Option<String>,
}

/// Publish-subscribe.
#[async_trait]
pub trait PubsubStore {
    /// Creates a node. `Exists` when the service has one of that name; `Limit` when the service has `max_nodes`.
    async fn create_node(&self, node: Node, max_nodes: u32) -> Result<()>;

    /// The node; `None` when there is none of that name.
    async fn node(&self, service: &str, name: &str) -> Result<Option<Node>>;

    /// The nodes of a service in the order of their names; empty for an unknown service.
    async fn nodes(&self, service: &str) -> Result<Vec<Node>>;

    /// Changes `max_items` and `config` and returns the ids of the items that had to go. `Absent` when there is no such node.
    async fn configure_node(
        &self,
        service: &str,
        name: &str,
        max_items: u32,
        config: String,
    ) -> Result<Vec<String>>;

    /// Deletes the node with all in it; false when there was none.
    async fn delete_node(&self, service: &str, name: &str) -> Result<bool>;

    /// Puts an item in as the newest; one of the same id is replaced. Where the node is missing it is
    /// created from `create`; with `create` absent too, the error is `Absent`. `Limit` as for `create_node`, and when
    /// the service's payloads would have more bytes than it may have.
    async fn publish(
        &self,
        service: &str,
        name: &str,
        item: Item,
        create: Option<Node>,
        limits: PublishLimits,
    ) -> Result<Published>;

    /// The newest `max` items, oldest of them first. Empty for an unknown node.
    async fn items(&self, service: &str, name: &str, max: u32) -> Result<Vec<Item>>;

    /// One item; `None` when there is none of that id.
    async fn item(&self, service: &str, name: &str, id: &str) -> Result<Option<Item>>;

    /// The newest item of each node of the service that has one, with the node's name.
    async fn newest_items(&self, service: &str) -> Result<Vec<(String, Item)>>;

    /// The newest item of each of these nodes of these services, with the affiliation of the bare JID `viewer`. Nodes
    /// that are not there or are empty are left out.
    async fn newest_of(
        &self,
        services: Vec<String>,
        nodes: Vec<String>,
        viewer: &str,
    ) -> Result<Vec<Newest>>;

    /// How many items the node has; 0 for an unknown node.
    async fn count_items(&self, service: &str, name: &str) -> Result<u64>;

    /// Deletes an item; false when there was none.
    async fn retract(&self, service: &str, name: &str, id: &str) -> Result<bool>;

    /// Deletes all items of a node and says how many. `Absent` when there is no such node.
    async fn purge_node(&self, service: &str, name: &str) -> Result<u64>;

    /// The affiliations with a node, as (bare JID, affiliation name), besides the creator's. Empty for an unknown node.
    async fn node_affiliations(&self, service: &str, name: &str) -> Result<Vec<(String, String)>>;

    /// Sets an affiliation; `None` removes it. `Absent` when there is no such node.
    async fn set_node_affiliation(
        &self,
        service: &str,
        name: &str,
        jid: &str,
        affiliation: Option<String>,
    ) -> Result<()>;

    /// Subscribes, or changes the subscription of the same JID. `Absent` when there is no such node.
    async fn subscribe_node(&self, service: &str, subscription: NodeSubscription) -> Result<()>;

    /// Ends a subscription; false when there was none.
    async fn unsubscribe_node(&self, service: &str, name: &str, jid: &str) -> Result<bool>;

    /// The subscriptions to a node. Empty for an unknown node.
    async fn node_subscriptions(&self, service: &str, name: &str) -> Result<Vec<NodeSubscription>>;

    /// The subscriptions of one JID to the nodes of a service.
    async fn subscriptions_of(&self, service: &str, jid: &str) -> Result<Vec<NodeSubscription>>;
}
