//! The end of a trial, with a power cut or a fault at every step: the next starts do the rest.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod common;

use common::{FakeSystem, get, put, root};
use provisioner::files::Files;
use provisioner::update::database;
use provisioner::update::failed_journal::FAILED_JOURNAL;
use provisioner::update::kept::Kept;
use provisioner::update::machine::{Slot, State};
use provisioner::update::run::Updater;
use tempfile::TempDir;

const STATE: &str = "/var/lib/perch/update/state.json";
const DATABASE: &str = "/var/lib/imd/imd.sqlite";
const BEFORE: &str = "/var/lib/perch/update/before/imd.sqlite";
const AFTER: &str = "/var/lib/perch/update/after/imd.sqlite";
const RELEASE: &str = r#""release":{"version":"2.0.0","source":"https://u.example/b","bytes":1}"#;
/// More steps than any of these has.
const MOST: u32 = 60;

/// A database of this schema (`PRAGMA user_version`), with something in it.
fn database_of(schema: u8, what: &str) -> String {
    let mut header = vec![b'-'; 63];
    header[60..].fill(0);
    header.push(schema);
    String::from_utf8(header).unwrap() + what
}

/// A box that runs in this slot, with what an update has left.
fn box_in(slot: &str, update: &str) -> TempDir {
    let folder = root(&[
        ("/proc/cmdline", &format!("rauc.slot={slot}")),
        ("/proc/sys/kernel/random/boot_id", "0000-now\n"),
        ("/usr/lib/os-release", "VERSION_ID=2.0.0\n"),
        (STATE, &format!(r#"{{"update":{{{update}}}}}"#)),
    ]);
    std::fs::create_dir_all(folder.path().join("var/lib/imd")).unwrap();
    folder
}

fn system(folder: &TempDir) -> FakeSystem {
    let system = FakeSystem::new(folder.path());
    let first = if get(folder.path(), "/proc/cmdline").ends_with('A') {
        "A B"
    } else {
        "B A"
    };
    system.answer("fw_printenv -n BOOT_ORDER", first);
    system
}

/// The trial changed the schema and something was written during it; an earlier trial that failed has left a log aside.
fn after_a_trial() -> TempDir {
    let update =
        format!(r#""state":"trial",{RELEASE},"from":"A","boots":["b1"],"verdict":"no login""#);
    let folder = box_in("A", &update);
    for (path, content) in [
        (DATABASE, database_of(3, "new")),
        ("/var/lib/imd/imd.sqlite-wal", "log of the new".to_owned()),
        (BEFORE, database_of(2, "old")),
        (&format!("{BEFORE}-wal"), "log of the old".to_owned()),
        (AFTER, database_of(9, "another trial's")),
        (&format!("{AFTER}-shm"), "another trial's".to_owned()),
    ] {
        put(folder.path(), path, &content);
    }
    folder
}

fn assert_undone(folder: &TempDir, how: &str) {
    let root = folder.path();
    assert_eq!(get(root, DATABASE), database_of(2, "old"), "{how}");
    assert_eq!(
        get(root, &format!("{DATABASE}-wal")),
        "log of the old",
        "{how}"
    );
    assert_eq!(get(root, AFTER), database_of(3, "new"), "{how}");
    assert_eq!(
        get(root, &format!("{AFTER}-wal")),
        "log of the new",
        "{how}"
    );
    let files = Files::new(root);
    for gone in [&format!("{AFTER}-shm"), BEFORE] {
        assert!(!files.path(gone).exists(), "{how}: {gone}");
    }
    let State::Failed { reason, undo, .. } = Kept::load(&files).unwrap().update else {
        panic!("{how}: it did not fail")
    };
    assert_eq!((reason.as_str(), undo), ("no login", None), "{how}");
}

#[test]
fn a_trial_that_failed_is_undone_whole_whenever_the_power_is_cut() {
    let mut cuts = 0;
    loop {
        let folder = after_a_trial();
        let files = Files::new(folder.path()).with_power_for(cuts);
        let first = system(&folder);
        let begun = Updater::new(&files, &first).and_then(|mut updater| updater.started());
        let second = system(&folder);
        let files = Files::new(folder.path());
        Updater::new(&files, &second).unwrap().started().unwrap();
        assert_undone(&folder, &format!("cut after {cuts} changes"));
        let told = "rauc status mark-active booted";
        assert!(first.ran(told) || second.ran(told));
        if begun.is_ok() {
            assert!(cuts > 12, "{cuts}");
            return;
        }
        cuts += 1;
        assert!(cuts < MOST);
    }
}

#[test]
fn a_fault_while_a_trial_is_undone_is_made_good_at_the_next_start() {
    for failures in 0..MOST {
        let folder = after_a_trial();
        let files = Files::new(folder.path()).with_failure_after(failures);
        let first = system(&folder);
        let begun = Updater::new(&files, &first).and_then(|mut updater| updater.started());
        if files.has_failure_left() {
            begun.unwrap();
            return;
        }
        let files = Files::new(folder.path());
        let kept = Kept::load(&files).unwrap();
        assert!(
            begun.is_err() || kept.update.is_being_undone(),
            "{failures}"
        );
        let second = system(&folder);
        Updater::new(&files, &second).unwrap().started().unwrap();
        assert_undone(&folder, &format!("fault after {failures} changes"));
    }
    panic!("it never worked");
}

#[test]
fn a_boot_loader_that_cannot_be_told_is_told_later_and_the_database_is_put_back_now() {
    let folder = after_a_trial();
    let files = Files::new(folder.path());
    let broken = system(&folder);
    let command = "rauc status mark-active booted";
    broken.failing.borrow_mut().insert(command.to_owned());
    let mut updater = Updater::new(&files, &broken).unwrap();
    updater.started().unwrap_err();
    assert_eq!(get(folder.path(), DATABASE), database_of(2, "old"));
    let again = updater.go_back().unwrap_err().to_string();
    assert!(again.contains("not all undone yet"), "{again}");
    drop(updater);
    let kept = Kept::load(&files).unwrap();
    let why = kept.left_over.unwrap();
    assert!(why.contains("mark-active booted"), "{why}");
    let second = system(&folder);
    Updater::new(&files, &second).unwrap().started().unwrap();
    assert!(second.ran(command));
    assert_eq!(Kept::load(&files).unwrap().left_over, None);
    assert_undone(&folder, "told later");
}

#[test]
fn what_people_write_after_a_trial_of_the_same_schema_stays() {
    let folder = after_a_trial();
    put(folder.path(), DATABASE, &database_of(2, "with more"));
    std::fs::remove_file(folder.path().join("var/lib/imd/imd.sqlite-wal")).unwrap();
    std::fs::remove_dir_all(folder.path().join("var/lib/perch/update/after")).unwrap();
    let files = Files::new(folder.path());
    let system = system(&folder);
    Updater::new(&files, &system).unwrap().started().unwrap();
    assert_eq!(get(folder.path(), DATABASE), database_of(2, "with more"));
    assert!(!files.path(BEFORE).exists());
    assert_eq!(database::aside(&files), None);
}

/// Otherwise a copy of weeks ago could take the database's place.
#[test]
fn a_version_that_is_trusted_leaves_no_copy_whenever_the_power_is_cut() {
    let mut cuts = 0;
    loop {
        let update =
            format!(r#""state":"trial",{RELEASE},"from":"A","boots":["b1"],"verdict":null"#);
        let folder = box_in("B", &update);
        put(folder.path(), DATABASE, &database_of(3, "new"));
        put(folder.path(), BEFORE, &database_of(2, "old"));
        put(folder.path(), "/run/perch/update-trial", "");
        let files = Files::new(folder.path()).with_power_for(cuts);
        let first = system(&folder);
        let begun = Updater::new(&files, &first).and_then(|mut updater| updater.watched(Ok(())));
        let files = Files::new(folder.path());
        let is_settled = |files: &Files| {
            let kept = Kept::load(files).unwrap();
            matches!(
                kept.update,
                State::Committed {
                    slot: Slot::B,
                    settled: true,
                    ..
                }
            )
        };
        let was_settled = is_settled(&files);
        if matches!(Kept::load(&files).unwrap().update, State::Committed { .. }) {
            let second = system(&folder);
            Updater::new(&files, &second).unwrap().started().unwrap();
            assert!(!files.path(BEFORE).exists(), "cut after {cuts} changes");
            let good = "rauc status mark-good booted";
            assert!(first.ran(good) || second.ran(good));
            assert!(is_settled(&files), "cut after {cuts} changes");
        }
        if begun.is_ok() && was_settled {
            return;
        }
        cuts += 1;
        assert!(cuts < MOST);
    }
}

#[test]
fn a_copy_is_whole_or_not_there_whenever_the_power_is_cut() {
    for cuts in 0..MOST {
        let folder = box_in("A", r#""state":"idle""#);
        put(folder.path(), DATABASE, &database_of(3, "now"));
        put(folder.path(), &format!("{DATABASE}-wal"), "log of now");
        put(folder.path(), BEFORE, &database_of(2, "long ago"));
        put(folder.path(), &format!("{BEFORE}-shm"), "long ago");
        let system = system(&folder);
        let files = Files::new(folder.path()).with_power_for(cuts);
        let kept = database::keep(&files, &system);
        let files = Files::new(folder.path());
        if files.path(BEFORE).exists() && get(folder.path(), BEFORE) != database_of(2, "long ago") {
            assert_eq!(get(folder.path(), BEFORE), database_of(3, "now"));
            assert_eq!(get(folder.path(), &format!("{BEFORE}-wal")), "log of now");
            assert!(!files.path(format!("{BEFORE}-shm")).exists());
        }
        if kept.is_ok() {
            return;
        }
    }
    panic!("it never worked");
}

#[test]
fn the_state_is_on_the_disk_before_what_follows_from_it() {
    let folder = box_in("A", &format!(r#""state":"available",{RELEASE}"#));
    put(folder.path(), "/data/.keep", "");
    put(folder.path(), "/run/systemd/timesync/synchronized", "");
    put(folder.path(), "/usr/lib/os-release", "VERSION_ID=1.0.0\n");
    put(folder.path(), DATABASE, &database_of(2, "old"));
    let files = Files::new(folder.path());
    let told = system(&folder);
    told.answer("fw_printenv -n BOOT_ORDER", "B A");
    Updater::new(&files, &told)
        .unwrap()
        .install_available()
        .unwrap();
    let seen = |system: &FakeSystem, command: &str| {
        let states = system.states.borrow();
        let found = states.iter().find(|(ran, _)| ran == command);
        found.map_or_else(
            || panic!("{command} was not run"),
            |(_, state)| state.clone(),
        )
    };
    for (command, state) in [
        ("rauc install https://u.example/b", "downloading"),
        ("systemctl stop imd.service", "trial"),
        ("rauc status mark-active other", "trial"),
        ("systemctl reboot", "trial"),
    ] {
        assert_eq!(seen(&told, command), state, "{command}");
    }
    // The new slot, twice: once it is good, once it is not.
    put(folder.path(), "/proc/cmdline", "rauc.slot=B");
    let kept = get(folder.path(), STATE);
    for (found, command, state) in [
        (Ok(()), "rauc status mark-good booted", "committed"),
        (
            Err(anyhow::anyhow!("no login")),
            "rauc status mark-bad booted",
            "trial",
        ),
    ] {
        put(folder.path(), STATE, &kept);
        let told = system(&folder);
        let mut updater = Updater::new(&files, &told).unwrap();
        updater.started().unwrap();
        updater.watched(found).unwrap();
        assert_eq!(seen(&told, command), state, "{command}");
    }
    assert!(get(folder.path(), STATE).contains("no login"));
    put(folder.path(), "/proc/cmdline", "rauc.slot=A");
    let told = system(&folder);
    Updater::new(&files, &told).unwrap().started().unwrap();
    assert_eq!(seen(&told, "rauc status mark-active booted"), "failed");
}

const BOOTS: &str =
    " -4 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa Mon 2026-11-30 09:00:00 UTC Mon 2026-11-30 10:00:00 UTC
 -3 bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb Mon 2026-11-30 10:00:00 UTC Mon 2026-11-30 11:00:00 UTC
 -2 cccccccccccccccccccccccccccccccc Mon 2026-11-30 11:00:00 UTC Mon 2026-11-30 11:01:00 UTC
 -1 dddddddddddddddddddddddddddddddd Mon 2026-11-30 11:02:00 UTC Mon 2026-11-30 11:03:00 UTC
  0 eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee Mon 2026-11-30 11:04:00 UTC Mon 2026-11-30 11:05:00 UTC";

#[test]
fn the_journal_of_starts_that_were_not_heard_of_is_found_and_kept() {
    let trial = format!(r#""state":"trial",{RELEASE},"from":"A","boots":[],"verdict":"silent""#);
    let committed = r#""state":"committed","version":"2.0.0","slot":"B","settled":true"#;
    for update in [trial.as_str(), committed] {
        let folder = box_in("A", update);
        let last = "b".repeat(32);
        put(
            folder.path(),
            STATE,
            &format!(r#"{{"update":{{{update}}},"last_boot":"{last}"}}"#),
        );
        let now = "eeeeeeee-eeee-eeee-eeee-eeeeeeeeeeee\n";
        put(folder.path(), "/proc/sys/kernel/random/boot_id", now);
        let files = Files::new(folder.path());
        let system = system(&folder);
        system.answer("journalctl --list-boots --no-pager --quiet", BOOTS);
        let said = format!(
            "journalctl -b {} -n 5000 --no-pager -o short-iso",
            "d".repeat(32)
        );
        system.answer(&said, "kernel: the network has no driver");
        Updater::new(&files, &system).unwrap().started().unwrap();
        let kept = Kept::load(&files).unwrap();
        let State::Failed { boots, .. } = kept.update else {
            panic!("it did not fail")
        };
        assert_eq!(boots, ["c".repeat(32), "d".repeat(32)]);
        assert_eq!(kept.last_boot, Some("e".repeat(32)));
        let journal = get(folder.path(), FAILED_JOURNAL);
        assert!(journal.contains("the network has no driver"), "{journal}");
    }
}

/// Three starts that count as failed would end in the other slot.
#[test]
fn a_copy_that_cannot_be_removed_fails_no_start_and_is_tried_again() {
    let committed = r#""state":"committed","version":"2.0.0","slot":"B""#;
    let folder = box_in("B", committed);
    put(folder.path(), BEFORE, &database_of(2, "old"));
    // The state is kept in two changes; the third is the copy's.
    let files = Files::new(folder.path()).with_failure_after(2);
    let told = system(&folder);
    Updater::new(&files, &told).unwrap().started().unwrap();
    assert!(!files.has_failure_left() && files.path(BEFORE).exists());
    let kept = Kept::load(&files).unwrap();
    assert!(matches!(
        kept.update,
        State::Committed { settled: false, .. }
    ));
    Updater::new(&files, &told).unwrap().started().unwrap();
    assert!(!files.path(BEFORE).exists());
    let kept = Kept::load(&files).unwrap();
    assert!(matches!(
        kept.update,
        State::Committed { settled: true, .. }
    ));
}
