//! Large databases, written through the store as the daemon writes them, only quicker: no client, no network.

use std::path::Path;

use anyhow::{Context, Result};
use imd_store::sqlite::{SqliteOptions, SqliteStore};
use imd_store::{ArchiveEntry, ArchiveId, ArchiveStore as _, UpkeepStore as _, Write};

use crate::host_imd::DOMAIN;

/// Messages whose commits are awaited together.
const TOGETHER: usize = 1000;
/// People besides the one with the large archive.
pub const PEOPLE: usize = 4000;

/// What a database is filled with: messages of a hundred letters, a second apart, the last one an hour ago.
#[derive(Debug, Clone, Copy)]
pub struct Filling {
    /// Messages between people, each in both archives.
    pub between: usize,
    /// Messages in the archive of `talker0` alone, as a room's or a channel's are.
    pub alone: usize,
}

impl Filling {
    fn all(self) -> usize {
        self.between + self.alone
    }

    /// The time of a message, counted over all, in milliseconds; `now` is when the filling began.
    #[must_use]
    pub fn time(self, number: usize, now: i64) -> i64 {
        let before = self.all().saturating_sub(number) + 3600;
        now - i64::try_from(before).unwrap_or(i64::MAX / 1000) * 1000
    }
}

/// Fills the database at `path`, which may not be there yet.
///
/// # Errors
///
/// The store refused.
pub fn fill(path: &Path, filling: Filling, now: i64) -> Result<()> {
    let options = SqliteOptions {
        full_text: true,
        check: false,
    };
    let store = SqliteStore::open(path, options).context("open the database")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .context("start tokio")?;
    runtime.block_on(async {
        let mut commits = Vec::with_capacity(TOGETHER);
        let mut alone = 0;
        for number in 0..filling.all() {
            // Mixed evenly, as they would come.
            let is_alone = alone * filling.all() < number * filling.alone;
            alone += usize::from(is_alone);
            let time = filling.time(number, now);
            commits.push(store.append(message(number, is_alone, time)).await);
            if commits.len() == TOGETHER {
                for commit in commits.drain(..) {
                    commit.await?;
                }
            }
        }
        for commit in commits {
            commit.await?;
        }
        store.close().await.context("close the database")
    })
}

fn message(number: usize, alone: bool, time: i64) -> Vec<Write> {
    let jid = |person: usize| format!("person{person}@{DOMAIN}");
    let (one, other) = (
        number * 7 % PEOPLE,
        (number * 7 + 1 + number / PEOPLE % 9) % PEOPLE,
    );
    let body = format!("{number} {:x<100}", "a message of a hundred letters");
    let (from, to) = match alone {
        true => (jid(one), format!("talker0@{DOMAIN}")),
        false => (jid(one), jid(other)),
    };
    let entry = |owner: &str, with: &str, nth: u64| {
        let id = u64::try_from(time).unwrap_or(0) * 1000 + nth;
        Write::Archive(ArchiveEntry {
            id: ArchiveId(id),
            owner: owner.to_owned(),
            with: with.to_owned(),
            with_resource: Some("phone".to_owned()),
            time,
            stanza: format!(
                "<message xmlns='jabber:client' from='{from}/phone' to='{to}' type='chat' id='{number}'><body>{body}</body></message>"
            ),
            message_id: Some(number.to_string()),
            origin_id: None,
            groupchat: false,
            body: Some(body.clone()),
        })
    };
    match alone {
        true => vec![entry(&to, &from, 0)],
        false => vec![entry(&from, &to, 0), entry(&to, &from, 1)],
    }
}
