//! The schema's versions and the way from each to the next.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::fault::Fault;
use crate::StoreError;

/// Step n leads from version n to version n + 1 (`PRAGMA user_version`). Only ever add to the end.
const STEPS: &[&str] = &[
    include_str!("0001.sql"),
    include_str!("0002.sql"),
    include_str!("0003.sql"),
];

/// Files up to this size are read whole at each start.
const WHOLE_BYTES: u64 = 64 << 20;

/// Brings the database to the newest version; each step is one transaction, so that a power cut
/// leaves one version or the next. Refuses a database that is newer than this program.
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), Fault> {
    run(connection, path, STEPS)
}

fn run(connection: &mut Connection, path: &Path, steps: &[&str]) -> Result<(), Fault> {
    loop {
        // Another process may be doing the same: the version counts inside the transaction.
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let found: u32 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
        let known = u32::try_from(steps.len()).unwrap_or(u32::MAX);
        if found > known {
            return Err(StoreError::Newer {
                path: path.into(),
                found,
                known,
            }
            .into());
        }
        let Some(step) = usize::try_from(found)
            .ok()
            .and_then(|found| steps.get(found))
        else {
            return Ok(());
        };
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "user_version", found + 1)?;
        transaction.commit()?;
        tracing::info!(path = %path.display(), version = found + 1, "database schema is now at this version");
    }
}

/// Fails where the database is not of a version that this program knows.
pub(super) fn known(connection: &Connection, path: &Path) -> Result<(), Fault> {
    let found: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let known = u32::try_from(STEPS.len()).unwrap_or(u32::MAX);
    match found {
        0 => Err(damaged(path, "it is no database of imd".to_owned())),
        found if found > known => Err(StoreError::Newer {
            path: path.into(),
            found,
            known,
        }
        .into()),
        _ => Ok(()),
    }
}

/// Fails with `Damaged` where the structure of the file is not sound. Of a large file, only the tables without which nobody can
/// log in are read: the archives take minutes, and a start must not. Backups read all ([`check_all`]).
pub(super) fn check(connection: &Connection, path: &Path) -> Result<(), Fault> {
    let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, u64>(0));
    if number("page_size")? * number("page_count")? <= WHOLE_BYTES {
        return check_all(connection, path);
    }
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT IN ('messages', 'entries', 'archive')
               AND name NOT LIKE 'archive_text%' AND name NOT LIKE 'sqlite_%'";
    let tables: Vec<String> = connection
        .prepare(sql)?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    tables
        .iter()
        .try_for_each(|table| quick_check(connection, path, &format!("'{table}'")))
}

/// Fails with `Damaged` where the structure of the file is not sound; reads all of it.
pub(super) fn check_all(connection: &Connection, path: &Path) -> Result<(), Fault> {
    quick_check(connection, path, "3")
}

fn quick_check(connection: &Connection, path: &Path, what: &str) -> Result<(), Fault> {
    let mut statement = connection.prepare(&format!("PRAGMA quick_check({what})"))?;
    let found: Vec<String> = statement
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    if found == ["ok"] {
        return Ok(());
    }
    Err(damaged(path, found.join("; ")))
}

fn damaged(path: &Path, detail: String) -> Fault {
    StoreError::Damaged {
        path: path.into(),
        detail,
    }
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(connection: &Connection) -> u32 {
        connection
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .unwrap()
    }

    #[test]
    fn every_step_is_run_once() {
        let mut connection = Connection::open_in_memory().unwrap();
        let steps = ["CREATE TABLE a (x)", "CREATE TABLE b (x)"];
        run(&mut connection, Path::new("x"), &steps[..1]).unwrap();
        run(&mut connection, Path::new("x"), &steps).unwrap();
        run(&mut connection, Path::new("x"), &steps).unwrap();
        assert_eq!(version(&connection), 2);
    }

    #[test]
    fn a_failing_step_leaves_the_version_before_it() {
        let mut connection = Connection::open_in_memory().unwrap();
        let steps = [
            "CREATE TABLE a (x)",
            "CREATE TABLE b (x); CREATE TABLE a (x)",
        ];
        assert!(run(&mut connection, Path::new("x"), &steps).is_err());
        assert_eq!(version(&connection), 1);
        assert!(!connection.table_exists(None, "b").unwrap());
    }

    #[test]
    fn a_newer_database_is_refused() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();
        let error = migrate(&mut connection, Path::new("imd.db"))
            .unwrap_err()
            .at(Path::new("imd.db"));
        assert!(matches!(error, StoreError::Newer { found: 99, .. }));
    }
}
