//! Pages of an archive.

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::archive::{COLUMNS, JOINED, TIME, find_jid, integer, read_entry};
use super::archive_change::LAGGING;
use super::fault::Fault;
use super::search;
use crate::archive::MOST_COUNTED;
use crate::{ArchiveFilter, ArchiveId, ArchivePage, ArchivePaging, StoreError};

type Outcome<T> = std::result::Result<T, Fault>;

/// Conditions joined by AND, with their values in order.
#[derive(Clone)]
struct Conditions {
    sql: String,
    values: Vec<Value>,
    /// The index that gives the entries in their order; empty where few entries are meant and SQLite
    /// may begin with those.
    index: &'static str,
}

impl Conditions {
    fn and(&mut self, sql: &str, value: impl Into<Value>) {
        self.sql.push_str(" AND ");
        self.sql.push_str(sql);
        self.values.push(value.into());
    }

    fn id(&mut self, operator: &str, id: ArchiveId) {
        self.and(&format!("a.id {operator} ?"), integer(id.0));
    }
}

/// Whether an archive has entries that are older than their ids say.
fn has_lagging(connection: &Connection, owner: i64) -> Outcome<bool> {
    let sql = format!(
        "SELECT 1 FROM entries INDEXED BY entries_lagging WHERE owner = ? AND lag > {LAGGING}"
    );
    Ok(connection.prepare_cached(&sql)?.exists([owner])?)
}

/// The conditions of a filter; `None` when nothing can match.
fn conditions(
    connection: &Connection,
    owner: &str,
    filter: &ArchiveFilter,
    full_text: bool,
) -> Outcome<Option<Conditions>> {
    let Some(owner) = find_jid(connection, owner)? else {
        return Ok(None);
    };
    let mut all = Conditions {
        sql: "a.owner = ?".to_owned(),
        values: vec![owner.into()],
        index: "",
    };
    if let Some(with) = &filter.with {
        let Some(peer) = find_jid(connection, with)? else {
            return Ok(None);
        };
        all.and("a.peer = ?", peer);
        all.index = "INDEXED BY entries_peer";
        if let Some(resource) = &filter.with_resource {
            all.and("a.resource = ?", resource.clone());
        }
    }
    if let Some(start) = filter.start {
        all.and(&format!("{TIME} >= ?"), start);
        // No time is later than its id, so nothing before this id can be meant.
        all.id(
            ">=",
            ArchiveId(u64::try_from(start).unwrap_or(0).saturating_mul(1000)),
        );
    }
    if let Some(end) = filter.end {
        all.and(&format!("{TIME} <= ?"), end);
        if !has_lagging(connection, owner)? {
            // Then no time is earlier than its id by more than this, and what comes later need not be looked at.
            let latest = end.saturating_add(LAGGING + 1).saturating_mul(1000);
            all.id("<", ArchiveId(u64::try_from(latest).unwrap_or(0)));
        }
    }
    if let Some(after) = filter.after {
        all.id(">", after);
    }
    if let Some(before) = filter.before {
        all.id("<", before);
    }
    if let Some(ids) = &filter.ids {
        let ids: Vec<i64> = ids.iter().map(|id| integer(id.0)).collect();
        all.and(
            "a.id IN (SELECT value FROM json_each(?))",
            serde_json::to_string(&ids)?,
        );
        all.index = "";
    }
    if let Some(text) = &filter.text {
        if !full_text {
            return Err(StoreError::Off {
                what: "full-text search".to_owned(),
            }
            .into());
        }
        let Some(query) = search::query(owner, text) else {
            return Ok(None);
        };
        all.and(
            "a.id - a.behind IN (SELECT rowid FROM archive_text WHERE archive_text MATCH ?)",
            query,
        );
        all.index = "";
    }
    Ok(Some(all))
}

/// How many match; `None` where they are more than `most`.
fn count(connection: &Connection, conditions: &Conditions, most: u32) -> Outcome<Option<u64>> {
    let sql = format!(
        "SELECT count(*) FROM (SELECT 1 FROM entries a {} WHERE {} LIMIT {})",
        conditions.index,
        conditions.sql,
        u64::from(most) + 1
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let count = statement.query_row(params_from_iter(&conditions.values), |row| row.get(0))?;
    Ok(Some(count).filter(|count| *count <= u64::from(most)))
}

/// The page that `paging` asks for, of the entries that match `filter`.
pub(super) fn page(
    connection: &Connection,
    owner: &str,
    filter: &ArchiveFilter,
    paging: &ArchivePaging,
    full_text: bool,
) -> Outcome<ArchivePage> {
    let Some(all) = conditions(connection, owner, filter, full_text)? else {
        return Ok(ArchivePage {
            complete: true,
            count: paging.count.then_some(0),
            ..ArchivePage::default()
        });
    };
    let mut part = all.clone();
    if let Some(after) = paging.after {
        part.id(">", after);
    }
    if let Some(before) = paging.before {
        part.id("<", before);
    }
    // One more than wanted tells whether there is more.
    part.values.push((i64::from(paging.max) + 1).into());
    let sql = format!(
        "SELECT {COLUMNS} FROM entries a {} {JOINED} WHERE {} ORDER BY a.id {} LIMIT ?",
        part.index,
        part.sql,
        if paging.backwards { "DESC" } else { "ASC" },
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(params_from_iter(&part.values), |row| read_entry(row, owner))?;
    let mut entries = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    let max = usize::try_from(paging.max).unwrap_or(usize::MAX);
    let complete = entries.len() <= max;
    entries.truncate(max);
    if paging.backwards {
        entries.reverse();
    }
    let mut page = ArchivePage {
        entries,
        complete,
        count: None,
        first_index: None,
    };
    if paging.count {
        // Who asks for the number alone gets it, whatever it takes.
        let most = match paging.max {
            0 => u32::MAX,
            _ => MOST_COUNTED,
        };
        page.count = count(connection, &all, most)?;
        if let (Some(_), Some(first)) = (page.count, page.entries.first()) {
            let mut earlier = all;
            earlier.id("<", first.id);
            page.first_index = count(connection, &earlier, most)?;
        }
    }
    Ok(page)
}
