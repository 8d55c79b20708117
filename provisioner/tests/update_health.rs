//! What a version on trial has to do before it is trusted: each line of the check, with waiting that takes no time.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod common;

use std::cell::Cell;
use std::time::Duration;

use anyhow::{Result, bail};
use common::{FakeSystem, put, root};
use provisioner::files::Files;
use provisioner::update::health::{Client, watch_as};
use provisioner::update::machine::Slot;
use provisioner::update::surroundings::Surroundings;
use tempfile::TempDir;

const UNIT: &str = "imd.service";
const ROUTES: &str = "/proc/net/route";
const HEAD: &str = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n";
const NETWORK: &str = "end0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\n";
const GATEWAY: &str = "end0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\n";
const JOBS: &str = "systemctl list-jobs --no-legend --plain";
const FAILED: &str = "systemctl list-units --failed --plain --no-legend";
const LAST_WORDS: &str = "journalctl -b _SYSTEMD_UNIT=imd.service -n 1 -o cat --no-pager";
const VERITY: &str = "dmsetup status system_B";

/// A version that does all that it has to, unless a test says otherwise.
struct Trial {
    folder: TempDir,
    system: FakeSystem,
    before: Surroundings,
    /// Logins that work.
    logins: Cell<u32>,
    has_page: bool,
}

impl Client for Trial {
    fn chat(&self) -> Result<()> {
        let Some(left) = self.logins.get().checked_sub(1) else {
            bail!("logging in and sending a message does not work: not-authorized")
        };
        self.logins.set(left);
        Ok(())
    }

    fn page(&self) -> Result<()> {
        if !self.has_page {
            bail!("the box's page does not come: connection refused");
        }
        Ok(())
    }
}

impl Trial {
    fn new() -> Self {
        let folder = root(&[
            ("/usr/lib/clock-epoch", ""),
            ("/var/lib/perch/update/.keep", ""),
            (ROUTES, &format!("{HEAD}{NETWORK}{GATEWAY}")),
        ]);
        let system = FakeSystem::new(folder.path())
            .with_unit(UNIT, "ActiveState", "active")
            .with_unit(UNIT, "InvocationID", "first")
            .with_unit(UNIT, "NRestarts", "0");
        system.answer(VERITY, "0 917504 verity V");
        // The image is older than the fake's clock, whatever the clock of this computer.
        let epoch = std::fs::File::options()
            .write(true)
            .open(folder.path().join("usr/lib/clock-epoch"))
            .unwrap();
        let built = std::time::UNIX_EPOCH + Duration::from_secs(1_790_000_000);
        epoch.set_modified(built).unwrap();
        Self {
            folder,
            system,
            before: Surroundings {
                clock: Some(1_796_000_000),
                has_address: true,
                has_gateway: true,
            },
            logins: Cell::new(2),
            has_page: true,
        }
    }

    fn unit(&self, property: &str, value: &str) {
        let key = (UNIT.to_owned(), property.to_owned());
        self.system.units.borrow_mut().insert(key, value.to_owned());
    }

    fn end(&self) -> Result<()> {
        let files = Files::new(self.folder.path());
        watch_as(self, &files, &self.system, Slot::B, self.before)
    }

    fn put(&self, path: &str, content: &str) {
        put(self.folder.path(), path, content);
    }
}

#[test]
fn a_version_that_does_all_it_has_to_is_trusted_after_a_minute() {
    let trial = Trial::new();
    trial.end().unwrap();
    assert_eq!(trial.logins.get(), 0, "it logs in before and after");
    let waited = trial.system.elapsed.get();
    assert!((60..70).contains(&waited.as_secs()), "{waited:?}");
}

#[test]
fn each_thing_that_a_version_does_not_do_ends_its_trial_with_the_reason() {
    type Change = fn(&mut Trial);
    let cases: [(&str, Change); 16] = [
        ("does not work: not-authorized", |trial| trial.logins.set(0)),
        // Only the one at the end.
        ("does not work: not-authorized", |trial| trial.logins.set(1)),
        ("page does not come", |trial| trial.has_page = false),
        ("did not start: it waits", |trial| {
            trial.unit("ActiveState", "activating");
            trial.system.answer(LAST_WORDS, "it waits");
        }),
        // The server looks through its database when it starts.
        (
            "ended 3 times while starting: the database is damaged",
            |trial| {
                trial.unit("ActiveState", "activating");
                trial.unit("NRestarts", "3");
                trial.system.answer(LAST_WORDS, "the database is damaged");
            },
        ),
        ("stopped by itself within a minute: panicked", |trial| {
            trial.system.answer(LAST_WORDS, "panicked");
            let at = Duration::from_secs(58);
            trial
                .system
                .later
                .borrow_mut()
                .push((at, UNIT, "InvocationID", "second"));
        }),
        ("stopped by itself within a minute", |trial| {
            let at = Duration::from_secs(10);
            trial
                .system
                .later
                .borrow_mut()
                .push((at, UNIT, "ActiveState", "failed"));
        }),
        ("did not finish starting", |trial| {
            trial.system.answer(JOBS, "7 nginx.service start running");
        }),
        ("no address in its network", |trial| trial.put(ROUTES, HEAD)),
        ("no gateway in its network", |trial| {
            trial.put(ROUTES, &format!("{HEAD}{NETWORK}"));
        }),
        (
            "before the time at which the new version was made",
            |trial| {
                trial.before.clock = None;
                trial.system.clock.set(time::OffsetDateTime::UNIX_EPOCH);
            },
        ),
        ("clock went back by 1000 s", |trial| {
            let now = trial.system.clock.get().unix_timestamp();
            trial.before.clock = Some(now + 1000);
        }),
        ("the data partition cannot be written", |trial| {
            trial.put("/var/lib/perch/update/probe/in-the-way", "");
        }),
        ("slot B has damaged blocks", |trial| {
            trial.system.answer(VERITY, "0 917504 verity C");
        }),
        ("slot B is not checked by its hashes", |trial| {
            trial.system.failing.borrow_mut().insert(VERITY.to_owned());
        }),
        ("these units failed: nginx.service", |trial| {
            trial
                .system
                .answer(FAILED, "nginx.service loaded failed failed nginx");
        }),
    ];
    for (reason, change) in cases {
        let mut trial = Trial::new();
        change(&mut trial);
        let Err(error) = trial.end() else {
            panic!("it was trusted although {reason}")
        };
        assert!(format!("{error:#}").contains(reason), "{error:#}: {reason}");
    }
}

#[test]
fn a_box_without_a_network_or_a_clock_that_goes_on_is_updated_all_the_same() {
    let mut trial = Trial::new();
    trial.put(ROUTES, HEAD);
    trial.before = Surroundings::default();
    trial.end().unwrap();
}

#[test]
fn a_server_that_takes_four_minutes_to_change_its_database_is_waited_for() {
    let trial = Trial::new();
    trial.unit("ActiveState", "activating");
    let at = Duration::from_secs(240);
    trial
        .system
        .later
        .borrow_mut()
        .push((at, UNIT, "ActiveState", "active"));
    trial.end().unwrap();
}
