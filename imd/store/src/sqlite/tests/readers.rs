//! Reads in threads, and short ones without.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::super::readers::{READERS, SHORT_READS};
use super::*;
use crate::{AccountStore as _, RosterStore as _};

async fn soon<T>(answer: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), answer)
        .await
        .expect("it waits for another read")
}

/// Keeps one reading thread busy until what is returned is dropped.
async fn hold(store: &Arc<SqliteStore>) -> mpsc::Sender<()> {
    let (release, wait) = mpsc::channel::<()>();
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let store = Arc::clone(store);
    tokio::spawn(async move {
        let long = store.read(move |_| {
            begun.send(()).ok();
            wait.recv().ok();
            Ok(())
        });
        long.await
    });
    soon(has_begun).await.unwrap();
    release
}

/// The same for all of them.
async fn occupy(store: &Arc<SqliteStore>) -> Vec<mpsc::Sender<()>> {
    let mut held = Vec::new();
    for _ in 0..READERS {
        held.push(hold(store).await);
    }
    held
}

#[tokio::test]
async fn a_login_is_not_held_up_by_long_reads() {
    let (store, _folder) = open();
    let store = Arc::new(store);
    crate::contract::add_account(&*store, "alice").await;
    let held = occupy(&store).await;
    assert!(soon(store.account("alice")).await.unwrap().is_some());
    assert!(soon(store.roster("alice")).await.unwrap().items.is_empty());
    drop(held);
}

/// Which thread a short read is made by.
async fn reader(store: &SqliteStore) -> Option<String> {
    let name = |_: &Connection| Ok(std::thread::current().name().map(str::to_owned));
    soon(store.read_short(name)).await.unwrap()
}

#[tokio::test]
async fn a_short_read_is_made_by_a_thread_while_no_connection_is_free() {
    let (store, _folder) = open();
    let store = Arc::new(store);
    assert_ne!(reader(&store).await.as_deref(), Some("store-reader"));
    let (begun, has_begun) = mpsc::channel();
    let held: Vec<_> = (0..SHORT_READS)
        .map(|_| {
            let (release, wait) = mpsc::channel::<()>();
            let (store, begun) = (Arc::clone(&store), begun.clone());
            let runtime = tokio::runtime::Handle::current();
            let thread = std::thread::spawn(move || {
                runtime.block_on(store.read_short(move |_| {
                    begun.send(()).ok();
                    wait.recv().ok();
                    Ok(())
                }))
            });
            has_begun.recv_timeout(Duration::from_secs(60)).unwrap();
            (release, thread)
        })
        .collect();
    assert_eq!(reader(&store).await.as_deref(), Some("store-reader"));
    for (release, thread) in held {
        drop(release);
        thread.join().unwrap().unwrap();
    }
    assert_ne!(reader(&store).await.as_deref(), Some("store-reader"));
}

#[tokio::test]
async fn a_short_read_that_fails_or_panics_is_made_again_by_a_thread() {
    let (store, _folder) = open();
    let runs = AtomicUsize::new(0);
    let fails_once = move |_: &Connection| match runs.fetch_add(1, Ordering::Relaxed) {
        0 => Err(StoreError::absent("the first time").into()),
        _ => Ok(std::thread::current().name().map(str::to_owned)),
    };
    let by = store.read_short(fails_once).await.unwrap();
    assert_eq!(by.as_deref(), Some("store-reader"));
    for _ in 0..=SHORT_READS {
        let panics =
            store.read_short(|_| -> std::result::Result<(), Fault> { panic!("a mistake") });
        assert!(matches!(panics.await, Err(StoreError::Closed { .. })));
    }
    assert_ne!(reader(&store).await.as_deref(), Some("store-reader"));
}

#[tokio::test]
async fn after_closing_short_reads_are_refused() {
    let (store, _folder) = open();
    assert_eq!(store.account("nobody").await, Ok(None));
    store.close().await.unwrap();
    assert!(matches!(
        store.account("nobody").await,
        Err(StoreError::Closed { .. })
    ));
}

#[tokio::test]
async fn threads_and_connections_start_when_they_are_needed() {
    let (store, _folder) = open();
    let store = Arc::new(store);
    assert_eq!(store.readers.open(), 1);
    for _ in 0..10 {
        store.read(|_| Ok(())).await.unwrap();
    }
    assert_eq!(store.readers.open(), 1, "one thread is enough");
    reader(&store).await;
    assert_eq!(store.readers.open(), 2, "one more, without a thread");
    let held = occupy(&store).await;
    assert_eq!(store.readers.open(), 1 + READERS);
    drop(held);
    store.close().await.unwrap();
    assert_eq!(store.readers.open(), 0);
}

#[tokio::test]
async fn where_no_connection_can_be_opened_those_that_there_are_go_on() {
    let (store, folder) = open();
    let store = Arc::new(store);
    let (file, elsewhere) = (store.path.clone(), folder.path().join("elsewhere"));
    std::fs::rename(&file, &elsewhere).unwrap();
    assert_eq!(reader(&store).await.as_deref(), Some("store-reader"));
    let release = hold(&store).await;
    let mut next = Box::pin(store.read(|_| Ok(())));
    let waits = tokio::time::timeout(Duration::from_millis(20), &mut next);
    assert!(waits.await.is_err(), "there is a second thread");
    drop(release);
    soon(next).await.unwrap();
    soon(async {
        while store.readers.open() > 1 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    std::fs::rename(&elsewhere, &file).unwrap();
    assert_ne!(reader(&store).await.as_deref(), Some("store-reader"));
    drop(occupy(&store).await);
}
