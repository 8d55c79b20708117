//! Publish-subscribe nodes.

use crate::{Item, Node, NodeSubscription, PublishLimits, Published, Store, StoreError};

const ALICE: &str = "alice@x";

const fn limits(nodes: u32) -> PublishLimits {
    PublishLimits { nodes, bytes: 1000 }
}

fn node(name: &str, max_items: u32) -> Node {
    Node {
        service: ALICE.to_owned(),
        name: name.to_owned(),
        creator: ALICE.to_owned(),
        max_items,
        config: "{\"access\":\"open\"}".to_owned(),
    }
}

fn item(id: &str) -> Item {
    Item {
        id: id.to_owned(),
        publisher: ALICE.to_owned(),
        time: 7,
        payload: format!("<p>{id}</p>"),
    }
}

async fn publish(store: &dyn Store, name: &str, id: &str) -> Published {
    store
        .publish(ALICE, name, item(id), None, limits(10))
        .await
        .unwrap()
}

async fn ids(store: &dyn Store, name: &str, max: u32) -> Vec<String> {
    store
        .items(ALICE, name, max)
        .await
        .unwrap()
        .into_iter()
        .map(|item| item.id)
        .collect()
}

pub async fn a_node_is_created_once_and_listed(store: &dyn Store) {
    for name in ["b", "a"] {
        store.create_node(node(name, 1), 2).await.unwrap();
    }
    let again = store.create_node(node("a", 5), 2).await;
    assert!(matches!(again, Err(StoreError::Exists { .. })), "{again:?}");
    let third = store.create_node(node("c", 1), 2).await;
    assert!(
        matches!(third, Err(StoreError::Limit { limit: 2, .. })),
        "{third:?}"
    );
    assert_eq!(store.node(ALICE, "a").await, Ok(Some(node("a", 1))));
    assert_eq!(store.node("bob@x", "a").await, Ok(None));
    assert_eq!(
        store.nodes(ALICE).await,
        Ok(vec![node("a", 1), node("b", 1)])
    );
}

pub async fn publishing_creates_a_missing_node_where_told(store: &dyn Store) {
    let refused = store.publish(ALICE, "a", item("1"), None, limits(10)).await;
    assert!(
        matches!(refused, Err(StoreError::Absent { .. })),
        "{refused:?}"
    );
    let created = store
        .publish(ALICE, "a", item("1"), Some(node("a", 3)), limits(10))
        .await
        .unwrap();
    assert_eq!(
        created,
        Published {
            created: true,
            ..Published::default()
        }
    );
    let second = store
        .publish(ALICE, "a", item("2"), Some(node("a", 9)), limits(10))
        .await
        .unwrap();
    assert_eq!(second, Published::default());
    assert_eq!(
        store.node(ALICE, "a").await.unwrap().unwrap().max_items,
        3,
        "an existing node stays as it is"
    );
    let refused = store
        .publish(ALICE, "b", item("1"), Some(node("b", 1)), limits(1))
        .await;
    assert!(
        matches!(refused, Err(StoreError::Limit { .. })),
        "{refused:?}"
    );
}

pub async fn the_oldest_items_go_when_a_node_is_full(store: &dyn Store) {
    store.create_node(node("a", 2), 10).await.unwrap();
    publish(store, "a", "1").await;
    publish(store, "a", "2").await;
    let third = publish(store, "a", "3").await;
    assert_eq!(third.dropped, ["1"]);
    assert_eq!(ids(store, "a", 10).await, ["2", "3"]);
    assert_eq!(
        store.configure_node(ALICE, "a", 1, "new".to_owned()).await,
        Ok(vec!["2".to_owned()])
    );
    assert_eq!(
        store.node(ALICE, "a").await,
        Ok(Some(Node {
            config: "new".to_owned(),
            ..node("a", 1)
        }))
    );
    assert_eq!(ids(store, "a", 10).await, ["3"]);
}

pub async fn an_item_published_again_is_the_newest(store: &dyn Store) {
    store.create_node(node("a", 10), 10).await.unwrap();
    for id in ["1", "2"] {
        publish(store, "a", id).await;
    }
    assert_eq!(
        publish(store, "a", "1").await,
        Published {
            replaced: true,
            ..Published::default()
        }
    );
    assert_eq!(ids(store, "a", 10).await, ["2", "1"]);
    assert_eq!(ids(store, "a", 1).await, ["1"]);
    assert_eq!(store.count_items(ALICE, "a").await, Ok(2));
    assert_eq!(store.item(ALICE, "a", "2").await, Ok(Some(item("2"))));
    assert_eq!(store.item(ALICE, "a", "9").await, Ok(None));
}

pub async fn the_newest_item_of_each_node_is_told(store: &dyn Store) {
    for name in ["a", "b", "empty"] {
        store.create_node(node(name, 10), 10).await.unwrap();
    }
    for (name, id) in [("a", "1"), ("b", "2"), ("a", "3")] {
        publish(store, name, id).await;
    }
    let newest = store.newest_items(ALICE).await.unwrap();
    assert_eq!(
        newest,
        [("a".to_owned(), item("3")), ("b".to_owned(), item("2"))]
    );
}

pub async fn items_are_retracted_and_purged(store: &dyn Store) {
    store.create_node(node("a", 10), 10).await.unwrap();
    for id in ["1", "2", "3"] {
        publish(store, "a", id).await;
    }
    assert_eq!(store.retract(ALICE, "a", "2").await, Ok(true));
    assert_eq!(store.retract(ALICE, "a", "2").await, Ok(false));
    assert_eq!(store.purge_node(ALICE, "a").await, Ok(2));
    assert_eq!(store.count_items(ALICE, "a").await, Ok(0));
    assert!(matches!(
        store.purge_node(ALICE, "zzz").await,
        Err(StoreError::Absent { .. })
    ));
}

fn subscription(node: &str, state: &str) -> NodeSubscription {
    NodeSubscription {
        node: node.to_owned(),
        jid: "bob@x".to_owned(),
        subid: "s1".to_owned(),
        state: state.to_owned(),
        options: Some("<x/>".to_owned()),
    }
}

pub async fn subscriptions_and_affiliations_are_kept(store: &dyn Store) {
    for name in ["a", "b"] {
        store.create_node(node(name, 1), 10).await.unwrap();
        store
            .subscribe_node(ALICE, subscription(name, "pending"))
            .await
            .unwrap();
    }
    store
        .subscribe_node(ALICE, subscription("a", "subscribed"))
        .await
        .unwrap();
    assert_eq!(
        store.node_subscriptions(ALICE, "a").await,
        Ok(vec![subscription("a", "subscribed")])
    );
    assert_eq!(
        store.subscriptions_of(ALICE, "bob@x").await.unwrap().len(),
        2
    );
    assert_eq!(store.unsubscribe_node(ALICE, "a", "bob@x").await, Ok(true));
    assert_eq!(store.unsubscribe_node(ALICE, "a", "bob@x").await, Ok(false));
    store
        .set_node_affiliation(ALICE, "a", "bob@x", Some("publisher".to_owned()))
        .await
        .unwrap();
    let affiliations = store.node_affiliations(ALICE, "a").await.unwrap();
    assert_eq!(affiliations, [("bob@x".to_owned(), "publisher".to_owned())]);
    store
        .set_node_affiliation(ALICE, "a", "bob@x", None)
        .await
        .unwrap();
    assert_eq!(store.node_affiliations(ALICE, "a").await, Ok(Vec::new()));
}

pub async fn a_deleted_node_leaves_nothing(store: &dyn Store) {
    store.create_node(node("a", 10), 10).await.unwrap();
    publish(store, "a", "1").await;
    store
        .subscribe_node(ALICE, subscription("a", "subscribed"))
        .await
        .unwrap();
    assert_eq!(store.delete_node(ALICE, "a").await, Ok(true));
    assert_eq!(store.delete_node(ALICE, "a").await, Ok(false));
    store.create_node(node("a", 10), 10).await.unwrap();
    assert_eq!(store.items(ALICE, "a", 10).await, Ok(Vec::new()));
    assert_eq!(store.subscriptions_of(ALICE, "bob@x").await, Ok(Vec::new()));
}

pub async fn the_newest_items_of_several_services_come_at_once(store: &dyn Store) {
    for (service, name, id) in [
        (ALICE, "a", "1"),
        (ALICE, "a", "2"),
        (ALICE, "b", "3"),
        ("bob@x", "a", "4"),
        ("carol@x", "a", "5"),
    ] {
        let create = Node {
            service: service.to_owned(),
            ..node(name, 10)
        };
        store
            .publish(service, name, item(id), Some(create), limits(10))
            .await
            .unwrap();
    }
    store
        .set_node_affiliation("bob@x", "a", "dora@x", Some("outcast".to_owned()))
        .await
        .unwrap();
    let services = vec![ALICE.to_owned(), "bob@x".to_owned(), "nobody@x".to_owned()];
    let nodes = vec!["a".to_owned(), "none".to_owned()];
    let mut found: Vec<_> = store
        .newest_of(services, nodes, "dora@x")
        .await
        .unwrap()
        .into_iter()
        .map(|n| (n.node.service, n.item.id, n.affiliation))
        .collect();
    found.sort();
    assert_eq!(
        found,
        [
            (ALICE.to_owned(), "2".to_owned(), None),
            (
                "bob@x".to_owned(),
                "4".to_owned(),
                Some("outcast".to_owned())
            ),
        ]
    );
}

pub async fn a_service_has_only_so_many_bytes(store: &dyn Store) {
    let big = |id: &str| Item {
        payload: "x".repeat(600),
        ..item(id)
    };
    let create = || Some(node("a", 10));
    store
        .publish(ALICE, "a", big("1"), create(), limits(9))
        .await
        .unwrap();
    let second = store.publish(ALICE, "a", big("2"), None, limits(9)).await;
    assert!(
        matches!(second, Err(StoreError::Limit { limit: 1000, .. })),
        "{second:?}"
    );
    assert_eq!(ids(store, "a", 9).await, ["1"]);
    // The same in another one's place fits, and others have their own bytes.
    store
        .publish(ALICE, "a", big("1"), None, limits(9))
        .await
        .unwrap();
    store
        .publish("bob@x", "a", big("2"), create(), limits(9))
        .await
        .unwrap();
}
