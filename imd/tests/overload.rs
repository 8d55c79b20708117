//! More is asked of the server than it may do: who sends too much is read later and loses nothing, and who comes when it is full is told
//! when to come again.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use std::time::{Duration, Instant};

use imd_proto::{Element, ns};
use imd_store::Role;
use support::{Client, DEADLINE, DOMAIN, Login, TestServer};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

async fn logged_in(server: &TestServer, user: &str) -> Client {
    server.account(user, Role::Member).await.unwrap();
    let mut client = Client::connect(server, &Login::new(user)).await.unwrap();
    client.send("<presence/>").await.unwrap();
    client.sync().await.unwrap();
    client
}

/// The bodies of so many messages.
async fn bodies(client: &mut Client, count: usize) -> Vec<String> {
    let mut bodies = Vec::new();
    let read = async {
        while bodies.len() < count {
            let element = client.next().await.unwrap().element().unwrap();
            bodies.extend(element.child_text("body"));
        }
    };
    tokio::time::timeout(DEADLINE, read)
        .await
        .expect("all messages");
    bodies
}

fn message(to: &Client, body: &str) -> String {
    format!(
        "<message type='chat' to='{}'><body>{body}</body></message>",
        to.jid
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn who_floods_is_slowed_and_loses_nothing_while_others_talk() {
    let server = TestServer::start("[limits]\naccount_rate = \"64KiB\"\naccount_burst = \"64KiB\"")
        .await
        .unwrap();
    let mut flood = logged_in(&server, "flood").await;
    let mut victim = logged_in(&server, "victim").await;
    let mut calm = logged_in(&server, "calm").await;
    let mut friend = logged_in(&server, "friend").await;
    let numbers: Vec<_> = (0..200).map(|n| n.to_string()).collect();
    let all: String = numbers.iter().map(|n| message(&victim, n)).collect();
    let began = Instant::now();
    flood.send_raw(&all).await.unwrap();
    // Each message counts as 1 KiB: 64 at once, 64 in a second.
    calm.send_raw(&message(&friend, "hello")).await.unwrap();
    assert_eq!(bodies(&mut friend, 1).await, ["hello"]);
    let others = began.elapsed();
    assert_eq!(bodies(&mut victim, 200).await, numbers);
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(1900), "{took:?}");
    assert!(
        others < took,
        "somebody else waited: {others:?} of {took:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_when_the_server_is_full_is_told_when_to_come_again() {
    let server = TestServer::start("[limits]\nsessions = 1").await.unwrap();
    let alice = logged_in(&server, "alice").await;
    let mut tcp = TcpStream::connect(server.address(false).unwrap())
        .await
        .unwrap();
    let mut heard = String::new();
    let read = tcp.read_to_string(&mut heard);
    tokio::time::timeout(DEADLINE, read)
        .await
        .expect("the server ends the connection")
        .unwrap();
    assert!(
        heard.contains("<resource-constraint xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>"),
        "{heard}"
    );
    let seconds: u64 = heard
        .split_once("<retry-after xmlns='urn:perch:overload:0'>")
        .and_then(|(_, rest)| rest.split_once('<'))
        .and_then(|(seconds, _)| seconds.parse().ok())
        .unwrap_or_else(|| panic!("no time in {heard}"));
    assert!((30..60).contains(&seconds), "{seconds}");
    // Once somebody goes, there is room.
    alice.disconnect().await.unwrap();
    let deadline = Instant::now() + DEADLINE;
    while Client::connect(&server, &Login::new("alice"))
        .await
        .is_err()
    {
        assert!(Instant::now() < deadline, "nobody is let in again");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_at_the_password_when_the_server_fills_is_asked_to_wait() {
    let server = TestServer::start("[limits]\nsessions = 1").await.unwrap();
    server.account("bob", Role::Member).await.unwrap();
    let mut bob = Client::open(&server, support::Way::DirectTls)
        .await
        .unwrap();
    let _alice = logged_in(&server, "alice").await;
    let plain = Element::new("auth", ns::SASL)
        .with_attr("mechanism", "PLAIN")
        .with_text("AGJvYgB4");
    bob.send_element(&plain).await.unwrap();
    let failure = bob.next().await.unwrap().element().unwrap();
    assert!(
        failure.child("temporary-auth-failure", ns::SASL).is_some(),
        "{failure:?}"
    );
    assert!(failure.child_text("text").is_some(), "{failure:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_logs_in_again_and_again_waits() {
    let server = TestServer::start("[limits]\naccount_rate = \"32KiB\"\naccount_burst = \"64KiB\"")
        .await
        .unwrap();
    server.account("alice", Role::Member).await.unwrap();
    let began = Instant::now();
    for _ in 0..4 {
        let alice = Client::connect(&server, &Login::new("alice"))
            .await
            .unwrap();
        alice.disconnect().await.unwrap();
    }
    // Two at once, then one each second.
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(1800), "{DOMAIN}: {took:?}");
}
