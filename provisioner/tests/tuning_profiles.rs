//! What the shipped profiles change on a board, and on one that has less.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use common::{FakeSystem, get, put, root};
use provisioner::files::Files;
use provisioner::model::Profile;
use provisioner::tuning::apply::apply;
use provisioner::tuning::file::read_for;
use provisioner::tuning::machine::Machine;
use provisioner::tuning::report::{Outcome, Row};
use provisioner::tuning::storage::Storage;

const ZONE: &str = "/sys/class/thermal/thermal_zone0";

fn shipped() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/tuning")
}

/// The rows of a profile whose names begin so.
fn rows(root: &Path, profile: &str, name: &str) -> Vec<Row> {
    let profile = Profile::new(profile).unwrap();
    let mut settings = read_for(&shipped(), &profile, Some(Storage::Card)).unwrap();
    settings.retain(|setting| setting.name.starts_with(name));
    assert!(!settings.is_empty(), "{name}");
    let (files, system) = (Files::new(root), FakeSystem::new(root));
    let machine = Machine {
        files: &files,
        system: &system,
    };
    apply(&machine, &settings)
}

/// A zone with the trip points of a Pi 5: the temperature of its end, and four of its fan.
fn pi5(root: &Path) {
    let points = [
        ("110000", "critical"),
        ("50000", "active"),
        ("60000", "active"),
        ("67500", "active"),
        ("75000", "active"),
    ];
    for (number, (temperature, kind)) in points.into_iter().enumerate() {
        put(
            root,
            &format!("{ZONE}/trip_point_{number}_temp"),
            temperature,
        );
        put(root, &format!("{ZONE}/trip_point_{number}_type"), kind);
    }
}

#[test]
fn each_profile_has_its_fan_steps_and_balanced_those_of_the_board() {
    let folder = root(&[]);
    pi5(folder.path());
    for (profile, start, faster) in [
        ("quiet", "60000", "65000"),
        ("performance", "45000", "52500"),
        ("balanced", "50000", "60000"),
    ] {
        let rows = rows(folder.path(), profile, "temperature at which");
        assert!(
            rows.iter().all(|row| row.outcome == Outcome::Applied),
            "{rows:?}"
        );
        let point = |number| get(folder.path(), &format!("{ZONE}/trip_point_{number}_temp"));
        assert_eq!((point(1).as_str(), point(2).as_str()), (start, faster));
        assert_eq!([point(0), point(3), point(4)], ["110000", "67500", "75000"]);
    }
}

#[test]
fn fan_steps_that_the_kernel_lets_nobody_change_are_not_available() {
    let folder = root(&[]);
    pi5(folder.path());
    for number in [1, 2] {
        let place = folder
            .path()
            .join(format!("{ZONE}/trip_point_{number}_temp").trim_start_matches('/'));
        std::fs::set_permissions(place, std::fs::Permissions::from_mode(0o444)).unwrap();
    }
    for row in rows(folder.path(), "quiet", "temperature at which") {
        assert_eq!(row.outcome, Outcome::NotAvailable, "{row:?}");
        assert!(row.note.contains("lets nobody change it"), "{row:?}");
    }
    // What is as wanted is as wanted.
    for row in rows(folder.path(), "balanced", "temperature at which") {
        assert_eq!(row.outcome, Outcome::Unchanged, "{row:?}");
    }
}

#[test]
fn another_boards_trip_points_are_left_alone() {
    let folder = root(&[]);
    put(folder.path(), &format!("{ZONE}/trip_point_0_temp"), "90000");
    put(folder.path(), &format!("{ZONE}/trip_point_1_temp"), "55000");
    put(
        folder.path(),
        &format!("{ZONE}/trip_point_1_type"),
        "active",
    );
    for row in rows(folder.path(), "quiet", "temperature at which") {
        assert_eq!(row.outcome, Outcome::NotAvailable, "{row:?}");
    }
    assert_eq!(
        get(folder.path(), &format!("{ZONE}/trip_point_1_temp")),
        "55000"
    );
}

#[test]
fn a_radio_is_steered_as_a_cable_is() {
    let folder = root(&[
        ("/sys/class/net/wlan0/queues/rx-0/rps_cpus", "0\n"),
        ("/sys/class/net/end0/queues/rx-0/rps_cpus", "0\n"),
    ]);
    let rows = rows(folder.path(), "balanced", "receive steering");
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert!(
        rows.iter().all(|row| row.outcome == Outcome::Applied),
        "{rows:?}"
    );
    assert_eq!(
        get(folder.path(), "/sys/class/net/wlan0/queues/rx-0/rps_cpus"),
        "f"
    );
}
