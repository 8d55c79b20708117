//! [`ArchiveStore`] in SQLite: writing and single entries. Pages are in `archive_query`, changes in `archive_change`.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::accounts::{account_id, find_account};
use super::fault::Fault;
use super::packed::{Place, pack};
use super::tx::Tx;
use super::{SqliteStore, archive_change, archive_query, offline};
use crate::{
    ArchiveDefault, ArchiveEntry, ArchiveFilter, ArchiveId, ArchiveIds, ArchiveMark, ArchivePage,
    ArchivePaging, ArchivePrefs, ArchiveStore, Commit, Result, UnixMillis, Write,
};

/// How far `archive_find` looks back.
const FIND_AMONG: u32 = 5_000;
/// How far the ids of a message's entries may lie apart, in microseconds; beyond that it is kept twice.
const SAME_MESSAGE: u64 = 10_000_000;

type Outcome<T> = std::result::Result<T, Fault>;

/// An entry's time, which its id tells.
pub(super) const TIME: &str = "a.id / 1000 - a.lag";
/// Columns of [`JOINED`], as `read_entry` wants them.
pub(super) const COLUMNS: &str = "a.id, p.jid, a.resource, m.time, m.stanza, m.message_id, m.origin_id, \
     m.groupchat, m.body, m.body_at, m.body_length";
/// What belongs to an entry `a`.
pub(super) const JOINED: &str =
    "JOIN messages m ON m.id = a.id - a.behind JOIN jids p ON p.id = a.peer";

pub(super) fn read_entry(row: &Row<'_>, owner: &str) -> rusqlite::Result<ArchiveEntry> {
    let stanza: String = row.get(4)?;
    let body = read_body(&stanza, row.get(8)?, row.get(9)?, row.get(10)?);
    Ok(ArchiveEntry {
        id: ArchiveId(row.get(0)?),
        owner: owner.to_owned(),
        with: row.get(1)?,
        with_resource: row.get(2)?,
        time: row.get(3)?,
        message_id: row.get(5)?,
        origin_id: row.get(6)?,
        groupchat: row.get(7)?,
        stanza,
        body,
    })
}

/// A message's text to search in, from the columns `body`, `body_at` and `body_length`.
pub(super) fn read_body(
    stanza: &str,
    body: Option<String>,
    at: Option<u64>,
    length: Option<u64>,
) -> Option<String> {
    let inside = || {
        let at = usize::try_from(at?).ok()?;
        let end = at.checked_add(usize::try_from(length?).ok()?)?;
        stanza.get(at..end).map(str::to_owned)
    };
    body.or_else(inside)
}

/// The same columns for a text: where it stands in the stanza, if it does.
fn body_columns<'a>(
    stanza: &str,
    body: Option<&'a str>,
) -> (Option<&'a str>, Option<usize>, Option<usize>) {
    match body.and_then(|body| Some((stanza.find(body)?, body.len()))) {
        Some((at, length)) => (None, Some(at), Some(length)),
        None => (body, None, None),
    }
}

/// The id of a JID; `None` when nothing was ever kept under it.
pub(super) fn find_jid(connection: &Connection, jid: &str) -> Outcome<Option<i64>> {
    let mut statement = connection.prepare_cached("SELECT id FROM jids WHERE jid = ?")?;
    Ok(statement.query_row([jid], |row| row.get(0)).optional()?)
}

/// An SQL integer; ids beyond it are never given out.
pub(super) fn integer(id: u64) -> i64 {
    i64::try_from(id).unwrap_or(i64::MAX)
}

/// Writes the entries of a list; a message that several archives have in the same words is kept once.
fn insert_all(tx: &Tx, writes: &[Write]) -> Outcome<()> {
    let entries = writes.iter().filter_map(|write| match write {
        Write::Archive(entry) => Some(entry),
        Write::Offline(_) => None,
    });
    let mut same: Vec<&ArchiveEntry> = Vec::with_capacity(2);
    for entry in entries {
        if let (Some(first), Some(last)) = (same.first(), same.last())
            && !(entry.id > last.id && is_same_message(first, entry))
        {
            insert(tx, &same)?;
            same.clear();
        }
        same.push(entry);
    }
    insert(tx, &same)
}

fn is_same_message(one: &ArchiveEntry, other: &ArchiveEntry) -> bool {
    other.id.0.abs_diff(one.id.0) < SAME_MESSAGE
        && one.stanza == other.stanza
        && one.time == other.time
        && one.message_id == other.message_id
        && one.origin_id == other.origin_id
        && one.groupchat == other.groupchat
        && one.body == other.body
}

fn insert(tx: &Tx, entries: &[&ArchiveEntry]) -> Outcome<()> {
    let Some(first) = entries.first() else {
        return Ok(());
    };
    let message = integer(first.id.0);
    let mut places = Vec::with_capacity(entries.len());
    for entry in entries {
        places.push(Place {
            id: integer(entry.id.0),
            owner: tx.intern(&entry.owner)?,
            peer: tx.intern(&entry.with)?,
            resource: entry.with_resource.clone(),
        });
    }
    // Times no later than ids let a query for "since then" begin at an id.
    let latest = integer(first.id.0 / 1000);
    let (body, at, length) = body_columns(&first.stanza, first.body.as_deref());
    let sql = "INSERT INTO messages
               (id, time, groupchat, message_id, origin_id, stanza, body, body_at, body_length, packed)
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    tx.prepare_cached(sql)?.execute((
        message,
        first.time.min(latest),
        first.groupchat,
        &first.message_id,
        &first.origin_id,
        &first.stanza,
        body,
        at,
        length,
        pack(message, &places),
    ))?;
    places
        .iter()
        .for_each(|place| tx.note_entry(place.owner, message));
    Ok(())
}

/// The bytes of content that a write holds in memory while it waits.
fn bytes(write: &Write) -> usize {
    match write {
        Write::Archive(entry) => entry.stanza.len() + entry.body.as_ref().map_or(0, String::len),
        Write::Offline(entry) => entry.stanza.len(),
    }
}

fn find(
    connection: &Connection,
    owner: &str,
    with: &str,
    wanted: &str,
) -> Outcome<Option<ArchiveEntry>> {
    let (Some(owner_id), Some(peer)) = (find_jid(connection, owner)?, find_jid(connection, with)?)
    else {
        return Ok(None);
    };
    let sql = format!(
        "SELECT {COLUMNS} FROM (
             SELECT * FROM entries INDEXED BY entries_peer WHERE owner = ? AND peer = ? ORDER BY id DESC LIMIT {FIND_AMONG}
         ) a {JOINED} WHERE m.message_id = ?3 OR m.origin_id = ?3 ORDER BY a.id DESC LIMIT 1"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    Ok(statement
        .query_row((owner_id, peer, wanted), |row| read_entry(row, owner))
        .optional()?)
}

fn bounds(connection: &Connection, owner: &str) -> Outcome<Option<(ArchiveMark, ArchiveMark)>> {
    let Some(owner) = find_jid(connection, owner)? else {
        return Ok(None);
    };
    let mark = |order: &str| {
        let sql = format!(
            "SELECT a.id, {TIME} FROM entries a WHERE a.owner = ? ORDER BY a.id {order} LIMIT 1"
        );
        connection
            .prepare_cached(&sql)?
            .query_row([owner], |row| {
                Ok(ArchiveMark {
                    id: ArchiveId(row.get(0)?),
                    time: row.get(1)?,
                })
            })
            .optional()
    };
    Ok(mark("ASC")?.zip(mark("DESC")?))
}

fn read_prefs(connection: &Connection, user: &str) -> Outcome<Option<ArchivePrefs>> {
    let Some(account) = find_account(connection, user)? else {
        return Ok(None);
    };
    let sql = "SELECT mode, always_json, never_json FROM archive_prefs WHERE account = ?";
    let prefs = connection.prepare_cached(sql)?.query_row([account], |row| {
        let (mode, always, never): (String, String, String) =
            (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(ArchivePrefs {
            default: match mode.as_str() {
                "never" => ArchiveDefault::Never,
                "roster" => ArchiveDefault::Roster,
                _ => ArchiveDefault::Always,
            },
            always: super::json_texts(&always)?,
            never: super::json_texts(&never)?,
        })
    });
    Ok(prefs.optional()?)
}

fn write_prefs(connection: &Connection, user: &str, prefs: &ArchivePrefs) -> Outcome<()> {
    let account = account_id(connection, user)?;
    let mode = match prefs.default {
        ArchiveDefault::Always => "always",
        ArchiveDefault::Never => "never",
        ArchiveDefault::Roster => "roster",
    };
    connection.execute(
        "INSERT OR REPLACE INTO archive_prefs VALUES (?, ?, ?, ?)",
        (
            account,
            mode,
            serde_json::to_string(&prefs.always)?,
            serde_json::to_string(&prefs.never)?,
        ),
    )?;
    Ok(())
}

#[async_trait]
impl ArchiveStore for SqliteStore {
    fn archive_ids(&self) -> &ArchiveIds {
        &self.ids
    }

    async fn append(&self, writes: Vec<Write>) -> Commit {
        if writes.is_empty() && self.writer.is_idle() {
            return Commit::ready(Ok(()));
        }
        let bytes = writes.iter().map(bytes).sum();
        // An empty list is somebody who waits for the others.
        let may_wait = !writes.is_empty();
        let with_offline = Arc::clone(&self.with_offline);
        let work = move |tx: &Tx| {
            insert_all(tx, &writes)?;
            writes.iter().try_for_each(|write| match write {
                Write::Archive(_) => Ok(()),
                Write::Offline(entry) => offline::push(tx, entry, &with_offline),
            })
        };
        let answered = self.writer.submit(bytes, may_wait, work).await;
        Commit::waiting(answered, self.writer.closed())
    }

    async fn archive_page(
        &self,
        owner: &str,
        filter: ArchiveFilter,
        paging: ArchivePaging,
    ) -> Result<ArchivePage> {
        let (name, full_text) = (owner.to_owned(), self.full_text);
        let text = full_text && filter.text.is_some();
        self.read_settled(owner, text, move |connection| {
            archive_query::page(connection, &name, &filter, &paging, full_text)
        })
        .await
    }

    async fn archive_has(&self, owner: &str, ids: &[ArchiveId]) -> Result<bool> {
        let (name, ids) = (owner.to_owned(), ids.to_vec());
        self.read_settled(owner, false, move |connection| {
            if ids.is_empty() {
                return Ok(true);
            }
            let Some(owner) = find_jid(connection, &name)? else {
                return Ok(false);
            };
            let mut statement =
                connection.prepare_cached("SELECT 1 FROM entries WHERE owner = ? AND id = ?")?;
            for id in ids {
                if !statement.exists((owner, id.0))? {
                    return Ok(false);
                }
            }
            Ok(true)
        })
        .await
    }

    async fn archive_entry(&self, owner: &str, id: ArchiveId) -> Result<Option<ArchiveEntry>> {
        let name = owner.to_owned();
        self.read_settled(owner, false, move |connection| {
            let Some(owner) = find_jid(connection, &name)? else {
                return Ok(None);
            };
            let sql =
                format!("SELECT {COLUMNS} FROM entries a {JOINED} WHERE a.owner = ? AND a.id = ?");
            let mut statement = connection.prepare_cached(&sql)?;
            Ok(statement
                .query_row((owner, id.0), |row| read_entry(row, &name))
                .optional()?)
        })
        .await
    }

    async fn archive_find(
        &self,
        owner: &str,
        with: &str,
        id: &str,
    ) -> Result<Option<ArchiveEntry>> {
        let (name, with, id) = (owner.to_owned(), with.to_owned(), id.to_owned());
        self.read_settled(owner, false, move |connection| {
            find(connection, &name, &with, &id)
        })
        .await
    }

    async fn archive_replace(
        &self,
        owner: &str,
        id: ArchiveId,
        stanza: String,
        body: Option<String>,
    ) -> Result<bool> {
        let owner = owner.to_owned();
        self.write(move |tx| {
            let new = (stanza.as_str(), body_columns(&stanza, body.as_deref()));
            archive_change::replace(tx, &owner, integer(id.0), new)
        })
        .await
    }

    async fn archive_bounds(&self, owner: &str) -> Result<Option<(ArchiveMark, ArchiveMark)>> {
        let name = owner.to_owned();
        self.read_settled(owner, false, move |connection| bounds(connection, &name))
            .await
    }

    async fn archive_delete_older(&self, owner: &str, before: UnixMillis, max: u32) -> Result<u32> {
        let owner = owner.to_owned();
        self.write(move |tx| archive_change::delete_older(tx, &owner, before, max))
            .await
    }

    async fn archive_delete_older_of_all(
        &self,
        before: UnixMillis,
        except: &[String],
        max: u32,
    ) -> Result<u32> {
        self.writer.settle_all().await?;
        let except = except.to_vec();
        // Looking through all archives takes longer than others should have to wait for the writer.
        let old = move |connection: &Connection| {
            archive_change::old_of_all(connection, before, &except, max)
        };
        let old = self.read(old).await?;
        if old.is_empty() {
            return Ok(0);
        }
        self.write(move |tx| archive_change::delete_each(tx, &old))
            .await
    }

    fn may_have_archive_prefs(&self, user: &str) -> bool {
        self.with_prefs.may_have(user)
    }

    async fn archive_prefs(&self, user: &str) -> Result<Option<ArchivePrefs>> {
        if !self.may_have_archive_prefs(user) {
            return Ok(None);
        }
        let user = user.to_owned();
        self.read(move |connection| read_prefs(connection, &user))
            .await
    }

    async fn set_archive_prefs(&self, user: &str, prefs: ArchivePrefs) -> Result<()> {
        self.with_prefs.note(user);
        let user = user.to_owned();
        self.write(move |tx| write_prefs(tx, &user, &prefs)).await
    }
}

impl SqliteStore {
    /// As [`SqliteStore::read`], of all in an archive that was written before, even where nobody waited for its commit, and
    /// on a disk that takes nothing more; with `text`, the text index has it, too.
    async fn read_settled<T: Send + 'static>(
        &self,
        owner: &str,
        text: bool,
        work: impl FnOnce(&Connection) -> Outcome<T> + Send + 'static,
    ) -> Result<T> {
        if self.writer.settle(owner, text).await.is_ok() {
            return self.read(work).await;
        }
        let work = Arc::new(Mutex::new(Some(work)));
        let seen = Arc::new(Mutex::new(None));
        let take =
            |work: &Mutex<Option<_>>| work.lock().unwrap_or_else(PoisonError::into_inner).take();
        let peek = {
            let (work, seen, path) = (Arc::clone(&work), Arc::clone(&seen), self.path.clone());
            move |connection: &Connection| {
                let read = take(&work).map(|work| work(connection));
                *seen.lock().unwrap_or_else(PoisonError::into_inner) =
                    read.map(|read| read.map_err(|fault| fault.at(&path)));
            }
        };
        self.writer.peek(owner, peek).await;
        let seen = seen.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (seen, take(&work)) {
            (Some(seen), _) => seen,
            (None, Some(work)) => self.read(work).await,
            (None, None) => Err(self.writer.closed()),
        }
    }
}
