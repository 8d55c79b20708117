//! Backups: everything comes back on another box, and what cannot be used changes nothing. The power is cut, and a failure put in,
//! after every single change.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod common;
#[path = "common/office.rs"]
mod office;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use common::boxes::{assert_certificates, boot, flashed};
use common::{FakeSystem, get, put, root};
use office::{HOOK, OWN_AUTHORITY, Office, UPLOAD, another_box, office, people_of, state_of};
use provisioner::backup::key::{BoxKey, RecoveryKey};
use provisioner::backup::open::FaultKind;
use provisioner::backup::restore::{self, Ready};
use provisioner::files::{Files, PowerCut};
use provisioner::settings::apply::Machine;
use tempfile::TempDir;

fn prepare(files: &Files, system: &FakeSystem, office: &Office) -> Ready {
    let machine = Machine { files, system };
    let identity = office.key.identity().unwrap();
    restore::prepare(machine, &office.backup, &identity, "anna").unwrap()
}

fn finish(files: Files, system: &FakeSystem) -> anyhow::Result<Option<anyhow::Result<Ready>>> {
    let files = &files;
    restore::finish(Machine { files, system })
}

#[test]
fn a_restored_box_has_the_names_people_files_and_authority_of_the_other() {
    let office = office();
    let (folder, system) = another_box();
    let before = state_of(folder.path());
    let files = Files::new(folder.path());
    let ready = prepare(&files, &system, &office);
    assert_eq!(
        (ready.counts.people, ready.counts.uploads),
        (2, 1),
        "{ready:?}"
    );
    let mut prepared = state_of(folder.path());
    prepared.retain(|name, _| !name.starts_with("var/lib/perch/restore/"));
    assert!(prepared == before, "nothing changes before the next start");

    finish(files, &system).unwrap().unwrap().unwrap();
    assert_eq!(people_of(folder.path()), ["anna", "ben"]);
    for path in [
        "/var/lib/perch/tls/ca.key",
        "/var/lib/perch/tls/ca.crt",
        "/var/lib/perch/tls/server.crt",
        "/var/lib/perch/backup/key.json",
        "/var/lib/perch/claim.json",
        "/data/etc/machine-id",
        "/etc/ssh/keys/ssh_host_ed25519_key",
        "/var/lib/perch/audit.1.jsonl",
        HOOK,
        OWN_AUTHORITY,
    ] {
        let (one, other) = (get(folder.path(), path), get(office.folder.path(), path));
        assert_eq!(one, other, "{path}");
    }
    for (path, mode) in [(HOOK, 0o755), (OWN_AUTHORITY, 0o644)] {
        let about = folder.path().join(&path[1..]).metadata().unwrap();
        assert_eq!(about.permissions().mode() & 0o7777, mode, "{path}");
    }
    assert!(
        !folder.path().join("etc/perch/other").exists(),
        "only what the settings name"
    );
    let picture = format!("/var/lib/imd/uploads/ab/{UPLOAD}");
    assert_eq!(get(folder.path(), &picture), "a picture");
    for gone in [
        "var/lib/imd/uploads/zz/zz1",
        "var/lib/imd/manifest.json",
        "var/lib/perch-web/web.db",
        "var/lib/perch/restore",
    ] {
        assert!(!folder.path().join(gone).exists(), "{gone}");
    }
    // The start goes on from there.
    boot(folder.path(), &system);
    assert_eq!(*system.host_name.borrow(), "office");
    assert!(get(folder.path(), "/etc/perch/imd.toml").contains("office.local"));
    assert!(folder.path().join("etc/ssh/keys/enabled").exists());
    assert_certificates(folder.path(), &["office.local"]);
    assert!(get(folder.path(), "/var/lib/perch/audit.jsonl").contains("box.restored"));
    let again = finish(Files::new(folder.path()), &system).unwrap();
    assert!(again.is_none(), "once");
}

#[test]
fn after_a_power_cut_at_any_moment_of_a_restore_the_next_start_ends_the_same() {
    let office = office();
    let whole = another_box();
    prepare(&Files::new(whole.0.path()), &whole.1, &office);
    finish(Files::new(whole.0.path()), &whole.1)
        .unwrap()
        .unwrap()
        .unwrap();
    let wanted = state_of(whole.0.path());
    let mut cuts = 0;
    loop {
        let (folder, system) = another_box();
        prepare(&Files::new(folder.path()), &system, &office);
        match finish(Files::new(folder.path()).with_power_for(cuts), &system) {
            Ok(_) => break,
            Err(error) => assert!(error.is::<PowerCut>(), "{error:#}"),
        }
        // As tmpfiles.d makes it at every start.
        std::fs::create_dir_all(folder.path().join("var/lib/imd")).unwrap();
        let _ = finish(Files::new(folder.path()), &system).unwrap();
        let state = state_of(folder.path());
        // Two boxes never get the same certificates: what a new box made for itself is compared by the one before.
        assert_same(&state, &wanted, &format!("cut after {cuts} changes"));
        cuts += 1;
    }
    assert!(cuts > 30, "only {cuts} changes were cut off");
}

/// What differs between two new boxes whatever happens, such as `perch-ca.crt` on the card, is left out.
fn assert_same(state: &BTreeMap<String, Vec<u8>>, wanted: &BTreeMap<String, Vec<u8>>, when: &str) {
    let names = |state: &BTreeMap<String, Vec<u8>>| state.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(state), names(wanted), "{when}");
    for (name, content) in state {
        if name.starts_with("var/lib/") || name.starts_with("data/") {
            assert!(content == &wanted[name], "{name}: {when}");
        }
    }
}

#[test]
fn a_restore_that_fails_at_any_step_leaves_one_box_or_the_other() {
    let office = office();
    let mut failures = 0;
    loop {
        let (folder, system) = another_box();
        let before = state_of(folder.path());
        prepare(&Files::new(folder.path()), &system, &office);
        let files = Files::new(folder.path()).with_failure_after(failures);
        let came = restore::finish(Machine {
            files: &files,
            system: &system,
        });
        if files.has_failure_left() {
            break;
        }
        // Whatever is left to do, the next start does.
        let _ = finish(Files::new(folder.path()), &system).unwrap();
        let database = std::fs::read(folder.path().join("var/lib/imd/imd.sqlite")).unwrap();
        if matches!(&came, Ok(Some(Err(_)))) {
            let mut after = state_of(folder.path());
            after.retain(|name, _| !name.starts_with("var/lib/perch/restore/"));
            let mut before = before;
            for state in [&mut before, &mut after] {
                // Those who had signed in sign in again.
                state.remove("var/lib/perch-web/web.db");
            }
            assert!(after == before, "failure after {failures} changes");
        } else {
            assert_ne!(database, b"another database", "after {failures} changes");
            assert_eq!(people_of(folder.path()), ["anna", "ben"]);
        }
        failures += 1;
    }
    assert!(failures > 30, "only {failures} steps failed");
}

/// A backup is refused: which kind of fault, and nothing has changed.
fn refused(backup: &Path, key: &BoxKey) -> FaultKind {
    let (folder, system) = another_box();
    let before = state_of(folder.path());
    let files = Files::new(folder.path());
    let machine = Machine {
        files: &files,
        system: &system,
    };
    let fault = restore::prepare(machine, backup, &key.identity().unwrap(), "anna");
    let kind = fault.expect_err("it was taken").kind();
    assert!(state_of(folder.path()) == before, "{kind:?}");
    assert!(restore::finish(machine).unwrap().is_none());
    kind
}

#[test]
fn a_damaged_backup_is_refused_before_anything_changes() {
    let office = office();
    let whole = std::fs::read(&office.backup).unwrap();
    let scratch = root(&[]);
    let place = scratch.path().join("damaged.age");
    for at in [200, 400, whole.len() / 2, whole.len() - 1] {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        std::fs::write(&place, damaged).unwrap();
        assert_eq!(refused(&place, &office.key), FaultKind::Damaged, "at {at}");
    }
    for length in [whole.len() - 1, whole.len() / 2, 300] {
        std::fs::write(&place, &whole[..length]).unwrap();
        assert_eq!(refused(&place, &office.key), FaultKind::Damaged, "{length}");
    }
}

#[test]
fn what_is_no_backup_or_anothers_is_refused() {
    let office = office();
    let scratch = root(&[("/picture.age", "no backup at all"), ("/empty.age", "")]);
    for name in ["picture.age", "empty.age"] {
        let kind = refused(&scratch.path().join(name), &office.key);
        assert_eq!(kind, FaultKind::Foreign, "{name}");
    }
    let recipient = office.key.recipient().unwrap();
    for (name, content) in [("text.age", b"hello".repeat(500)), ("none.age", Vec::new())] {
        let sealed = age::encrypt(&recipient, &content).unwrap();
        std::fs::write(scratch.path().join(name), sealed).unwrap();
        let kind = refused(&scratch.path().join(name), &office.key);
        assert_eq!(kind, FaultKind::Foreign, "{name}");
    }
    let other = BoxKey::of(&RecoveryKey::generate().unwrap(), 1).unwrap();
    assert_eq!(refused(&office.backup, &other), FaultKind::WrongKey);
}

/// A backup with these entries behind its list.
fn sealed(office: &Office, manifest: &str, entries: &[(&str, &[u8])]) -> (TempDir, PathBuf) {
    let mut archive = tar::Builder::new(Vec::new());
    let list = [("perch-backup.json", manifest.as_bytes())];
    for (name, content) in list.iter().chain(entries) {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        // As an attacker would: the library refuses to write `..`.
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        archive.append(&header, *content).unwrap();
    }
    let content = archive.into_inner().unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let place = scratch.path().join("made.age");
    let sealed = age::encrypt(&office.key.recipient().unwrap(), &content).unwrap();
    std::fs::write(&place, sealed).unwrap();
    (scratch, place)
}

#[test]
fn a_backup_of_a_later_version_is_refused() {
    let office = office();
    for manifest in [
        r#"{"format":1,"version":"99.0.0","host_name":"a","domain":"a.local","made":1}"#,
        r#"{"format":7,"version":"99.0.0","something":"else"}"#,
    ] {
        let (_scratch, place) = sealed(&office, manifest, &[]);
        assert_eq!(refused(&place, &office.key), FaultKind::Newer, "{manifest}");
    }
}

#[test]
fn entries_that_lead_out_of_the_scratch_folder_are_refused() {
    let office = office();
    let manifest = format!(
        r#"{{"format":1,"version":"{}","host_name":"a","domain":"a.local","made":1}}"#,
        env!("CARGO_PKG_VERSION")
    );
    for name in [
        "../../evil",
        "/etc/shadow",
        "box/etc/shadow",
        "imd/uploads/ab/../../../x",
    ] {
        let (_scratch, place) = sealed(&office, &manifest, &[(name, b"x")]);
        assert_eq!(refused(&place, &office.key), FaultKind::Damaged, "{name}");
    }
    let (_scratch, place) = sealed(&office, &manifest, &[]);
    assert_eq!(refused(&place, &office.key), FaultKind::Damaged, "empty");
}

#[test]
fn a_factory_reset_leaves_a_new_box_after_a_power_cut_at_any_moment() {
    for (marker, kept) in [
        ("perch-factory-reset", true),
        ("perch-factory-reset-all.txt", false),
    ] {
        let mut cuts = 0;
        loop {
            let (folder, system) = another_box();
            put(
                folder.path(),
                "/var/lib/perch-backup/perch-perch-1.age",
                "x",
            );
            put(folder.path(), "/var/lib/perch/update/state.json", "{}");
            put(folder.path(), &format!("/boot/firmware/{marker}"), "");
            let cut = provisioner::reset::finish(&Files::new(folder.path()).with_power_for(cuts));
            let done = cut.is_ok();
            if !done {
                provisioner::reset::finish(&Files::new(folder.path())).unwrap();
            }
            let at = |path: &str| folder.path().join(path).exists();
            for gone in [
                "var/lib/perch/box.json",
                "var/lib/imd/imd.sqlite",
                "var/lib/perch/tls/ca.key",
                "var/lib/perch/reset",
            ] {
                assert!(!at(gone), "{gone} after {cuts}");
            }
            assert!(!at(&format!("boot/firmware/{marker}")));
            assert!(at("var/lib/perch/update/state.json"), "the slots' own");
            assert_eq!(at("var/lib/perch-backup/perch-perch-1.age"), kept);
            assert!(
                !provisioner::reset::finish(&Files::new(folder.path())).unwrap(),
                "once"
            );
            boot(folder.path(), &system);
            cuts += 1;
            if done {
                break;
            }
        }
        assert!(cuts > 8, "only {cuts} changes");
    }
    let untouched = flashed(None);
    assert!(!provisioner::reset::finish(&Files::new(untouched.path())).unwrap());
}
