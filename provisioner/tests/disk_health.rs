//! What disks say of themselves, in the words of smartctl: each state, and what the box makes of it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod common;

use std::path::Path;

use common::{FakeSystem, get, put, root};
use provisioner::disk::look::{SEEN, against_writing, look, seen};
use provisioner::disk::{Health, State, smart};
use provisioner::files::Files;
use provisioner::settings::apply::Machine;

fn printed(name: &str) -> String {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/smart");
    get(&tests, &format!("{name}.json"))
}

fn health(name: &str) -> Health {
    smart::read(&printed(name)).expect("it is awake")
}

#[test]
fn each_state_is_told_from_what_smartctl_prints() {
    for (name, state, reasons, worn) in [
        ("ssd-good", State::Good, "", Some(9)),
        (
            "ssd-worn",
            State::Worn,
            "93 % of its life are over",
            Some(93),
        ),
        (
            "ssd-replaced",
            State::Worn,
            "180 sectors had to be replaced",
            Some(9),
        ),
        (
            "disk-pending",
            State::Failing,
            "8 sectors cannot be read",
            None,
        ),
        (
            "disk-beyond",
            State::Failing,
            "Reallocated_Sector_Ct is beyond its limit, 3912 sectors had to be replaced",
            None,
        ),
        ("nvme-good", State::Good, "", Some(3)),
        (
            "nvme-worn",
            State::Worn,
            "94 % of its life are over",
            Some(94),
        ),
        (
            "nvme-errors",
            State::Worn,
            "it could not read 7 times in its life",
            Some(3),
        ),
        (
            "nvme-failing",
            State::Failing,
            "its spare blocks are used up, it has become unreliable, 101 % of its life are over",
            Some(101),
        ),
        ("bridge-unknown", State::NotTold, "", None),
        ("bridge-mute", State::NotTold, "", None),
    ] {
        let health = health(name);
        let found = (health.state, health.reasons.join(", "), health.worn);
        assert_eq!(found, (state, reasons.to_owned(), worn), "{name}");
    }
}

#[test]
fn a_hot_disk_is_not_a_failing_one() {
    let health = health("nvme-hot");
    assert_eq!((health.state, health.temperature), (State::Good, Some(82)));
}

#[test]
fn figures_are_taken_over() {
    let health = health("disk-pending");
    assert_eq!(health.model.as_deref(), Some("Example HDD 1TB"));
    assert_eq!((health.reallocated, health.unreadable), (Some(12), Some(8)));
    assert_eq!(health.temperature, Some(36));
}

#[test]
fn what_is_no_answer_is_not_told() {
    for text in [
        "",
        "smartctl: not found",
        "[]",
        "{}",
        "{\"smart_status\":7}",
    ] {
        assert_eq!(smart::read(text), Some(Health::default()), "{text}");
    }
}

const COMMAND: &str = "smartctl --json --all --nocheck=standby /dev/sda";

#[test]
fn the_disk_with_the_data_is_asked_and_a_sleeping_one_is_not_woken_up() {
    let folder = root(&[("/proc/self/mounts", "/dev/sda6 /data ext4 rw 0 0\n")]);
    let (files, system) = (Files::new(folder.path()), FakeSystem::new(folder.path()));
    let machine = Machine {
        files: &files,
        system: &system,
    };
    assert_eq!(seen(&files), None, "before the first look");
    system.answer(COMMAND, &printed("disk-pending"));
    look(machine).unwrap();
    assert!(system.ran(COMMAND));
    assert_eq!(seen(&files), Some(health("disk-pending")));
    assert!(against_writing(&files).is_some_and(|why| why.contains("8 sectors")));
    system.answer(COMMAND, &printed("asleep"));
    assert_eq!(look(machine).unwrap(), None);
    assert_eq!(seen(&files), Some(health("disk-pending")), "what was known");
    system.answer(COMMAND, &printed("ssd-worn"));
    look(machine).unwrap();
    assert_eq!(against_writing(&files), None);
    assert!(
        !get(folder.path(), SEEN).contains("0000000000000000"),
        "no serial number"
    );
}

#[test]
fn an_sd_card_is_not_asked() {
    let folder = root(&[]);
    put(
        folder.path(),
        "/proc/self/mounts",
        "/dev/mmcblk0p6 /data ext4 rw 0 0\n",
    );
    let (files, system) = (Files::new(folder.path()), FakeSystem::new(folder.path()));
    let machine = Machine {
        files: &files,
        system: &system,
    };
    assert_eq!(look(machine).unwrap(), None);
    assert!(system.commands.borrow().is_empty());
}
