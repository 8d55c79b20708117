//! Putting entries in the order of their archives, later than their messages.
//!
//! A message's row goes to the end of one table. Its entries belong to places all over two others: written at once, each would
//! cost some pages of the disk. So they wait in memory, by owner, and are written owner by owner, when many wait or somebody
//! asks. What waits is in the rows of the messages too, and read from there at the start.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension as _};

use super::fault::Fault;
use super::packed::{self, Place};

/// Entries that may wait.
const MOST: usize = 400_000;
/// How long entries wait while nobody asks.
const LONGEST: Duration = Duration::from_secs(900);
/// How long after a round that failed, for want of space, the next one may begin.
const PUT_OFF: Duration = Duration::from_secs(60);
/// Entries that one step of a round writes, but for a single owner with more.
pub(super) const STEP: usize = 500;

type Outcome<T> = std::result::Result<T, Fault>;

/// Entries that are not in their order yet: the messages they are of, by owner.
#[derive(Debug, Default)]
pub(super) struct Pending {
    messages: HashMap<i64, Vec<i64>>,
    count: usize,
    since: Option<Instant>,
    /// Owners that the round that is going on still has to come to; empty: there is none.
    round: Vec<i64>,
    /// When the next round may begin, after one has failed.
    not_before: Option<Instant>,
    /// What this transaction has changed here, for the case that it fails.
    undo: Vec<Undo>,
}

#[derive(Debug)]
enum Undo {
    Noted(i64),
    Taken(i64, Vec<i64>),
}

impl Pending {
    /// Notes a message's entry of an archive.
    pub(super) fn note(&mut self, owner: i64, message: i64) {
        self.messages.entry(owner).or_default().push(message);
        self.count += 1;
        self.since.get_or_insert_with(Instant::now);
        self.undo.push(Undo::Noted(owner));
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// What `undo_to` takes to come back to now.
    pub(super) fn mark(&self) -> usize {
        self.undo.len()
    }

    /// The work since `mark` was rolled back.
    pub(super) fn undo_to(&mut self, mark: usize) {
        for undo in self.undo.drain(mark.min(self.undo.len())..).rev() {
            match undo {
                Undo::Noted(owner) => {
                    let noted = self.messages.get_mut(&owner).and_then(Vec::pop);
                    self.count -= usize::from(noted.is_some());
                }
                Undo::Taken(owner, messages) => {
                    self.count += messages.len();
                    self.messages.insert(owner, messages);
                }
            }
        }
    }

    /// All since the last commit is committed.
    pub(super) fn committed(&mut self) {
        self.undo.clear();
        if self.count == 0 {
            self.since = None;
            self.messages = HashMap::new();
        }
    }

    fn take(&mut self, owner: i64) -> Vec<i64> {
        let Some(messages) = self.messages.remove(&owner) else {
            return Vec::new();
        };
        self.count -= messages.len();
        self.undo.push(Undo::Taken(owner, messages.clone()));
        messages
    }

    /// Whether it is time for a round: all owners in their order.
    pub(super) fn is_due(&self, idle: bool) -> bool {
        if self.not_before.is_some_and(|time| Instant::now() < time) {
            return false;
        }
        !self.round.is_empty()
            || self.count > MOST
            || idle && self.since.is_some_and(|since| since.elapsed() > LONGEST)
    }

    /// Begins a round, where none is going on.
    pub(super) fn begin_round(&mut self) {
        if self.round.is_empty() {
            self.round = self.messages.keys().copied().collect();
            // Taken from the end: neighbours in the tables one after the other.
            self.round.sort_unstable_by(|a, b| b.cmp(a));
            self.since = (self.count > 0).then(Instant::now);
        }
    }

    /// Gives the round up for a while.
    pub(super) fn put_off(&mut self) {
        self.round.clear();
        self.not_before = Instant::now().checked_add(PUT_OFF);
    }

    fn least(&self) -> Option<i64> {
        self.messages.values().flatten().min().copied()
    }
}

/// Writes what waits for an owner.
pub(super) fn order(connection: &Connection, pending: &mut Pending, owner: i64) -> Outcome<()> {
    for message in pending.take(owner) {
        // A message that has been deleted meanwhile, or this archive's entry of it, is no longer there.
        for place in places(connection, message)?.unwrap_or_default() {
            if place.owner == owner {
                insert(connection, message, &place)?;
            }
        }
    }
    Ok(())
}

/// Writes what waits for some owners of the round.
pub(super) fn step(connection: &Connection, pending: &mut Pending) -> Outcome<()> {
    let left = pending.count.saturating_sub(STEP);
    while let Some(owner) = pending.round.pop() {
        order(connection, pending, owner)?;
        if pending.count < left {
            break;
        }
    }
    if pending.round.is_empty() {
        let newest = "SELECT ifnull(max(id), 0) + 1 FROM messages";
        let below = match pending.least() {
            Some(least) => least,
            None => connection
                .prepare_cached(newest)?
                .query_row([], |row| row.get(0))?,
        };
        connection
            .prepare_cached("UPDATE store_state SET value = ? WHERE key = 'ordered-below'")?
            .execute([below])?;
    }
    Ok(())
}

/// The places of a message; `None` when it is not there.
pub(super) fn places(connection: &Connection, message: i64) -> Outcome<Option<Vec<Place>>> {
    let packed = connection
        .prepare_cached("SELECT packed FROM messages WHERE id = ?")?
        .query_row([message], |row| read_places(message, row.get_ref(0)?))
        .optional()?;
    Ok(packed)
}

fn read_places(message: i64, value: rusqlite::types::ValueRef<'_>) -> rusqlite::Result<Vec<Place>> {
    let damaged = || {
        let text = format!("the entries of message {message} cannot be read");
        let kind = rusqlite::types::Type::Blob;
        rusqlite::Error::FromSqlConversionFailure(0, kind, text.into())
    };
    let bytes = value.as_blob().map_err(|_| damaged())?;
    packed::unpack(message, bytes).ok_or_else(damaged)
}

fn insert(connection: &Connection, message: i64, place: &Place) -> Outcome<()> {
    let lag = "max(0, ?1 / 1000 - (SELECT time FROM messages WHERE id = ?2))";
    let sql = format!(
        "INSERT OR IGNORE INTO entries (id, behind, owner, peer, resource, lag) VALUES (?1, ?1 - ?2, ?3, ?4, ?5, {lag})"
    );
    connection.prepare_cached(&sql)?.execute((
        place.id,
        message,
        place.owner,
        place.peer,
        &place.resource,
    ))?;
    Ok(())
}

/// What waits, as the database tells it at the start, and the greatest id of any entry.
pub(super) fn load(connection: &Connection) -> Outcome<(Pending, u64)> {
    let mut pending = Pending::default();
    let mut last: u64 = connection.query_row(
        "SELECT value FROM store_state WHERE key = 'archive-last'",
        [],
        |row| row.get(0),
    )?;
    let below: i64 = connection.query_row(
        "SELECT value FROM store_state WHERE key = 'ordered-below'",
        [],
        |row| row.get(0),
    )?;
    // Messages of the same moment may have entries in another order than their own, so some older ones are looked at, too.
    let from =
        "SELECT ifnull(min(id), 0) FROM (SELECT id FROM messages ORDER BY id DESC LIMIT 1000)";
    let from: i64 = connection.query_row(from, [], |row| row.get(0))?;
    // An entry's id is never less than its message's. Asked for once for each owner: a look for each entry would take seconds.
    let mut in_order =
        connection.prepare("SELECT id FROM entries WHERE owner = ? AND id >= ? ORDER BY id")?;
    let mut ordered: HashMap<i64, Vec<i64>> = HashMap::new();
    let mut messages = connection.prepare("SELECT id, packed FROM messages WHERE id >= ?")?;
    let mut rows = messages.query([below.min(from)])?;
    while let Some(row) = rows.next()? {
        let message: i64 = row.get(0)?;
        last = last.max(message.unsigned_abs());
        for place in read_places(message, row.get_ref(1)?)? {
            last = last.max(place.id.unsigned_abs());
            if message < below {
                continue;
            }
            let ordered = match ordered.entry(place.owner) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => {
                    let ids = in_order.query_map([place.owner, below], |row| row.get(0))?;
                    new.insert(ids.collect::<rusqlite::Result<_>>()?)
                }
            };
            if ordered.binary_search(&place.id).is_err() {
                pending.note(place.owner, message);
            }
        }
    }
    pending.undo.clear();
    Ok((pending, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(pending: &Pending) -> Vec<(i64, Vec<i64>)> {
        let mut all: Vec<_> = pending.messages.clone().into_iter().collect();
        all.retain(|(_, messages)| !messages.is_empty());
        all.sort();
        all
    }

    #[test]
    fn work_that_is_rolled_back_leaves_what_was_before() {
        let mut pending = Pending::default();
        for (owner, message) in [(1, 10), (2, 10), (1, 11)] {
            pending.note(owner, message);
        }
        pending.committed();
        let mark = pending.mark();
        pending.note(1, 12);
        assert_eq!(pending.take(1), [10, 11, 12]);
        pending.note(1, 13);
        pending.note(3, 13);
        pending.undo_to(mark);
        assert_eq!(waiting(&pending), [(1, vec![10, 11]), (2, vec![10])]);
        assert_eq!(pending.count(), 3);
    }

    #[test]
    fn a_round_is_due_when_many_wait_or_for_long() {
        let mut pending = Pending::default();
        assert!(!pending.is_due(true));
        pending.note(1, 10);
        assert!(!pending.is_due(true));
        pending.since = Instant::now().checked_sub(LONGEST * 2);
        assert!(pending.is_due(true) && !pending.is_due(false));
        pending.count = MOST + 1;
        assert!(pending.is_due(false));
    }
}
