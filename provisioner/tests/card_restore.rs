//! A new box becomes that of a backup which `perch.toml` names, whenever the power is cut; what cannot be restored leaves a new box
//! that says why.
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
use std::path::Path;

use anyhow::Result;
use common::boxes::{assert_certificates, flashed, wishes};
use common::{FakeSystem, get, put};
use office::{Office, office, people_of, state_of};
use provisioner::agent::claim::{self, Claim};
use provisioner::backup::key::RecoveryKey;
use provisioner::backup::open::Fault;
use provisioner::backup::{card, restore};
use provisioner::files::{Files, PowerCut};
use provisioner::firstboot;
use provisioner::firstboot::state::BoxState;
use provisioner::settings::apply::Machine;
use tempfile::TempDir;

const CARD: &str = "/boot/firmware/perch.toml";

/// What the box does at a start.
fn start(files: &Files, system: &FakeSystem) -> Result<()> {
    let machine = Machine { files, system };
    card::prepare(machine)?;
    if let Some(Err(error)) = restore::finish(machine)? {
        panic!("{error:#}");
    }
    firstboot::run(files, system, |_| {}).map(|complete| assert!(complete))
}

fn started(root: &Path, system: &FakeSystem) {
    start(&Files::new(root), system).unwrap();
}

fn asks(from: &str, words: &str) -> String {
    format!("restore_from = \"{from}\"\nrestore_words = \"{words}\"\n")
}

/// A new box with the office's backup on its card.
fn with_card(office: &Office, perch_toml: &str) -> (TempDir, FakeSystem) {
    let folder = flashed(Some(perch_toml));
    std::fs::copy(
        &office.backup,
        folder.path().join("boot/firmware/perch.age"),
    )
    .unwrap();
    let system = FakeSystem::new(folder.path());
    (folder, system)
}

fn status(root: &Path) -> String {
    get(root, "/boot/firmware/perch-status.txt").replace("\r\n", "\n")
}

fn is_new(root: &Path) -> bool {
    let files = Files::new(root);
    let state = BoxState::load(&files).unwrap();
    claim::current(&files, &state).unwrap() == Claim::Open
        && !root.join("var/lib/imd/imd.sqlite").exists()
}

#[test]
fn a_new_box_becomes_that_of_the_backup_on_its_card_once() {
    let office = office();
    let (folder, system) = with_card(&office, &asks("perch.age", &office.words));
    let root = folder.path();
    started(root, &system);
    assert_eq!(people_of(root), ["anna", "ben"]);
    assert_eq!(*system.host_name.borrow(), "office");
    assert_certificates(root, &["office.local"]);
    for path in ["/var/lib/perch/tls/ca.crt", "/var/lib/perch/claim.json"] {
        assert_eq!(get(root, path), get(office.folder.path(), path), "{path}");
    }
    let said = status(root);
    assert!(
        said.contains("Restored from a backup: office.local, 2 people, 0 messages, 1 files\n"),
        "{said}"
    );
    assert!(said.contains("Problems: none"), "{said}");
    let left = get(root, CARD);
    assert!(!left.contains(&office.words[..12]), "{left}");
    assert!(get(root, "/var/lib/perch/audit.jsonl").contains("perch.toml"));

    // The words are written there again: the box has an owner now.
    put(root, CARD, &asks("perch.age", &office.words));
    let before = std::fs::metadata(root.join("var/lib/imd/imd.sqlite")).unwrap();
    started(root, &system);
    let after = std::fs::metadata(root.join("var/lib/imd/imd.sqlite")).unwrap();
    assert_eq!(before.modified().unwrap(), after.modified().unwrap());
    assert!(!get(root, CARD).contains(&office.words[..12]));
    assert!(status(root).contains("Restored from a backup: office.local"));
}

#[test]
fn what_else_is_in_perch_toml_is_applied_on_top() {
    let office = office();
    let text = format!("hostname = \"attic\"\n{}", asks("perch.age", &office.words));
    let (folder, system) = with_card(&office, &text);
    started(folder.path(), &system);
    assert_eq!(*system.host_name.borrow(), "attic");
    assert_eq!(people_of(folder.path()), ["anna", "ben"]);
}

fn plug_in(root: &Path, kind: &str) {
    put(root, "/sys/class/block/sda1/dev", "8:1\n");
    let known = format!(
        "E:ID_BUS=usb\nE:ID_MODEL=Rainbow\nE:ID_SERIAL_SHORT=A1\nE:ID_FS_LABEL=PERCH-BACKUP\nE:ID_FS_TYPE={kind}\n"
    );
    put(root, "/run/udev/data/b8:1", &known);
}

#[test]
fn the_newest_backup_of_the_stick_is_taken_when_it_is_plugged_in() {
    let office = office();
    let folder = flashed(Some(&asks("usb", &office.words)));
    let (root, system) = (folder.path(), FakeSystem::new(folder.path()));
    started(root, &system);
    assert!(is_new(root));
    let said = status(root);
    let problem = "perch.toml:1: restore_from: found \"usb\", and no stick with the label PERCH-BACKUP is plugged in; accepted: a stick with a backup that is plugged in before the box is switched on\n";
    assert!(said.contains(problem), "{said}");
    assert!(
        get(root, CARD).contains(&office.words),
        "for the next start"
    );

    plug_in(root, "vfat");
    let stick = root.join("run/perch-stick");
    std::fs::create_dir_all(&stick).unwrap();
    std::fs::write(
        stick.join("perch-office-20260101-020000.age"),
        "an older one",
    )
    .unwrap();
    std::fs::copy(
        &office.backup,
        stick.join("perch-office-20261101-020000.age"),
    )
    .unwrap();
    started(root, &system);
    assert_eq!(people_of(root), ["anna", "ben"]);
    assert!(system.ran("mount /dev/sda1 vfat ro") && system.ran("unmount"));
    assert!(status(root).contains("Problems: none"), "{}", status(root));
}

#[test]
fn after_a_power_cut_at_any_moment_the_next_start_ends_the_same() {
    let office = office();
    let text = asks("perch.age", &office.words);
    let (whole, system) = with_card(&office, &text);
    started(whole.path(), &system);
    let wanted = state_of(whole.path());
    let mut cuts = 0;
    loop {
        let (folder, system) = with_card(&office, &text);
        match start(&Files::new(folder.path()).with_power_for(cuts), &system) {
            Ok(()) => break,
            Err(error) => assert!(is_power_cut(&error), "{error:#}"),
        }
        // As tmpfiles.d makes it at every start.
        std::fs::create_dir_all(folder.path().join("var/lib/imd")).unwrap();
        started(folder.path(), &system);
        assert_same(&state_of(folder.path()), &wanted, cuts);
        cuts += 1;
    }
    assert!(cuts > 50, "only {cuts} changes were cut off");
}

#[test]
fn a_failure_at_any_step_leaves_a_new_box_or_the_restored_one_and_the_next_start_restores() {
    let office = office();
    let text = asks("perch.age", &office.words);
    let mut failures = 0;
    loop {
        let (folder, system) = with_card(&office, &text);
        let root = folder.path();
        let files = Files::new(root).with_failure_after(failures);
        let machine = Machine {
            files: &files,
            system: &system,
        };
        // As the start of a box does: whatever comes of it, the box starts.
        let _ = card::prepare(machine);
        let _ = restore::finish(machine);
        let has_failed = !files.has_failure_left();
        firstboot::run(&Files::new(root), &system, |_| {}).unwrap();
        let is_restored = root.join("var/lib/imd/imd.sqlite").exists();
        assert!(is_restored || is_new(root), "after {failures} changes");
        started(root, &system);
        assert_eq!(people_of(root), ["anna", "ben"], "after {failures} changes");
        assert_eq!(*system.host_name.borrow(), "office");
        assert!(!get(root, CARD).contains(&office.words[..12]));
        if !has_failed {
            break;
        }
        failures += 1;
    }
    assert!(failures > 30, "only {failures} steps failed");
}

/// A fault of the box has it inside.
fn is_power_cut(error: &anyhow::Error) -> bool {
    match error.downcast_ref::<Fault>() {
        Some(Fault::Box(inner)) => inner.is::<PowerCut>(),
        _ => error.is::<PowerCut>(),
    }
}

fn assert_same(state: &BTreeMap<String, Vec<u8>>, wanted: &BTreeMap<String, Vec<u8>>, cuts: u32) {
    let names = |state: &BTreeMap<String, Vec<u8>>| state.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(state), names(wanted), "cut after {cuts} changes");
    for (name, content) in state {
        if name.contains("tls/server.") {
            // Made anew for the name that follows from the machine ID.
            continue;
        }
        let text = String::from_utf8_lossy(content);
        assert!(
            content == &wanted[name],
            "{name}: cut after {cuts} changes:\n{text}"
        );
    }
}

/// A box whose restore does not work: it is new, and its status has the problem.
fn refused(office: &Office, text: &str, prepare: impl Fn(&Path), problem: &str) {
    let (folder, system) = with_card(office, text);
    let root = folder.path();
    prepare(root);
    started(root, &system);
    assert!(is_new(root), "{problem}");
    assert!(!root.join("var/lib/perch/restore").exists(), "{problem}");
    assert_eq!(*system.host_name.borrow(), "perch");
    let said = status(root);
    assert!(
        said.contains(&format!("{problem}\n")),
        "{problem} is not in:\n{said}"
    );
    assert!(!said.contains(&office.words), "{said}");
    assert_eq!(get(root, CARD), text, "for the next start");
}

#[test]
fn what_cannot_be_restored_leaves_a_new_box_with_the_problem_in_its_status() {
    let office = office();
    let age = asks("perch.age", &office.words);
    let put_on_card = |content: Vec<u8>| {
        move |root: &Path| std::fs::write(root.join("boot/firmware/perch.age"), &content).unwrap()
    };
    let nothing = |_: &Path| {};
    let other = RecoveryKey::generate().unwrap().words().unwrap().join(" ");
    refused(
        &office,
        &asks("other.age", &office.words),
        nothing,
        "perch.toml:1: restore_from: found \"other.age\", and no such file on this card; accepted: the name of a backup beside this file",
    );
    refused(
        &office,
        &asks("perch.age", &other),
        nothing,
        "perch.toml:2: restore_words: found the words of another recovery key; accepted: the twelve words of the backup's recovery key",
    );
    refused(
        &office,
        "\nrestore_from = \"perch.age\"\n",
        nothing,
        "perch.toml:2: restore_words: found nothing; accepted: the twelve words of the backup's recovery key",
    );
    refused(
        &office,
        &age,
        put_on_card(b"a picture".repeat(100)),
        "perch.toml:1: restore_from: found \"perch.age\", and this is no backup of a Perch box; accepted: a whole backup of a Perch box",
    );
    let mut damaged = std::fs::read(&office.backup).unwrap();
    damaged.truncate(damaged.len() - 1);
    refused(
        &office,
        &age,
        put_on_card(damaged),
        "perch.toml:1: restore_from: found \"perch.age\", and the backup is damaged: decryption error; accepted: a whole backup of a Perch box",
    );
    refused(
        &office,
        &asks("usb", &office.words),
        |root| plug_in(root, "ntfs"),
        "perch.toml:1: restore_from: found \"usb\", and the stick is formatted as ntfs, and the box knows FAT32, exFAT and ext4; accepted: a stick with a backup that is plugged in before the box is switched on",
    );
    refused(
        &office,
        &asks("usb", &office.words),
        |root| plug_in(root, "exfat"),
        "perch.toml:1: restore_from: found \"usb\", and there is no backup on the stick; accepted: a stick with a backup that is plugged in before the box is switched on",
    );
}

#[test]
fn a_backup_of_a_later_version_is_named_with_its_version() {
    let office = office();
    let list = r#"{"format":7,"version":"99.0.0","something":"else"}"#;
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(list.len() as u64);
    archive
        .append_data(&mut header, "perch-backup.json", list.as_bytes())
        .unwrap();
    let recipient = office.key.recipient().unwrap();
    let newer = age::encrypt(&recipient, &archive.into_inner().unwrap()).unwrap();
    let own = env!("CARGO_PKG_VERSION");
    refused(
        &office,
        &asks("perch.age", &office.words),
        |root| std::fs::write(root.join("boot/firmware/perch.age"), &newer).unwrap(),
        &format!(
            "perch.toml:1: restore_from: found \"perch.age\", which was made by version 99.0.0; accepted: a backup of version {own} or an earlier one"
        ),
    );
}

#[test]
fn a_box_that_has_an_owner_passes_it_over() {
    let office = office();
    let (folder, system) = with_card(&office, &wishes());
    let root = folder.path();
    started(root, &system);
    let before = get(root, "/var/lib/perch/tls/ca.crt");
    put(root, CARD, &asks("perch.age", &office.words));
    started(root, &system);
    assert_eq!(get(root, "/var/lib/perch/tls/ca.crt"), before);
    assert!(!root.join("var/lib/imd/imd.sqlite").exists());
    let said = status(root);
    assert!(
        said.contains("restore_from: passed over, as this box is no new one"),
        "{said}"
    );
    assert!(said.contains("Problems: none"), "{said}");
    assert!(!get(root, CARD).contains(&office.words), "of no use there");
}

#[test]
fn an_administrator_of_the_card_owns_a_box_whose_restore_did_not_work() {
    let office = office();
    let text = format!("{}{}", asks("gone.age", &office.words), wishes());
    let (folder, system) = with_card(&office, &text);
    let root = folder.path();
    started(root, &system);
    assert!(
        status(root).contains("no such file on this card"),
        "{}",
        status(root)
    );
    assert!(system.accounts.borrow().contains_key("anna"));
    assert!(!get(root, CARD).contains(&office.words));
    // The file is there now, and it is too late.
    started(root, &system);
    let said = status(root);
    assert!(
        said.contains("restore_from: passed over") && said.contains("Problems: none"),
        "{said}"
    );
}

#[test]
fn people_who_were_invited_to_a_new_box_are_not_replaced() {
    let office = office();
    let text = format!("invitations = 1\n{}", asks("gone.age", &office.words));
    let (folder, system) = with_card(&office, &text);
    let root = folder.path();
    started(root, &system);
    put(root, CARD, &text.replace("gone.age", "perch.age"));
    started(root, &system);
    assert_eq!(*system.host_name.borrow(), "perch");
    assert!(
        status(root).contains("restore_from: passed over"),
        "{}",
        status(root)
    );
}
