//! Deleting, replacing and finding archived messages.

use super::{add_account, append, bodies, entry, first, second};
use crate::{ArchiveDefault, ArchiveEntry, ArchiveFilter, ArchiveId, ArchivePrefs, Store};

const ALICE: &str = "alice@x";
const BOB: &str = "bob@x";

async fn both_sides(store: &dyn Store, seconds: std::ops::RangeInclusive<u64>) {
    for n in seconds {
        let text = n.to_string();
        append(
            store,
            [
                entry(ALICE, second(n), BOB, &text),
                entry(BOB, second(n) + 1, ALICE, &text),
            ],
        )
        .await;
    }
}

pub async fn old_entries_are_deleted_in_batches(store: &dyn Store) {
    both_sides(store, 1..=5).await;
    let mut deleted = Vec::new();
    for _ in 0..3 {
        deleted.push(store.archive_delete_older(ALICE, 4_000, 2).await.unwrap());
    }
    assert_eq!(deleted, [2, 1, 0]);
    assert_eq!(
        bodies(&first(store, ALICE, ArchiveFilter::default()).await),
        ["4", "5"]
    );
    assert_eq!(
        first(store, BOB, ArchiveFilter::default()).await.count,
        Some(5)
    );
}

pub async fn retention_of_all_spares_the_excepted(store: &dyn Store) {
    both_sides(store, 1..=5).await;
    let spared = [BOB.to_owned(), "unknown@x".to_owned()];
    assert_eq!(
        store.archive_delete_older_of_all(4_000, &spared, 100).await,
        Ok(3)
    );
    assert_eq!(
        first(store, ALICE, ArchiveFilter::default()).await.count,
        Some(2)
    );
    assert_eq!(
        first(store, BOB, ArchiveFilter::default()).await.count,
        Some(5)
    );
    assert_eq!(
        store.archive_delete_older_of_all(4_000, &[], 100).await,
        Ok(3)
    );
}

pub async fn an_entry_is_replaced_by_its_tombstone(store: &dyn Store) {
    both_sides(store, 1..=2).await;
    let id = ArchiveId(second(1));
    let tombstone = "<message><retracted/></message>".to_owned();
    assert_eq!(
        store
            .archive_replace(BOB, id, tombstone.clone(), None)
            .await,
        Ok(false)
    );
    assert_eq!(
        store
            .archive_replace(ALICE, id, tombstone.clone(), None)
            .await,
        Ok(true)
    );
    let replaced = store.archive_entry(ALICE, id).await.unwrap().unwrap();
    assert_eq!((replaced.stanza, replaced.body), (tombstone, None));
}

pub async fn an_entry_is_found_by_its_message_or_origin_id(store: &dyn Store) {
    let named = |n: u64, message: &str, origin: &str| ArchiveEntry {
        message_id: Some(message.to_owned()),
        origin_id: Some(origin.to_owned()),
        ..entry(ALICE, second(n), BOB, "x")
    };
    append(
        store,
        [
            named(1, "m", "o1"),
            named(2, "m", "o2"),
            named(3, "n", "o3"),
        ],
    )
    .await;
    let find = async |with: &str, id: &str| {
        store
            .archive_find(ALICE, with, id)
            .await
            .unwrap()
            .map(|entry| entry.id.0 / second(1))
    };
    assert_eq!(
        find(BOB, "m").await,
        Some(2),
        "the newest of two with one id"
    );
    assert_eq!(find(BOB, "o1").await, Some(1));
    assert_eq!(find(BOB, "zzz").await, None);
    assert_eq!(find("carol@x", "m").await, None);
}

pub async fn archive_preferences_are_kept(store: &dyn Store) {
    add_account(store, "alice").await;
    assert_eq!(store.archive_prefs("alice").await, Ok(None));
    let prefs = ArchivePrefs {
        default: ArchiveDefault::Roster,
        always: vec!["bob@x".to_owned()],
        never: vec!["eve@x".to_owned(), "mallory@x".to_owned()],
    };
    store
        .set_archive_prefs("alice", prefs.clone())
        .await
        .unwrap();
    assert!(store.may_have_archive_prefs("alice"));
    assert_eq!(store.archive_prefs("alice").await, Ok(Some(prefs)));
}
