//! Changes on a running box: whole or not at all, remembered, taken back.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod common;

use common::boxes::{Running, boot};
use common::{get, put};
use provisioner::files::Files;
use provisioner::firstboot::state::BoxState;
use provisioner::settings::change::{change, preview, request_of_pairs, request_of_text};
use provisioner::tuning::report::{Outcome, Report};

#[test]
fn a_change_counts_at_once_and_what_runs_takes_it_up() {
    let running = Running::new();
    let done = running
        .set(&[
            ("hostname", "office"),
            ("time.servers", "[\"192.168.1.1\"]"),
        ])
        .unwrap();
    assert!(!done.on_trial);
    assert_eq!(
        running.settings(),
        "hostname = \"office\"\ntime.servers = [\"192.168.1.1\"]\n"
    );
    assert_eq!(*running.system.host_name.borrow(), "office");
    assert!(
        get(running.folder.path(), "/etc/perch/imd.toml").contains("domain = \"office.local\"")
    );
    common::boxes::assert_certificates(running.folder.path(), &["office.local"]);
    for unit in ["avahi-daemon", "systemd-timesyncd", "imd"] {
        assert!(
            running.did(&format!("systemctl try-restart {unit}.service")),
            "{unit}"
        );
    }
}

#[test]
fn a_wifi_network_is_joined_by_each_radio_at_once_and_left_again() {
    let running = Running::new();
    let joined = "systemctl restart perch-wifi@wlan0.service";
    running
        .set(&[("wifi.ssid", "Home"), ("wifi.password", "correct horse")])
        .unwrap();
    assert!(running.has("/etc/perch/wpa_supplicant.conf"));
    assert!(running.did("networkctl reload"));
    assert!(!running.did(joined), "there is no radio");
    put(
        running.folder.path(),
        "/sys/class/net/wlan0/phy80211/index",
        "0",
    );
    put(running.folder.path(), "/sys/class/net/end0/ifindex", "2");
    running.set(&[("wifi.country", "DE")]).unwrap();
    assert!(running.did(joined));
    running
        .set(&[
            ("wifi.ssid", ""),
            ("wifi.country", ""),
            ("wifi.password", ""),
            ("wifi.hidden", ""),
        ])
        .unwrap();
    assert!(running.did("systemctl stop perch-wifi@wlan0.service"));
    for gone in [
        "/etc/perch/wpa_supplicant.conf",
        "/etc/systemd/network/45-perch-wifi.network",
    ] {
        assert!(!running.has(gone), "{gone}");
    }
}

#[test]
fn bad_values_change_nothing_and_are_named_as_in_the_file() {
    let running = Running::new();
    for (key, value, problem) in [
        (
            "hostname",
            "two words",
            "command line:1: hostname: found \"two words\"; accepted: a name of 1 to 40",
        ),
        (
            "network.ipv4_gateway",
            "10.0.0.1",
            "command line:1: network.ipv4_gateway: found \"10.0.0.1\"; accepted: another address",
        ),
        (
            "network.vlan",
            "ten",
            "command line:1: network.vlan: found \"ten\"; accepted: a VLAN's number",
        ),
        (
            "ssh.enabled",
            "true",
            "ssh.authorized_keys: found nothing; accepted: at least one key",
        ),
        (
            "colour",
            "red",
            "command line: colour: found an unknown key; accepted: one of hostname, domain",
        ),
        (
            "admin.name",
            "eve",
            "command line: admin.name: found an unknown key",
        ),
        (
            "hostname",
            "a\"\nssh.enabled = true\nx = \"",
            "command line:1: hostname: found",
        ),
    ] {
        let error = format!("{:#}", running.set(&[(key, value)]).unwrap_err());
        assert!(error.contains(problem), "{key}: {error}");
    }
    assert_eq!(running.settings(), "");
    assert!(running.state().history.is_empty());
}

#[test]
fn a_dry_run_says_what_would_be_done_and_does_nothing() {
    let running = Running::new();
    running.system.commands.borrow_mut().clear();
    let text = "domain = \"chat.example.org\"\n[network]\nipv4 = \"192.168.1.50/24\"\n";
    let request = request_of_text(running.machine(), "new.toml", text).unwrap();
    let lines = preview(running.machine(), &request).unwrap().plan.lines();
    assert_eq!(
        lines,
        [
            "domain: default -> \"chat.example.org\"",
            "network.ipv4: default -> \"192.168.1.50/24\"",
            "network.ipv6: default -> \"auto\"",
            "write /etc/systemd/network/40-perch-wired.network",
            "write /etc/perch/imd.toml",
            "reload the network",
            "restart imd.service",
        ]
    );
    assert_eq!(running.settings(), "");
    assert!(running.system.commands.borrow().is_empty());
}

#[test]
fn the_history_says_who_changed_what_and_undo_takes_any_of_it_back() {
    let running = Running::new();
    running
        .set(&[("hostname", "office"), ("language", "zh")])
        .unwrap();
    running.set(&[("timezone", "Europe/Berlin")]).unwrap();
    running.set(&[("hostname", "attic")]).unwrap();
    let history = running.state().history;
    assert_eq!(history.len(), 3);
    let first = &history[0];
    assert_eq!(
        (first.number, first.who.as_str(), first.at.as_str()),
        (1, "anna", "2026-12-01T12:00:00Z")
    );
    assert_eq!(first.changes[1].key, "language");
    running.undo(Some(2)).unwrap();
    assert_eq!(
        running.settings(),
        "hostname = \"attic\"\nlanguage = \"zh\"\n"
    );
    running.undo(None).unwrap();
    assert_eq!(
        running.settings(),
        "hostname = \"attic\"\nlanguage = \"zh\"\ntimezone = \"Europe/Berlin\"\n"
    );
    running.undo(Some(1)).unwrap();
    assert_eq!(running.settings(), "timezone = \"Europe/Berlin\"\n");
    assert_eq!(running.state().history.last().unwrap().who, "ben");
    assert!(running.undo(Some(99)).is_err());
}

#[test]
fn another_profile_is_tuned_for_at_once_and_one_that_does_not_take_goes_back() {
    let running = Running::new();
    let root = running.folder.path();
    let governor = "/sys/devices/system/cpu/cpufreq/policy0/scaling_governor";
    let power =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/tuning/50-power.toml");
    put(
        root,
        "/usr/share/perch/tuning/50-power.toml",
        &std::fs::read_to_string(power).unwrap(),
    );
    put(root, governor, "schedutil\n");
    put(
        root,
        "/sys/devices/system/cpu/cpufreq/policy0/scaling_available_governors",
        "conservative performance schedutil\n",
    );
    // As perch-apply.service leaves it at a start, with rows of other things.
    put(
        root,
        "/run/perch/apply.json",
        r#"{"ok":true,"settings":[
            {"name":"CPU governor","place":"/sys/devices/system/cpu/cpufreq/policy0/scaling_governor","wanted":"schedutil or ondemand","before":null,"now":"schedutil","outcome":"unchanged","note":"","reason":"r","source":"s"},
            {"name":"chat domain","place":"/etc/perch/imd.toml","wanted":"perch.local","before":null,"now":"perch.local","outcome":"unchanged","note":"","reason":"r","source":"configs/imd.example.toml"}]}"#,
    );
    let reported = |name: &str| {
        let report = Report::last(&running.files).unwrap().unwrap();
        let rows = report.settings.into_iter().filter(|row| row.name == name);
        let found: Vec<_> = rows.map(|row| (row.now.unwrap(), row.outcome)).collect();
        found
    };
    running.set(&[("profile", "quiet")]).unwrap();
    assert_eq!(get(root, governor), "conservative");
    let now = |value: &str, outcome| vec![(value.to_owned(), outcome)];
    assert_eq!(
        reported("CPU governor"),
        now("conservative", Outcome::Applied)
    );
    assert_eq!(
        reported("chat domain"),
        now("perch.local", Outcome::Unchanged)
    );
    running.undo(None).unwrap();
    assert_eq!(get(root, governor), "schedutil");
    // A fan that does not do what it is told.
    put(root, "/sys/class/hwmon/hwmon0/name", "pwmfan\n");
    std::fs::create_dir_all(root.join("sys/class/hwmon/hwmon0/pwm1_enable")).unwrap();
    let error = format!(
        "{:#}",
        running.set(&[("profile", "performance")]).unwrap_err()
    );
    assert!(error.contains("tuning: fan control"), "{error}");
    assert_eq!(get(root, governor), "schedutil");
    assert_eq!(reported("CPU governor"), now("schedutil", Outcome::Applied));
    assert_eq!(running.settings(), "");
}

#[test]
fn twenty_changes_are_kept() {
    let running = Running::new();
    for number in 1..=23 {
        running
            .set(&[("invitations", &number.to_string())])
            .unwrap();
    }
    let history = running.state().history;
    assert_eq!(
        (history.len(), history[0].number, history[19].number),
        (20, 4, 23)
    );
}

#[test]
fn the_same_again_changes_nothing_and_is_not_remembered() {
    let running = Running::new();
    running.set(&[("language", "zh")]).unwrap();
    assert_eq!(running.set(&[("language", "zh")]).unwrap().number, None);
    assert_eq!(running.state().history.len(), 1);
}

#[test]
fn a_change_made_from_what_somebody_else_has_changed_is_refused() {
    let running = Running::new();
    let pairs = [("hostname".to_owned(), "attic".to_owned())];
    let early = request_of_pairs(running.machine(), &pairs).unwrap();
    running.set(&[("language", "zh")]).unwrap();
    let error = change(running.machine(), &early, "ben").unwrap_err();
    assert!(error.to_string().contains("somebody else"), "{error}");
    assert_eq!(running.settings(), "language = \"zh\"\n");
}

#[test]
fn what_the_card_changed_is_in_the_history_and_can_be_undone() {
    let running = Running::new();
    put(
        running.folder.path(),
        "/boot/firmware/perch.toml",
        "hostname = \"office\"\n",
    );
    boot(running.folder.path(), &running.system);
    assert_eq!(running.state().history[0].who, "perch.toml");
    running.undo(None).unwrap();
    boot(running.folder.path(), &running.system);
    assert_eq!(*running.system.host_name.borrow(), "perch");
}

/// Names, a new authority, files of several outputs; then also the network, which nobody has confirmed.
#[test]
fn after_a_power_cut_at_any_moment_of_a_change_all_follows_the_old_or_the_new_settings() {
    let names = "domain = \"chat.example.org\"\nhostname = \"office\"\ntimezone = \"Europe/Berlin\"\n[time]\nservers = [\"a.example\"]\n";
    let with_network = format!("{names}[network]\nipv4 = \"192.168.1.50/24\"\n");
    for text in [names, with_network.as_str()] {
        let end = |cut: Option<u32>| {
            let mut running = Running::new();
            let authority = get(running.folder.path(), "/var/lib/perch/tls/ca.crt");
            if let Some(changes) = cut {
                running.files = Files::new(running.folder.path()).with_power_for(changes);
            }
            let request = request_of_text(running.machine(), "new.toml", text).unwrap();
            let done = change(running.machine(), &request, "anna").is_ok();
            boot(running.folder.path(), &running.system);
            let state = BoxState::load(&Files::new(running.folder.path())).unwrap();
            let domain = state.domain();
            common::boxes::assert_certificates(running.folder.path(), &[domain.as_str()]);
            if domain.as_str() == "perch.local" {
                assert_eq!(
                    get(running.folder.path(), "/var/lib/perch/tls/ca.crt"),
                    authority
                );
            }
            let files = common::boxes::state_of(running.folder.path());
            (files, done)
        };
        let old = {
            let running = Running::new();
            common::boxes::state_of(running.folder.path())
        };
        let (new, _) = end(None);
        // The history tells of a network that went back in one entry or two; the settings have to agree.
        let without_history = |mut files: std::collections::BTreeMap<String, String>| {
            files.remove("var/lib/perch/settings.lock");
            if let Some(kept) = files.get_mut("var/lib/perch/box.json") {
                let (before, after) = (kept.find("\"history\""), kept.find("\"trial\""));
                kept.replace_range(before.unwrap()..after.unwrap(), "");
            }
            files
        };
        let (old, new) = (without_history(old), without_history(new));
        let (mut olds, mut news) = (0, 0);
        for cuts in 0.. {
            let (files, done) = end(Some(cuts));
            let files = without_history(files);
            if files == old {
                olds += 1;
            } else {
                assert_eq!(files, new, "cut after {cuts} changes");
                news += 1;
            }
            if done {
                break;
            }
        }
        assert!(olds >= 1 && news >= 15, "{olds} old, {news} new");
    }
}
