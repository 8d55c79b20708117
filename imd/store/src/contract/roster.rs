//! Rosters and subscription requests.

use super::add_account;
use crate::{
    Roster, RosterChange, RosterChanges, RosterItem, RosterStep, Store, StoreError, Subscription,
    SubscriptionRequest,
};

const MAX: u32 = 1_000;

fn item(contact: &str) -> RosterItem {
    RosterItem {
        contact: contact.to_owned(),
        ..RosterItem::default()
    }
}

async fn set(store: &dyn Store, contact: &str, name: &str) -> u64 {
    let item = RosterItem {
        name: Some(name.to_owned()),
        ..item(contact)
    };
    store.set_roster_item("alice", item, MAX).await.unwrap()
}

pub async fn a_roster_item_is_kept_with_all_its_fields(store: &dyn Store) {
    add_account(store, "alice").await;
    let full = RosterItem {
        contact: "bob@x".to_owned(),
        name: Some("Bob \"the\" <B>".to_owned()),
        subscription: Subscription::Both,
        ask: true,
        approved: true,
        groups: vec!["Work".to_owned(), "朋友".to_owned()],
    };
    let version = store
        .set_roster_item("alice", full.clone(), MAX)
        .await
        .unwrap();
    assert_eq!(
        store.roster_item("alice", "bob@x").await,
        Ok(Some(full.clone()))
    );
    assert_eq!(
        store.roster("alice").await,
        Ok(Roster {
            version,
            items: vec![full]
        })
    );
    assert_eq!(store.roster_item("alice", "carol@x").await, Ok(None));
}

pub async fn every_change_raises_the_version(store: &dyn Store) {
    add_account(store, "alice").await;
    assert_eq!(store.roster_version("alice").await, Ok(0));
    let first = set(store, "bob@x", "Bob").await;
    let second = set(store, "bob@x", "Robert").await;
    let third = store
        .remove_roster_item("alice", "bob@x")
        .await
        .unwrap()
        .unwrap();
    assert!(0 < first && first < second && second < third);
    assert_eq!(store.roster_version("alice").await, Ok(third));
}

pub async fn changes_since_a_version_have_each_contact_once(store: &dyn Store) {
    add_account(store, "alice").await;
    set(store, "bob@x", "Bob").await;
    let known = set(store, "carol@x", "Carol").await;
    set(store, "bob@x", "Robert").await;
    let removed = store
        .remove_roster_item("alice", "carol@x")
        .await
        .unwrap()
        .unwrap();
    let set_again = set(store, "bob@x", "Bobby").await;
    let bobby = RosterItem {
        name: Some("Bobby".to_owned()),
        ..item("bob@x")
    };
    let changes = vec![
        RosterChange::Removed {
            version: removed,
            contact: "carol@x".to_owned(),
        },
        RosterChange::Set {
            version: set_again,
            item: bobby,
        },
    ];
    assert_eq!(
        store.roster_changes("alice", known).await,
        Ok(RosterChanges::Since(changes))
    );
    assert_eq!(
        store.roster_changes("alice", set_again).await,
        Ok(RosterChanges::Since(Vec::new()))
    );
}

pub async fn an_unknown_or_ancient_version_gets_the_whole_roster(store: &dyn Store) {
    add_account(store, "alice").await;
    let early = set(store, "keep@x", "Keep").await;
    for n in 0..300 {
        let contact = format!("c{n}@x");
        set(store, &contact, "C").await;
        store.remove_roster_item("alice", &contact).await.unwrap();
    }
    let whole = store.roster("alice").await.unwrap();
    for unknown in [0, early, whole.version + 1] {
        assert_eq!(
            store.roster_changes("alice", unknown).await,
            Ok(RosterChanges::Whole(whole.clone()))
        );
    }
    let recent = store
        .roster_changes("alice", whole.version - 2)
        .await
        .unwrap();
    assert!(
        matches!(&recent, RosterChanges::Since(changes) if changes.len() == 1),
        "{recent:?}"
    );
}

pub async fn an_edit_sees_the_present_item(store: &dyn Store) {
    add_account(store, "alice").await;
    let subscribe = |present: Option<RosterItem>| {
        let present = present.unwrap_or_default();
        let subscription = if present.subscription == Subscription::None {
            Subscription::To
        } else {
            Subscription::Both
        };
        RosterStep::Set(RosterItem {
            subscription,
            ..present
        })
    };
    for (before, after) in [
        (None, Subscription::To),
        (Some(Subscription::To), Subscription::Both),
    ] {
        let update = store
            .edit_roster_item("alice", "bob@x", MAX, Box::new(subscribe))
            .await
            .unwrap();
        assert_eq!(update.before.map(|item| item.subscription), before);
        assert_eq!(
            update.after,
            Some(RosterItem {
                subscription: after,
                ..item("bob@x")
            })
        );
    }
    let update = store
        .edit_roster_item("alice", "bob@x", MAX, Box::new(|_| RosterStep::Remove))
        .await
        .unwrap();
    assert_eq!((update.before.is_some(), update.after), (true, None));
    assert_eq!(store.roster_item("alice", "bob@x").await, Ok(None));
}

pub async fn an_edit_that_changes_nothing_keeps_the_version(store: &dyn Store) {
    add_account(store, "alice").await;
    let version = set(store, "bob@x", "Bob").await;
    let kept = store
        .edit_roster_item("alice", "bob@x", MAX, Box::new(|_| RosterStep::Keep))
        .await
        .unwrap();
    assert_eq!(kept.version, version);
    assert_eq!(set(store, "bob@x", "Bob").await, version);
}

pub async fn a_full_roster_takes_changes_but_no_new_contact(store: &dyn Store) {
    add_account(store, "alice").await;
    store
        .set_roster_item("alice", item("bob@x"), 1)
        .await
        .unwrap();
    let refused = store.set_roster_item("alice", item("carol@x"), 1).await;
    assert!(
        matches!(refused, Err(StoreError::Limit { limit: 1, .. })),
        "{refused:?}"
    );
    let renamed = RosterItem {
        name: Some("B".to_owned()),
        ..item("bob@x")
    };
    store
        .set_roster_item("alice", renamed.clone(), 1)
        .await
        .unwrap();
    assert_eq!(store.roster("alice").await.unwrap().items, [renamed]);
}

pub async fn removing_a_stranger_changes_nothing(store: &dyn Store) {
    add_account(store, "alice").await;
    let version = set(store, "bob@x", "Bob").await;
    assert_eq!(store.remove_roster_item("alice", "carol@x").await, Ok(None));
    assert_eq!(
        store.remove_roster_item("nobody", "carol@x").await,
        Ok(None)
    );
    assert_eq!(store.roster_version("alice").await, Ok(version));
}

pub async fn requests_wait_in_their_order_until_removed(store: &dyn Store) {
    add_account(store, "alice").await;
    let request = |from: &str, stanza: &str| SubscriptionRequest {
        from: from.to_owned(),
        stanza: stanza.to_owned(),
    };
    for (from, stanza) in [("eve@x", "<1/>"), ("bob@x", "<2/>"), ("eve@x", "<3/>")] {
        store
            .add_subscription_request("alice", request(from, stanza), 2)
            .await
            .unwrap();
    }
    let refused = store
        .add_subscription_request("alice", request("dan@x", "<4/>"), 2)
        .await;
    assert!(
        matches!(refused, Err(StoreError::Limit { limit: 2, .. })),
        "{refused:?}"
    );
    let waiting = store.subscription_requests("alice").await.unwrap();
    assert_eq!(
        waiting,
        [request("eve@x", "<3/>"), request("bob@x", "<2/>")]
    );
    let roster = store.roster("alice").await.unwrap();
    assert_eq!(
        store.roster_and_requests("alice").await,
        Ok((roster, waiting))
    );
    assert_eq!(
        store.remove_subscription_request("alice", "eve@x").await,
        Ok(true)
    );
    assert_eq!(
        store.remove_subscription_request("alice", "eve@x").await,
        Ok(false)
    );
    assert_eq!(
        store.subscription_requests("alice").await,
        Ok(vec![request("bob@x", "<2/>")])
    );
}
