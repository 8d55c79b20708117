//! Whose nodes they are: an account's (XEP-0163) or a publish-subscribe service's, and what is known of the one who asks.

use std::sync::Arc;

use imd_proto::{Condition, Jid, StanzaError};
use imd_store::{Node, PublishLimits, Role};

use super::access::{Affiliation, Viewer};
use super::node::{AccessModel, Bounds, NodeConfig, PublishModel};
use crate::feature::store_error;
use crate::server::Server;

/// The owner of nodes.
pub struct Host<'a> {
    /// The server.
    pub server: &'a Arc<Server>,
    /// Its bare address.
    pub jid: Jid,
    /// The account's username; absent for a service.
    pub user: Option<String>,
}

/// A node that exists.
#[derive(Debug, Clone)]
pub struct Found {
    /// As the store has it.
    pub stored: Node,
    /// Its configuration.
    pub config: NodeConfig,
}

impl From<Node> for Found {
    fn from(stored: Node) -> Self {
        let config = NodeConfig::from_stored(&stored.config);
        Self { stored, config }
    }
}

impl<'a> Host<'a> {
    /// An account's nodes.
    #[must_use]
    pub fn account(server: &'a Arc<Server>, user: &str) -> Self {
        Self {
            server,
            jid: server.account_jid(user),
            user: Some(user.to_owned()),
        }
    }

    /// A service's nodes.
    #[must_use]
    pub fn service(server: &'a Arc<Server>, jid: Jid) -> Self {
        Self {
            server,
            jid,
            user: None,
        }
    }

    /// What it can do for a node.
    #[must_use]
    pub fn bounds(&self) -> Bounds {
        Bounds {
            max_items: self.server.config.limits.pubsub_items,
            has_roster: self.user.is_some(),
        }
    }

    /// How many nodes it may have.
    #[must_use]
    pub fn max_nodes(&self) -> u32 {
        if self.user.is_some() {
            self.server.config.limits.pep_nodes
        } else {
            self.server.config.limits.channels
        }
    }

    /// What bounds its items.
    #[must_use]
    pub fn publish_limits(&self) -> PublishLimits {
        PublishLimits {
            nodes: self.max_nodes(),
            bytes: self.server.config.limits.pubsub_bytes,
        }
    }

    /// What a new node is like.
    #[must_use]
    pub fn default_config(&self) -> NodeConfig {
        if self.user.is_some() {
            NodeConfig::pep()
        } else {
            NodeConfig::channel()
        }
    }

    /// A node of this name and configuration for the store.
    #[must_use]
    pub fn new_node(&self, name: &str, creator: &Jid, config: &NodeConfig) -> Node {
        Node {
            service: self.jid.as_str().to_owned(),
            name: name.to_owned(),
            creator: creator.bare_str().to_owned(),
            max_items: config.max_items.resolve(self.bounds().max_items),
            config: config.to_stored(),
        }
    }

    /// Whether somebody may create nodes: on an account its owner, at the service the accounts of this server.
    #[must_use]
    pub fn may_create(&self, jid: &Jid) -> bool {
        if self.user.is_some() {
            jid.same_bare(&self.jid)
        } else {
            self.server.is_local_account(jid)
        }
    }

    /// A guest or a child makes no channels, and publishes only where it has been given a part.
    ///
    /// # Errors
    /// `not-allowed` for limited accounts; what the store says when it fails.
    pub async fn may_meet_strangers(&self, jid: &Jid) -> Result<(), StanzaError> {
        let local = jid.local().filter(|_| self.server.is_local_account(jid));
        let (None, Some(user)) = (&self.user, local) else {
            return Ok(());
        };
        let account = self.server.store.account(user).await;
        match account.map_err(|e| store_error(&e))?.map(|a| a.role) {
            Some(Role::Limited) => Err(StanzaError::with_text(
                Condition::NotAllowed,
                "this account publishes only in channels that it has been given a part in",
            )),
            _ => Ok(()),
        }
    }

    /// The node of a name; `None` when there is none.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find(&self, name: &str) -> Result<Option<Found>, StanzaError> {
        let node = self.server.store.node(self.jid.as_str(), name).await;
        Ok(node.map_err(|e| store_error(&e))?.map(Found::from))
    }

    /// The node of a name.
    ///
    /// # Errors
    /// `item-not-found` when there is none; what the store says when it fails.
    pub async fn get(&self, name: &str) -> Result<Found, StanzaError> {
        self.find(name).await?.ok_or_else(|| {
            StanzaError::with_text(
                Condition::ItemNotFound,
                format!("{} has no node {name:?}", self.jid),
            )
        })
    }

    /// The affiliation of somebody with a node.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn affiliation(&self, node: &Found, jid: &Jid) -> Result<Affiliation, StanzaError> {
        if self.is_owner_by_nature(node, jid) {
            return Ok(Affiliation::Owner);
        }
        let all = self
            .server
            .store
            .node_affiliations(self.jid.as_str(), &node.stored.name)
            .await
            .map_err(|e| store_error(&e))?;
        Ok(all
            .iter()
            .find(|(who, _)| who == jid.bare_str())
            .and_then(|(_, name)| Affiliation::from_name(name))
            .unwrap_or_default())
    }

    /// Whether somebody owns the node without an entry: its creator, and on an account the account.
    #[must_use]
    pub fn is_owner_by_nature(&self, node: &Found, jid: &Jid) -> bool {
        if self.user.is_some() {
            jid.same_bare(&self.jid)
        } else {
            jid.bare_str() == node.stored.creator
        }
    }

    /// What is known of somebody who asks for a node.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn viewer(&self, node: &Found, jid: &Jid) -> Result<Viewer, StanzaError> {
        let affiliation = self.affiliation(node, jid).await?;
        let mut viewer = Viewer {
            affiliation,
            ..Viewer::default()
        };
        if affiliation != Affiliation::None {
            return Ok(viewer);
        }
        let model = node.config.access_model;
        if matches!(model, AccessModel::Presence | AccessModel::Roster) {
            (viewer.sees_presence, viewer.in_group) = self.roster_relation(node, jid).await?;
        }
        if model == AccessModel::Authorize || node.config.publish_model == PublishModel::Subscribers
        {
            viewer.subscribed = self
                .server
                .store
                .node_subscriptions(self.jid.as_str(), &node.stored.name)
                .await
                .map_err(|e| store_error(&e))?
                .iter()
                .any(|s| s.state == "subscribed" && bare(&s.jid) == jid.bare_str());
        }
        Ok(viewer)
    }

    /// Whether somebody sees the account's presence, and is in one of the groups that the node names.
    async fn roster_relation(&self, node: &Found, jid: &Jid) -> Result<(bool, bool), StanzaError> {
        let Some(user) = &self.user else {
            return Ok((false, false));
        };
        let item = self
            .server
            .store
            .roster_item(user, jid.bare_str())
            .await
            .map_err(|e| store_error(&e))?;
        Ok(item.map_or((false, false), |item| {
            (
                item.subscription.is_from(),
                in_groups(&item.groups, &node.config),
            )
        }))
    }

    /// The node, and that somebody owns it.
    ///
    /// # Errors
    /// `item-not-found` without the node, `forbidden` for others.
    pub async fn owned(&self, name: &str, jid: &Jid) -> Result<Found, StanzaError> {
        let node = self.get(name).await?;
        if self.affiliation(&node, jid).await? == Affiliation::Owner {
            Ok(node)
        } else {
            Err(Condition::Forbidden.into())
        }
    }
}

/// Whether a contact's groups have one that the node lets in.
#[must_use]
pub fn in_groups(groups: &[String], config: &NodeConfig) -> bool {
    groups.iter().any(|g| config.roster_groups.contains(g))
}

/// The bare part of an address kept as text.
#[must_use]
pub fn bare(jid: &str) -> &str {
    jid.split('/').next().unwrap_or(jid)
}
