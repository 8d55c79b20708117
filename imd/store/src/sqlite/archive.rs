//! [`ArchiveStore`] in SQLite: writing, single entries, deleting. Pages are in `archive_query`.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::accounts::{account_id, find_account};
use super::fault::Fault;
use super::search::TextChange;
use super::writer::Tx;
use super::{SqliteStore, archive_query, offline};
use crate::{
    ArchiveDefault, ArchiveEntry, ArchiveFilter, ArchiveId, ArchiveIds, ArchiveMark, ArchivePage,
    ArchivePaging, ArchivePrefs, ArchiveStore, Commit, Result, UnixMillis, Write,
};

/// How far `archive_find` looks back.
const FIND_AMONG: u32 = 5_000;

type Outcome<T> = std::result::Result<T, Fault>;

/// Columns of `archive a JOIN jids p`, as `read_entry` wants them.
pub(super) const COLUMNS: &str = "a.id, p.jid, a.peer_resource, a.time, a.stanza, a.message_id, a.origin_id, \
     a.groupchat, a.body";

pub(super) fn read_entry(row: &Row<'_>, owner: &str) -> rusqlite::Result<ArchiveEntry> {
    Ok(ArchiveEntry {
        id: ArchiveId(row.get(0)?),
        owner: owner.to_owned(),
        with: row.get(1)?,
        with_resource: row.get(2)?,
        time: row.get(3)?,
        stanza: row.get(4)?,
        message_id: row.get(5)?,
        origin_id: row.get(6)?,
        groupchat: row.get(7)?,
        body: row.get(8)?,
    })
}

/// The id of a JID; `None` when nothing was ever kept under it.
pub(super) fn find_jid(connection: &Connection, jid: &str) -> Outcome<Option<i64>> {
    let mut statement = connection.prepare_cached("SELECT id FROM jids WHERE jid = ?")?;
    Ok(statement.query_row([jid], |row| row.get(0)).optional()?)
}

fn insert(tx: &Tx, entry: &ArchiveEntry) -> Outcome<()> {
    let owner = tx.intern(&entry.owner)?;
    let peer = tx.intern(&entry.with)?;
    // Times no later than ids let a query for "since then" begin at an id.
    let latest = i64::try_from(entry.id.0 / 1000).unwrap_or(i64::MAX);
    let sql = "INSERT INTO archive
               (id, owner, peer, peer_resource, time, groupchat, message_id, origin_id, stanza, body)
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let id = tx.prepare_cached(sql)?.insert((
        entry.id.0,
        owner,
        peer,
        &entry.with_resource,
        entry.time.min(latest),
        entry.groupchat,
        &entry.message_id,
        &entry.origin_id,
        &entry.stanza,
        &entry.body,
    ))?;
    if let Some(body) = &entry.body {
        tx.change_text(TextChange::Put {
            id,
            owner,
            body: body.clone(),
        });
    }
    Ok(())
}

/// The bytes of content that a write holds in memory while it waits.
fn bytes(write: &Write) -> usize {
    match write {
        Write::Archive(entry) => entry.stanza.len() + entry.body.as_ref().map_or(0, String::len),
        Write::Offline(entry) => entry.stanza.len(),
    }
}

/// Deletes the entries of these ids, from the text index too.
fn delete(tx: &Tx, ids: &[i64]) -> Outcome<()> {
    remember_last(tx)?;
    for id in ids {
        tx.prepare_cached("DELETE FROM archive WHERE id = ?")?
            .execute([id])?;
        tx.change_text(TextChange::Delete { id: *id });
    }
    Ok(())
}

/// Keeps ids from being given out again when the entries that had them are gone.
fn remember_last(tx: &Tx) -> Outcome<()> {
    let sql = "UPDATE store_state SET value = max(value, ifnull((SELECT max(id) FROM archive), 0))
               WHERE key = 'archive-last'";
    tx.prepare_cached(sql)?.execute([])?;
    Ok(())
}

/// Deletes a whole archive and says how many entries it had.
pub(super) fn delete_all(tx: &Tx, owner: &str) -> Outcome<u64> {
    let Some(owner) = find_jid(tx, owner)? else {
        return Ok(0);
    };
    let ids = ids(
        tx,
        "SELECT id FROM archive INDEXED BY archive_owner WHERE owner = ?",
        [owner],
    )?;
    delete(tx, &ids)?;
    Ok(ids.len() as u64)
}

fn ids(connection: &Connection, sql: &str, params: impl rusqlite::Params) -> Outcome<Vec<i64>> {
    let mut statement = connection.prepare_cached(sql)?;
    Ok(statement
        .query_map(params, |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?)
}

fn replace(
    tx: &Tx,
    owner: &str,
    id: ArchiveId,
    stanza: &str,
    body: Option<&String>,
) -> Outcome<bool> {
    let Some(owner) = find_jid(tx, owner)? else {
        return Ok(false);
    };
    let changed = tx
        .prepare_cached("UPDATE archive SET stanza = ?, body = ? WHERE id = ? AND owner = ?")?
        .execute((stanza, body, id.0, owner))?;
    if changed == 0 {
        return Ok(false);
    }
    let id = i64::try_from(id.0).unwrap_or(i64::MAX);
    tx.change_text(match body {
        Some(body) => TextChange::Put {
            id,
            owner,
            body: body.clone(),
        },
        None => TextChange::Delete { id },
    });
    Ok(true)
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
             SELECT * FROM archive INDEXED BY archive_peer WHERE owner = ? AND peer = ? ORDER BY id DESC LIMIT {FIND_AMONG}
         ) a JOIN jids p ON p.id = a.peer
         WHERE a.message_id = ?3 OR a.origin_id = ?3 ORDER BY a.id DESC LIMIT 1"
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
            "SELECT id, time FROM archive INDEXED BY archive_owner WHERE owner = ? ORDER BY id {order} LIMIT 1"
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
        let work = move |tx: &Tx| {
            writes.iter().try_for_each(|write| match write {
                Write::Archive(entry) => insert(tx, entry),
                Write::Offline(entry) => offline::push(tx, entry),
            })
        };
        Commit::waiting(self.writer.submit(bytes, work).await, self.writer.closed())
    }

    async fn archive_page(
        &self,
        owner: &str,
        filter: ArchiveFilter,
        paging: ArchivePaging,
    ) -> Result<ArchivePage> {
        let (owner, full_text) = (owner.to_owned(), self.full_text);
        self.read_settled(move |connection| {
            archive_query::page(connection, &owner, &filter, &paging, full_text)
        })
        .await
    }

    async fn archive_has(&self, owner: &str, ids: &[ArchiveId]) -> Result<bool> {
        let (owner, ids) = (owner.to_owned(), ids.to_vec());
        self.read_settled(move |connection| {
            if ids.is_empty() {
                return Ok(true);
            }
            let Some(owner) = find_jid(connection, &owner)? else {
                return Ok(false);
            };
            let mut statement =
                connection.prepare_cached("SELECT 1 FROM archive WHERE id = ? AND owner = ?")?;
            for id in ids {
                if !statement.exists((id.0, owner))? {
                    return Ok(false);
                }
            }
            Ok(true)
        })
        .await
    }

    async fn archive_entry(&self, owner: &str, id: ArchiveId) -> Result<Option<ArchiveEntry>> {
        let owner = owner.to_owned();
        self.read_settled(move |connection| {
            let Some(owner_id) = find_jid(connection, &owner)? else { return Ok(None) };
            let sql =
                format!("SELECT {COLUMNS} FROM archive a JOIN jids p ON p.id = a.peer WHERE a.id = ? AND a.owner = ?");
            let mut statement = connection.prepare_cached(&sql)?;
            Ok(statement.query_row((id.0, owner_id), |row| read_entry(row, &owner)).optional()?)
        })
        .await
    }

    async fn archive_find(
        &self,
        owner: &str,
        with: &str,
        id: &str,
    ) -> Result<Option<ArchiveEntry>> {
        let (owner, with, id) = (owner.to_owned(), with.to_owned(), id.to_owned());
        self.read_settled(move |connection| find(connection, &owner, &with, &id))
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
        self.write(move |tx| replace(tx, &owner, id, &stanza, body.as_ref()))
            .await
    }

    async fn archive_bounds(&self, owner: &str) -> Result<Option<(ArchiveMark, ArchiveMark)>> {
        let owner = owner.to_owned();
        self.read_settled(move |connection| bounds(connection, &owner))
            .await
    }

    async fn archive_delete_older(&self, owner: &str, before: UnixMillis, max: u32) -> Result<u32> {
        let owner = owner.to_owned();
        self.write(move |tx| {
            let Some(owner) = find_jid(tx, &owner)? else { return Ok(0) };
            let sql = "SELECT id FROM archive INDEXED BY archive_owner WHERE owner = ? AND time < ? ORDER BY id LIMIT ?";
            let ids = ids(tx, sql, (owner, before, max))?;
            delete(tx, &ids)?;
            Ok(u32::try_from(ids.len()).unwrap_or(u32::MAX))
        })
        .await
    }

    async fn archive_delete_older_of_all(
        &self,
        before: UnixMillis,
        except: &[String],
        max: u32,
    ) -> Result<u32> {
        let except = except.to_vec();
        self.write(move |tx| {
            let sql = "SELECT id FROM archive INDEXED BY archive_time WHERE time < ? AND owner NOT IN
                       (SELECT j.id FROM json_each(?) e JOIN jids j ON j.jid = e.value) ORDER BY time LIMIT ?";
            let ids = ids(tx, sql, (before, serde_json::to_string(&except)?, max))?;
            delete(tx, &ids)?;
            Ok(u32::try_from(ids.len()).unwrap_or(u32::MAX))
        })
        .await
    }

    async fn archive_prefs(&self, user: &str) -> Result<Option<ArchivePrefs>> {
        let user = user.to_owned();
        self.read(move |connection| read_prefs(connection, &user))
            .await
    }

    async fn set_archive_prefs(&self, user: &str, prefs: ArchivePrefs) -> Result<()> {
        let user = user.to_owned();
        self.write(move |tx| write_prefs(tx, &user, &prefs)).await
    }
}
