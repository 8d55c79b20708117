//! Restarting and shutting down at a chosen time.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod common;

use common::{FakeSystem, get, root};
use provisioner::files::Files;
use provisioner::power::{NoPlan, Plan, Power, cancel, due, plan, planned};
use provisioner::settings::apply::Machine;
use tempfile::TempDir;
use time::Duration;

/// 2026-12-01 12:00 UTC, as the scene's clock has it.
const NOW: i64 = 1_796_126_400;
const TIMER: &str = "systemd-run --quiet --collect --unit=perch-power --on-calendar=@";

struct Scene {
    folder: TempDir,
    files: Files,
    system: FakeSystem,
}

impl Scene {
    fn new() -> Self {
        let folder = root(&[]);
        let system = FakeSystem::new(folder.path());
        for (time, unix) in [
            ("today 03:00", NOW - 9 * 3600),
            ("tomorrow 03:00", NOW + 15 * 3600),
            ("today 13:00", NOW + 3600),
            ("2026-12-01 13:00", NOW + 3600),
            ("2026-12-01 11:00", NOW - 3600),
            ("2028-01-01 00:00", NOW + 396 * 86_400),
        ] {
            system.answer(&format!("date -d {time} +%s"), &unix.to_string());
        }
        Self {
            files: Files::new(folder.path()),
            folder,
            system,
        }
    }

    fn machine(&self) -> Machine<'_> {
        Machine {
            files: &self.files,
            system: &self.system,
        }
    }

    fn plan(&self, what: Power, at: &str) -> anyhow::Result<Plan> {
        plan(self.machine(), what, &at.parse().unwrap(), "anna")
    }

    fn wait(&self, seconds: i64) {
        let now = self.system.clock.get();
        self.system.clock.set(now + Duration::seconds(seconds));
    }

    fn planned(&self) -> Option<Plan> {
        planned(&self.files, self.system.clock.get().unix_timestamp()).unwrap()
    }
}

#[test]
fn the_box_restarts_when_it_was_planned() {
    let scene = Scene::new();
    let made = scene.plan(Power::Restart, "2026-12-01 13:00").unwrap();
    assert_eq!((made.at, scene.planned()), (NOW + 3600, Some(made.clone())));
    let timer = format!("{TIMER}{} --timer-property=AccuracySec=1s", NOW + 3600);
    assert!(scene.system.ran(&timer));
    scene.wait(3601);
    assert!(due(scene.machine()).unwrap());
    assert!(scene.system.ran("systemctl --no-block reboot"));
    assert_eq!(scene.planned(), None);
    let log = get(scene.folder.path(), "/var/lib/perch/audit.jsonl");
    assert!(log.contains("box.restart") && log.contains("anna"), "{log}");
}

#[test]
fn a_time_without_a_day_is_the_next_one() {
    let scene = Scene::new();
    for (typed, at) in [("13:00", NOW + 3600), ("03:00", NOW + 15 * 3600)] {
        assert_eq!(
            scene.plan(Power::ShutDown, typed).unwrap().at,
            at,
            "{typed}"
        );
    }
}

#[test]
fn a_new_plan_takes_the_place_of_the_one_before_and_one_that_is_given_up_does_nothing() {
    let scene = Scene::new();
    scene.plan(Power::ShutDown, "13:00").unwrap();
    scene.plan(Power::Restart, "03:00").unwrap();
    assert!(scene.system.ran("systemctl stop perch-power.timer"));
    assert_eq!(scene.planned().unwrap().what, Power::Restart);
    cancel(scene.machine()).unwrap();
    assert_eq!(scene.planned(), None);
    assert!(!due(scene.machine()).unwrap());
    assert!(!scene.system.ran("systemctl --no-block reboot"));
}

#[test]
fn a_time_that_a_changed_clock_has_jumped_over_is_let_pass() {
    let scene = Scene::new();
    scene.plan(Power::ShutDown, "13:00").unwrap();
    scene.wait(7 * 86_400);
    assert!(!due(scene.machine()).unwrap());
    assert!(!scene.system.ran("systemctl --no-block poweroff"));
}

#[test]
fn times_that_have_passed_or_are_far_away_are_refused() {
    let scene = Scene::new();
    for typed in ["2026-12-01 11:00", "2028-01-01 00:00"] {
        let error = scene.plan(Power::Restart, typed).unwrap_err();
        let why = error.downcast_ref::<NoPlan>().cloned();
        assert_eq!(why, Some(NoPlan::OutOfReach(typed.to_owned())));
    }
    // date(1) has no such day.
    let error = scene.plan(Power::Restart, "2026-02-30 03:00").unwrap_err();
    assert!(error.is::<NoPlan>(), "{error:#}");
    assert_eq!(scene.planned(), None);
}

#[test]
fn without_its_timer_there_is_no_plan() {
    let scene = Scene::new();
    let timer = format!("{TIMER}{} --timer-property=AccuracySec=1s", NOW + 3600);
    scene.system.failing.borrow_mut().insert(timer);
    assert!(scene.plan(Power::Restart, "13:00").is_err());
    assert_eq!(scene.planned(), None);
}
