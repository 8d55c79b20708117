//! Reads in threads, and short ones without.

use std::future::Future;
use std::time::Duration;

use super::*;
use crate::{AccountStore as _, RosterStore as _};

async fn soon<T>(answer: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), answer)
        .await
        .expect("it waits for another read")
}

/// Keeps all reading threads busy until what is returned is dropped.
async fn occupy(store: &Arc<SqliteStore>) -> Vec<mpsc::Sender<()>> {
    let mut held = Vec::new();
    for _ in 0..READERS {
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
        held.push(release);
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

#[tokio::test]
async fn short_reads_that_find_no_free_connection_or_fail_are_done_by_a_thread() {
    let (store, _folder) = open();
    let runs = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = Arc::clone(&runs);
    let once = move |_: &Connection| match count.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
    {
        0 => Err(StoreError::absent("the first time").into()),
        _ => Ok(std::thread::current().name().map(str::to_owned)),
    };
    let by = store.read_short(once).await.unwrap();
    assert_eq!(by.as_deref(), Some("store-reader"));
    for _ in 0..=SHORT_READS {
        let panics =
            store.read_short(|_| -> std::result::Result<(), Fault> { panic!("a mistake") });
        assert!(matches!(panics.await, Err(StoreError::Closed { .. })));
    }
    assert_eq!(store.account("nobody").await, Ok(None));
    store.close().await.unwrap();
    assert!(matches!(
        store.account("nobody").await,
        Err(StoreError::Closed { .. })
    ));
}
