//! How many messages a second go through group commit on this disk:
//! `cargo run --release -p imd-store --example append -- FOLDER [CALLERS] [MESSAGES] [text]`.
//!
//! Each message is written as the server does it: into the archives of both sides, and the caller waits
//! for the commit before its next one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a measuring tool"
)]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use imd_store::sqlite::{SqliteOptions, SqliteStore};
use imd_store::{ArchiveEntry, ArchiveStore, Write, now_millis};

const BODY: &str = "The quick brown fox jumps over the lazy dog, and then it rests for a while.";

fn entry(store: &SqliteStore, owner: u64, with: u64) -> Write {
    let bare = |n: u64| format!("user{n}@perch.local");
    Write::Archive(ArchiveEntry {
        id: store.archive_ids().next(),
        owner: bare(owner),
        with: bare(with),
        with_resource: Some("phone.a1b2c3".to_owned()),
        time: now_millis(),
        stanza: format!(
            "<message from='{}/phone' to='{}' type='chat' id='2f9c6a3e-5a1e-4f0e-9d5e-d0b6c1a3f7aa'><body>{BODY}</body>\
             <request xmlns='urn:xmpp:receipts'/><markable xmlns='urn:xmpp:chat-markers:0'/></message>",
            bare(owner),
            bare(with)
        ),
        message_id: Some("2f9c6a3e-5a1e-4f0e-9d5e-d0b6c1a3f7aa".to_owned()),
        origin_id: None,
        groupchat: false,
        body: Some(BODY.to_owned()),
    })
}

async fn caller(store: Arc<SqliteStore>, caller: u64, messages: u64) -> Vec<Duration> {
    let mut latencies = Vec::new();
    for n in 0..messages {
        let other = (caller * 31 + n * 17) % 4_000;
        let begun = Instant::now();
        let writes = vec![entry(&store, caller, other), entry(&store, other, caller)];
        store.append(writes).await.await.unwrap();
        latencies.push(begun.elapsed());
    }
    latencies
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: u64| {
        arguments
            .get(at)
            .map_or(default, |text| text.parse().expect("a number"))
    };
    let folder = PathBuf::from(arguments.first().expect("the folder to write in"));
    let (callers, messages) = (number(1, 200), number(2, 100_000));
    let full_text = arguments.iter().any(|argument| argument == "text");
    let path = folder.join("append-benchmark.db");
    let store = Arc::new(
        SqliteStore::open(
            &path,
            SqliteOptions {
                full_text,
                check: false,
            },
        )
        .unwrap(),
    );

    let begun = Instant::now();
    let tasks: Vec<_> = (0..callers)
        .map(|n| tokio::spawn(caller(Arc::clone(&store), n, messages / callers)))
        .collect();
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await.unwrap());
    }
    let seconds = begun.elapsed().as_secs_f64();
    latencies.sort();
    let at = |part: f64| latencies[((latencies.len() - 1) as f64 * part) as usize];
    let each = latencies.len() as f64 / seconds;
    println!(
        "{callers} callers: {each:.0} messages/s ({:.0} archived entries/s), all synced",
        each * 2.0
    );
    println!(
        "latency: median {:?}, 99 % {:?}, longest {:?}",
        at(0.5),
        at(0.99),
        at(1.0)
    );
    drop(store);
    for suffix in ["", "-wal", "-shm"] {
        // What is not there need not be removed.
        let _ = std::fs::remove_file(format!("{}{suffix}", path.display()));
    }
}
