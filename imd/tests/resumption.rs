//! A resumed session loses and doubles nothing (XEP-0198 §5), whatever happens to connections and to the daemon.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail loudly"
)]

mod support;

use std::sync::Arc;

use imd_store::Role;
use support::talk::{Dice, Talked, Talker};
use support::{Login, TestServer};
use tokio::sync::{Barrier, RwLock};

/// Any number will do; another one finds other moments.
const SEED: u64 = 2026;

async fn talk(
    server: &Arc<RwLock<TestServer>>,
    messages: u32,
    cuts: u32,
) -> Vec<tokio::task::JoinHandle<anyhow::Result<Talked>>> {
    for user in ["alice", "bob"] {
        let account = server.read().await;
        account.account(user, Role::Member).await.unwrap();
    }
    let both = Arc::new(Barrier::new(2));
    [("alice", "bob"), ("bob", "alice")]
        .map(|(user, other)| {
            let talker = Talker {
                server: Arc::clone(server),
                login: Login::new(user).resumable(),
                to: format!("{other}@example.test/main"),
                messages,
                cuts,
                dice: Dice::new(SEED + user.len() as u64),
                both: Arc::clone(&both),
            };
            tokio::spawn(talker.talk())
        })
        .into()
}

fn check(talked: &Talked, messages: u32) {
    let expected: Vec<u32> = (1..=messages).collect();
    let first_wrong = talked
        .received
        .iter()
        .zip(&expected)
        .position(|(a, b)| a != b);
    assert!(
        talked.received == expected,
        "{} received instead of {messages}; the first that is not in its place is number {first_wrong:?}",
        talked.received.len()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_cuts_lose_and_double_nothing() {
    let server = TestServer::start("").await.unwrap();
    let server = Arc::new(RwLock::new(server));
    let mut resumed = 0;
    for talk in talk(&server, 600, 100).await {
        let talked = talk.await.unwrap().unwrap();
        check(&talked, 600);
        resumed += talked.resumed;
    }
    assert!(resumed >= 200, "{resumed} resumptions");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restarts_of_the_daemon_lose_and_double_nothing() {
    let server = TestServer::prepare("").unwrap().into_daemon();
    let server = Arc::new(RwLock::new(server));
    server.write().await.start_again().await.unwrap();
    let talks = talk(&server, 400, 5).await;
    for _ in 0..5 {
        // Long enough for a part of the talk, whatever part.
        tokio::time::sleep(std::time::Duration::from_millis(400)).await;
        let mut server = server.write().await;
        server.stop().await.unwrap();
        server.start_again().await.unwrap();
    }
    for talk in talks {
        let talked = talk.await.unwrap().unwrap();
        check(&talked, 400);
    }
}
