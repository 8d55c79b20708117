//! What is special about this backend: batches, faults, the file itself.

mod order;
mod readers;
mod search;

use std::sync::mpsc;

use tempfile::TempDir;

use super::*;
use crate::{
    ArchiveEntry, ArchiveFilter, ArchivePaging, ArchiveStore as _, BlockStore as _, Commit,
    OfflineStore as _, PushStore as _, UpkeepStore as _, Write,
};

fn open() -> (SqliteStore, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = reopen(&folder, false);
    (store, folder)
}

fn reopen(folder: &TempDir, full_text: bool) -> SqliteStore {
    SqliteStore::open(
        &folder.path().join("imd.db"),
        SqliteOptions {
            full_text,
            check: true,
        },
    )
    .unwrap()
}

fn entry(store: &SqliteStore, body: &str) -> ArchiveEntry {
    crate::contract::entry("alice@x", store.archive_ids().next().0, "bob@x", body)
}

async fn append(store: &SqliteStore, body: &str) -> Commit {
    store.append(vec![Write::Archive(entry(store, body))]).await
}

async fn page(store: &SqliteStore, filter: ArchiveFilter) -> Vec<String> {
    let paging = ArchivePaging {
        max: 10_000,
        ..ArchivePaging::default()
    };
    let page = store.archive_page("alice@x", filter, paging).await.unwrap();
    page.entries
        .into_iter()
        .filter_map(|entry| entry.body)
        .collect()
}

async fn bodies(store: &SqliteStore) -> Vec<String> {
    page(store, ArchiveFilter::default()).await
}

/// Holds the writer in a job, so that what is queued meanwhile becomes one batch; send to let it go on.
async fn hold(store: &SqliteStore) -> mpsc::Sender<()> {
    let (release, held) = mpsc::channel::<()>();
    let (begun, has_begun) = tokio::sync::oneshot::channel::<()>();
    let begun = std::sync::Mutex::new(Some(begun));
    let held = std::sync::Mutex::new(held);
    drop(
        store
            .writer
            .submit(0, false, move |_| {
                begun.lock().unwrap().take().unwrap().send(()).unwrap();
                held.lock().unwrap().recv().unwrap();
                Ok(())
            })
            .await,
    );
    has_begun.await.unwrap();
    release
}

async fn limit_pages(store: &SqliteStore, extra: u32) {
    store
        .write(move |tx| {
            let pages: u32 = tx.pragma_query_value(None, "page_count", |row| row.get(0))?;
            tx.pragma_update_and_check(
                None,
                "max_page_count",
                pages.saturating_add(extra),
                |_| Ok(()),
            )?;
            Ok(())
        })
        .await
        .unwrap();
}

#[tokio::test]
async fn a_failing_write_does_not_spoil_the_others_of_its_batch() {
    let (store, _folder) = open();
    let release = hold(&store).await;
    let first = append(&store, "1").await;
    let twice = entry(&store, "2");
    let failing = store
        .append(vec![Write::Archive(twice.clone()), Write::Archive(twice)])
        .await;
    let panicking = store
        .writer
        .submit(0, false, |_: &Tx| -> std::result::Result<(), Fault> {
            panic!("a bug")
        })
        .await;
    let last = append(&store, "3").await;
    release.send(()).unwrap();
    assert_eq!(first.await, Ok(()));
    assert!(matches!(failing.await, Err(StoreError::Backend { .. })));
    assert!(matches!(
        panicking.await.unwrap(),
        Err(StoreError::Backend { .. })
    ));
    assert_eq!(last.await, Ok(()));
    assert_eq!(bodies(&store).await, ["1", "3"]);
}

#[tokio::test]
async fn a_jid_first_seen_in_a_failed_write_is_usable_later() {
    let (store, _folder) = open();
    let twice = entry(&store, "x");
    let failing = store
        .append(vec![Write::Archive(twice.clone()), Write::Archive(twice)])
        .await;
    assert!(failing.await.is_err());
    append(&store, "y").await.await.unwrap();
    assert_eq!(bodies(&store).await, ["y"]);
}

#[tokio::test]
async fn writes_that_wait_together_share_a_commit() {
    let (store, _folder) = open();
    let before = wal_commits(&store);
    let release = hold(&store).await;
    let mut commits = Vec::new();
    for n in 0..200 {
        commits.push(append(&store, &n.to_string()).await);
    }
    release.send(()).unwrap();
    for commit in commits {
        commit.await.unwrap();
    }
    assert_eq!(
        wal_commits(&store) - before,
        1,
        "the held job wrote nothing, the 200 shared one"
    );
}

/// Commit records in the write-ahead log: frames whose header has a database size (bytes 4 to 8).
fn wal_commits(store: &SqliteStore) -> usize {
    let wal = std::fs::read(format!("{}-wal", store.path.display())).unwrap();
    wal.get(32..)
        .unwrap_or_default()
        .chunks(24 + 4096)
        .filter(|frame| frame[4..8] != [0; 4])
        .count()
}

#[tokio::test]
async fn a_full_disk_refuses_writes_until_there_is_space() {
    let (store, _folder) = open();
    append(&store, "before").await.await.unwrap();
    limit_pages(&store, 0).await;
    let large = "x".repeat(100_000);
    let refused = append(&store, &large).await.await;
    assert!(
        matches!(&refused, Err(StoreError::Full { path }) if path.ends_with("imd.db")),
        "{refused:?}"
    );
    assert!(refused.unwrap_err().is_resource_constraint());
    assert_eq!(bodies(&store).await, ["before"], "reading goes on");
    limit_pages(&store, u32::MAX / 2).await;
    append(&store, "after").await.await.unwrap();
    assert_eq!(bodies(&store).await, ["before", "after"]);
}

#[tokio::test]
async fn a_write_too_large_for_the_space_left_does_not_take_small_ones_with_it() {
    let (store, _folder) = open();
    append(&store, "0").await.await.unwrap();
    limit_pages(&store, 3).await;
    let release = hold(&store).await;
    let first = append(&store, "1").await;
    let large = append(&store, &"x".repeat(100_000)).await;
    let last = append(&store, "2").await;
    release.send(()).unwrap();
    assert_eq!(first.await, Ok(()));
    assert!(matches!(large.await, Err(StoreError::Full { .. })));
    assert_eq!(last.await, Ok(()));
    assert_eq!(bodies(&store).await, ["0", "1", "2"]);
}

#[tokio::test]
async fn what_few_accounts_have_is_there_after_a_restart() {
    let (store, folder) = open();
    crate::contract::add_account(&store, "alice").await;
    let prefs = crate::ArchivePrefs {
        never: vec!["bob@x".to_owned()],
        ..crate::ArchivePrefs::default()
    };
    let registration = crate::PushRegistration {
        user: "alice".to_owned(),
        service: "push.x".to_owned(),
        node: "1".to_owned(),
        options: None,
        client: None,
        created_at: 1,
        failures: 0,
    };
    let blocked = vec!["mallory@x".to_owned()];
    store.block("alice", &blocked, 10).await.unwrap();
    store
        .set_archive_prefs("alice", prefs.clone())
        .await
        .unwrap();
    store.enable_push(registration.clone(), 10).await.unwrap();
    let waits = crate::contract::offline("alice", "<message/>", 10);
    store.append(vec![waits]).await.await.unwrap();
    drop(store);
    let store = reopen(&folder, false);
    assert_eq!(store.blocked("alice").await, Ok(blocked));
    assert_eq!(store.archive_prefs("alice").await, Ok(Some(prefs)));
    assert_eq!(
        store.push_registrations("alice").await,
        Ok(vec![registration])
    );
    let waiting = store.offline("alice", 0, 10).await.unwrap();
    assert_eq!(waiting.len(), 1);
    let deleted = store.delete_offline_through("alice", waiting[0].id).await;
    assert_eq!(deleted, Ok(1));
}

#[tokio::test]
async fn closing_finishes_what_is_queued_and_then_refuses() {
    let (store, folder) = open();
    let release = hold(&store).await;
    let queued = append(&store, "queued").await;
    release.send(()).unwrap();
    store.close().await.unwrap();
    assert_eq!(queued.await, Ok(()));
    assert!(matches!(
        append(&store, "late").await.await,
        Err(StoreError::Closed { .. })
    ));
    assert!(matches!(store.size().await, Err(StoreError::Closed { .. })));
    store.close().await.unwrap();
    let files = folder
        .path()
        .read_dir()
        .unwrap()
        .map(|file| file.unwrap().file_name());
    assert_eq!(
        files.collect::<Vec<_>>(),
        ["imd.db"],
        "the log is in the database file"
    );
    assert_eq!(bodies(&reopen(&folder, false)).await, ["queued"]);
}

#[tokio::test]
async fn ids_go_on_after_a_restart_with_the_clock_behind() {
    let (store, folder) = open();
    let future = crate::ArchiveId(store.archive_ids().next().0 + 1_000_000_000_000);
    let ahead = crate::contract::entry("alice@x", future.0, "bob@x", "x");
    store
        .append(vec![Write::Archive(ahead)])
        .await
        .await
        .unwrap();
    drop(store);
    let store = reopen(&folder, false);
    assert!(store.archive_ids().next() > future);
    assert_eq!(
        store.archive_delete_older("alice@x", i64::MAX, 10).await,
        Ok(1)
    );
    drop(store);
    assert!(
        reopen(&folder, false).archive_ids().next() > future,
        "also when the entry is gone"
    );
}

#[tokio::test]
async fn a_second_process_writes_beside_the_first() {
    let (daemon, folder) = open();
    let tool = reopen(&folder, false);
    crate::contract::add_account(&tool, "alice").await;
    append(&daemon, "x").await.await.unwrap();
    assert!(
        crate::AccountStore::account(&daemon, "alice")
            .await
            .unwrap()
            .is_some()
    );
}

#[tokio::test]
async fn commits_are_synced_to_a_write_ahead_log() {
    let (store, _folder) = open();
    let modes = store.write(|tx| {
        let journal: String = tx.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
        let synchronous: u32 = tx.pragma_query_value(None, "synchronous", |row| row.get(0))?;
        Ok((journal, synchronous))
    });
    assert_eq!(
        modes.await,
        Ok(("wal".to_owned(), 2)),
        "2 is FULL: synced at each commit"
    );
}

#[tokio::test]
async fn a_backup_has_all_that_was_committed_and_replaces_nothing() {
    let (store, folder) = open();
    append(&store, "x").await.await.unwrap();
    let copy = tempfile::tempdir().unwrap();
    let to = copy.path().join("imd.db");
    store.back_up(&to).await.unwrap();
    assert!(matches!(
        store.back_up(&to).await,
        Err(StoreError::Exists { .. })
    ));
    append(&store, "later").await.await.unwrap();
    assert_eq!(bodies(&reopen(&copy, false)).await, ["x"]);
    drop(folder);
}

#[test]
fn a_damaged_file_is_refused_with_the_way_to_restore() {
    let (store, folder) = open();
    drop(store);
    let path = folder.path().join("imd.db");
    let mut bytes = std::fs::read(&path).unwrap();
    for page in bytes.chunks_mut(4096).skip(1) {
        page[..64].fill(0xa5);
    }
    std::fs::write(&path, bytes).unwrap();
    let error = SqliteStore::open(&path, SqliteOptions::default()).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
    let text = error.to_string();
    assert!(
        text.contains(&path.display().to_string()) && text.contains("To restore"),
        "{text}"
    );
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("imd.db");
    std::fs::write(&path, "not a database".repeat(500)).unwrap();
    let error = SqliteStore::open(&path, SqliteOptions::default()).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
    assert_eq!(
        std::fs::read(&path).unwrap(),
        "not a database".repeat(500).as_bytes()
    );
}

#[test]
fn a_missing_folder_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("missing/imd.db");
    let error = SqliteStore::open(&path, SqliteOptions::default()).unwrap_err();
    assert!(error.to_string().contains("missing/imd.db"), "{error}");
}

#[test]
fn the_file_is_readable_by_its_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let (_store, folder) = open();
    for entry in folder.path().read_dir().unwrap() {
        let entry = entry.unwrap();
        assert_eq!(
            entry.metadata().unwrap().permissions().mode() & 0o777,
            0o600,
            "{}",
            entry.path().display()
        );
    }
}

#[tokio::test]
async fn a_backup_of_a_busy_store_is_one_moment_of_it_and_sound() {
    let (store, _folder) = open();
    let (store, copy) = (std::sync::Arc::new(store), tempfile::tempdir().unwrap());
    for n in 0..200 {
        drop(append(&store, &format!("{n} {}", "x".repeat(5_000))).await);
    }
    append(&store, "200").await.await.unwrap();
    let writing = {
        let store = std::sync::Arc::clone(&store);
        tokio::spawn(async move {
            for n in 201.. {
                append(&store, &n.to_string()).await.await.unwrap();
            }
        })
    };
    let to = copy.path().join("a copy?.db");
    store.back_up(&to).await.unwrap();
    writing.abort();
    assert!(!copy.path().join("a copy?.db-wal").exists());
    SqliteStore::verify(&to).unwrap();
    assert!(!copy.path().join("a copy?.db-wal").exists());
    std::fs::rename(to, copy.path().join("imd.db")).unwrap();
    let kept = bodies(&reopen(&copy, false)).await;
    assert!(kept.len() >= 201, "{}", kept.len());
    for (at, body) in kept.iter().enumerate() {
        assert_eq!(body.split(' ').next(), Some(at.to_string().as_str()));
    }
}

#[tokio::test]
async fn a_damaged_or_foreign_copy_is_told() {
    let (store, _folder) = open();
    append(&store, &"x".repeat(100_000)).await.await.unwrap();
    let copy = tempfile::tempdir().unwrap();
    let to = copy.path().join("copy.db");
    store.back_up(&to).await.unwrap();
    let mut bytes = std::fs::read(&to).unwrap();
    let end = bytes.len();
    bytes.truncate(end / 2);
    std::fs::write(&to, &bytes).unwrap();
    let damaged = SqliteStore::verify(&to);
    assert!(
        matches!(damaged, Err(StoreError::Damaged { .. })),
        "{damaged:?}"
    );
    std::fs::write(&to, b"").unwrap();
    let empty = SqliteStore::verify(&to);
    assert!(
        matches!(empty, Err(StoreError::Damaged { .. })),
        "{empty:?}"
    );
}
