//! The SQLite backend keeps the contract.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use imd_store::sqlite::{SqliteOptions, SqliteStore};
use tempfile::TempDir;

fn sqlite() -> (Box<SqliteStore>, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteOptions {
        full_text: true,
        ..SqliteOptions::default()
    };
    let store = SqliteStore::open(&folder.path().join("imd.db"), options).unwrap();
    (Box::new(store), folder)
}

imd_store::contract_tests!(crate::sqlite);
