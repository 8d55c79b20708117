//! What was acknowledged is on the disk after the process was killed, and a real full disk is survived.
//!
//! The tests start this test program again as a child, which runs one of the ignored tests below.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests"
)]

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use imd_store::sqlite::{SqliteOptions, SqliteStore};
use imd_store::{
    ArchiveEntry, ArchiveFilter, ArchiveId, ArchivePaging, ArchiveStore as _, StoreError, Write,
};

const FOLDER: &str = "IMD_STORE_TEST_FOLDER";

fn open(folder: &Path) -> Result<SqliteStore, StoreError> {
    SqliteStore::open(&folder.join("imd.db"), SqliteOptions::default())
}

fn child_folder() -> PathBuf {
    std::env::var_os(FOLDER)
        .expect("only the tests of this file start this one")
        .into()
}

fn entry(store: &SqliteStore, body: &str) -> ArchiveEntry {
    ArchiveEntry {
        id: store.archive_ids().next(),
        owner: "alice@x".to_owned(),
        with: "bob@x".to_owned(),
        with_resource: None,
        time: 0,
        stanza: format!("<message><body>{body}</body></message>"),
        message_id: Some(body.to_owned()),
        origin_id: None,
        groupchat: false,
        body: None,
    }
}

async fn all(store: &SqliteStore) -> Vec<ArchiveEntry> {
    let paging = ArchivePaging {
        max: 1_000_000,
        ..ArchivePaging::default()
    };
    store
        .archive_page("alice@x", ArchiveFilter::default(), paging)
        .await
        .unwrap()
        .entries
}

#[tokio::test]
async fn every_acknowledged_message_survives_a_kill_once() {
    for kill_after in [1, 300, 2_000] {
        let folder = tempfile::tempdir().unwrap();
        let acknowledged = run_writer_and_kill(folder.path(), kill_after);
        let store = open(folder.path()).unwrap();
        let mut found: HashMap<ArchiveId, u32> = HashMap::new();
        for entry in all(&store).await {
            *found.entry(entry.id).or_default() += 1;
        }
        assert!(acknowledged.len() >= kill_after);
        for id in acknowledged {
            assert_eq!(found.get(&id), Some(&1), "{id}");
        }
    }
}

/// Starts a child that writes and prints each id once its commit is done, kills it after so many, and returns all it printed.
fn run_writer_and_kill(folder: &Path, kill_after: usize) -> Vec<ArchiveId> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--ignored",
            "--exact",
            "child_that_writes_until_killed",
            "--nocapture",
        ])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut ids = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let Ok(line) = line else { break };
        // The test harness's own lines are not ids, and the kill may cut the last line short.
        ids.extend(line.parse::<ArchiveId>());
        if ids.len() == kill_after {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    ids
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "started by every_acknowledged_message_survives_a_kill_once"]
async fn child_that_writes_until_killed() {
    let store = Arc::new(open(&child_folder()).unwrap());
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            loop {
                let entry = entry(&store, "hello");
                let id = entry.id;
                store
                    .append(vec![Write::Archive(entry)])
                    .await
                    .await
                    .unwrap();
                println!("{id}");
            }
        });
    }
    let ended: Option<Result<(), _>> = tasks.join_next().await;
    panic!("a writer ended: {ended:?}");
}

/// Runs an ignored test of this file in its own mount namespace with a small file system of its own at
/// the folder. `None`, after saying so, where this user may not mount.
fn run_on_small_disk(test: &str) -> Option<bool> {
    let folder = tempfile::tempdir().unwrap();
    let mount = "mount -t tmpfs -o size=1m tmpfs \"$0\" 2>/dev/null || exit 77; exec \"$@\"";
    let run = Command::new("unshare")
        .args(["--mount", "sh", "-c", mount])
        .arg(folder.path())
        .arg(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", test])
        .env(FOLDER, folder.path())
        .output();
    match run {
        Ok(run) if run.status.success() => Some(true),
        Ok(run) if run.status.code() == Some(101) => {
            println!("{}", String::from_utf8_lossy(&run.stdout));
            Some(false)
        }
        other => {
            println!("skipped: cannot mount a small file system here ({other:?})");
            None
        }
    }
}

#[test]
fn a_really_full_disk_is_survived() {
    assert_ne!(run_on_small_disk("child_on_a_full_disk"), Some(false));
}

#[tokio::test]
#[ignore = "started by a_really_full_disk_is_survived"]
async fn child_on_a_full_disk() {
    let folder = child_folder();
    let store = open(&folder).unwrap();
    let large = "x".repeat(20_000);
    let mut kept = 0;
    let refused = loop {
        match store
            .append(vec![Write::Archive(entry(&store, &large))])
            .await
            .await
        {
            Ok(()) => kept += 1,
            Err(error) => break error,
        }
        assert!(kept < 1_000, "the disk is not small");
    };
    assert!(matches!(refused, StoreError::Full { .. }), "{refused:?}");
    assert_eq!(all(&store).await.len(), kept, "reading goes on");
    // What a person does who makes space: here, on a larger disk.
    let grown = Command::new("mount")
        .args(["-o", "remount,size=8m"])
        .arg(&folder)
        .status()
        .unwrap();
    assert!(grown.success());
    store
        .append(vec![Write::Archive(entry(&store, &large))])
        .await
        .await
        .unwrap();
    assert_eq!(all(&store).await.len(), kept + 1);
}

#[test]
fn a_read_only_file_system_is_refused_by_name() {
    assert_ne!(
        run_on_small_disk("child_on_a_read_only_file_system"),
        Some(false)
    );
}

#[tokio::test]
#[ignore = "started by a_read_only_file_system_is_refused_by_name"]
async fn child_on_a_read_only_file_system() {
    let folder = child_folder();
    let remount = |how: &str| {
        assert!(
            Command::new("mount")
                .args(["-o", how])
                .arg(&folder)
                .status()
                .unwrap()
                .success()
        );
    };
    remount("remount,ro");
    assert!(
        matches!(open(&folder), Err(StoreError::ReadOnly { .. })),
        "no database yet"
    );
    remount("remount,rw");
    drop(open(&folder).unwrap());
    remount("remount,ro");
    let refused = open(&folder);
    assert!(
        matches!(refused, Err(StoreError::ReadOnly { .. })),
        "{refused:?}"
    );
    remount("remount,rw");
    let store = open(&folder).unwrap();
    store
        .append(vec![Write::Archive(entry(&store, "x"))])
        .await
        .await
        .unwrap();
}
