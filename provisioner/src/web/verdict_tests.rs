#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::agent::claim::Claim;
use crate::backup::open::FaultKind;
use crate::backup::outcome::{Outcome, Outcomes};
use crate::backup::target::state::TargetView;
use crate::disk::Health;
use crate::model::target::TargetUrl;
use crate::settings::target::Target;

const NOW: i64 = 1_796_126_400;

fn status() -> BoxStatus {
    BoxStatus {
        version: "0.1.0".to_owned(),
        claim: Claim::Open,
        needs_code: false,
        host_name: "perch".to_owned(),
        second_name: "perch-1234".to_owned(),
        domain: "perch.local".to_owned(),
        language: None,
        fingerprint: None,
        clock: NOW,
        clock_is_synchronised: true,
        uptime: 5000,
        network_on_trial: false,
        slot: None,
    }
}

fn backups(at: i64, error: Option<&str>) -> BackupView {
    let outcome = Outcome {
        at,
        error: error.map(str::to_owned),
        ..Outcome::default()
    };
    BackupView {
        key_made: Some(1),
        key_check: None,
        on_the_box: Vec::new(),
        on_the_stick: None,
        accepted: None,
        sticks: Vec::new(),
        target: None,
        under_way: None,
        is_restoring: false,
        outcomes: Outcomes([("stick".to_owned(), outcome)].into()),
    }
}

fn good() -> Figures {
    Figures {
        temperature: Some(550),
        memory: 4 << 30,
        memory_free: 3 << 30,
        disk: 32 << 30,
        disk_free: 20 << 30,
        ..Figures::default()
    }
}

/// A box that runs, of which nothing else is known.
fn facts<'a>(status: &'a BoxStatus, view: &'a BackupView, figures: &'a Figures) -> Facts<'a> {
    Facts {
        chat: true,
        status,
        backups: Some(view),
        update: None,
        certificate: None,
        is_damaged: false,
        figures,
        days_left: None,
        now: NOW,
    }
}

fn with_disk(state: State) -> Figures {
    let health = Health {
        state,
        ..Health::default()
    };
    Figures {
        health: Some(health),
        ..good()
    }
}

#[test]
fn the_worst_thing_is_said_first() {
    let change = |of: fn(&mut Figures)| {
        let mut figures = good();
        of(&mut figures);
        figures
    };
    let table = [
        (true, good(), "home-well"),
        (false, change(|f| f.disk_errors = 1), "home-no-chat"),
        (
            true,
            change(|f| (f.disk_errors, f.disk_free) = (1, 0)),
            "home-disk-errors",
        ),
        (true, change(|f| f.disk_free = 1), "home-disk-full"),
        (
            true,
            change(|f| f.low_voltage = Some(true)),
            "home-low-voltage",
        ),
        (true, change(|f| f.temperature = Some(850)), "home-hot"),
        (true, change(|f| f.memory_free = 1), "home-memory-low"),
        (true, change(|f| f.worn = Some(10)), "home-worn"),
        (true, with_disk(State::Good), "home-well"),
        (true, with_disk(State::NotTold), "home-well"),
        (true, with_disk(State::Worn), "home-worn"),
        (true, with_disk(State::Failing), "home-disk-failing"),
        // A machine that says nothing of itself, as an emulator.
        (true, Figures::default(), "home-well"),
    ];
    let (status, view) = (status(), backups(NOW, None));
    for (chat, figures, key) in table {
        let facts = Facts {
            chat,
            ..facts(&status, &view, &figures)
        };
        assert_eq!(verdict(&facts).1, key, "{figures:?}");
    }
}

#[test]
fn a_damaged_system_is_said_before_what_can_wait() {
    let (status, figures) = (status(), good());
    let view = backups(NOW - 40 * 86_400, None);
    let facts = Facts {
        is_damaged: true,
        ..facts(&status, &view, &figures)
    };
    assert_eq!(verdict(&facts), (Level::Unwell, "update-damaged"));
}

#[test]
fn what_can_wait_is_said_when_nothing_is_wrong() {
    let (status, figures) = (status(), good());
    let mut without = backups(NOW, None);
    without.key_made = None;
    for (view, days_left, key) in [
        (backups(NOW, None), Some(100), "home-well"),
        (backups(NOW, None), Some(5), "home-disk-soon"),
        (backups(NOW, Some("gone")), None, "home-backup-failed"),
        (backups(NOW - 40 * 86_400, None), None, "home-no-backup"),
        (without, None, "home-no-backup"),
    ] {
        let facts = Facts {
            days_left,
            ..facts(&status, &view, &figures)
        };
        let (level, found) = verdict(&facts);
        assert_eq!(found, key);
        assert_eq!(level == Level::Well, key == "home-well");
    }
}

fn target() -> TargetView {
    TargetView {
        settings: Target {
            url: TargetUrl::new("sftp://perch@nas/backups").unwrap(),
            endpoint: None,
            region: None,
            access_key: None,
            authority: None,
        },
        public_key: None,
        accepted: None,
        offered: None,
        lying: Vec::new(),
        looked: None,
    }
}

#[test]
fn a_backup_of_the_target_that_cannot_be_restored_is_said_and_a_target_that_is_off_is_not() {
    let (status, figures) = (status(), good());
    for (is_set, fault, kind, key) in [
        (true, Some(FaultKind::Damaged), None, "home-drill-failed"),
        (true, None, Some(Kind::Altered), "home-drill-failed"),
        (true, None, Some(Kind::NoBackup), "home-drill-failed"),
        (true, None, Some(Kind::NoAnswer), "home-well"),
        // It is not used any more.
        (false, Some(FaultKind::Damaged), None, "home-well"),
    ] {
        let mut view = backups(NOW, None);
        let outcome = Outcome {
            at: NOW,
            error: Some("it failed".to_owned()),
            fault,
            target: kind,
            ..Outcome::default()
        };
        view.outcomes.0.insert("target-drill".to_owned(), outcome);
        view.target = is_set.then(target);
        let facts = facts(&status, &view, &figures);
        assert_eq!(verdict(&facts).1, key, "{is_set} {fault:?} {kind:?}");
    }
}

#[test]
fn a_target_that_was_missed_for_a_night_is_not_mentioned_yet() {
    let (status, figures) = (status(), good());
    let day = |days: i64| Some(NOW - days * 86_400);
    for (is_set, error, worked, key) in [
        (true, Some("off"), day(1), "home-well"),
        (true, Some("off"), day(4), "home-target-failed"),
        (true, Some("off"), None, "home-target-failed"),
        (true, None, None, "home-well"),
        // It is not used any more.
        (false, Some("off"), day(9), "home-well"),
    ] {
        let mut view = backups(NOW, None);
        let outcome = Outcome {
            at: NOW,
            worked,
            error: error.map(str::to_owned),
            ..Outcome::default()
        };
        view.outcomes.0.insert("target".to_owned(), outcome);
        view.target = is_set.then(target);
        let facts = facts(&status, &view, &figures);
        assert_eq!(verdict(&facts).1, key, "{is_set} {error:?} {worked:?}");
    }
}

#[test]
fn an_update_is_mentioned_when_it_failed_or_can_be_installed() {
    let of = |json: &str| serde_json::from_str::<UpdateState>(json).unwrap();
    let release = r#""release":{"version":"2.0.0","source":"https://u/b","bytes":1}"#;
    let back = r#""release":{"version":"0.1.0","source":null,"bytes":null}"#;
    let failed = r#""during":"trial","reason":"no","boots":[]"#;
    let (status, figures, view) = (status(), good(), backups(NOW, None));
    for (json, key) in [
        (r#"{"state":"idle"}"#.to_owned(), "home-well"),
        (
            format!(r#"{{"state":"available",{release}}}"#),
            "home-update-available",
        ),
        // A way back that was interrupted is nothing newer.
        (format!(r#"{{"state":"available",{back}}}"#), "home-well"),
        (
            format!(r#"{{"state":"failed",{release},{failed}}}"#),
            "home-update-failed",
        ),
    ] {
        let update = of(&json);
        let facts = Facts {
            update: Some(&update),
            ..facts(&status, &view, &figures)
        };
        assert_eq!(verdict(&facts).1, key, "{json}");
    }
}

#[test]
fn a_certificate_is_mentioned_when_it_ends_soon_or_cannot_be_had() {
    use crate::acme::fault::{Fault, Kind};
    use crate::acme::machine::Held;
    let held = |days: i64| Held {
        from: NOW - (90 - days) * 86_400,
        until: NOW + days * 86_400,
    };
    let failed = |held| Certificate::Failed {
        held,
        fault: Fault::new(Kind::PortClosed, ""),
        at: NOW,
        failures: 1,
        next: NOW,
        barred: None,
    };
    let (status, figures, view) = (status(), good(), backups(NOW, None));
    for (certificate, key) in [
        (Certificate::Off, "home-well"),
        (Certificate::Missing, "home-well"),
        (Certificate::Valid { held: held(60) }, "home-well"),
        (failed(Some(held(29))), "home-well"),
        (failed(Some(held(10))), "home-certificate-soon"),
        (failed(None), "home-certificate-failed"),
    ] {
        let facts = Facts {
            certificate: Some(&certificate),
            ..facts(&status, &view, &figures)
        };
        assert_eq!(verdict(&facts).1, key, "{certificate:?}");
    }
}
