//! The schema's versions and the way from each to the next.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::fault::Fault;
use crate::StoreError;

/// Step n leads from version n to version n + 1 (`PRAGMA user_version`). Only ever add to the end.
const STEPS: &[&str] = &[include_str!("0001.sql"), include_str!("0002.sql")];

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

/// Fails with `Damaged` where the structure of the file is not sound.
pub(super) fn check(connection: &Connection, path: &Path) -> Result<(), Fault> {
    let mut statement = connection.prepare("PRAGMA quick_check(3)")?;
    let found: Vec<String> = statement
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    if found == ["ok"] {
        return Ok(());
    }
    Err(StoreError::Damaged {
        path: path.into(),
        detail: found.join("; "),
    }
    .into())
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
