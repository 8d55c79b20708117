//! Nothing is delivered before its commit, and nothing overtakes.

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
    session: Arc<Session>,
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
    let session = Session::new("a@x/r".parse().unwrap(), 1 << 20);
    server.directory.enter(&session, 1).unwrap();
    let handle = server
        .rooms
        .registry
        .handle(&"tea@rooms.x".parse().unwrap());
    Case {
        _folder: folder,
        server,
        session,
        handle,
    }
}

impl Case {
    fn delivery(&self, id: &str) -> Vec<Delivery> {
        let message = Element::new("message", ns::CLIENT).with_attr("id", id);
        vec![Delivery::one(message, &self.session.jid)]
    }

    /// The ids that came, once there are so many.
    async fn came(&self, many: usize) -> Vec<String> {
        let mut all: Vec<Arc<str>> = Vec::new();
        let wait = async {
            while all.len() < many {
                self.session.outbound.take(usize::MAX, &mut all);
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), wait)
            .await
            .unwrap();
        let id = |stanza: &Arc<str>| stanza.split("id='").nth(1).unwrap()[..1].to_owned();
        all.iter().map(id).collect()
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
async fn a_message_and_all_that_follow_wait_for_its_commit() {
    let case = case();
    let (first, commit) = open_commit();
    let waits = enqueue(
        &case.server,
        &case.handle,
        Some((commit, None)),
        case.delivery("1"),
    );
    send(&case.server, &case.handle, case.delivery("2").into()).await;
    let (third, commit) = open_commit();
    enqueue(
        &case.server,
        &case.handle,
        Some((commit, None)),
        case.delivery("3"),
    );
    // The later commit comes first, and changes nothing.
    third.send(Ok(())).unwrap();
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(case.came(0).await.is_empty());
    first.send(Ok(())).unwrap();
    assert_eq!(waits.unwrap().await, Ok(()));
    assert_eq!(case.came(3).await, ["1", "2", "3"]);
}

#[tokio::test]
async fn a_message_that_cannot_be_kept_is_not_delivered_and_its_sender_learns_it() {
    let case = case();
    let mut room = Room::new(case.handle.jid.clone(), Settings::default(), 0, 10);
    room.history.push(Past {
        id: ArchiveId(7),
        time: 0,
        xml: "<message/>".into(),
    });
    *case.handle.state.lock().await = Some(room);
    let (answer, commit) = open_commit();
    let commit = Some((commit, Some(ArchiveId(7))));
    let waits = enqueue(&case.server, &case.handle, commit, case.delivery("1"));
    send(&case.server, &case.handle, case.delivery("2").into()).await;
    let full = StoreError::Full { path: "db".into() };
    answer.send(Err(full.clone())).unwrap();
    assert_eq!(waits.unwrap().await, Err(full));
    assert_eq!(case.came(1).await, ["2"]);
    let state = case.handle.state.lock().await;
    let history = &state.as_ref().unwrap().history;
    assert!(history.select(&Wanted::default(), 10, 0).is_empty());
}

#[tokio::test]
async fn what_is_said_while_a_message_is_on_its_way_to_many_comes_after_it() {
    let case = case();
    let sessions: Vec<_> = (0..100)
        .map(|number| {
            let session = Session::new(format!("a{number}@x/r").parse().unwrap(), 1 << 20);
            case.server.directory.enter(&session, 1).unwrap();
            session
        })
        .collect();
    let to_all = |id: &str| {
        let message = Element::new("message", ns::CLIENT).with_attr("id", id);
        let to = sessions.iter().map(|s| s.jid.clone()).collect();
        vec![Delivery::new(message, to)]
    };
    let have = || {
        let left = sessions
            .iter()
            .map(|s| s.outbound.unacknowledged_stanzas().len());
        left.collect::<Vec<_>>()
    };
    send(&case.server, &case.handle, to_all("1").into()).await;
    assert_eq!(have(), [1; 100], "nothing was to be waited for");
    let (answer, commit) = open_commit();
    let commit = Some((commit, None));
    let waits = enqueue(&case.server, &case.handle, commit, to_all("2")).unwrap();
    answer.send(Ok(())).unwrap();
    while have()[0] < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(have()[99], 1, "others have their turn in between");
    send(&case.server, &case.handle, to_all("3").into()).await;
    waits.await.unwrap();
    while have()[99] < 3 {
        tokio::task::yield_now().await;
    }
    for session in &sessions {
        let came = session.outbound.close().concat();
        let order: Vec<_> = came.split("id='").skip(1).map(|m| &m[..1]).collect();
        assert_eq!(order, ["1", "2", "3"], "{}", session.jid);
    }
}
