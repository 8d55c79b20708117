//! Occupants who are not clients of this server, as behind a component or on another server: they get the same, in the
//! same order, and leave when they cannot be reached.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail loudly"
)]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use imd::feature::Service;
use imd::feature::muc::role::Affiliation;
use imd::feature::muc::settings::Settings;
use imd::route;
use imd::server::Server;
use imd::shutdown::Shutdown;
use imd_proto::xml::{Limits, parse_document};
use imd_proto::{Condition, Element, Jid, Kind, Stanza};
use imd_store::Commit;
use imd_store::sqlite::{SqliteOptions, SqliteStore};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

const ROOM: &str = "hall@rooms.example.test";

/// Stands for another domain: it keeps what is sent there.
struct Elsewhere {
    came: UnboundedSender<Element>,
}

#[async_trait]
impl Service for Elsewhere {
    async fn stanza(&self, _: &Arc<Server>, stanza: Stanza) -> Option<Commit> {
        self.came.send(stanza.element).unwrap();
        None
    }
}

struct Case {
    _folder: tempfile::TempDir,
    server: Arc<Server>,
    came: UnboundedReceiver<Element>,
}

impl Case {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let text = format!(
            "domain = \"example.test\"\ndata_dir = {path:?}\n[tls]\ncertificate = \"/c\"\nkey = \"/k\"\n"
        );
        let config = imd::config::parse("settings", &text).unwrap();
        let options = SqliteOptions {
            full_text: false,
            check: false,
        };
        let store = SqliteStore::open(&path.join("imd.sqlite"), options).unwrap();
        let server = Server::new(config, Arc::new(store), Shutdown::default()).unwrap();
        let (sender, came) = unbounded_channel();
        server.add_service("elsewhere.test", Arc::new(Elsewhere { came: sender }));
        Self {
            _folder: folder,
            server,
            came,
        }
    }

    async fn room(&self, settings: Settings, affiliations: &[(&str, Affiliation)]) {
        let affiliations: Vec<(Jid, Affiliation)> = affiliations
            .iter()
            .map(|(jid, affiliation)| (jid.parse().unwrap(), *affiliation))
            .collect();
        let rooms = &self.server.rooms;
        rooms
            .create(
                &self.server,
                &ROOM.parse().unwrap(),
                settings,
                &affiliations,
            )
            .await
            .unwrap();
    }

    async fn send(&self, from: &str, xml: &str) -> Option<Commit> {
        let (start, rest) = xml.split_once(' ').unwrap();
        let text = format!("{start} xmlns='jabber:client' {rest}");
        let element = parse_document(&text, Limits::default()).unwrap();
        let kind = Kind::of(&element).unwrap();
        let stanza = Stanza::stamp(kind, element, from.parse().unwrap()).unwrap();
        route::stanza(&self.server, stanza, None).await
    }

    async fn join(&self, from: &str, nick: &str) {
        let x = "<x xmlns='http://jabber.org/protocol/muc'/>";
        self.send(
            from,
            &format!("<presence to='{ROOM}/{nick}'>{x}</presence>"),
        )
        .await;
    }

    async fn say(&self, from: &str, id: &str) -> Option<Commit> {
        let text =
            format!("<message type='groupchat' to='{ROOM}' id='{id}'><body>x</body></message>");
        self.send(from, &text).await
    }

    /// The next stanza.
    async fn next(&mut self) -> Element {
        tokio::time::timeout(Duration::from_secs(10), self.came.recv())
            .await
            .unwrap()
            .unwrap()
    }

    /// The next message; what comes before it is passed over.
    async fn message(&mut self) -> Element {
        loop {
            let next = self.next().await;
            if next.name() == "message" && next.child_text("subject").is_none() {
                return next;
            }
        }
    }

    async fn occupants(&self) -> usize {
        let all = self.server.rooms.overview(&self.server).await.unwrap();
        all.iter().find(|room| room.jid == ROOM).unwrap().occupants
    }
}

fn error(element: &Element) -> &str {
    let error = element.child("error", "jabber:client").unwrap();
    error.children().next().unwrap().name()
}

#[tokio::test]
async fn people_from_elsewhere_take_part_and_order_is_kept() {
    let mut case = Case::new().await;
    case.room(Settings::default(), &[]).await;
    case.join("una@elsewhere.test/r", "Una").await;
    case.join("otto@elsewhere.test/r", "Otto").await;
    for number in 0..20 {
        let commit = case
            .say("una@elsewhere.test/r", &format!("m{number}"))
            .await;
        // The next one is said before this one is on the disk.
        drop(commit.expect("a message waits for its commit"));
    }
    let (mut otto, mut una) = (Vec::new(), Vec::new());
    while otto.len() < 20 || una.len() < 20 {
        let message = case.message().await;
        assert_eq!(message.attr("from"), Some(format!("{ROOM}/Una").as_str()));
        let id = message.attr("id").unwrap().to_owned();
        match message.attr("to").unwrap() {
            "otto@elsewhere.test/r" => otto.push(id),
            "una@elsewhere.test/r" => una.push(id),
            other => panic!("nobody is {other}"),
        }
    }
    let order: Vec<_> = (0..20).map(|number| format!("m{number}")).collect();
    assert_eq!(otto, order);
    assert_eq!(una, order);
}

#[tokio::test]
async fn people_from_elsewhere_make_no_rooms() {
    let mut case = Case::new().await;
    case.join("una@elsewhere.test/r", "Una").await;
    assert_eq!(error(&case.next().await), Condition::NotAllowed.as_str());
    assert!(
        case.server
            .rooms
            .overview(&case.server)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn whoever_cannot_be_reached_leaves_and_no_error_is_answered() {
    let mut case = Case::new().await;
    case.room(Settings::default(), &[]).await;
    case.join("una@elsewhere.test/r", "Una").await;
    // A server that is not there: the first presence comes back as an error.
    case.join("gone@nowhere.test/r", "Gone").await;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while case.occupants().await != 1 {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::task::yield_now().await;
    }
    loop {
        let presence = case.next().await;
        if presence.attr("type") == Some("unavailable") {
            assert_eq!(presence.attr("from"), Some(format!("{ROOM}/Gone").as_str()));
            break;
        }
    }
    let gone = "<error type='cancel'><recipient-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>";
    let bounce = format!("<message type='error' to='{ROOM}'>{gone}</message>");
    case.send("una@elsewhere.test/r", &bounce).await;
    assert_eq!(case.next().await.attr("type"), Some("unavailable"));
    case.send("una@elsewhere.test/r", &bounce).await;
    case.say("una@elsewhere.test/r", "m").await;
    // Only what was said is answered: the second error was not.
    assert_eq!(case.next().await.name(), "message");
    assert_eq!(case.occupants().await, 0);
}

#[tokio::test]
async fn a_room_of_the_server_lets_in_its_members_and_an_account_that_ends_is_forgotten() {
    let mut case = Case::new().await;
    let closed = Settings {
        members_only: true,
        ..Settings::default()
    };
    case.room(closed, &[("una@elsewhere.test", Affiliation::Member)])
        .await;
    case.join("otto@elsewhere.test/r", "Otto").await;
    assert_eq!(
        error(&case.next().await),
        Condition::RegistrationRequired.as_str()
    );
    case.join("una@elsewhere.test/r", "Una").await;
    assert_eq!(case.occupants().await, 1);
    let rooms = Arc::clone(&case.server.rooms);
    let una: Jid = "una@elsewhere.test".parse().unwrap();
    rooms.forget(&case.server, &una).await;
    assert_eq!(case.occupants().await, 0);
    rooms
        .destroy(&case.server, &ROOM.parse().unwrap(), Some("over"))
        .await
        .unwrap();
    assert!(rooms.overview(&case.server).await.unwrap().is_empty());
}
