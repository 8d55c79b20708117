//! What the page asks for, as the unit does it, and what is kept of it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod common;

use common::{FakeSystem, root};
use provisioner::agent::audit;
use provisioner::files::Files;
use provisioner::settings::apply::Machine;
use provisioner::update::job::{self, Job, Order, UPLOADED};
use provisioner::update::kept::Kept;
use provisioner::update::machine::{Release, State};
use provisioner::update::run::Updater;
use tempfile::TempDir;

/// Version 2.0.0 in slot B; slot A has what the card was written with.
const STATUS: &str = r#"{"slots":[{"system.0":{"bootname":"A","boot_status":"good"}},
    {"system.1":{"bootname":"B","boot_status":"good","slot_status":{"bundle":{"version":"2.0.0"}}}}]}"#;

struct Scene {
    folder: TempDir,
    system: FakeSystem,
}

impl Scene {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = root(files);
        for (path, content) in [
            ("/proc/cmdline", "rauc.slot=B"),
            ("/usr/lib/os-release", "VERSION_ID=2.0.0\n"),
            ("/data/.keep", ""),
            ("/run/systemd/timesync/synchronized", ""),
        ] {
            common::put(folder.path(), path, content);
        }
        let system = FakeSystem::new(folder.path());
        system.answer("rauc status --detailed --output-format=json", STATUS);
        system.answer("fw_printenv -n BOOT_ORDER", "A B");
        Self { folder, system }
    }

    fn files(&self) -> Files {
        Files::new(self.folder.path())
    }

    /// The page asks, and the unit does it.
    fn work(&self, job: Job) -> Kept {
        self.work_without_backup(job, None)
    }

    /// The same, wanted by somebody although the newest backup is too old.
    fn work_without_backup(&self, job: Job, who: Option<&str>) -> Kept {
        let files = self.files();
        let machine = Machine {
            files: &files,
            system: &self.system,
        };
        let now = self.system.clock.get().unix_timestamp();
        job::start(machine, Order::new(job, who.map(str::to_owned))).unwrap();
        assert!(job::is_at_work(&files, now) && job::asked(&files, now) == Some(job));
        assert!(self.system.ran(&format!(
            "systemctl --no-block start perch-update@{}.service",
            job.name()
        )));
        job::work(machine, job).unwrap();
        assert!(!job::is_at_work(&files, now));
        Kept::load(&files).unwrap()
    }
}

#[test]
fn why_the_publisher_could_not_be_asked_is_kept() {
    let plain = "url = \"http://updates.example\"\n";
    let scene = Scene::new(&[("/etc/perch/update.toml", plain)]);
    let kept = scene.work(Job::Check);
    let trouble = kept.trouble.unwrap();
    assert_eq!((kept.update, trouble.job), (State::Idle, Job::Check));
    assert!(trouble.reason.contains("https://"), "{}", trouble.reason);
    assert_eq!(trouble.at, scene.system.clock.get().unix_timestamp());
}

#[test]
fn nothing_is_installed_when_no_version_is_known() {
    let scene = Scene::new(&[]);
    let kept = scene.work(Job::Install);
    assert_eq!(kept.update, State::Idle);
    assert!(kept.trouble.unwrap().reason.contains("no newer version"));
}

#[test]
fn the_box_goes_back_to_the_version_that_it_had_left() {
    let kept = r#"{"update":{"state":"committed","version":"2.0.0","slot":"B"},"left":"1.0.0"}"#;
    let scene = Scene::new(&[("/var/lib/perch/update/state.json", kept)]);
    let kept = scene.work(Job::Rollback);
    let State::Trial { release, .. } = kept.update else {
        panic!("{:?}", kept.update)
    };
    assert_eq!(
        (release.version.as_str(), release.source),
        ("1.0.0", None),
        "RAUC does not know what the card was written with"
    );
    assert_eq!((kept.left.as_deref(), kept.trouble), (Some("2.0.0"), None));
    for command in [
        "systemctl stop imd.service",
        "rauc status mark-active other",
        "systemctl reboot",
    ] {
        assert!(scene.system.ran(command), "{command}");
    }
}

#[test]
fn a_box_that_is_too_hot_says_so_and_stays() {
    let scene = Scene::new(&[("/sys/class/thermal/thermal_zone0/temp", "90000\n")]);
    let kept = scene.work(Job::Rollback);
    let State::Failed { reason, during, .. } = kept.update else {
        panic!("{:?}", kept.update)
    };
    assert_eq!(during, "preflight");
    assert!(reason.contains("90 °C"), "{reason}");
    assert!(!scene.system.ran("systemctl reboot"));
}

#[test]
fn a_file_that_was_sent_is_installed_and_then_removed() {
    let scene = Scene::new(&[(UPLOADED, "bundle")]);
    let place = scene.files().path(UPLOADED).display().to_string();
    let info = format!("rauc info --output-format=json {place}");
    scene.system.answer(&info, r#"{"version":"3.0.0"}"#);
    let kept = scene.work(Job::Upload);
    let State::Trial { release, .. } = kept.update else {
        panic!("{:?}", kept.update)
    };
    assert_eq!(release.version, "3.0.0");
    assert!(scene.system.ran(&format!("rauc install {place}")));
    assert!(!scene.files().path(UPLOADED).exists());
}

#[test]
fn a_file_that_is_no_release_is_refused_and_removed() {
    let scene = Scene::new(&[(UPLOADED, "a holiday picture")]);
    let place = scene.files().path(UPLOADED).display().to_string();
    let info = format!("rauc info --output-format=json {place}");
    scene.system.failing.borrow_mut().insert(info);
    let kept = scene.work(Job::Upload);
    assert_eq!(kept.update, State::Idle);
    let reason = kept.trouble.unwrap().reason;
    assert!(reason.contains("the file is refused"), "{reason}");
    assert!(!scene.files().path(UPLOADED).exists());
}

const BUNDLE: &str = "https://updates.example/b.raucb";
const OPERATION: &str = "busctl --json=short get-property de.pengutronix.rauc / de.pengutronix.rauc.Installer Operation";

/// A version is known to be available at a server.
fn offered() -> Scene {
    let state = format!(
        r#"{{"update":{{"state":"available","release":{{"version":"3.0.0","source":"{BUNDLE}","bytes":1}}}}}}"#
    );
    Scene::new(&[("/var/lib/perch/update/state.json", &state)])
}

#[test]
fn a_server_that_stops_sending_is_not_taken_for_a_damaged_bundle() {
    for (kernel, said) in [
        (
            "block nbd0: Connection timed out, retrying (1/1 alive)",
            "the server stopped sending",
        ),
        ("block nbd0: NBD_DISCONNECT", "it does not work today"),
    ] {
        let scene = offered();
        let install = format!("rauc install {BUNDLE}");
        scene.system.failing.borrow_mut().insert(install);
        let since = scene.system.clock.get().unix_timestamp();
        let log = format!("journalctl -k -b -o cat --no-pager -S @{since}");
        scene.system.answer(&log, kernel);
        let State::Failed { reason, during, .. } = scene.work(Job::Install).update else {
            panic!("it did not fail")
        };
        assert_eq!(during, "downloading");
        assert!(reason.starts_with(said), "{reason}");
    }
}

#[test]
fn an_installation_that_nobody_waits_for_any_more_is_ended_first() {
    for (operation, ends) in [("installing", true), ("idle", false)] {
        let scene = offered();
        let property = format!(r#"{{"type":"s","data":"{operation}"}}"#);
        scene.system.answer(OPERATION, &property);
        let kept = scene.work(Job::Install);
        assert!(
            matches!(kept.update, State::Trial { .. }),
            "{:?}",
            kept.update
        );
        assert_eq!(
            scene.system.ran("systemctl restart rauc.service"),
            ends,
            "{operation}"
        );
    }
}

/// A stick is accepted, and the newest backup is older than the night that it failed.
const STALE: [(&str, &str); 2] = [
    (
        "/var/lib/perch/backup/stick.json",
        r#"{"serial":"1","model":"Stick"}"#,
    ),
    (
        "/var/lib/perch/backup/outcomes.json",
        r#"{"stick":{"at":1796126000,"worked":1795000000,"error":"the accepted stick is not plugged in"}}"#,
    ),
];

/// A file is sent to a box whose newest backup is old. `who` wants it all the same.
fn upload_with_an_old_backup(who: Option<&str>) -> (Scene, Kept) {
    let scene = Scene::new(&[&STALE[..], &[(UPLOADED, "bundle")]].concat());
    let place = scene.files().path(UPLOADED).display().to_string();
    let info = format!("rauc info --output-format=json {place}");
    scene.system.answer(&info, r#"{"version":"3.0.0"}"#);
    let kept = scene.work_without_backup(Job::Upload, who);
    (scene, kept)
}

#[test]
fn an_old_backup_keeps_an_update_from_beginning() {
    let (scene, kept) = upload_with_an_old_backup(None);
    let State::Failed { reason, during, .. } = kept.update else {
        panic!("{:?}", kept.update)
    };
    assert_eq!(during, "preflight");
    assert!(
        reason.contains("the newest backup is 13 days old: plug the stick in"),
        "{reason}"
    );
    assert!(!scene.system.ran("systemctl reboot"));
}

#[test]
fn the_owner_may_update_without_a_young_backup_and_that_is_logged() {
    let (scene, kept) = upload_with_an_old_backup(Some("anna (192.168.1.23)"));
    assert!(
        matches!(kept.update, State::Trial { .. }),
        "{:?}",
        kept.update
    );
    let log = common::get(scene.folder.path(), "/var/lib/perch/audit.jsonl");
    for part in ["update.without-backup", "anna (192.168.1.23)", "3.0.0"] {
        assert!(log.contains(part), "{log}");
    }
}

#[test]
fn an_older_version_that_the_owner_wants_is_in_the_log_of_administration() {
    for (version, wanted) in [("1.0.0", true), ("3.0.0", false)] {
        let scene = Scene::new(&[("/usr/lib/rauc/system.conf", "[system]\n")]);
        let files = scene.files();
        let mut updater = Updater::new(&files, &scene.system).unwrap();
        updater
            .install(Release {
                version: version.to_owned(),
                source: Some("/media/b.raucb".to_owned()),
                bytes: None,
                downgrade: true,
            })
            .unwrap();
        assert!(scene.system.ran("rauc install /media/b.raucb"));
        let last = audit::last(&files, 1).unwrap();
        let found = last.iter().any(|act| {
            (act.action.as_str(), act.subject.as_str()) == ("update.downgrade", version)
        });
        assert_eq!(found, wanted, "{last:?}");
    }
}

#[test]
fn nobody_goes_back_to_a_version_that_cannot_read_the_database_any_more() {
    let kept = r#"{"update":{"state":"committed","version":"2.0.0","slot":"B"},"left":"1.0.0","left_schema":2,"schema":3}"#;
    let scene = Scene::new(&[("/var/lib/perch/update/state.json", kept)]);
    let kept = scene.work(Job::Rollback);
    assert_eq!(kept.update.name(), "committed");
    let reason = kept.trouble.unwrap().reason;
    assert!(
        reason.contains("1.0.0 cannot read the database any more"),
        "{reason}"
    );
    assert!(!scene.system.ran("systemctl stop imd.service"));
}

#[test]
fn a_box_that_nothing_has_told_the_time_installs_nothing() {
    let scene = offered();
    std::fs::remove_file(scene.files().path("/run/systemd/timesync/synchronized")).unwrap();
    let State::Failed { reason, .. } = scene.work(Job::Install).update else {
        panic!("it did not fail")
    };
    assert!(
        reason.contains("nothing has told the box the time"),
        "{reason}"
    );
    let scene = offered();
    std::fs::remove_file(scene.files().path("/run/systemd/timesync/synchronized")).unwrap();
    common::put(scene.folder.path(), "/run/perch-agent/clock-set", "");
    let kept = scene.work(Job::Install);
    assert_eq!(kept.update.name(), "trial");
}

#[test]
fn an_old_backup_does_not_keep_the_owner_from_going_back() {
    let scene = Scene::new(&STALE);
    let kept = scene.work(Job::Rollback);
    assert!(
        matches!(kept.update, State::Trial { .. }),
        "{:?}",
        kept.update
    );
}
