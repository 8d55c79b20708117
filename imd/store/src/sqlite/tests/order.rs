//! A message that several archives have is kept once, and comes into their order later: nobody may notice.

use super::{entry, open, reopen};
use crate::contract::{bodies, first};
use crate::sqlite::SqliteStore;
use crate::{ArchiveEntry, ArchiveFilter, ArchiveId, ArchiveStore as _, UpkeepStore as _, Write};

const ALICE: &str = "alice@x";
const BOB: &str = "bob@x";

/// A message from Alice to Bob, in both archives.
async fn talk(store: &SqliteStore, body: &str) -> [ArchiveId; 2] {
    let alices = entry(store, body);
    let bobs = ArchiveEntry {
        id: store.archive_ids().next(),
        owner: BOB.to_owned(),
        with: ALICE.to_owned(),
        with_resource: Some("phone".to_owned()),
        ..alices.clone()
    };
    let ids = [alices.id, bobs.id];
    let writes = vec![Write::Archive(alices), Write::Archive(bobs)];
    store.append(writes).await.await.unwrap();
    ids
}

async fn kept(store: &SqliteStore, owner: &str) -> Vec<String> {
    let page = first(store, owner, ArchiveFilter::default()).await;
    bodies(&page).into_iter().map(str::to_owned).collect()
}

async fn count(store: &SqliteStore, table: &'static str) -> u32 {
    let sql = format!("SELECT count(*) FROM {table}");
    store
        .read(move |c| Ok(c.query_row(&sql, [], |row| row.get(0))?))
        .await
        .unwrap()
}

#[tokio::test]
async fn a_message_is_kept_once_for_both_sides_and_read_by_each() {
    let (store, _folder) = open();
    let [alices, bobs] = talk(&store, "hello").await;
    assert_eq!(
        (
            count(&store, "messages").await,
            count(&store, "entries").await
        ),
        (1, 0)
    );
    let one = store.archive_entry(ALICE, alices).await.unwrap().unwrap();
    assert_eq!(count(&store, "entries").await, 1, "only who asked");
    let other = store.archive_entry(BOB, bobs).await.unwrap().unwrap();
    assert_eq!(
        (one.body.as_deref(), one.with.as_str(), one.with_resource),
        (Some("hello"), BOB, None)
    );
    assert_eq!(
        (other.body.as_deref(), other.with.as_str()),
        (Some("hello"), ALICE)
    );
    assert_eq!(other.with_resource.as_deref(), Some("phone"));
    assert_eq!(one.time, other.time);
}

#[tokio::test]
async fn what_waits_for_its_order_is_there_after_a_restart() {
    let (store, folder) = open();
    for n in 0..50 {
        talk(&store, &n.to_string()).await;
        if n == 20 {
            assert_eq!(kept(&store, ALICE).await.len(), 21);
        }
    }
    drop(store);
    let store = reopen(&folder, false);
    let all: Vec<String> = (0..50).map(|n| n.to_string()).collect();
    assert_eq!(
        (kept(&store, ALICE).await, kept(&store, BOB).await),
        (all.clone(), all)
    );
    assert_eq!(store.size().await.unwrap().archived, 100);
}

#[tokio::test]
async fn what_was_deleted_stays_deleted_after_a_restart() {
    let (store, folder) = open();
    talk(&store, "hello").await;
    store
        .archive_delete_older(ALICE, i64::MAX, 10)
        .await
        .unwrap();
    assert_eq!(
        (
            kept(&store, ALICE).await.len(),
            kept(&store, BOB).await.len()
        ),
        (0, 1)
    );
    drop(store);
    let store = reopen(&folder, false);
    assert_eq!(
        (
            kept(&store, ALICE).await.len(),
            kept(&store, BOB).await.len()
        ),
        (0, 1)
    );
    store.archive_delete_older(BOB, i64::MAX, 10).await.unwrap();
    assert_eq!(
        count(&store, "messages").await,
        0,
        "the last one takes the message along"
    );
}

#[tokio::test]
async fn a_tombstone_in_one_archive_leaves_the_others_message() {
    for (owner, own, others) in [(ALICE, 0, BOB), (BOB, 1, ALICE)] {
        let (store, folder) = open();
        let ids = talk(&store, "hello").await;
        let tombstone = "<gone/>".to_owned();
        let replaced = store.archive_replace(owner, ids[own], tombstone.clone(), None);
        assert_eq!(replaced.await, Ok(true));
        for store in [store, reopen(&folder, false)] {
            let entry = store.archive_entry(owner, ids[own]).await.unwrap().unwrap();
            assert_eq!((entry.stanza, entry.body), (tombstone.clone(), None));
            assert_eq!(kept(&store, others).await, ["hello"]);
        }
    }
}

#[tokio::test]
async fn a_round_puts_everything_in_its_order() {
    let (store, folder) = open();
    for n in 0..700 {
        talk(&store, &n.to_string()).await;
    }
    store
        .write(|tx| {
            tx.begin_round();
            Ok(())
        })
        .await
        .unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while store.writer.unordered() > 0 {
        assert!(
            std::time::Instant::now() < deadline,
            "the round does not end"
        );
        tokio::task::yield_now().await;
    }
    assert_eq!(count(&store, "entries").await, 1400);
    talk(&store, "later").await;
    drop(store);
    assert_eq!(
        reopen(&folder, false).writer.unordered(),
        2,
        "only what came after the round"
    );
}

#[tokio::test]
async fn a_body_that_does_not_stand_in_its_stanza_is_kept_beside_it() {
    let (store, _folder) = open();
    let escaped = ArchiveEntry {
        stanza: "<message><body>a &amp; b</body></message>".to_owned(),
        ..entry(&store, "a & b")
    };
    store
        .append(vec![Write::Archive(escaped)])
        .await
        .await
        .unwrap();
    assert_eq!(kept(&store, ALICE).await, ["a & b"]);
}

#[test]
fn archives_of_the_schema_before_are_read_searched_and_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("imd.db");
    let old = rusqlite::Connection::open(&path).unwrap();
    old.execute_batch(concat!(
        include_str!("../0001.sql"),
        include_str!("../0002.sql")
    ))
    .unwrap();
    old.pragma_update(None, "user_version", 2).unwrap();
    old.execute_batch(
        "INSERT INTO jids VALUES (1, 'alice@x'), (2, 'bob@x');
         INSERT INTO archive VALUES
             (3000000, 1, 2, 'phone', 3000, 0, 'm1', NULL, '<message><body>old words</body></message>', 'old words'),
             (3000001, 2, 1, NULL, 2000, 0, 'm1', NULL, '<message><body>old words</body></message>', 'old words');
         INSERT INTO store_state VALUES ('text-on', 1);
         INSERT INTO archive_text (rowid, owner, body) VALUES (3000000, 'o1', 'old words'), (3000001, 'o2', 'old words');",
    )
    .unwrap();
    drop(old);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let store = reopen(&folder, true);
        let entry = store
            .archive_entry(ALICE, ArchiveId(3_000_000))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (entry.time, entry.with_resource.as_deref()),
            (3000, Some("phone"))
        );
        let bobs = store
            .archive_entry(BOB, ArchiveId(3_000_001))
            .await
            .unwrap()
            .unwrap();
        assert_eq!((bobs.time, bobs.body.as_deref()), (2000, Some("old words")));
        let filter = ArchiveFilter {
            text: Some("words".to_owned()),
            ..ArchiveFilter::default()
        };
        assert_eq!(first(&store, BOB, filter).await.count, Some(1));
        assert_eq!(
            store.archive_delete_older_of_all(i64::MAX, &[], 10).await,
            Ok(2)
        );
        assert_eq!(count(&store, "messages").await, 0);
    });
}
