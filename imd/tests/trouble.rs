//! The daemon in trouble: a clock that jumps, a disk that is full or read-only, a damaged database.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail loudly"
)]

mod support;

use std::path::Path;
use std::process::{Command, Stdio};

use imd_proto::Element;
use imd_store::Role;
use support::{Client, Daemon, Login, TestServer};

const DAY: i64 = 86_400;

/// The bodies in an archive, in its order.
async fn archived(client: &mut Client) -> Vec<String> {
    client
        .send("<iq type='set' id='mam'><query xmlns='urn:xmpp:mam:2'/></iq>")
        .await
        .unwrap();
    let mut bodies = Vec::new();
    loop {
        let element = client.next().await.unwrap().element().unwrap();
        if element.attr("id") == Some("mam") {
            assert_eq!(element.attr("type"), Some("result"), "{}", element.to_xml());
            return bodies;
        }
        bodies.extend(body_within(&element));
    }
}

fn body_within(element: &Element) -> Option<String> {
    if element.name() == "body" {
        return Some(element.text());
    }
    element.children().find_map(body_within)
}

async fn say(client: &mut Client, to: &str, body: &str) {
    let text = format!("<message to='{to}' type='chat' id='m'><body>{body}</body></message>");
    client.send(&text).await.unwrap();
}

/// A library that moves the daemon's clock, or nothing, said so, where there is no C compiler.
fn moved_clock(folder: &Path) -> Option<std::path::PathBuf> {
    let library = folder.join("clock.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/clock.c");
    let made = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .arg(&library)
        .arg(source)
        .arg("-ldl")
        .status();
    match made {
        Ok(status) if status.success() => Some(library),
        other => {
            println!("skipped: there is no C compiler here ({other:?})");
            None
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_jumps_changes_neither_order_nor_sessions() {
    let server = TestServer::prepare("").unwrap();
    let Some(library) = moved_clock(server.folder()) else {
        return;
    };
    let offset = server.folder().join("offset");
    let jump = |days: i64| std::fs::write(&offset, (days * DAY).to_string()).unwrap();
    jump(0);
    let mut server = server.into_daemon();
    server.environment("LD_PRELOAD", library.to_str().unwrap());
    server.environment("CLOCK_OFFSET", offset.to_str().unwrap());
    server.start_again().await.unwrap();
    for user in ["alice", "bob"] {
        server.account(user, Role::Member).await.unwrap();
    }
    let (alice_login, bob_login) = (
        Login::new("alice").resumable(),
        Login::new("bob").resumable(),
    );
    let mut alice = Client::connect(&server, &alice_login).await.unwrap();
    let mut bob = Client::connect(&server, &bob_login).await.unwrap();
    for (body, days) in [("one", 0), ("two", 400), ("three", -4000), ("four", 0)] {
        jump(days);
        say(&mut alice, "bob@example.test/main", body).await;
        let wanted = format!("<message><body>{body}</body></message>");
        bob.expect(&wanted).await.unwrap();
        // A session is resumed whatever the clock says.
        let broken = bob.cut().unwrap();
        bob = match broken.resume(&server, &bob_login).await {
            Ok(client) => client,
            Err((_, error)) => panic!("after {days} days: {error:#}"),
        };
    }
    assert_eq!(archived(&mut bob).await, ["one", "two", "three", "four"]);
    // The clock is wrong when the daemon starts again, as on a box that has none of its own.
    jump(-9000);
    server.stop().await.unwrap();
    server.start_again().await.unwrap();
    let mut alice = Client::connect(&server, &Login::new("alice").resource("new"))
        .await
        .unwrap();
    let mut bob = Client::connect(&server, &Login::new("bob").resource("new"))
        .await
        .unwrap();
    say(&mut alice, "bob@example.test/new", "five").await;
    bob.expect("<message><body>five</body></message>")
        .await
        .unwrap();
    assert_eq!(
        archived(&mut bob).await,
        ["one", "two", "three", "four", "five"]
    );
    server.stop().await.unwrap();
}

/// A command that runs what follows it with a file system of its own at a folder; nothing, said so, where this
/// user may not mount.
fn own_file_system(folder: &Path, mount: &str) -> Option<Vec<String>> {
    let script = format!("{mount} || exit 77; exec \"$@\"");
    let mut command: Vec<String> = ["unshare", "--mount", "sh", "-c", &script]
        .map(str::to_owned)
        .into();
    command.push(folder.to_str().unwrap().to_owned());
    let tried = Command::new(&command[0])
        .args(&command[1..])
        .arg("true")
        .stderr(Stdio::null())
        .status();
    match tried {
        Ok(status) if status.success() => Some(command),
        other => {
            println!("skipped: cannot mount a file system here ({other:?})");
            None
        }
    }
}

/// Run a command where the daemon sees its files.
fn beside(daemon: &Daemon, command: &[&str], input: &str) {
    use std::io::Write as _;
    let mut child = Command::new("nsenter")
        .arg("--target")
        .arg(daemon.id().unwrap().to_string())
        .arg("--mount")
        .args(command)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    // Dropped at once: the command sees the end of its input.
    let mut stdin = child.stdin.take().unwrap();
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    assert!(child.wait().unwrap().success(), "{command:?} failed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_writes_serves_reads_and_recovers() {
    let mut server = TestServer::prepare("[archive]\nsearch = false")
        .unwrap()
        .into_daemon();
    let data = server.folder().join("data");
    std::fs::create_dir_all(&data).unwrap();
    let mount = "mount -t tmpfs -o size=3m tmpfs \"$0\"";
    let Some(wrapper) = own_file_system(&data, mount) else {
        return;
    };
    server.wrapper(wrapper);
    server.start_again().await.unwrap();
    let settings = server.folder().join("imd.toml");
    let settings = settings.to_str().unwrap();
    for user in ["alice", "bob"] {
        let add = [
            "user",
            "add",
            user,
            "--config",
            settings,
            "--password-stdin",
        ];
        let command = [&[env!("CARGO_BIN_EXE_imd")], &add[..]].concat();
        beside(server.daemon().unwrap(), &command, &support::password(user));
    }
    let mut alice = Client::connect(&server, &Login::new("alice"))
        .await
        .unwrap();
    let mut bob = Client::connect(&server, &Login::new("bob")).await.unwrap();
    let large = "x".repeat(50_000);
    let mut kept = 0;
    let refused = loop {
        say(&mut alice, "bob@example.test/main", &large).await;
        bob.expect("<message id='m'/>").await.unwrap();
        // The answer to the question comes when the message is on the disk, or is not.
        let query = "<iq type='set' id='q'><query xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'><max>0</max></set></query></iq>";
        alice.send(query).await.unwrap();
        alice.sync().await.unwrap();
        let mut error = None;
        while let Some(incoming) = alice.waiting() {
            let element = incoming.element().unwrap();
            if element.attr("type") == Some("error") {
                error = Some(element);
            }
        }
        match error {
            Some(error) => break error,
            None => kept += 1,
        }
        assert!(kept < 100, "the disk is not small");
    };
    assert!(
        refused.to_xml().contains("resource-constraint"),
        "{}",
        refused.to_xml()
    );
    // Reading and passing on go on.
    assert_eq!(archived(&mut bob).await.len(), kept);
    alice.sync().await.unwrap();
    Client::connect(&server, &Login::new("bob").resource("second"))
        .await
        .unwrap();
    // Somebody makes space: here, on a larger disk.
    let grow = ["mount", "-o", "remount,size=32m", data.to_str().unwrap()];
    beside(server.daemon().unwrap(), &grow, "");
    say(&mut alice, "bob@example.test/main", "after").await;
    bob.expect("<message><body>after</body></message>")
        .await
        .unwrap();
    assert_eq!(archived(&mut bob).await.last().unwrap(), "after");
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_only_file_system_is_refused_by_name() {
    let mut server = TestServer::prepare("").unwrap().into_daemon();
    server.start_again().await.unwrap();
    server.stop().await.unwrap();
    let data = server.folder().join("data");
    let mount = "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\"";
    let Some(wrapper) = own_file_system(&data, mount) else {
        return;
    };
    server.wrapper(wrapper);
    let error = format!("{:#}", server.start_again().await.unwrap_err());
    let database = server.database();
    assert!(error.contains(database.to_str().unwrap()), "{error}");
    assert!(error.contains("read-only"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_database_is_refused_by_name_and_with_the_way_to_restore() {
    let mut server = TestServer::prepare("").unwrap().into_daemon();
    server.start_again().await.unwrap();
    server.account("alice", Role::Member).await.unwrap();
    server.stop().await.unwrap();
    let database = server.database();
    let sound = std::fs::read(&database).unwrap();
    let mut damaged = sound.clone();
    let length = damaged.len();
    damaged[length / 4..length / 2].fill(0xa5);
    std::fs::write(&database, &damaged).unwrap();
    let error = format!("{:#}", server.start_again().await.unwrap_err());
    for part in [database.to_str().unwrap(), "damaged", "restore", "backup"] {
        assert!(error.contains(part), "{part:?} is not in {error}");
    }
    assert_eq!(std::fs::read(&database).unwrap(), damaged, "left as it is");
    // As it says: the backup in its place, and it starts.
    for end in ["", "-wal", "-shm"] {
        let mut file = database.clone().into_os_string();
        file.push(end);
        std::fs::remove_file(file).ok();
    }
    std::fs::write(&database, &sound).unwrap();
    server.start_again().await.unwrap();
    Client::connect(&server, &Login::new("alice"))
        .await
        .unwrap();
    server.stop().await.unwrap();
}
