//! Rooms and their affiliations.

use super::{add_account, append, entry, second};
use crate::{Affiliation, AffiliationChange, Removed, Room, RoomAffiliation, Store, StoreError};

const ROOM: &str = "tea@rooms.x";

fn room() -> Room {
    Room {
        jid: ROOM.to_owned(),
        config: "{}".to_owned(),
        subject: None,
        created_at: 3,
    }
}

fn change(jid: &str, affiliation: Option<Affiliation>) -> AffiliationChange {
    AffiliationChange {
        jid: jid.to_owned(),
        affiliation,
        nick: None,
        reason: None,
    }
}

fn affiliated(jid: &str, affiliation: Affiliation) -> RoomAffiliation {
    RoomAffiliation {
        jid: jid.to_owned(),
        affiliation,
        nick: None,
        reason: None,
    }
}

async fn create(store: &dyn Store) {
    store
        .create_room(room(), vec![change("alice@x", Some(Affiliation::Owner))])
        .await
        .unwrap();
}

pub async fn a_room_is_created_once_with_its_owner(store: &dyn Store) {
    create(store).await;
    let again = store
        .create_room(room(), vec![change("eve@x", Some(Affiliation::Owner))])
        .await;
    assert!(matches!(again, Err(StoreError::Exists { .. })), "{again:?}");
    assert_eq!(store.room(ROOM).await, Ok(Some(room())));
    assert_eq!(
        store.affiliations(ROOM).await,
        Ok(vec![affiliated("alice@x", Affiliation::Owner)])
    );
    assert_eq!(store.room("other@rooms.x").await, Ok(None));
}

pub async fn saving_a_room_keeps_its_affiliations(store: &dyn Store) {
    create(store).await;
    let changed = Room {
        config: "{\"a\":1}".to_owned(),
        subject: Some("<subject/>".to_owned()),
        ..room()
    };
    store.save_room(changed.clone()).await.unwrap();
    assert_eq!(store.rooms().await, Ok(vec![changed]));
    assert_eq!(store.affiliations(ROOM).await.unwrap().len(), 1);
}

pub async fn affiliations_change_and_end(store: &dyn Store) {
    create(store).await;
    let named = AffiliationChange {
        nick: Some("Bob".to_owned()),
        reason: Some("welcome".to_owned()),
        ..change("bob@x", Some(Affiliation::Member))
    };
    store
        .change_affiliations(
            ROOM,
            vec![named, change("eve@x", Some(Affiliation::Outcast))],
        )
        .await
        .unwrap();
    let changes = vec![
        change("bob@x", Some(Affiliation::Admin)),
        change("eve@x", None),
    ];
    store.change_affiliations(ROOM, changes).await.unwrap();
    let bob = RoomAffiliation {
        nick: Some("Bob".to_owned()),
        ..affiliated("bob@x", Affiliation::Admin)
    };
    assert_eq!(
        store.affiliations(ROOM).await,
        Ok(vec![affiliated("alice@x", Affiliation::Owner), bob])
    );
    assert_eq!(
        store.rooms_of("bob@x").await,
        Ok(vec![(ROOM.to_owned(), Affiliation::Admin)])
    );
    assert_eq!(store.rooms_of("eve@x").await, Ok(Vec::new()));
    let missing = store.change_affiliations("other@rooms.x", Vec::new()).await;
    assert_eq!(missing, Err(StoreError::absent("room other@rooms.x")));
}

pub async fn a_deleted_room_leaves_nothing(store: &dyn Store) {
    create(store).await;
    append(store, [entry(ROOM, second(1), ROOM, "hello")]).await;
    store
        .set_vcard(ROOM, Some("<vCard/>".to_owned()))
        .await
        .unwrap();
    assert_eq!(store.delete_room(ROOM).await, Ok(true));
    assert_eq!(store.delete_room(ROOM).await, Ok(false));
    assert_eq!(store.room(ROOM).await, Ok(None));
    assert_eq!(store.archive_bounds(ROOM).await, Ok(None));
    assert_eq!(store.vcard(ROOM).await, Ok(None));
    store.create_room(room(), Vec::new()).await.unwrap();
    assert_eq!(store.affiliations(ROOM).await, Ok(Vec::new()));
}

pub async fn a_removed_account_leaves_its_rooms_but_stays_banned(store: &dyn Store) {
    add_account(store, "alice").await;
    create(store).await;
    store
        .create_room(
            Room {
                jid: "b@rooms.x".to_owned(),
                ..room()
            },
            vec![change("alice@x", Some(Affiliation::Outcast))],
        )
        .await
        .unwrap();
    let removed = store.remove_account("alice", "alice@x").await.unwrap();
    assert_eq!(
        removed,
        Removed {
            rooms: 1,
            ..Removed::default()
        }
    );
    assert_eq!(
        store.rooms_of("alice@x").await,
        Ok(vec![("b@rooms.x".to_owned(), Affiliation::Outcast)])
    );
    assert!(store.room(ROOM).await.unwrap().is_some());
}
