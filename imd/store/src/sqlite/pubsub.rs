//! [`PubsubStore`] in SQLite.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::SqliteStore;
use super::fault::Fault;
use crate::{
    Item, Newest, Node, NodeSubscription, PublishLimits, Published, PubsubStore, Result, StoreError,
};

type Outcome<T> = std::result::Result<T, Fault>;

const NODE: &str = "service, name, creator, max_items, config";
const ITEM: &str = "i.item, i.publisher, i.time, i.payload";
const SUBSCRIPTION: &str = "n.name, s.jid, s.subid, s.state, s.options";

fn read_node(row: &Row<'_>) -> rusqlite::Result<Node> {
    Ok(Node {
        service: row.get(0)?,
        name: row.get(1)?,
        creator: row.get(2)?,
        max_items: row.get(3)?,
        config: row.get(4)?,
    })
}

fn read_item(row: &Row<'_>) -> rusqlite::Result<Item> {
    Ok(Item {
        id: row.get(0)?,
        publisher: row.get(1)?,
        time: row.get(2)?,
        payload: row.get(3)?,
    })
}

fn read_subscription(row: &Row<'_>) -> rusqlite::Result<NodeSubscription> {
    Ok(NodeSubscription {
        node: row.get(0)?,
        jid: row.get(1)?,
        subid: row.get(2)?,
        state: row.get(3)?,
        options: row.get(4)?,
    })
}

fn find(connection: &Connection, service: &str, name: &str) -> Outcome<Option<(i64, u32)>> {
    let sql = "SELECT id, max_items FROM pubsub_nodes WHERE service = ? AND name = ?";
    let mut statement = connection.prepare_cached(sql)?;
    Ok(statement
        .query_row((service, name), |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?)
}

fn absent(service: &str, name: &str) -> Fault {
    StoreError::absent(format!("node \"{name}\" of {service}")).into()
}

fn node_id(connection: &Connection, service: &str, name: &str) -> Outcome<i64> {
    find(connection, service, name)?
        .map(|(id, _)| id)
        .ok_or_else(|| absent(service, name))
}

fn create(connection: &Connection, node: &Node, max_nodes: u32) -> Outcome<i64> {
    if find(connection, &node.service, &node.name)?.is_some() {
        return Err(
            StoreError::exists(format!("node \"{}\" of {}", node.name, node.service)).into(),
        );
    }
    let sql = "SELECT count(*) FROM pubsub_nodes WHERE service = ?";
    let count: u32 = connection
        .prepare_cached(sql)?
        .query_row([&node.service], |row| row.get(0))?;
    if count >= max_nodes {
        return Err(
            StoreError::limit(format!("nodes of {}", node.service), max_nodes.into()).into(),
        );
    }
    let sql = "INSERT INTO pubsub_nodes (service, name, creator, max_items, config) VALUES (?, ?, ?, ?, ?)";
    let values = (
        &node.service,
        &node.name,
        &node.creator,
        node.max_items,
        &node.config,
    );
    Ok(connection.prepare_cached(sql)?.insert(values)?)
}

/// Deletes all but the newest `max` items and returns their ids.
fn trim(connection: &Connection, node: i64, max: u32) -> Outcome<Vec<String>> {
    let sql = "DELETE FROM pubsub_items WHERE node = ?1 AND seq <= (
                   SELECT seq FROM pubsub_items WHERE node = ?1 ORDER BY seq DESC LIMIT 1 OFFSET ?2)
               RETURNING item";
    let mut statement = connection.prepare_cached(sql)?;
    Ok(statement
        .query_map((node, max), |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?)
}

fn publish(
    connection: &Connection,
    service: &str,
    name: &str,
    item: &Item,
    new: Option<&Node>,
    limits: PublishLimits,
) -> Outcome<Published> {
    let (node, max_items, created) = match (find(connection, service, name)?, new) {
        (Some((node, max_items)), _) => (node, max_items, false),
        (None, Some(new)) => {
            let new = Node {
                service: service.to_owned(),
                name: name.to_owned(),
                ..new.clone()
            };
            (create(connection, &new, limits.nodes)?, new.max_items, true)
        }
        (None, None) => return Err(absent(service, name)),
    };
    let replaced = connection
        .prepare_cached("DELETE FROM pubsub_items WHERE node = ? AND item = ?")?
        .execute((node, &item.id))?
        > 0;
    connection
        .prepare_cached("INSERT INTO pubsub_items (node, item, publisher, time, payload) VALUES (?, ?, ?, ?, ?)")?
        .execute((node, &item.id, &item.publisher, item.time, &item.payload))?;
    let dropped = trim(connection, node, max_items)?;
    // Only the lengths are read, which stand at the beginning of each row.
    let sql = "SELECT coalesce(sum(octet_length(i.payload)), 0)
               FROM pubsub_nodes n JOIN pubsub_items i ON i.node = n.id WHERE n.service = ?";
    let bytes: u64 = connection
        .prepare_cached(sql)?
        .query_row([service], |row| row.get(0))?;
    if bytes > limits.bytes {
        let what = format!("bytes of the nodes of {service}");
        return Err(StoreError::limit(what, limits.bytes).into());
    }
    Ok(Published {
        created,
        replaced,
        dropped,
    })
}

/// All rows of a query over one node; empty for an unknown node.
fn of_node<T>(
    connection: &Connection,
    service: &str,
    name: &str,
    sql: &str,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Outcome<Vec<T>> {
    let Some((node, _)) = find(connection, service, name)? else {
        return Ok(Vec::new());
    };
    let mut statement = connection.prepare_cached(sql)?;
    Ok(statement
        .query_map([node], read)?
        .collect::<rusqlite::Result<_>>()?)
}

#[async_trait]
impl PubsubStore for SqliteStore {
    async fn create_node(&self, node: Node, max_nodes: u32) -> Result<()> {
        self.write(move |tx| create(tx, &node, max_nodes).map(drop))
            .await
    }

    async fn node(&self, service: &str, name: &str) -> Result<Option<Node>> {
        let (service, name) = (service.to_owned(), name.to_owned());
        self.read(move |connection| {
            let sql = format!("SELECT {NODE} FROM pubsub_nodes WHERE service = ? AND name = ?");
            Ok(connection
                .prepare_cached(&sql)?
                .query_row((&service, &name), read_node)
                .optional()?)
        })
        .await
    }

    async fn nodes(&self, service: &str) -> Result<Vec<Node>> {
        let service = service.to_owned();
        self.read(move |connection| {
            let sql = format!("SELECT {NODE} FROM pubsub_nodes WHERE service = ? ORDER BY name");
            let mut statement = connection.prepare_cached(&sql)?;
            Ok(statement
                .query_map([&service], read_node)?
                .collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    async fn configure_node(
        &self,
        service: &str,
        name: &str,
        max_items: u32,
        config: String,
    ) -> Result<Vec<String>> {
        let (service, name) = (service.to_owned(), name.to_owned());
        self.write(move |tx| {
            let node = node_id(tx, &service, &name)?;
            tx.execute(
                "UPDATE pubsub_nodes SET max_items = ?, config = ? WHERE id = ?",
                (max_items, &config, node),
            )?;
            trim(tx, node, max_items)
        })
        .await
    }

    async fn delete_node(&self, service: &str, name: &str) -> Result<bool> {
        let (service, name) = (service.to_owned(), name.to_owned());
        self.write(move |tx| {
            Ok(tx.execute(
                "DELETE FROM pubsub_nodes WHERE service = ? AND name = ?",
                (&service, &name),
            )? > 0)
        })
        .await
    }

    async fn publish(
        &self,
        service: &str,
        name: &str,
        item: Item,
        new: Option<Node>,
        limits: PublishLimits,
    ) -> Result<Published> {
        let (service, name) = (service.to_owned(), name.to_owned());
        self.write(move |tx| publish(tx, &service, &name, &item, new.as_ref(), limits))
            .await
    }

    async fn items(&self, service: &str, name: &str, max: u32) -> Result<Vec<Item>> {
        let (service, name) = (service.to_owned(), name.to_owned());
        self.read(move |connection| {
            let Some((node, _)) = find(connection, &service, &name)? else {
                return Ok(Vec::new());
            };
            let sql = format!(
                "SELECT {ITEM} FROM pubsub_items i WHERE i.node = ? ORDER BY i.seq DESC LIMIT ?"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let mut items = statement
                .query_map((node, max), read_item)?
                .collect::<rusqlite::Result<Vec<_>>>()?;
            items.reverse();
            Ok(items)
        })
        .await
    }

    async fn item(&self, service: &str, name: &str, id: &str) -> Result<Option<Item>> {
        let (service, name, id) = (service.to_owned(), name.to_owned(), id.to_owned());
        self.read(move |connection| {
            let Some((node, _)) = find(connection, &service, &name)? else {
                return Ok(None);
            };
            let sql = format!("SELECT {ITEM} FROM pubsub_items i WHERE i.node = ? AND i.item = ?");
            Ok(connection
                .prepare_cached(&sql)?
                .query_row((node, &id), read_item)
                .optional()?)
        })
        .await
    }

    async fn newest_items(&self, service: &str) -> Result<Vec<(String, Item)>> {
        let service = service.to_owned();
        self.read(move |connection| {
            let sql = format!(
                "SELECT {ITEM}, n.name FROM pubsub_nodes n JOIN pubsub_items i ON i.seq =
                     (SELECT seq FROM pubsub_items WHERE node = n.id ORDER BY seq DESC LIMIT 1)
                 WHERE n.service = ? ORDER BY n.name"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let items =
                statement.query_map([&service], |row| Ok((row.get(4)?, read_item(row)?)))?;
            Ok(items.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    async fn newest_of(
        &self,
        services: Vec<String>,
        nodes: Vec<String>,
        viewer: &str,
    ) -> Result<Vec<Newest>> {
        let (services, nodes) = (
            serde_json::Value::from(services).to_string(),
            serde_json::Value::from(nodes).to_string(),
        );
        let viewer = viewer.to_owned();
        self.read(move |connection| {
            let sql = format!(
                "SELECT {ITEM}, n.service, n.name, n.creator, n.max_items, n.config, a.affiliation
                 FROM json_each(?1) s CROSS JOIN json_each(?2) w
                 CROSS JOIN pubsub_nodes n ON n.service = s.value AND n.name = w.value
                 CROSS JOIN pubsub_items i ON i.seq =
                     (SELECT seq FROM pubsub_items WHERE node = n.id ORDER BY seq DESC LIMIT 1)
                 LEFT JOIN pubsub_affiliations a ON a.node = n.id AND a.jid = ?3"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let rows = statement.query_map((&services, &nodes, &viewer), |row| {
                Ok(Newest {
                    item: read_item(row)?,
                    node: Node {
                        service: row.get(4)?,
                        name: row.get(5)?,
                        creator: row.get(6)?,
                        max_items: row.get(7)?,
                        config: row.get(8)?,
                    },
                    affiliation: row.get(9)?,
                })
            })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    async fn count_items(&self, service: &str, name: &str) -> Result<u64> {
        let (service, name) = (service.to_owned(), name.to_owned());
        self.read(move |connection| {
            let sql = "SELECT count(*) FROM pubsub_items WHERE node = ?";
            Ok(of_node(connection, &service, &name, sql, |row| row.get(0))?
                .first()
                .copied()
                .unwrap_or(0))
        })
        .await
    }

    async fn retract(&self, service: &str, name: &str, id: &str) -> Result<bool> {
        let (service, name, id) = (service.to_owned(), name.to_owned(), id.to_owned());
        self.write(move |tx| {
            let Some((node, _)) = find(tx, &service, &name)? else {
                return Ok(false);
            };
            Ok(tx.execute(
                "DELETE FROM pubsub_items WHERE node = ? AND item = ?",
                (node, &id),
            )? > 0)
        })
        .await
    }

    async fn purge_node(&self, service: &str, name: &str) -> Result<u64> {
        let (service, name) = (service.to_owned(), name.to_owned());
        self.write(move |tx| {
            let node = node_id(tx, &service, &name)?;
            Ok(tx.execute("DELETE FROM pubsub_items WHERE node = ?", [node])? as u64)
        })
        .await
    }

    async fn node_affiliations(&self, service: &str, name: &str) -> Result<Vec<(String, String)>> {
        let (service, name) = (service.to_owned(), name.to_owned());
        self.read(move |connection| {
            let sql =
                "SELECT jid, affiliation FROM pubsub_affiliations WHERE node = ? ORDER BY jid";
            of_node(connection, &service, &name, sql, |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
        })
        .await
    }

    async fn set_node_affiliation(
        &self,
        service: &str,
        name: &str,
        jid: &str,
        affiliation: Option<String>,
    ) -> Result<()> {
        let (service, name, jid) = (service.to_owned(), name.to_owned(), jid.to_owned());
        self.write(move |tx| {
            let node = node_id(tx, &service, &name)?;
            match &affiliation {
                Some(affiliation) => tx.execute(
                    "INSERT OR REPLACE INTO pubsub_affiliations VALUES (?, ?, ?)",
                    (node, &jid, affiliation),
                )?,
                None => tx.execute(
                    "DELETE FROM pubsub_affiliations WHERE node = ? AND jid = ?",
                    (node, &jid),
                )?,
            };
            Ok(())
        })
        .await
    }

    async fn subscribe_node(&self, service: &str, subscription: NodeSubscription) -> Result<()> {
        let service = service.to_owned();
        self.write(move |tx| {
            let NodeSubscription { node, jid, subid, state, options } = &subscription;
            let node = node_id(tx, &service, node)?;
            let sql = "INSERT OR REPLACE INTO pubsub_subscriptions (node, jid, subid, state, options) VALUES (?, ?, ?, ?, ?)";
            tx.execute(sql, (node, jid, subid, state, options))?;
            Ok(())
        })
        .await
    }

    async fn unsubscribe_node(&self, service: &str, name: &str, jid: &str) -> Result<bool> {
        let (service, name, jid) = (service.to_owned(), name.to_owned(), jid.to_owned());
        self.write(move |tx| {
            let Some((node, _)) = find(tx, &service, &name)? else {
                return Ok(false);
            };
            Ok(tx.execute(
                "DELETE FROM pubsub_subscriptions WHERE node = ? AND jid = ?",
                (node, &jid),
            )? > 0)
        })
        .await
    }

    async fn node_subscriptions(&self, service: &str, name: &str) -> Result<Vec<NodeSubscription>> {
        let (service, name) = (service.to_owned(), name.to_owned());
        self.read(move |connection| {
            let sql = format!(
                "SELECT {SUBSCRIPTION} FROM pubsub_subscriptions s JOIN pubsub_nodes n ON n.id = s.node
                 WHERE s.node = ? ORDER BY s.jid"
            );
            of_node(connection, &service, &name, &sql, read_subscription)
        })
        .await
    }

    async fn subscriptions_of(&self, service: &str, jid: &str) -> Result<Vec<NodeSubscription>> {
        let (service, jid) = (service.to_owned(), jid.to_owned());
        self.read(move |connection| {
            let sql = format!(
                "SELECT {SUBSCRIPTION} FROM pubsub_subscriptions s JOIN pubsub_nodes n ON n.id = s.node
                 WHERE s.jid = ? AND n.service = ? ORDER BY n.name"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            Ok(statement.query_map((&jid, &service), read_subscription)?.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }
}
