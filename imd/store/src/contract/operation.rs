//! What the operation of the box needs: settings, API tokens, the log of administration, upkeep.

use super::{append, entry, second};
use crate::{ApiToken, AuditEntry, Store, StoreError};

pub async fn settings_are_set_listed_and_removed(store: &dyn Store) {
    for (key, value) in [
        ("a.one", "1"),
        ("a.two", "2"),
        ("a_", "no"),
        ("b", "3"),
        ("a.one", "11"),
    ] {
        store
            .set_setting(key, Some(value.to_owned()))
            .await
            .unwrap();
    }
    let listed = store.settings("a.").await.unwrap();
    assert_eq!(
        listed,
        [
            ("a.one".to_owned(), "11".to_owned()),
            ("a.two".to_owned(), "2".to_owned())
        ]
    );
    store.set_setting("a.one", None).await.unwrap();
    assert_eq!(store.setting("a.one").await, Ok(None));
    assert_eq!(store.setting("b").await, Ok(Some("3".to_owned())));
    assert_eq!(store.settings("").await.unwrap().len(), 3);
}

pub async fn a_secret_is_made_once(store: &dyn Store) {
    assert_eq!(
        store.setting_or("secret", "first".to_owned()).await,
        Ok("first".to_owned())
    );
    assert_eq!(
        store.setting_or("secret", "second".to_owned()).await,
        Ok("first".to_owned())
    );
    assert_eq!(store.setting("secret").await, Ok(Some("first".to_owned())));
}

fn api_token(id: &str, secret_hash: &str, expires_at: Option<i64>) -> ApiToken {
    ApiToken {
        id: id.to_owned(),
        name: "backup script".to_owned(),
        secret_hash: secret_hash.to_owned(),
        created_at: 1,
        expires_at,
    }
}

pub async fn api_tokens_are_found_by_hash_and_revoked_by_id(store: &dyn Store) {
    store
        .create_api_token(api_token("1", "h1", None))
        .await
        .unwrap();
    store
        .create_api_token(api_token("2", "h2", Some(50)))
        .await
        .unwrap();
    for taken in [api_token("1", "h3", None), api_token("3", "h1", None)] {
        assert!(matches!(
            store.create_api_token(taken).await,
            Err(StoreError::Exists { .. })
        ));
    }
    assert_eq!(
        store.api_token("h2").await,
        Ok(Some(api_token("2", "h2", Some(50))))
    );
    assert_eq!(store.delete_expired_tokens(50).await, Ok(1));
    assert_eq!(
        store.api_tokens().await,
        Ok(vec![api_token("1", "h1", None)])
    );
    assert_eq!(store.revoke_api_token("1").await, Ok(true));
    assert_eq!(store.revoke_api_token("1").await, Ok(false));
    assert_eq!(store.api_token("h1").await, Ok(None));
}

fn line(time: i64, action: &str) -> AuditEntry {
    AuditEntry {
        id: 0,
        time,
        actor: "admin@x".to_owned(),
        action: action.to_owned(),
        target: "bob@x".to_owned(),
        detail: "by hand".to_owned(),
    }
}

pub async fn the_log_is_read_newest_first_by_kind(store: &dyn Store) {
    let mut ids = Vec::new();
    for (time, action) in [
        (1, "account.create"),
        (2, "report.spam"),
        (3, "account.remove"),
        (4, "report.abuse"),
    ] {
        ids.push(store.record_audit(line(time, action)).await.unwrap());
    }
    let times =
        |lines: Vec<AuditEntry>| lines.into_iter().map(|line| line.time).collect::<Vec<_>>();
    assert_eq!(times(store.audit("", None, 3).await.unwrap()), [4, 3, 2]);
    assert_eq!(
        times(store.audit("", Some(ids[2]), 10).await.unwrap()),
        [2, 1]
    );
    assert_eq!(
        times(store.audit("report.", None, 10).await.unwrap()),
        [4, 2]
    );
    assert_eq!(
        store.audit("account.create", None, 1).await,
        Ok(vec![AuditEntry {
            id: ids[0],
            ..line(1, "account.create")
        }])
    );
    assert_eq!(store.delete_audit_older(3).await, Ok(2));
    assert_eq!(times(store.audit("", None, 10).await.unwrap()), [4, 3]);
}

pub async fn the_size_tells_what_is_there(store: &dyn Store) {
    store.can_write().await.unwrap();
    append(
        store,
        [
            entry("alice@x", second(1), "bob@x", "x"),
            entry("bob@x", second(2), "alice@x", "x"),
        ],
    )
    .await;
    let size = store.size().await.unwrap();
    assert_eq!(size.archived, 2);
    assert!(size.bytes > size.free_bytes, "{size:?}");
}
