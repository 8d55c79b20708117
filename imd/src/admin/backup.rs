//! Backups: a folder with the database of one moment, the files that people uploaded, and a list of both.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use imd_store::sqlite::SqliteStore;
use imd_store::{StoreSize, now_millis};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Administrator, Refusal};
use crate::feature::time;
use crate::web::upload::place;

/// The database in a backup.
const DATABASE: &str = "imd.sqlite";
/// The list of what is in it. Written last: a folder without one is no backup.
const MANIFEST: &str = "manifest.json";
/// Where uploaded files are, in a backup as in `data_dir`.
pub const UPLOADS: &str = "uploads";
/// One at a time: each reads the whole disk.
static MAKING: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// A backup to make.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewBackup {
    /// The folder to make: an absolute path that is not there yet, which the server may write.
    pub folder: String,
}

/// What is in a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Manifest {
    /// The version of imd that made it.
    pub version: String,
    /// The domain of the server.
    pub domain: String,
    /// When it was finished (XEP-0082).
    pub made: String,
    /// Bytes of the database.
    pub database_bytes: u64,
    /// The uploaded files.
    pub uploads: Vec<UploadedFile>,
}

/// An uploaded file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UploadedFile {
    /// Its id.
    pub id: String,
    /// Its bytes.
    pub bytes: u64,
}

impl Administrator {
    /// Make a backup while the server runs. What is there when it begins is in it as a whole.
    ///
    /// # Errors
    /// `Invalid` when the folder cannot be made, `Conflict` when this administrator came over the network, `Busy` when a backup
    /// is being made or the disk is full, `Failed` when the copying failed. Nothing is left of a backup that failed.
    pub async fn back_up(&self, new: NewBackup) -> Result<Manifest, Refusal> {
        if self.actor.starts_with("api:") {
            let text = "backups are made over the server's own socket only: a token must not choose where it writes";
            return Err(Refusal::Conflict(text.to_owned()));
        }
        let Ok(_alone) = MAKING.try_lock() else {
            return Err(Refusal::Busy("a backup is being made".to_owned()));
        };
        let folder = PathBuf::from(&new.folder);
        make_folder(&folder)?;
        let made = self.fill(&folder).await;
        match &made {
            Ok(manifest) => {
                let detail = format!("{} bytes", manifest.database_bytes);
                self.note("backup", &new.folder, detail).await;
            }
            // Half a backup must not be taken for one.
            Err(_) => drop(fs::remove_dir_all(&folder)),
        }
        made
    }

    async fn fill(&self, folder: &Path) -> Result<Manifest, Refusal> {
        let database = folder.join(DATABASE);
        self.server.store.back_up(&database).await?;
        let (from, folder) = (self.server.config.data_dir.join(UPLOADS), folder.to_owned());
        let domain = self.server.config.domain.to_string();
        let filling = tokio::task::spawn_blocking(move || finish(&from, &folder, domain));
        filling.await.unwrap_or(Err(Refusal::Failed))
    }
}

fn make_folder(folder: &Path) -> Result<(), Refusal> {
    let wrong = |accepted: &str| {
        let found = folder.display().to_string();
        Err(Refusal::invalid("folder", found, accepted))
    };
    if !folder.is_absolute() {
        return wrong("an absolute path");
    }
    match DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            wrong("a folder that is not there yet")
        }
        Err(error) => wrong(&format!("a folder that the server can make ({error})")),
    }
}

/// Adds the uploaded files that the copy of the database knows, and the list.
fn finish(uploads: &Path, folder: &Path, domain: String) -> Result<Manifest, Refusal> {
    let failed = |error: io::Error| {
        tracing::warn!(%error, folder = %folder.display(), "the backup failed");
        match error.kind() {
            io::ErrorKind::StorageFull => Refusal::Busy("the disk is full".to_owned()),
            _ => Refusal::Failed,
        }
    };
    let database = folder.join(DATABASE);
    let mut manifest = Manifest {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        domain,
        made: String::new(),
        database_bytes: database.metadata().map_err(failed)?.len(),
        uploads: Vec::new(),
    };
    for (id, bytes) in SqliteStore::uploads_in(&database)? {
        // One that was deleted meanwhile is no loss: nobody may have it any more.
        if take(uploads, &folder.join(UPLOADS), &id).map_err(failed)? {
            manifest.uploads.push(UploadedFile { id, bytes });
        }
    }
    manifest.made = time::format(now_millis());
    write(folder, &manifest).map_err(failed)?;
    Ok(manifest)
}

/// Puts an uploaded file into the backup; false when it is gone. It never changes, so where it can it is the same file.
fn take(from: &Path, to: &Path, id: &str) -> io::Result<bool> {
    let (from, to) = (place(from, id), place(to, id));
    if let Some(folder) = to.parent() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
    }
    if fs::hard_link(&from, &to).is_ok() {
        return Ok(true);
    }
    match fs::copy(&from, &to) {
        Ok(_) => File::open(&to)?.sync_all().map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn write(folder: &Path, manifest: &Manifest) -> io::Result<()> {
    let path = folder.join(MANIFEST);
    fs::write(&path, serde_json::to_vec_pretty(manifest)?)?;
    File::open(&path)?.sync_all()?;
    File::open(folder)?.sync_all()
}

/// Look whether a backup is whole: every page of its database, and the size of every file. A single file is taken for a
/// database. Changes nothing. Blocks, for minutes where it is large.
///
/// # Errors
/// In words what is missing or damaged.
pub fn verify(path: &Path) -> anyhow::Result<(Option<Manifest>, StoreSize)> {
    use anyhow::{Context as _, ensure};
    if path.is_file() {
        return Ok((None, SqliteStore::verify(path)?));
    }
    let list = path.join(MANIFEST);
    let text = fs::read(&list)
        .with_context(|| format!("{} is no whole backup: {MANIFEST}", path.display()))?;
    let manifest: Manifest = serde_json::from_slice(&text)
        .with_context(|| format!("{} is no list of a backup", list.display()))?;
    let database = path.join(DATABASE);
    let found = database
        .metadata()
        .with_context(|| format!("{} is missing", database.display()))?
        .len();
    ensure!(
        found == manifest.database_bytes,
        "{} has {found} bytes; it had {}",
        database.display(),
        manifest.database_bytes
    );
    let size = SqliteStore::verify(&database)?;
    for file in &manifest.uploads {
        let path = place(&path.join(UPLOADS), &file.id);
        let found = path
            .metadata()
            .with_context(|| format!("{} is missing", path.display()))?
            .len();
        ensure!(
            found == file.bytes,
            "{} has {found} bytes; it had {}",
            path.display(),
            file.bytes
        );
    }
    Ok((Some(manifest), size))
}
