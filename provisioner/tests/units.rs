//! The systemd units that the image brings.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{get, put};
use provisioner::tuning::file::read_folder;
use provisioner::tuning::setting::{Wanted, Wherever};

/// Our units, and the most exposed that each may be (`systemd-analyze security`, of 10). Those that change the system are
/// root with few capabilities; imd and the pages, which talk to strangers, have none.
const UNITS: [(&str, u32); 23] = [
    ("imd.service", 15),
    ("perch-agent.service", 25),
    ("perch-announce.service", 10),
    ("perch-apply.service", 25),
    ("perch-clock.service", 15),
    ("perch-disk.service", 13),
    // It becomes imd's user for the first account.
    ("perch-firstboot.service", 22),
    ("perch-address.service", 18),
    ("perch-certificate.service", 18),
    ("perch-backup@.service", 16),
    ("perch-early.service", 20),
    ("perch-network-trial.service", 16),
    ("perch-offsite@.service", 16),
    ("perch-power.service", 10),
    ("perch-slot-good.service", 10),
    ("perch-update-lost.service", 10),
    ("perch-update-night.service", 23),
    ("perch-update-started.service", 22),
    ("perch-update-stick@.service", 17),
    ("perch-update-trial.service", 25),
    ("perch-update@.service", 23),
    ("perch-web.service", 5),
    ("perch-wifi@.service", 21),
];

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn overlay() -> PathBuf {
    project().join("overlays/perch")
}

fn unit(name: &str) -> String {
    get(&overlay(), &format!("/usr/lib/systemd/system/{name}"))
}

/// What is tried of a template.
fn instance(name: &str) -> String {
    name.replace("@.", "@night.")
}

/// `None` where there is no systemd-analyze; the test says so.
fn systemd_analyze() -> Option<Command> {
    let found = Command::new("systemd-analyze")
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success());
    if !found {
        println!("SKIPPED: no systemd-analyze on this machine");
    }
    found.then(|| Command::new("systemd-analyze"))
}

#[test]
fn no_unit_is_left_out_of_these_checks() {
    let mut found = Vec::new();
    for layer in std::fs::read_dir(project().join("overlays")).unwrap() {
        let folder = layer.unwrap().path().join("usr/lib/systemd/system");
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            found.extend(Some(name).filter(|name| name.ends_with(".service")));
        }
    }
    let mut known = UNITS.map(|(name, _)| name.to_owned()).to_vec();
    found.sort();
    known.sort();
    assert_eq!(found, known);
}

#[test]
fn what_timers_of_the_agent_start_is_a_unit_of_the_image() {
    for (name, runs) in [
        (provisioner::settings::trial::TIMER, "settings timed-out"),
        (provisioner::power::TIMER, "power due"),
    ] {
        let line = format!("ExecStart=/usr/bin/provisioner {runs}\n");
        assert!(unit(&format!("{name}.service")).contains(&line), "{name}");
    }
}

#[test]
fn imd_cannot_start_before_apply_has_succeeded() {
    let text = unit("imd.service");
    for line in [
        "Requires=perch-apply.service",
        "After=perch-apply.service network.target",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}");
    }
    let apply = unit("perch-apply.service");
    for line in [
        "Type=oneshot",
        "Requires=perch-firstboot.service",
        "Before=imd.service",
    ] {
        assert!(apply.lines().any(|found| found == line), "{line}");
    }
}

#[test]
fn units_have_the_limits_that_tuning_wants() {
    let settings = read_folder(&project().join("configs/tuning")).unwrap();
    let mut checked = 0;
    for setting in settings {
        if let (
            Wherever::Unit {
                unit: name,
                property,
            },
            Wanted::Exactly(value),
        ) = (&setting.place, &setting.wanted)
        {
            assert!(
                unit(name)
                    .lines()
                    .any(|line| line == format!("{property}={value}")),
                "{}",
                setting.name
            );
            checked += 1;
        }
    }
    assert!(checked >= 2);
}

#[test]
fn every_unit_of_ours_is_enabled_in_the_image() {
    let layer = get(&project(), "/configs/layers/perch.toml");
    for (name, _) in UNITS {
        // It is started by another unit's failure; templates are started by timers and by the agent.
        // Some by a timer that is made when it is needed.
        let by_others = [
            "perch-network-trial.service",
            "perch-power.service",
            "perch-update-lost.service",
        ];
        if by_others.contains(&name) || name.contains('@') {
            continue;
        }
        // What a timer starts is not enabled itself.
        let timer = name.replace(".service", ".timer");
        let wanted = [name, &timer].map(|unit| format!("\"{unit}\""));
        assert!(wanted.iter().any(|unit| layer.contains(unit)), "{name}");
    }
}

#[test]
fn units_are_sandboxed() {
    for (name, most) in UNITS {
        let Some(mut analyze) = systemd_analyze() else {
            return;
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(instance(name));
        std::fs::write(&path, unit(name)).unwrap();
        let output = analyze
            .args(["security", "--offline=yes", &format!("--threshold={most}")])
            .arg(path)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{name}:\n{}",
            String::from_utf8_lossy(&output.stdout)
        );
    }
}

#[test]
fn wifi_runs_only_where_a_network_is_set_and_with_the_file_that_settings_write() {
    let (unit, conf) = (
        unit("perch-wifi@.service"),
        provisioner::settings::outputs::WPA_SUPPLICANT,
    );
    assert!(unit.contains(&format!("ConditionPathExists={conf}\n")));
    assert!(unit.contains(&format!("wpa_supplicant -c {conf} -i %I")));
    assert!(!unit.contains("[Install]"), "udev asks for it");
    let rules = get(&overlay(), "/usr/lib/udev/rules.d/90-perch-wifi.rules");
    assert!(rules.contains("perch-wifi@$name.service"));
}

#[test]
fn systemd_finds_no_mistake_in_the_units() {
    let Some(mut analyze) = systemd_analyze() else {
        return;
    };
    let root = tempfile::tempdir().unwrap();
    for path in [
        "/usr/bin/imd",
        "/usr/bin/provisioner",
        "/usr/bin/rauc",
        "/usr/sbin/rfkill",
        "/usr/sbin/wpa_supplicant",
        "/bin/sh",
        "/bin/false",
    ] {
        put(root.path(), path, "#!/bin/sh\n");
        let place = root.path().join(path.trim_start_matches('/'));
        std::fs::set_permissions(place, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let ours = root.path().join("etc/systemd/system");
    std::fs::create_dir_all(&ours).unwrap();
    std::fs::create_dir_all(root.path().join("usr/lib/systemd")).unwrap();
    let copied = Command::new("cp")
        .args(["-a", "/usr/lib/systemd/system"])
        .arg(root.path().join("usr/lib/systemd"))
        .status()
        .unwrap();
    assert!(copied.success());
    for (name, _) in UNITS {
        std::fs::write(ours.join(instance(name)), unit(name)).unwrap();
    }
    let output = analyze
        .args(["verify", "--man=no", "--recursive-errors=no"])
        .arg(format!("--root={}", root.path().display()))
        .args(UNITS.map(|(name, _)| instance(name)))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    // The box has systemd 257; a builder's may be older than these keys of version 254, and fail for them.
    let newer = [
        "Unknown key 'RestartSteps'",
        "Unknown key 'RestartMaxDelaySec'",
    ];
    let mistakes: Vec<&str> = said
        .lines()
        .filter(|line| !newer.iter().any(|key| line.contains(key)))
        .collect();
    assert!(mistakes.is_empty(), "{said}");
}
