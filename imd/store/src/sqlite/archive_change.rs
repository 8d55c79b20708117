//! Deleting and replacing entries of archives. A message goes with its last entry.

use rusqlite::{Connection, OptionalExtension as _, ToSql};

use super::archive::{TIME, find_jid};
use super::fault::Fault;
use super::order;
use super::packed::{Place, pack};
use super::search::TextChange;
use super::tx::Tx;
use crate::UnixMillis;

/// Entries that are older than their ids say by more than this, in ms, are in an index of their own.
pub(super) const LAGGING: i64 = 60_000;

type Outcome<T> = std::result::Result<T, Fault>;

/// A stanza, and the columns for its text.
pub(super) type NewContent<'a> = (&'a str, (Option<&'a str>, Option<usize>, Option<usize>));

/// Deletes an archive's entries of these ids.
fn delete(tx: &Tx, owner: i64, ids: &[i64]) -> Outcome<()> {
    remember_last(tx)?;
    let sql = "DELETE FROM entries WHERE owner = ? AND id = ? RETURNING id - behind";
    for id in ids {
        let message: Option<i64> = tx
            .prepare_cached(sql)?
            .query_row((owner, id), |row| row.get(0))
            .optional()?;
        if let Some(message) = message {
            forget_place(tx, message, *id)?;
        }
    }
    Ok(())
}

/// Takes an entry out of its message, which goes if that was its last.
fn forget_place(tx: &Tx, message: i64, id: i64) -> Outcome<()> {
    let mut places = order::places(tx, message)?.unwrap_or_default();
    places.retain(|place| place.id != id);
    if places.is_empty() {
        tx.prepare_cached("DELETE FROM messages WHERE id = ?")?
            .execute([message])?;
    } else {
        set_places(tx, message, &places)?;
    }
    tx.change_text(TextChange(message));
    Ok(())
}

fn set_places(tx: &Tx, message: i64, places: &[Place]) -> Outcome<()> {
    tx.prepare_cached("UPDATE messages SET packed = ? WHERE id = ?")?
        .execute((pack(message, places), message))?;
    Ok(())
}

/// Keeps ids from being given out again when the entries that had them are gone.
fn remember_last(tx: &Tx) -> Outcome<()> {
    let last = match tx
        .prepare_cached("SELECT id FROM messages ORDER BY id DESC LIMIT 1")?
        .query_row([], |row| row.get::<_, i64>(0))
        .optional()?
    {
        Some(message) => {
            let places = order::places(tx, message)?.unwrap_or_default();
            let ids = places.iter().map(|place| place.id);
            ids.chain([message]).max().unwrap_or(message)
        }
        None => return Ok(()),
    };
    tx.prepare_cached("UPDATE store_state SET value = max(value, ?) WHERE key = 'archive-last'")?
        .execute([last])?;
    Ok(())
}

/// Deletes a whole archive and says how many entries it had.
pub(super) fn delete_all(tx: &Tx, owner: &str) -> Outcome<u64> {
    let Some(owner) = find_jid(tx, owner)? else {
        return Ok(0);
    };
    tx.order(owner)?;
    let ids = ids(tx, "SELECT id FROM entries WHERE owner = ?", &[&owner])?;
    delete(tx, owner, &ids)?;
    Ok(ids.len() as u64)
}

fn ids(connection: &Connection, sql: &str, params: &[&dyn ToSql]) -> Outcome<Vec<i64>> {
    let mut statement = connection.prepare_cached(sql)?;
    Ok(statement
        .query_map(params, |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?)
}

/// The oldest entries of an archive from before a time. Those whose ids do not tell that they are so old come last.
fn old(connection: &Connection, owner: i64, before: UnixMillis, max: u32) -> Outcome<Vec<i64>> {
    let first = before.saturating_mul(1000);
    let mut old = ids(
        connection,
        "SELECT id FROM entries WHERE owner = ? AND id < ? ORDER BY id LIMIT ?",
        &[&owner, &first, &max],
    )?;
    let left = usize::try_from(max).unwrap_or(usize::MAX) - old.len();
    if left > 0 {
        let sql = format!(
            "SELECT a.id FROM entries a INDEXED BY entries_lagging
             WHERE a.owner = ? AND a.id >= ? AND a.lag > {LAGGING} AND {TIME} < ? ORDER BY a.id LIMIT ?"
        );
        let left = u32::try_from(left).unwrap_or(u32::MAX);
        let params: [&dyn ToSql; 4] = [&owner, &first, &before, &left];
        old.extend(ids(connection, &sql, &params)?);
    }
    Ok(old)
}

/// Deletes up to `max` of an archive's entries from before a time, and says how many.
pub(super) fn delete_older(tx: &Tx, owner: &str, before: UnixMillis, max: u32) -> Outcome<u32> {
    let Some(owner) = find_jid(tx, owner)? else {
        return Ok(0);
    };
    tx.order(owner)?;
    let old = old(tx, owner, before, max)?;
    delete(tx, owner, &old)?;
    Ok(u32::try_from(old.len()).unwrap_or(u32::MAX))
}

/// Up to `max` entries from before a time, of all archives but some: by owner.
pub(super) fn old_of_all(
    connection: &Connection,
    before: UnixMillis,
    except: &[String],
    max: u32,
) -> Outcome<Vec<(i64, Vec<i64>)>> {
    let except = except
        .iter()
        .map(|jid| find_jid(connection, jid))
        .collect::<Outcome<Vec<_>>>()?;
    let next = "SELECT owner FROM entries WHERE owner > ? ORDER BY owner LIMIT 1";
    let mut next = connection.prepare_cached(next)?;
    let (mut owner, mut left, mut all) = (i64::MIN, max, Vec::new());
    while left > 0 {
        let Some(found) = next.query_row([owner], |row| row.get(0)).optional()? else {
            break;
        };
        owner = found;
        if except.contains(&Some(owner)) {
            continue;
        }
        let old = old(connection, owner, before, left)?;
        left -= u32::try_from(old.len()).unwrap_or(left).min(left);
        if !old.is_empty() {
            all.push((owner, old));
        }
    }
    Ok(all)
}

/// Deletes entries, by owner, and says how many they were.
pub(super) fn delete_each(tx: &Tx, entries: &[(i64, Vec<i64>)]) -> Outcome<u32> {
    let mut deleted = 0;
    for (owner, ids) in entries {
        delete(tx, *owner, ids)?;
        deleted += ids.len();
    }
    Ok(u32::try_from(deleted).unwrap_or(u32::MAX))
}

/// Puts another content in the place of an entry's, in this archive alone; false when it has no such entry.
pub(super) fn replace(tx: &Tx, owner: &str, id: i64, new: NewContent<'_>) -> Outcome<bool> {
    let Some(owner) = find_jid(tx, owner)? else {
        return Ok(false);
    };
    tx.order(owner)?;
    let message: Option<i64> = tx
        .prepare_cached("SELECT id - behind FROM entries WHERE owner = ? AND id = ?")?
        .query_row((owner, id), |row| row.get(0))
        .optional()?;
    let Some(message) = message else {
        return Ok(false);
    };
    let places = order::places(tx, message)?.unwrap_or_default();
    let (own, others): (Vec<Place>, Vec<Place>) =
        places.into_iter().partition(|place| place.id == id);
    // A message of an older schema does not tell its one entry.
    let changed = match others.first() {
        None => message,
        Some(_) if message != id => {
            part(tx, (message, &others), (id, &own))?;
            id
        }
        Some(first) => {
            for place in &others {
                tx.order(place.owner)?;
            }
            part(tx, (message, &own), (first.id, &others))?;
            tx.change_text(TextChange(first.id));
            message
        }
    };
    let (stanza, (body, at, length)) = new;
    let sql = "UPDATE messages SET stanza = ?, body = ?, body_at = ?, body_length = ? WHERE id = ?";
    tx.prepare_cached(sql)?
        .execute((stanza, body, at, length, changed))?;
    tx.change_text(TextChange(changed));
    tx.change_text(TextChange(message));
    Ok(true)
}

/// Makes two messages of one: the first keeps some of its entries, a copy gets the others, which are in their order.
fn part(tx: &Tx, (kept, stay): (i64, &[Place]), (copy, go): (i64, &[Place])) -> Outcome<()> {
    set_places(tx, kept, stay)?;
    let sql = "INSERT INTO messages
               SELECT ?1, time, groupchat, message_id, origin_id, stanza, body, body_at, body_length, ?2
               FROM messages WHERE id = ?3";
    tx.prepare_cached(sql)?
        .execute((copy, pack(copy, go), kept))?;
    for place in go {
        tx.prepare_cached("UPDATE entries SET behind = id - ?1 WHERE owner = ?2 AND id = ?3")?
            .execute((copy, place.owner, place.id))?;
    }
    Ok(())
}
