//! Full-text search: what is found, and that the index follows the archive.

use std::time::{Duration, Instant};

use super::{append, entry, hold, open, page, reopen};
use crate::sqlite::SqliteStore;
use crate::{ArchiveFilter, ArchiveStore as _, StoreError, Write};

async fn search(store: &SqliteStore, text: &str) -> Vec<String> {
    page(
        store,
        ArchiveFilter {
            text: Some(text.to_owned()),
            ..ArchiveFilter::default()
        },
    )
    .await
}

#[tokio::test]
async fn search_finds_words_and_runs_of_chinese() {
    let folder = tempfile::tempdir().unwrap();
    let store = reopen(&folder, true);
    for body in [
        "Lunch at noon?",
        "今天晚上一起吃饭吗",
        "Über den Wolken",
        "晚安，明天上班",
    ] {
        append(&store, body).await.await.unwrap();
    }
    let other = crate::contract::entry(
        "eve@x",
        store.archive_ids().next().0,
        "bob@x",
        "secret lunch",
    );
    store
        .append(vec![Write::Archive(other)])
        .await
        .await
        .unwrap();
    assert_eq!(
        search(&store, "lunch").await,
        ["Lunch at noon?"],
        "not the one in another archive"
    );
    assert_eq!(search(&store, "NOON lunch").await, ["Lunch at noon?"]);
    assert_eq!(search(&store, "uber").await, ["Über den Wolken"]);
    assert_eq!(search(&store, "晚上").await, ["今天晚上一起吃饭吗"]);
    assert_eq!(search(&store, "lunch 晚上").await, [""; 0]);
    assert_eq!(search(&store, "?!").await, [""; 0]);
}

#[tokio::test]
async fn a_very_long_search_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let store = reopen(&folder, true);
    let text: String = (0..2_000).map(|n| format!("w{n} ")).collect();
    append(&store, &text).await.await.unwrap();
    append(&store, "w1 w2").await.await.unwrap();
    assert_eq!(search(&store, &text).await, [text]);
}

#[tokio::test]
async fn search_follows_replacing_and_deleting() {
    let folder = tempfile::tempdir().unwrap();
    let store = reopen(&folder, true);
    let first = entry(&store, "rosebud");
    store
        .append(vec![Write::Archive(first.clone())])
        .await
        .await
        .unwrap();
    store
        .archive_replace(
            "alice@x",
            first.id,
            "<x/>".to_owned(),
            Some("sledge".to_owned()),
        )
        .await
        .unwrap();
    assert_eq!(
        (
            search(&store, "rosebud").await.len(),
            search(&store, "sledge").await.len()
        ),
        (0, 1)
    );
    store
        .archive_replace("alice@x", first.id, "<x/>".to_owned(), None)
        .await
        .unwrap();
    assert_eq!(search(&store, "sledge").await, [""; 0]);
    append(&store, "gone").await.await.unwrap();
    store
        .archive_delete_older("alice@x", i64::MAX, 10)
        .await
        .unwrap();
    let left: u32 = store
        .read(|c| {
            Ok(c.query_row(
                "SELECT count(*) FROM archive_text WHERE archive_text MATCH 'gone'",
                [],
                |r| r.get(0),
            )?)
        })
        .await
        .unwrap();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn a_failed_write_leaves_nothing_in_the_index() {
    let folder = tempfile::tempdir().unwrap();
    let store = reopen(&folder, true);
    let release = hold(&store).await;
    let good = append(&store, "needle good").await;
    let twice = entry(&store, "needle ghost");
    let failing = store
        .append(vec![Write::Archive(twice.clone()), Write::Archive(twice)])
        .await;
    release.send(()).unwrap();
    good.await.unwrap();
    assert!(failing.await.is_err());
    assert_eq!(search(&store, "needle").await, ["needle good"]);
    assert_eq!(indexed(&store).await, 1);
}

#[tokio::test]
async fn switching_search_on_indexes_what_came_before() {
    let (store, folder) = open();
    for n in 0..450 {
        append(&store, &format!("needle {n}")).await.await.unwrap();
    }
    let refused = store
        .archive_page(
            "alice@x",
            ArchiveFilter {
                text: Some("x".to_owned()),
                ..Default::default()
            },
            Default::default(),
        )
        .await;
    assert_eq!(
        refused,
        Err(StoreError::Off {
            what: "full-text search".to_owned()
        })
    );
    drop(store);
    let store = reopen(&folder, true);
    let deadline = Instant::now() + Duration::from_secs(20);
    while indexed(&store).await < 450 {
        assert!(
            Instant::now() < deadline,
            "the index is not complete in time"
        );
        tokio::task::yield_now().await;
    }
    assert_eq!(search(&store, "needle").await.len(), 450);
    drop(store);
    assert_eq!(
        indexed(&reopen(&folder, false)).await,
        0,
        "switched off, it would not follow deletions"
    );
}

#[tokio::test]
async fn an_entry_replaced_before_it_was_indexed_is_indexed_once() {
    let (store, folder) = open();
    for n in 0..450 {
        append(&store, &format!("needle {n}")).await.await.unwrap();
    }
    let first = store.archive_bounds("alice@x").await.unwrap().unwrap().0.id;
    drop(store);
    let store = reopen(&folder, true);
    store
        .archive_replace(
            "alice@x",
            first,
            "<x/>".to_owned(),
            Some("needle again".to_owned()),
        )
        .await
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while store
        .read(|c| {
            Ok(
                c.prepare("SELECT 1 FROM store_state WHERE key = 'text-below' AND value <= (SELECT max(id) FROM messages)")?
                    .exists([])?,
            )
        })
        .await
        .unwrap()
    {
        assert!(
            Instant::now() < deadline,
            "the index is not complete in time"
        );
        tokio::task::yield_now().await;
    }
    assert_eq!(indexed(&store).await, 450);
    assert_eq!(search(&store, "needle again").await, ["needle again"]);
}

#[tokio::test]
async fn a_message_of_two_archives_is_found_in_both_until_it_is_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let store = reopen(&folder, true);
    let alices = entry(&store, "needle");
    let bobs = crate::ArchiveEntry {
        id: store.archive_ids().next(),
        owner: "bob@x".to_owned(),
        ..alices.clone()
    };
    let writes = vec![Write::Archive(alices), Write::Archive(bobs)];
    store.append(writes).await.await.unwrap();
    assert_eq!(search(&store, "needle").await, ["needle"]);
    assert_eq!(indexed(&store).await, 1, "once for both");
    let deleted = store.archive_delete_older("alice@x", i64::MAX, 10).await;
    assert_eq!(deleted, Ok(1));
    assert_eq!(search(&store, "needle").await, [""; 0]);
    let filter = ArchiveFilter {
        text: Some("needle".to_owned()),
        ..ArchiveFilter::default()
    };
    assert_eq!(
        crate::contract::first(&store, "bob@x", filter).await.count,
        Some(1)
    );
    store
        .archive_delete_older("bob@x", i64::MAX, 10)
        .await
        .unwrap();
    assert_eq!(indexed(&store).await, 0);
}

/// Entries in the text index that have the word "needle".
async fn indexed(store: &SqliteStore) -> u32 {
    let sql = "SELECT count(*) FROM archive_text WHERE archive_text MATCH 'needle'";
    store
        .read(move |c| Ok(c.query_row(sql, [], |row| row.get(0))?))
        .await
        .unwrap()
}
