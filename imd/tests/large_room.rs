//! One room with 1,000 occupants, in this process and without a network: everybody gets everything, once, in the order of
//! the archive.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail loudly"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use imd::route;
use imd::server::Server;
use imd::session::Session;
use imd::shutdown::Shutdown;
use imd_proto::{Element, Jid, Kind, Stanza, ns};
use imd_store::sqlite::{SqliteOptions, SqliteStore};
use imd_store::{Account, AccountStore as _, Role};

const OCCUPANTS: usize = 1000;
const SPEAKERS: usize = 20;
const EACH: usize = 5;
const ROOM: &str = "hall@rooms.example.test";

async fn server(folder: &std::path::Path) -> Arc<Server> {
    let text = format!(
        "domain = \"example.test\"\ndata_dir = {folder:?}\n[tls]\ncertificate = \"/c\"\nkey = \"/k\"\n"
    );
    let config = imd::config::parse("settings", &text).unwrap();
    let options = SqliteOptions {
        full_text: false,
        check: false,
    };
    let store = SqliteStore::open(&folder.join("imd.sqlite"), options).unwrap();
    let account = Account {
        username: "u0".into(),
        role: Role::Member,
        enabled: true,
        created_at: 0,
    };
    let credentials = imd::sasl::derive("password").unwrap();
    store.create_account(account, credentials).await.unwrap();
    Server::new(config, Arc::new(store), Shutdown::default()).unwrap()
}

fn enter(server: &Server, number: usize) -> Arc<Session> {
    let jid: Jid = format!("u{number}@example.test/r").parse().unwrap();
    let session = Session::new(jid, 64 << 20);
    server.directory.enter(&session, 1).unwrap();
    session
}

async fn join(server: &Arc<Server>, session: &Arc<Session>) {
    let presence = Element::new("presence", ns::CLIENT)
        .with_attr("to", format!("{ROOM}/{}", session.user))
        .with_child(Element::new("x", ns::MUC));
    let stanza = Stanza::stamp(Kind::Presence, presence, session.jid.clone()).unwrap();
    route::presence::from_session(server, session, stanza).await;
}

/// Accept the configuration as it is, which unlocks the room.
async fn unlock(server: &Arc<Server>, owner: &Arc<Session>) {
    let form = Element::new("x", ns::DATA_FORM).with_attr("type", "submit");
    let query = Element::new("query", "http://jabber.org/protocol/muc#owner").with_child(form);
    let iq = Element::new("iq", ns::CLIENT)
        .with_attr("type", "set")
        .with_attr("id", "unlock")
        .with_attr("to", ROOM)
        .with_child(query);
    let stanza = Stanza::stamp(Kind::Iq, iq, owner.jid.clone()).unwrap();
    route::stanza(server, stanza, Some(owner)).await;
}

fn take(session: &Session) -> Vec<Arc<str>> {
    let mut all = Vec::new();
    session.outbound.take(usize::MAX, &mut all);
    all
}

/// Says `EACH` messages, each when the one before is on the disk and has come back.
async fn speak(server: Arc<Server>, session: Arc<Session>) {
    for number in 0..EACH {
        let message = Element::new("message", ns::CLIENT)
            .with_attr("type", "groupchat")
            .with_attr("id", format!("{}-{number}", session.user))
            .with_attr("to", ROOM)
            .with_child(Element::new("body", ns::CLIENT).with_text("to all"));
        let stanza = Stanza::stamp(Kind::Message, message, session.jid.clone()).unwrap();
        let commit = route::stanza(&server, stanza, Some(&session)).await;
        commit
            .expect("a message waits for its commit")
            .await
            .unwrap();
    }
}

fn attribute<'a>(xml: &'a str, start: &str) -> &'a str {
    let value = xml.split(start).nth(1).unwrap();
    &value[..value.find('\'').unwrap()]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_occupants_get_every_message_in_the_order_of_the_archive() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path()).await;
    let began = Instant::now();
    let mut sessions = Vec::with_capacity(OCCUPANTS);
    for number in 0..OCCUPANTS {
        let session = enter(&server, number);
        join(&server, &session).await;
        if number == 0 {
            unlock(&server, &session).await;
        }
        // The newcomer sees everybody, itself and the subject; the others see the newcomer.
        let seen = take(&session).len();
        assert_eq!(seen, number + 2 + usize::from(number == 0));
        sessions.push(session);
    }
    let entered = began.elapsed();
    for session in &sessions {
        take(session);
    }
    let speakers = sessions.iter().step_by(OCCUPANTS / SPEAKERS);
    let tasks: Vec<_> = speakers
        .map(|s| tokio::spawn(speak(Arc::clone(&server), Arc::clone(s))))
        .collect();
    let began = Instant::now();
    for task in tasks {
        task.await.unwrap();
    }
    let spoken = began.elapsed();
    println!(
        "{OCCUPANTS} entered in {entered:?}; {} messages to all took {spoken:?}",
        SPEAKERS * EACH
    );
    // Speakers wait for their own copies only.
    let all_have_all = async {
        for session in &sessions {
            while session.outbound.unacknowledged_stanzas().len() < SPEAKERS * EACH {
                tokio::task::yield_now().await;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), all_have_all)
        .await
        .expect("everybody gets everything");
    let first: Vec<Arc<str>> = take(&sessions[0]);
    let order: Vec<String> = first
        .iter()
        .map(|m| attribute(m, " id='").to_owned())
        .collect();
    let archived: Vec<String> = first
        .iter()
        .map(|m| m.split("<stanza-id ").nth(1).unwrap())
        .map(|m| attribute(m, " id='").to_owned())
        .collect();
    assert_eq!(order.len(), SPEAKERS * EACH);
    assert!(archived.is_sorted(), "{archived:?}");
    for session in &sessions[1..] {
        let got = take(session);
        let same: Vec<_> = got
            .iter()
            .map(|m| attribute(m, " id='").to_owned())
            .collect();
        assert_eq!(same, order, "{}", session.jid);
        assert!(
            got.iter()
                .all(|m| attribute(m, " to='") == session.jid.as_str())
        );
    }
    assert!(
        entered + spoken < Duration::from_secs(120),
        "{entered:?} {spoken:?}"
    );
}
