//! What the server keeps for people's clients: uploads, sessions, tokens, push registrations.

use super::{account, add_account};
use crate::{
    Account, LoginToken, PushRegistration, SavedSession, Store, StoreError, Upload, UploadQuota,
    UploadUsage,
};

fn upload(id: &str, user: &str, size: u64, created_at: i64) -> Upload {
    Upload {
        id: id.to_owned(),
        user: Some(user.to_owned()),
        filename: "cat.jpg".to_owned(),
        size,
        content_type: Some("image/jpeg".to_owned()),
        created_at,
        complete: false,
    }
}

const QUOTA: UploadQuota = UploadQuota {
    user_bytes: 100,
    day_bytes: 60,
    day_start: 1_000,
    total_bytes: 150,
};

pub async fn a_slot_is_given_within_each_quota(store: &dyn Store) {
    add_account(store, "alice").await;
    add_account(store, "bob").await;
    store
        .reserve_upload(upload("1", "alice", 60, 1), QUOTA)
        .await
        .unwrap();
    store
        .reserve_upload(upload("2", "bob", 50, 1_000), QUOTA)
        .await
        .unwrap();
    let again = store
        .reserve_upload(upload("2", "bob", 1, 1_000), QUOTA)
        .await;
    assert!(matches!(again, Err(StoreError::Exists { .. })), "{again:?}");
    for (user, size, limit) in [("alice", 41, 100), ("bob", 11, 60), ("alice", 40, 0)] {
        let quota = if limit == 0 {
            UploadQuota {
                total_bytes: 149,
                ..QUOTA
            }
        } else {
            QUOTA
        };
        let refused = store
            .reserve_upload(upload("3", user, size, 1_000), quota)
            .await;
        let limit = if limit == 0 { 149 } else { limit };
        assert!(
            matches!(&refused, Err(StoreError::Limit { limit: l, .. }) if *l == limit),
            "{refused:?}"
        );
    }
    store
        .reserve_upload(upload("3", "alice", 40, 1_000), QUOTA)
        .await
        .unwrap();
    assert_eq!(
        store.upload_usage(Some("alice")).await,
        Ok(UploadUsage {
            files: 2,
            bytes: 100
        })
    );
    assert_eq!(
        store.upload_usage(None).await,
        Ok(UploadUsage {
            files: 3,
            bytes: 150
        })
    );
}

pub async fn a_file_is_put_into_a_slot_once(store: &dyn Store) {
    add_account(store, "alice").await;
    store
        .reserve_upload(upload("1", "alice", 60, 1), QUOTA)
        .await
        .unwrap();
    assert_eq!(
        store.upload("1").await,
        Ok(Some(upload("1", "alice", 60, 1)))
    );
    store.complete_upload("1").await.unwrap();
    assert!(matches!(
        store.complete_upload("1").await,
        Err(StoreError::Exists { .. })
    ));
    assert!(matches!(
        store.complete_upload("2").await,
        Err(StoreError::Absent { .. })
    ));
    assert_eq!(
        store.upload("1").await,
        Ok(Some(Upload {
            complete: true,
            ..upload("1", "alice", 60, 1)
        }))
    );
    assert_eq!(store.upload("2").await, Ok(None));
}

pub async fn old_unused_and_orphaned_uploads_are_to_be_deleted(store: &dyn Store) {
    add_account(store, "alice").await;
    add_account(store, "bob").await;
    for (id, user, created_at) in [
        ("old", "alice", 1),
        ("new", "alice", 9),
        ("unused", "alice", 5),
        ("orphan", "bob", 9),
    ] {
        store
            .reserve_upload(upload(id, user, 1, created_at), QUOTA)
            .await
            .unwrap();
        if id != "unused" {
            store.complete_upload(id).await.unwrap();
        }
    }
    assert_eq!(
        store.remove_account("bob", "bob@x").await.unwrap().uploads,
        1
    );
    let ids = store
        .uploads_to_delete(3, 7, 10)
        .await
        .unwrap()
        .into_iter()
        .map(|upload| upload.id)
        .collect::<Vec<_>>();
    assert_eq!(ids, ["old", "unused", "orphan"]);
    assert_eq!(store.delete_uploads(&ids).await, Ok(3));
    let left = store.uploads_of("alice", 10).await.unwrap();
    assert_eq!(
        left.into_iter().map(|upload| upload.id).collect::<Vec<_>>(),
        ["new"]
    );
}

fn session(id: &str, user: &str) -> SavedSession {
    SavedSession {
        id: id.to_owned(),
        user: user.to_owned(),
        resource: "phone".to_owned(),
        state: vec![0, 1, 255],
        expires_at: 77,
    }
}

pub async fn a_saved_session_is_taken_once(store: &dyn Store) {
    add_account(store, "alice").await;
    let sessions = vec![
        session("1", "alice"),
        session("2", "alice"),
        session("3", "nobody"),
    ];
    store.save_sessions(sessions).await.unwrap();
    assert_eq!(
        store.take_session("1").await,
        Ok(Some(session("1", "alice")))
    );
    assert_eq!(store.take_session("1").await, Ok(None));
    assert_eq!(store.take_sessions().await, Ok(vec![session("2", "alice")]));
    assert_eq!(store.take_sessions().await, Ok(Vec::new()));
}

pub(super) fn token(secret: u8) -> LoginToken {
    LoginToken {
        user: "alice".to_owned(),
        client: "phone".to_owned(),
        mechanism: "HT-SHA-256-EXPR".to_owned(),
        secret: vec![secret; 8],
        created_at: 1,
        expires_at: 100,
        counter: None,
        used: false,
    }
}

async fn secrets(store: &dyn Store) -> Vec<u8> {
    let found = store.login_tokens("alice", "phone").await.unwrap();
    let (_, tokens) = found.unwrap();
    tokens.into_iter().map(|token| token.secret[0]).collect()
}

pub async fn login_tokens_come_with_their_account(store: &dyn Store) {
    assert_eq!(store.login_tokens("alice", "phone").await, Ok(None));
    add_account(store, "alice").await;
    let disabled = Account {
        enabled: false,
        ..account("alice")
    };
    store.set_enabled("alice", false).await.unwrap();
    let found = store.login_tokens("alice", "phone").await;
    assert_eq!(found, Ok(Some((disabled.clone(), Vec::new()))));
    store.add_login_token(token(1)).await.unwrap();
    let found = store.login_tokens("alice", "phone").await;
    assert_eq!(found, Ok(Some((disabled, vec![token(1)]))));
}

pub async fn a_new_login_token_replaces_the_old_one_once_used(store: &dyn Store) {
    add_account(store, "alice").await;
    let use_it = async |secret: u8| {
        let secret = [secret; 8];
        let used = store.use_login_token("alice", "phone", &secret, None);
        used.await.unwrap()
    };
    store.add_login_token(token(1)).await.unwrap();
    assert!(use_it(1).await);
    store.add_login_token(token(2)).await.unwrap();
    store.add_login_token(token(3)).await.unwrap();
    assert_eq!(
        secrets(store).await,
        [3, 1],
        "the one in use and the newest, which comes first"
    );
    assert!(use_it(1).await);
    assert_eq!(secrets(store).await, [3, 1]);
    assert!(use_it(3).await);
    assert_eq!(secrets(store).await, [3]);
    assert!(!use_it(1).await);
    assert_eq!(store.delete_expired_tokens(99).await, Ok(0));
    assert_eq!(store.delete_expired_tokens(100).await, Ok(1));
    assert_eq!(secrets(store).await, [0; 0], "run out");
}

pub async fn a_login_token_is_not_replayed(store: &dyn Store) {
    add_account(store, "alice").await;
    store.add_login_token(token(1)).await.unwrap();
    let cases = [
        (Some(5), true),
        (Some(5), false),
        (Some(4), false),
        (None, false),
        (Some(6), true),
    ];
    for (count, accepted) in cases {
        assert_eq!(
            store
                .use_login_token("alice", "phone", &[1; 8], count)
                .await,
            Ok(accepted),
            "{count:?}"
        );
    }
}

pub async fn login_tokens_are_revoked_by_client_or_all(store: &dyn Store) {
    add_account(store, "alice").await;
    for client in ["phone", "laptop", "tablet"] {
        store
            .add_login_token(LoginToken {
                client: client.to_owned(),
                ..token(1)
            })
            .await
            .unwrap();
    }
    assert_eq!(
        store.revoke_login_tokens("alice", Some("phone")).await,
        Ok(1)
    );
    assert_eq!(secrets(store).await, [0; 0]);
    assert_eq!(store.revoke_login_tokens("alice", None).await, Ok(2));
    assert!(matches!(
        store
            .add_login_token(LoginToken {
                user: "nobody".to_owned(),
                ..token(1)
            })
            .await,
        Err(StoreError::Absent { .. })
    ));
}

pub async fn clients_with_login_tokens_are_listed(store: &dyn Store) {
    add_account(store, "alice").await;
    let add = async |client: &str, created_at, expires_at| {
        let token = LoginToken {
            client: client.to_owned(),
            created_at,
            expires_at,
            used: true,
            ..token(1)
        };
        store.add_login_token(token).await.unwrap();
    };
    add("phone", 1, 100).await;
    add("phone", 7, 110).await;
    add("laptop", 2, 90).await;
    add("old", 1, 20).await;
    let listed = async |user: &str| {
        let clients = store.login_clients(user, 50).await.unwrap();
        let client = |c: crate::LoginClient| (c.client, c.since, c.until);
        clients.into_iter().map(client).collect::<Vec<_>>()
    };
    let wanted = [("laptop".to_owned(), 2, 90), ("phone".to_owned(), 1, 110)];
    assert_eq!(listed("alice").await, wanted);
    store
        .revoke_login_tokens("alice", Some("phone"))
        .await
        .unwrap();
    assert_eq!(listed("alice").await, wanted[..1]);
    assert_eq!(listed("nobody").await, []);
}

fn registration(service: &str, node: &str) -> PushRegistration {
    PushRegistration {
        user: "alice".to_owned(),
        service: service.to_owned(),
        node: node.to_owned(),
        options: Some("<x/>".to_owned()),
        client: Some("phone".to_owned()),
        created_at: 3,
        failures: 0,
    }
}

pub async fn push_is_enabled_renewed_and_disabled(store: &dyn Store) {
    add_account(store, "alice").await;
    for (service, node) in [
        ("push.x", "1"),
        ("push.x", "2"),
        ("push.y", "1"),
        ("push.x", "1"),
    ] {
        store
            .enable_push(registration(service, node), 3)
            .await
            .unwrap();
    }
    let fourth = store.enable_push(registration("push.z", "1"), 3).await;
    assert!(
        matches!(fourth, Err(StoreError::Limit { limit: 3, .. })),
        "{fourth:?}"
    );
    assert_eq!(store.push_registrations("alice").await.unwrap().len(), 3);
    assert_eq!(
        store.disable_push("alice", "push.x", Some("2")).await,
        Ok(1)
    );
    assert_eq!(store.disable_push("alice", "push.x", None).await, Ok(1));
    assert_eq!(
        store.push_registrations("alice").await,
        Ok(vec![registration("push.y", "1")])
    );
}

pub async fn push_failures_in_a_row_are_counted(store: &dyn Store) {
    add_account(store, "alice").await;
    store
        .enable_push(registration("push.x", "1"), 3)
        .await
        .unwrap();
    for (succeeded, failures) in [(false, 1), (false, 2), (true, 0), (false, 1)] {
        assert_eq!(
            store.record_push("alice", "push.x", "1", succeeded).await,
            Ok(Some(failures))
        );
    }
    assert_eq!(
        store.record_push("alice", "push.x", "2", false).await,
        Ok(None)
    );
}
