//! Accounts and the small things an account owns.

use super::{account, add_account, append, credentials, entry, keys, offline, second};
use crate::{
    Credentials, Item, Node, Removed, Role, RosterItem, Store, StoreError, SubscriptionRequest,
};

pub async fn an_account_is_found_after_it_was_created(store: &dyn Store) {
    assert_eq!(store.account("alice").await, Ok(None));
    assert_eq!(store.credentials("alice").await, Ok(None));
    add_account(store, "alice").await;
    assert_eq!(store.account("alice").await, Ok(Some(account("alice"))));
    assert_eq!(store.credentials("alice").await, Ok(Some(credentials(1))));
}

pub async fn a_username_is_taken_once(store: &dyn Store) {
    add_account(store, "alice").await;
    let again = store.create_account(account("alice"), credentials(9)).await;
    assert!(matches!(again, Err(StoreError::Exists { .. })), "{again:?}");
    assert_eq!(store.credentials("alice").await, Ok(Some(credentials(1))));
}

pub async fn credentials_are_replaced_as_a_whole(store: &dyn Store) {
    add_account(store, "alice").await;
    let only_sha256 = Credentials {
        sha1: None,
        sha256: Some(keys(7)),
    };
    store
        .set_credentials("alice", only_sha256.clone())
        .await
        .unwrap();
    assert_eq!(
        store.credentials("alice").await,
        Ok(Some(only_sha256.clone()))
    );
    store
        .add_credentials("alice", credentials(9))
        .await
        .unwrap();
    let both = Credentials {
        sha1: credentials(9).sha1,
        ..only_sha256
    };
    assert_eq!(store.credentials("alice").await, Ok(Some(both)));
}

pub async fn a_new_password_revokes_login_tokens(store: &dyn Store) {
    add_account(store, "alice").await;
    store
        .add_login_token(super::clients::token(1))
        .await
        .unwrap();
    store
        .add_credentials("alice", credentials(2))
        .await
        .unwrap();
    let tokens = async || {
        let found = store.login_tokens("alice", "phone").await.unwrap();
        found.unwrap().1.len()
    };
    assert_eq!(tokens().await, 1);
    store
        .set_credentials("alice", credentials(2))
        .await
        .unwrap();
    assert_eq!(tokens().await, 0);
}

pub async fn changing_a_missing_account_says_absent(store: &dyn Store) {
    let outcomes = [
        store.set_credentials("nobody", credentials(1)).await,
        store.add_credentials("nobody", credentials(1)).await,
        store.set_role("nobody", Role::Admin).await,
        store.set_enabled("nobody", false).await,
        store
            .remove_account("nobody", "nobody@perch.local")
            .await
            .map(drop),
        store
            .set_roster_item("nobody", RosterItem::default(), 10)
            .await
            .map(drop),
    ];
    for outcome in outcomes {
        assert_eq!(outcome, Err(StoreError::absent("account \"nobody\"")));
    }
}

pub async fn accounts_are_listed_in_pages_by_name(store: &dyn Store) {
    for name in ["carol", "alice", "bob"] {
        add_account(store, name).await;
    }
    store.set_role("bob", Role::Limited).await.unwrap();
    store.set_enabled("bob", false).await.unwrap();
    let names = |page: Vec<crate::Account>| {
        page.into_iter()
            .map(|account| account.username)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names(store.accounts(None, 2).await.unwrap()),
        ["alice", "bob"]
    );
    assert_eq!(
        names(store.accounts(Some("bob"), 2).await.unwrap()),
        ["carol"]
    );
    assert_eq!(store.count_accounts().await, Ok(3));
    let bob = store.account("bob").await.unwrap().unwrap();
    assert_eq!((bob.role, bob.enabled), (Role::Limited, false));
}

/// Gives alice one of most things.
async fn furnish(store: &dyn Store) {
    add_account(store, "alice").await;
    let contact = RosterItem {
        contact: "bob@perch.local".to_owned(),
        ..RosterItem::default()
    };
    store.set_roster_item("alice", contact, 10).await.unwrap();
    let request = SubscriptionRequest {
        from: "eve@perch.local".to_owned(),
        stanza: "<presence/>".to_owned(),
    };
    store
        .add_subscription_request("alice", request, 10)
        .await
        .unwrap();
    append(
        store,
        [entry(
            "alice@perch.local",
            second(1),
            "bob@perch.local",
            "hello",
        )],
    )
    .await;
    append(
        store,
        [entry(
            "bob@perch.local",
            second(2),
            "alice@perch.local",
            "hello",
        )],
    )
    .await;
    store
        .append(vec![offline("alice", "<message/>", 10)])
        .await
        .await
        .unwrap();
    store
        .block("alice", &["mallory@perch.local".to_owned()], 10)
        .await
        .unwrap();
    store
        .set_vcard("alice@perch.local", Some("<vCard/>".to_owned()))
        .await
        .unwrap();
    store
        .set_private_xml("alice", "storage", "ns", "<storage/>".to_owned(), 10)
        .await
        .unwrap();
    let node = Node {
        service: "alice@perch.local".to_owned(),
        name: "avatar".to_owned(),
        creator: "alice@perch.local".to_owned(),
        max_items: 1,
        config: String::new(),
    };
    let item = Item {
        id: "a".to_owned(),
        publisher: "alice@perch.local".to_owned(),
        time: 1,
        payload: "<x/>".to_owned(),
    };
    let limits = crate::PublishLimits {
        nodes: 10,
        bytes: 1000,
    };
    store
        .publish("alice@perch.local", "avatar", item, Some(node), limits)
        .await
        .unwrap();
}

pub async fn removing_an_account_removes_what_it_owned(store: &dyn Store) {
    furnish(store).await;
    let removed = store
        .remove_account("alice", "alice@perch.local")
        .await
        .unwrap();
    assert_eq!(
        removed,
        Removed {
            contacts: 2,
            archived: 1,
            offline: 1,
            nodes: 1,
            rooms: 0,
            uploads: 0
        }
    );
    assert_eq!(store.account("alice").await, Ok(None));
    assert_eq!(store.vcard("alice@perch.local").await, Ok(None));
    assert_eq!(store.archive_bounds("alice@perch.local").await, Ok(None));
    assert!(
        store
            .archive_bounds("bob@perch.local")
            .await
            .unwrap()
            .is_some(),
        "the contact's copy remains"
    );
}

pub async fn an_account_created_again_starts_empty(store: &dyn Store) {
    furnish(store).await;
    store
        .remove_account("alice", "alice@perch.local")
        .await
        .unwrap();
    add_account(store, "alice").await;
    assert_eq!(store.roster("alice").await, Ok(crate::Roster::default()));
    assert_eq!(store.subscription_requests("alice").await, Ok(Vec::new()));
    assert_eq!(store.count_offline("alice").await, Ok(0));
    assert_eq!(store.blocked("alice").await, Ok(Vec::new()));
    assert_eq!(store.private_xml("alice", "storage", "ns").await, Ok(None));
    assert_eq!(store.nodes("alice@perch.local").await, Ok(Vec::new()));
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

pub async fn blocking_tells_what_is_new(store: &dyn Store) {
    add_account(store, "alice").await;
    assert_eq!(
        store.block("alice", &texts(&["b@x", "a@x"]), 10).await,
        Ok(texts(&["b@x", "a@x"]))
    );
    assert_eq!(
        store.block("alice", &texts(&["a@x", "c@x"]), 10).await,
        Ok(texts(&["c@x"]))
    );
    assert!(store.may_have_blocked("alice"));
    assert_eq!(
        store.blocked("alice").await,
        Ok(texts(&["a@x", "b@x", "c@x"]))
    );
    assert_eq!(
        store.unblock("alice", &texts(&["a@x", "z@x"])).await,
        Ok(texts(&["a@x"]))
    );
    assert_eq!(store.unblock_all("alice").await, Ok(texts(&["b@x", "c@x"])));
    assert_eq!(store.blocked("alice").await, Ok(Vec::new()));
}

pub async fn a_full_block_list_stays_as_it_was(store: &dyn Store) {
    add_account(store, "alice").await;
    store.block("alice", &texts(&["a@x"]), 2).await.unwrap();
    let refused = store.block("alice", &texts(&["b@x", "c@x"]), 2).await;
    assert!(
        matches!(refused, Err(StoreError::Limit { limit: 2, .. })),
        "{refused:?}"
    );
    assert_eq!(store.blocked("alice").await, Ok(texts(&["a@x"])));
}

pub async fn a_vcard_is_set_and_removed(store: &dyn Store) {
    assert_eq!(store.vcard("alice@x").await, Ok(None));
    for vcard in ["<vCard>1</vCard>", "<vCard>2</vCard>"] {
        store
            .set_vcard("alice@x", Some(vcard.to_owned()))
            .await
            .unwrap();
        assert_eq!(store.vcard("alice@x").await, Ok(Some(vcard.to_owned())));
    }
    store.set_vcard("alice@x", None).await.unwrap();
    assert_eq!(store.vcard("alice@x").await, Ok(None));
}

pub async fn private_xml_is_kept_by_name_and_namespace(store: &dyn Store) {
    add_account(store, "alice").await;
    for (name, namespace, xml) in [
        ("a", "n1", "<a1/>"),
        ("a", "n2", "<a2/>"),
        ("a", "n1", "<a3/>"),
    ] {
        store
            .set_private_xml("alice", name, namespace, xml.to_owned(), 2)
            .await
            .unwrap();
    }
    assert_eq!(
        store.private_xml("alice", "a", "n1").await,
        Ok(Some("<a3/>".to_owned()))
    );
    assert_eq!(
        store.private_xml("alice", "a", "n2").await,
        Ok(Some("<a2/>".to_owned()))
    );
    let third = store
        .set_private_xml("alice", "b", "n1", "<b/>".to_owned(), 2)
        .await;
    assert!(matches!(third, Err(StoreError::Limit { .. })), "{third:?}");
    assert_eq!(store.private_xml("alice", "b", "n1").await, Ok(None));
}
