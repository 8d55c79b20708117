//! The agent's socket: who is answered, and what is written down.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod common;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::{FakeSystem, get, root};
use nix::unistd::Uid;
use provisioner::agent::command::{Actor, Answer, Command, Reply, Request, Why};
use provisioner::agent::serve::{Bench, Callers, bind, serve};
use provisioner::files::Files;
use provisioner::system::System;

struct Machines(PathBuf);

impl Bench for Machines {
    fn files(&self) -> Files {
        Files::new(&self.0)
    }

    fn system(&self) -> Box<dyn System> {
        Box::new(FakeSystem::new(&self.0))
    }
}

fn start(root: &Path, callers: Callers) -> PathBuf {
    let socket = root.join("agent.sock");
    let listener = bind(&socket, None).unwrap();
    let bench = Arc::new(Machines(root.to_owned()));
    std::thread::spawn(move || serve(&listener, bench, callers));
    socket
}

fn ourselves() -> Callers {
    Callers {
        web: None,
        own: Uid::current(),
    }
}

fn say(socket: &Path, line: &str) -> String {
    let mut stream = UnixStream::connect(socket).unwrap();
    // A caller who is not answered may find the socket closed already.
    let _ = stream.write_all(format!("{line}\n").as_bytes());
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer
}

fn ask(socket: &Path, command: Command) -> Reply {
    let actor = Actor {
        name: Some("anna".to_owned().try_into().unwrap()),
        address: Some([192, 168, 1, 23].into()),
    };
    let line = serde_json::to_string(&Request { actor, command }).unwrap();
    serde_json::from_str(&say(socket, &line)).unwrap()
}

#[test]
fn only_root_and_the_web_process_are_answered() {
    let root = root(&[]);
    let stranger = Callers {
        web: Some(Uid::from_raw(64_999)),
        own: Uid::from_raw(64_998),
    };
    let socket = start(root.path(), stranger);
    let answer = say(
        &socket,
        r#"{"actor":{"name":null,"address":null},"command":"status"}"#,
    );
    if Uid::current().is_root() {
        assert!(answer.contains("status"), "{answer}");
    } else {
        assert_eq!(answer, "");
    }
}

#[test]
fn callers_are_told_apart_by_their_user() {
    let callers = Callers {
        web: Some(Uid::from_raw(931)),
        own: Uid::from_raw(0),
    };
    assert!(callers.includes(Uid::from_raw(931)) && callers.includes(Uid::from_raw(0)));
    assert!(!callers.includes(Uid::from_raw(930)) && !callers.includes(Uid::from_raw(1000)));
}

#[test]
fn what_is_no_command_is_refused() {
    let root = root(&[]);
    let socket = start(root.path(), ourselves());
    for line in [
        "",
        "sh",
        r#"{"actor":{"name":null,"address":null},"command":{"run":["sh"]}}"#,
    ] {
        let reply: Reply = serde_json::from_str(&say(&socket, line)).unwrap();
        assert_eq!(reply.unwrap_err().why, Why::Invalid, "{line}");
    }
}

#[test]
fn a_change_is_made_and_written_down_with_who_made_it() {
    let root = root(&[]);
    let socket = start(root.path(), ourselves());
    let change = |pairs: &[(&str, &str)], dry_run| Command::ChangeSettings {
        pairs: pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect(),
        dry_run,
    };
    let preview = ask(&socket, change(&[("language", "zh")], true));
    let Ok(Answer::Changed(preview)) = preview else {
        panic!("{preview:?}")
    };
    assert_eq!(
        (preview.changes[0].key.as_str(), preview.number),
        ("language", None)
    );
    let bad = ask(&socket, change(&[("language", "fr")], false)).unwrap_err();
    assert_eq!(bad.why, Why::Invalid);
    assert!(bad.text.contains("\"en\" or \"zh\""), "{bad}");
    let Ok(Answer::Audit(log)) = ask(&socket, Command::Audit { most: 10 }) else {
        panic!()
    };
    assert_eq!(log.len(), 1, "{log:?}");
    assert_eq!(log[0].who, "anna (192.168.1.23)");
    assert_eq!(
        (log[0].action.as_str(), log[0].subject.as_str()),
        ("settings.change", "language")
    );
    assert!(
        log[0].error.as_ref().unwrap().contains("language"),
        "{log:?}"
    );
    assert!(get(root.path(), "/var/lib/perch/audit.jsonl").ends_with("}\n"));
}

#[test]
fn a_second_agent_does_not_take_the_socket_of_one_that_runs() {
    let root = root(&[]);
    let socket = start(root.path(), ourselves());
    assert!(bind(&socket, None).is_err());
}
