//! A backup is whole or is not there, and what is wrong with one is told by name.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail loudly"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use imd::admin::backup::{Manifest, NewBackup, verify};
use imd::admin::{Administrator, Refusal};
use imd::server::Server;
use imd::shutdown::Shutdown;
use imd_store::sqlite::{SqliteOptions, SqliteStore};
use imd_store::{Upload, UploadQuota};

async fn administrator(folder: &Path, actor: &str) -> Administrator {
    let text = format!(
        "domain = \"x.test\"\ndata_dir = {folder:?}\n[tls]\ncertificate = \"/c\"\nkey = \"/k\"\n"
    );
    let config = imd::config::parse("imd.toml", &text).unwrap();
    let options = SqliteOptions {
        full_text: true,
        check: false,
    };
    let store = SqliteStore::open(&folder.join("imd.sqlite"), options).unwrap();
    Administrator {
        server: Server::new(config, Arc::new(store), Shutdown::default()).unwrap(),
        actor: actor.to_owned(),
    }
}

/// An uploaded file, in its place.
async fn upload(admin: &Administrator, folder: &Path, id: &str, content: &str) {
    let upload = Upload {
        id: id.to_owned(),
        user: None,
        filename: "a.txt".to_owned(),
        size: content.len() as u64,
        content_type: None,
        created_at: 1,
        complete: false,
    };
    let quota = UploadQuota {
        user_bytes: 1000,
        day_bytes: 1000,
        day_start: 0,
        total_bytes: 1000,
    };
    let store = &admin.server.store;
    let upload = Upload {
        user: Some("alice".to_owned()),
        ..upload
    };
    store.reserve_upload(upload, quota).await.unwrap();
    store.complete_upload(id).await.unwrap();
    let place = folder.join("uploads").join(&id[..2]);
    fs::create_dir_all(&place).unwrap();
    fs::write(place.join(id), content).unwrap();
}

/// A process makes one backup at a time, and the tests of a file run in one.
static ONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

async fn made(folder: &Path) -> (Manifest, PathBuf) {
    let data = folder.join("data");
    fs::create_dir_all(&data).unwrap();
    let admin = administrator(&data, "cli").await;
    let person = imd::admin::accounts::NewPerson {
        username: "alice".to_owned(),
        ..Default::default()
    };
    admin.create_person(person).await.unwrap();
    upload(&admin, &data, "abcd", "hello").await;
    let to = folder.join("backup");
    let new = NewBackup {
        folder: to.display().to_string(),
    };
    let _one = ONE.lock().await;
    (admin.back_up(new).await.unwrap(), to)
}

#[tokio::test]
async fn a_backup_has_the_database_and_the_files_and_is_verified() {
    let folder = tempfile::tempdir().unwrap();
    let (manifest, backup) = made(folder.path()).await;
    assert_eq!((manifest.uploads.len(), manifest.uploads[0].bytes), (1, 5));
    assert_eq!(
        fs::read_to_string(backup.join("uploads/ab/abcd")).unwrap(),
        "hello"
    );
    assert_eq!(verify(&backup).unwrap().0, Some(manifest));
    verify(&backup.join("imd.sqlite")).unwrap();
}

#[tokio::test]
async fn what_is_wrong_with_a_backup_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (_, backup) = made(folder.path()).await;
    let told = |path: &Path| verify(path).unwrap_err().to_string();
    fs::write(backup.join("uploads/ab/abcd"), "hell").unwrap();
    assert!(
        told(&backup).contains("abcd has 4 bytes; it had 5"),
        "{}",
        told(&backup)
    );
    fs::remove_file(backup.join("uploads/ab/abcd")).unwrap();
    assert!(
        told(&backup).contains("abcd is missing"),
        "{}",
        told(&backup)
    );
    fs::remove_file(backup.join("manifest.json")).unwrap();
    assert!(
        told(&backup).contains("no whole backup"),
        "{}",
        told(&backup)
    );
    fs::write(backup.join("imd.sqlite"), "something else".repeat(1000)).unwrap();
    assert!(verify(&backup.join("imd.sqlite")).is_err());
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_refused_and_nothing_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let admin = administrator(folder.path(), "cli").await;
    let there = folder.path().display().to_string();
    for bad in ["relative", there.as_str(), "/nowhere/at/all"] {
        let new = NewBackup {
            folder: bad.to_owned(),
        };
        let _one = ONE.lock().await;
        let refused = admin.back_up(new).await;
        assert!(
            matches!(refused, Err(Refusal::Invalid(_))),
            "{bad}: {refused:?}"
        );
    }
    assert!(folder.path().join("imd.sqlite").exists());
}

#[tokio::test]
async fn a_token_cannot_choose_where_the_server_writes() {
    let folder = tempfile::tempdir().unwrap();
    let admin = administrator(folder.path(), "api:website").await;
    let to = folder.path().join("backup");
    let new = NewBackup {
        folder: to.display().to_string(),
    };
    assert!(matches!(
        admin.back_up(new).await,
        Err(Refusal::Conflict(_))
    ));
    assert!(!to.exists());
}
