//! An author gets nothing before its commit, others need not wait, and nothing overtakes.

use std::time::Duration;

use imd_proto::{Element, ns};
use imd_store::sqlite::{SqliteOptions, SqliteStore};

use super::*;
use crate::feature::muc::history::{Past, Wanted};
use crate::feature::muc::room::Room;
use crate::feature::muc::settings::Settings;
use crate::session::Session;
use crate::shutdown::Shutdown;

struct Case {
    _folder: tempfile::TempDir,
    server: Arc<Server>,
    handle: Arc<Handle>,
}

fn case() -> Case {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "domain = \"x\"\ndata_dir = {0:?}\n[tls]\ncertificate = {0:?}\nkey = {0:?}\n",
        folder.path()
    );
    let config = crate::config::parse("settings", &text).unwrap();
    let options = SqliteOptions {
        full_text: false,
        check: false,
    };
    let store = SqliteStore::open(&folder.path().join("imd.sqlite"), options).unwrap();
    let server = Server::new(config, Arc::new(store), Shutdown::default()).unwrap();
    let handle = server
        .rooms
        .registry
        .handle(&"tea@rooms.x".parse().unwrap());
    Case {
        _folder: folder,
        server,
        handle,
    }
}

fn enter(server: &Server, jid: &str) -> Arc<Session> {
    let session = Session::new(jid.parse().unwrap(), 1 << 20);
    server.directory.enter(&session, 1).unwrap();
    session
}

fn to_all(id: &str, sessions: &[Arc<Session>]) -> Vec<Delivery> {
    let message = Element::new("message", ns::CLIENT).with_attr("id", id);
    let to = sessions.iter().map(|s| s.jid.clone()).collect();
    vec![Delivery::new(message, to)]
}

/// The ids of what waits for a client.
fn has(session: &Session) -> Vec<String> {
    let all = session.outbound.unacknowledged_stanzas().concat();
    let ids = all.split("id='").skip(1).map(|m| m[..1].to_owned());
    ids.collect()
}

/// Wait until a client has so many.
async fn comes(session: &Session, many: usize) -> Vec<String> {
    let wait = async {
        while has(session).len() < many {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), wait)
        .await
        .unwrap();
    has(session)
}

async fn let_others_run() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

impl Case {
    /// A message of an author, with a commit that the test answers.
    fn says(
        &self,
        id: &str,
        author: &Session,
        to: &[Arc<Session>],
        archived: Option<ArchiveId>,
    ) -> (Answer, Commit) {
        let (answer, commit) = open_commit();
        let waits = enqueue(
            &self.server,
            &self.handle,
            Some(commit),
            archived,
            Some(&author.jid),
            to_all(id, to),
        );
        (answer, waits.unwrap())
    }
}

type Answer = oneshot::Sender<imd_store::Result<()>>;

fn open_commit() -> (Answer, Commit) {
    let (answer, receiver) = oneshot::channel();
    let path = std::path::PathBuf::new();
    (
        answer,
        Commit::waiting(receiver, StoreError::Closed { path }),
    )
}

#[tokio::test]
async fn others_get_a_message_at_once_and_its_author_when_it_is_on_the_disk() {
    let case = case();
    let (ann, bob) = (
        enter(&case.server, "ann@x/r"),
        enter(&case.server, "bob@x/r"),
    );
    let all = [Arc::clone(&ann), Arc::clone(&bob)];
    let (first, waits) = case.says("1", &ann, &all, None);
    assert_eq!(has(&bob), ["1"]);
    // What comes after it does not overtake it, whoever says it and whenever that is on the disk.
    send(&case.server, &case.handle, to_all("2", &all).into()).await;
    let (third, _) = case.says("3", &bob, &all, None);
    third.send(Ok(())).unwrap();
    let_others_run().await;
    assert_eq!(has(&bob), ["1", "2"], "its own waits");
    assert!(has(&ann).is_empty());
    first.send(Ok(())).unwrap();
    assert_eq!(waits.await, Ok(()));
    assert_eq!(comes(&ann, 3).await, ["1", "2", "3"]);
    assert_eq!(comes(&bob, 3).await, ["1", "2", "3"]);
    // Nobody waits any more.
    while !case.handle.outbox.is_idle() {
        tokio::task::yield_now().await;
    }
    send(&case.server, &case.handle, to_all("4", &all).into()).await;
    assert_eq!(has(&ann).len(), 4);
}

#[tokio::test]
async fn a_message_that_cannot_be_kept_does_not_come_back_and_its_author_learns_it() {
    let case = case();
    let ann = enter(&case.server, "ann@x/r");
    let all = [Arc::clone(&ann)];
    let mut room = Room::new(case.handle.jid.clone(), Settings::default(), 0, 10);
    room.history.push(Past {
        id: ArchiveId(7),
        time: 0,
        xml: "<message/>".into(),
    });
    *case.handle.state.lock().await = Some(room);
    let (answer, waits) = case.says("1", &ann, &all, Some(ArchiveId(7)));
    send(&case.server, &case.handle, to_all("2", &all).into()).await;
    let full = StoreError::Full { path: "db".into() };
    answer.send(Err(full.clone())).unwrap();
    assert_eq!(waits.await, Err(full));
    assert_eq!(comes(&ann, 1).await, ["2"]);
    let state = case.handle.state.lock().await;
    let history = &state.as_ref().unwrap().history;
    assert!(history.select(&Wanted::default(), 10, 0).is_empty());
}

#[tokio::test]
async fn what_is_said_while_a_message_is_on_its_way_to_many_comes_after_it() {
    let case = case();
    let all: Vec<_> = (0..100)
        .map(|number| enter(&case.server, &format!("a{number}@x/r")))
        .collect();
    let guest = enter(&case.server, "guest@x/r");
    let (answer, _) = case.says("1", &guest, &all[..20], None);
    answer.send(Ok(())).unwrap();
    assert_eq!(has(&all[19]), ["1"], "few have theirs at once");
    let (answer, _) = case.says("2", &guest, &all, None);
    answer.send(Ok(())).unwrap();
    while has(&all[20]).is_empty() {
        tokio::task::yield_now().await;
    }
    assert!(
        has(&all[99]).is_empty(),
        "others have their turn in between"
    );
    // The last one speaks before it has got that, and the disk is quick.
    let (answer, waits) = case.says("3", &all[99], &all, None);
    answer.send(Ok(())).unwrap();
    send(&case.server, &case.handle, to_all("4", &all).into()).await;
    waits.await.unwrap();
    for session in &all[20..] {
        assert_eq!(comes(session, 3).await, ["2", "3", "4"], "{}", session.jid);
    }
}
