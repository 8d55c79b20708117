//! Whether what came out of a backup is whole.

use std::path::Path;

use imd_store::StoreError;
use imd_store::sqlite::SqliteStore;
use rusqlite::{Connection, OpenFlags};
use serde::{Deserialize, Serialize};

use super::contents::{BOX, IMD};
use super::open::Fault;
use crate::files::Files;
use crate::firstboot::certificates;
use crate::firstboot::state::BoxState;

/// What was counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Accounts.
    pub people: u64,
    /// Messages in all archives.
    pub messages: u64,
    /// Uploaded files.
    pub uploads: u64,
    /// Bytes of the database and the uploads.
    pub bytes: u64,
}

/// The chat server's list of its part.
#[derive(Deserialize)]
struct List {
    database_bytes: u64,
    uploads: Vec<Upload>,
}

#[derive(Deserialize)]
struct Upload {
    id: String,
    bytes: u64,
}

/// Looks at everything in a folder that a backup was unpacked into: the box's settings and certificates can be read and belong
/// together, every page of the database is sound and of a version that this box knows, every uploaded file has its length.
///
/// # Errors
/// The first thing that is not whole.
pub fn check(folder: &Path) -> Result<Counts, Fault> {
    let files = Files::new(folder.join(BOX));
    BoxState::load(&files).map_err(|error| damaged(&error))?;
    certificates::check_pair(&files).map_err(|error| damaged(&error))?;
    let imd = folder.join(IMD);
    let text = std::fs::read(imd.join("manifest.json"));
    let text = text.map_err(|_| missing("the chat server's list"))?;
    let list: List = serde_json::from_slice(&text)
        .map_err(|_| missing("a readable list of the chat server's files"))?;
    let database = imd.join("imd.sqlite");
    same_length(&database, list.database_bytes, "the database")?;
    let size = SqliteStore::verify(&database).map_err(|error| match error {
        StoreError::Newer { .. } => Fault::Newer("a later one".to_owned()),
        error => Fault::Damaged(error.to_string()),
    })?;
    for upload in &list.uploads {
        let two = upload.id.get(..2).unwrap_or("00");
        let place = imd.join("uploads").join(two).join(&upload.id);
        same_length(&place, upload.bytes, "an uploaded file")?;
    }
    Ok(Counts {
        people: people(&database)?,
        messages: size.archived,
        uploads: list.uploads.len() as u64,
        bytes: list.database_bytes + list.uploads.iter().map(|upload| upload.bytes).sum::<u64>(),
    })
}

fn damaged(error: &anyhow::Error) -> Fault {
    Fault::Damaged(format!("{error:#}"))
}

fn missing(what: &str) -> Fault {
    Fault::Damaged(format!("{what} is missing"))
}

fn same_length(place: &Path, bytes: u64, what: &str) -> Result<(), Fault> {
    let found = place.metadata().map_err(|_| missing(what))?.len();
    if found == bytes {
        return Ok(());
    }
    let text = format!("{what} has {found} bytes and had {bytes}");
    Err(Fault::Damaged(text))
}

fn people(database: &Path) -> Result<u64, Fault> {
    let count = || -> rusqlite::Result<u64> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
        let opened = Connection::open_with_flags(database, flags)?;
        opened.query_row("SELECT count(*) FROM accounts", [], |row| row.get(0))
    };
    count().map_err(|error| Fault::Damaged(error.to_string()))
}
