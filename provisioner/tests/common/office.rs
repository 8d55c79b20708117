//! A box to back up, its backup, and boxes to restore it on.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests; each uses a part"
)]

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use imd_store::UpkeepStore;
use imd_store::sqlite::{SqliteOptions, SqliteStore};
use provisioner::backup::contents::Manifest;
use provisioner::backup::key::{BoxKey, RecoveryKey};
use provisioner::backup::make::seal;
use provisioner::files::Files;
use provisioner::firstboot::state::BoxState;
use provisioner::model::{AuthorityFile, HookFile};
use tempfile::TempDir;

use crate::common::boxes::{booted, wishes};
use crate::common::{FakeSystem, put};

pub const HOOK: &str = "/etc/perch/acme-hook";
pub const OWN_AUTHORITY: &str = "/etc/perch/ca/acme.crt";
pub const UPLOAD: &str = "abcdefghij0123456789";

/// What `imd backup` leaves of a server with these people and one uploaded file.
fn copy_of_imd(folder: &Path, people: &[&str]) {
    let (database, copy) = (folder.join("live.sqlite"), folder.join("copy"));
    std::fs::create_dir_all(copy.join("uploads/ab")).unwrap();
    let store = SqliteStore::open(&database, SqliteOptions::default()).unwrap();
    let writer = rusqlite::Connection::open(&database).unwrap();
    for name in people {
        let add = "INSERT INTO accounts (username, role, enabled, created_at) VALUES (?1, 'member', 1, 0)";
        writer.execute(add, [name]).unwrap();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let to = copy.join("imd.sqlite");
    runtime.unwrap().block_on(store.back_up(&to)).unwrap();
    std::fs::write(copy.join("uploads/ab").join(UPLOAD), "a picture").unwrap();
    let list = format!(
        r#"{{"version":"0","domain":"office.local","made":"","database_bytes":{},"uploads":[{{"id":"{UPLOAD}","bytes":9}}]}}"#,
        to.metadata().unwrap().len()
    );
    std::fs::write(copy.join("manifest.json"), list).unwrap();
}

/// Anna's box, and a backup of it.
pub struct Office {
    pub folder: TempDir,
    pub words: String,
    pub key: BoxKey,
    pub backup: PathBuf,
    _scratch: TempDir,
}

pub fn office() -> Office {
    let (folder, _) = booted(Some(&format!("hostname = \"office\"\n{}", wishes())));
    put(
        folder.path(),
        "/data/etc/machine-id",
        "fedcba9876543210fedcba9876543210\n",
    );
    put(
        folder.path(),
        "/var/lib/perch/claim.json",
        r#"{"made":{"by":"anna","address":null,"at":1,"set_up":true}}"#,
    );
    // What the owner has put on the box and the settings name, and a second program that they do not name.
    let files = Files::new(folder.path());
    let mut state = BoxState::load(&files).unwrap();
    state.settings.acme.hook = Some(HookFile::new(HOOK).unwrap());
    state.settings.acme.authority = Some(AuthorityFile::new(OWN_AUTHORITY).unwrap());
    state.settings.updates.authority = Some(AuthorityFile::new("/etc/ssl/none.pem").unwrap());
    state.save(&files).unwrap();
    for (path, mode) in [
        (HOOK, 0o755),
        (OWN_AUTHORITY, 0o644),
        ("/etc/perch/other", 0o755),
    ] {
        put(folder.path(), path, &format!("{path} of the office"));
        let place = folder.path().join(&path[1..]);
        std::fs::set_permissions(place, Permissions::from_mode(mode)).unwrap();
    }
    put(
        folder.path(),
        "/var/lib/perch/audit.1.jsonl",
        "an older act\n",
    );
    let words = RecoveryKey::generate().unwrap();
    let key = BoxKey::of(&words, 1).unwrap();
    key.save(&files).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    copy_of_imd(scratch.path(), &["anna", "ben"]);
    let manifest = Manifest::of_box(&files, 1_796_126_400).unwrap();
    let backup = scratch.path().join("perch.age");
    let out = std::fs::File::create(&backup).unwrap();
    seal(
        &files,
        &manifest,
        &scratch.path().join("copy"),
        &key.recipient().unwrap(),
        out,
    )
    .unwrap();
    Office {
        folder,
        words: words.words().unwrap().join(" "),
        key,
        backup,
        _scratch: scratch,
    }
}

/// A box that was set up in another way, with somebody on it.
pub fn another_box() -> (TempDir, FakeSystem) {
    let (folder, system) = booted(None);
    put(folder.path(), "/var/lib/imd/imd.sqlite", "another database");
    put(folder.path(), "/var/lib/imd/uploads/zz/zz1", "another file");
    put(folder.path(), "/var/lib/perch-web/web.db", "sessions");
    // Named by nothing, but in the place of the office's.
    put(folder.path(), HOOK, "another hook");
    (folder, system)
}

/// Every file, but for logs and what restoring writes down.
pub fn state_of(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().display().to_string();
            if path.is_dir() && !path.is_symlink() {
                folders.push(path);
            } else if !name.contains("audit") {
                found.insert(name, std::fs::read(&path).unwrap_or_default());
            }
        }
    }
    found
}

/// The accounts in a box's database.
pub fn people_of(root: &Path) -> Vec<String> {
    let opened = rusqlite::Connection::open(root.join("var/lib/imd/imd.sqlite")).unwrap();
    let mut statement = opened
        .prepare("SELECT username FROM accounts ORDER BY 1")
        .unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}
