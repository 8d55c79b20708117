//! What a box does about updates by itself at night.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod common;

use std::path::Path;

use common::{FakeSystem, root};
use provisioner::files::Files;
use provisioner::settings::apply::Machine;
use provisioner::update::job::Job;
use provisioner::update::kept::Kept;
use provisioner::update::night;
use tempfile::TempDir;

const BUNDLE: &str = "https://updates.example/b.raucb";
const MINE: &str = "url = \"https://127.0.0.1:1\"\nautomatic = true\nwindow = \"02:00-02:30\"\n";

/// A box of version 2.0.0 at this time of day, with this in `update.toml`, after the publisher was asked this many hours ago.
fn night(toml: &str, time: &str, update: &str, hours: i64) -> (TempDir, FakeSystem) {
    let checked = 1_796_126_400 - hours * 3600;
    let state = format!(r#"{{"update":{{{update}}},"checked":{checked}}}"#);
    let folder = root(&[
        ("/proc/cmdline", "rauc.slot=B"),
        ("/usr/lib/os-release", "VERSION_ID=2.0.0\n"),
        ("/data/.keep", ""),
        ("/run/systemd/timesync/synchronized", ""),
        ("/etc/perch/update.toml", toml),
        ("/var/lib/perch/update/state.json", &state),
    ]);
    let system = FakeSystem::new(folder.path());
    system.answer("fw_printenv -n BOOT_ORDER", "A B");
    system.answer("date +%H:%M", time);
    (folder, system)
}

/// One turn of the timer, and what is kept after it.
fn turn(folder: &TempDir, system: &FakeSystem) -> (anyhow::Result<()>, Kept) {
    let files = Files::new(folder.path());
    let done = night::turn(Machine {
        files: &files,
        system,
    });
    (done, Kept::load(&files).unwrap())
}

#[test]
fn at_night_a_version_is_installed_in_the_owners_hours_and_where_that_is_wanted() {
    let release = format!(r#""release":{{"version":"3.0.0","source":"{BUNDLE}","bytes":1}}"#);
    let available = format!(r#""state":"available",{release}"#);
    let left =
        format!(r#""state":"failed",{release},"during":"trial","reason":"no login","boots":[]"#);
    let by_hand = MINE.replace("true", "false");
    let pinned = format!("{MINE}pinned = \"2.5.0\"\n");
    let this = format!("{MINE}pinned = \"3.0.0\"\n");
    for (what, toml, time, update, installs) in [
        ("in the window", MINE, "02:10", available.as_str(), true),
        ("its version is pinned", &this, "02:10", &available, true),
        ("before the window", MINE, "01:59", &available, false),
        ("after the window", MINE, "02:30", &available, false),
        ("nothing new", MINE, "02:10", r#""state":"idle""#, false),
        ("tried and left", MINE, "02:10", &left, false),
        ("not automatic", &by_hand, "02:10", &available, false),
        ("another is pinned", &pinned, "02:10", &available, false),
        (
            "no publisher",
            "automatic = true\n",
            "02:10",
            &available,
            false,
        ),
    ] {
        let (folder, system) = night(toml, time, update, 1);
        let (done, kept) = turn(&folder, &system);
        done.unwrap();
        assert_eq!(kept.update.name() == "trial", installs, "{what}: {kept:?}");
        assert_eq!(kept.trouble, None, "{what}: the publisher was asked");
        if !installs {
            assert!(!system.ran(&format!("rauc install {BUNDLE}")), "{what}");
        }
    }
}

#[test]
fn at_night_a_publisher_who_does_not_answer_is_noted_and_not_asked_again_at_once() {
    let (folder, system) = night(MINE, "12:00", r#""state":"idle""#, 30);
    let (done, kept) = turn(&folder, &system);
    done.unwrap_err();
    assert_eq!(kept.trouble.unwrap().job, Job::Check);
    turn(&folder, &system).0.unwrap();
}

/// The shortest window is a quarter of an hour: a timer that comes rarely, or is put off by chance, could miss it every night.
#[test]
fn the_timer_comes_often_enough_for_the_shortest_window() {
    let timer = "../overlays/perch/usr/lib/systemd/system/perch-update-night.timer";
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(timer)).unwrap();
    assert!(text.contains("\nOnCalendar=*:0/10\n"), "{text}");
    assert!(!text.contains("RandomizedDelaySec"), "{text}");
}
