//! A changed network is on trial: it stays when it is confirmed, and goes back by itself with what opened it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod common;

use common::boxes::{Running, boot};
use common::{get, put};
use provisioner::settings::change::{confirm, time_out};
use provisioner::settings::trial::Trial;

const WIRED: &str = "/etc/systemd/network/40-perch-wired.network";
const START_TIMER: &str = "systemd-run --quiet --collect --unit=perch-network-trial --on-active=120s --timer-property=AccuracySec=1s";
const STOP_TIMER: &str = "systemctl stop perch-network-trial.timer";
const FIXED: (&str, &str) = ("network.ipv4", "192.168.1.50/24");

#[test]
fn a_new_network_stays_when_it_is_confirmed() {
    let running = Running::new();
    let done = running.set(&[FIXED]).unwrap();
    assert!(done.on_trial);
    let commands = running.system.commands.borrow().clone();
    assert_eq!(
        commands,
        [START_TIMER, "networkctl reload"],
        "the timer runs before anything changes"
    );
    confirm(running.machine()).unwrap();
    assert!(running.did(STOP_TIMER));
    assert!(
        !time_out(running.machine()).unwrap(),
        "a late timer finds nothing to do"
    );
    assert!(get(running.folder.path(), WIRED).contains("192.168.1.50/24"));
    assert!(confirm(running.machine()).is_err());
}

#[test]
fn a_new_network_that_nobody_confirms_goes_back() {
    let running = Running::new();
    running.set(&[FIXED]).unwrap();
    assert!(time_out(running.machine()).unwrap());
    assert!(!running.has(WIRED));
    assert_eq!(running.settings(), "");
    let last = running.state().history.last().cloned().unwrap();
    assert_eq!(last.who, "nobody confirmed the network");
    assert_eq!(
        running.system.commands.borrow().last().unwrap(),
        "networkctl reload"
    );
}

#[test]
fn two_new_networks_go_back_to_the_last_one_that_was_sure() {
    let running = Running::new();
    running.set(&[FIXED]).unwrap();
    confirm(running.machine()).unwrap();
    running.set(&[("network.ipv4", "10.0.0.2/24")]).unwrap();
    running.set(&[("network.ipv4", "10.0.0.3/24")]).unwrap();
    assert!(
        running.did(STOP_TIMER) && running.did(START_TIMER),
        "the time starts anew"
    );
    time_out(running.machine()).unwrap();
    assert!(get(running.folder.path(), WIRED).contains("192.168.1.50/24"));
}

#[test]
fn pulling_the_plug_takes_an_unconfirmed_network_back() {
    let running = Running::new();
    running.set(&[FIXED]).unwrap();
    boot(running.folder.path(), &running.system);
    assert!(!running.has(WIRED));
    assert_eq!(running.state().trial, Trial::Settled);
    let status = get(running.folder.path(), "/boot/firmware/perch-status.txt");
    assert!(status.contains("was not confirmed"), "{status}");
    boot(running.folder.path(), &running.system);
    assert!(!running.has(WIRED));
}

const SUPPLICANT: &str = "/etc/perch/wpa_supplicant.conf";
const AT_HOME: [(&str, &str); 2] = [("wifi.ssid", "Home"), ("wifi.password", "correct horse")];
const NEXT_DOOR: [(&str, &str); 2] = [("wifi.ssid", "Next door"), ("wifi.password", "wrong horse")];

#[test]
fn a_new_wifi_network_goes_back_with_its_password_unless_it_is_confirmed() {
    for way_back in ["time", "plug"] {
        let running = Running::new();
        let first = running.set(&AT_HOME).unwrap();
        assert!(!first.on_trial, "nobody can have come by Wi-Fi");
        let at_home = get(running.folder.path(), SUPPLICANT);
        assert!(running.set(&NEXT_DOOR).unwrap().on_trial);
        // Another one nobody was sure of, and a password alone.
        assert!(
            running
                .set(&[("wifi.password", "third horse")])
                .unwrap()
                .on_trial
        );
        assert!(get(running.folder.path(), SUPPLICANT).contains("third horse"));
        if way_back == "time" {
            assert!(time_out(running.machine()).unwrap());
        } else {
            boot(running.folder.path(), &running.system);
        }
        assert_eq!(
            get(running.folder.path(), SUPPLICANT),
            at_home,
            "{way_back}"
        );
        let secrets = get(running.folder.path(), "/var/lib/perch/secrets.json");
        assert!(
            !secrets.contains("wrong horse") && !secrets.contains("third horse"),
            "{secrets}"
        );
        running.set(&NEXT_DOOR).unwrap();
        confirm(running.machine()).unwrap();
        assert!(!time_out(running.machine()).unwrap());
        let secrets = get(running.folder.path(), "/var/lib/perch/secrets.json");
        assert!(!secrets.contains("correct horse"), "{secrets}");
        assert!(get(running.folder.path(), SUPPLICANT).contains("wrong horse"));
    }
}

#[test]
fn wifi_that_is_left_comes_back_unless_it_is_confirmed() {
    let running = Running::new();
    running.set(&AT_HOME).unwrap();
    let at_home = get(running.folder.path(), SUPPLICANT);
    let gone = running.set(&[("wifi.ssid", "")]).unwrap();
    assert!(gone.on_trial && !running.has(SUPPLICANT));
    assert!(time_out(running.machine()).unwrap());
    assert_eq!(get(running.folder.path(), SUPPLICANT), at_home);
}

#[test]
fn the_card_needs_no_confirmation() {
    let running = Running::new();
    put(
        running.folder.path(),
        "/boot/firmware/perch.toml",
        "[network]\nipv4 = \"192.168.1.50/24\"\n",
    );
    boot(running.folder.path(), &running.system);
    assert_eq!(running.state().trial, Trial::Settled);
    boot(running.folder.path(), &running.system);
    assert!(running.has(WIRED));
}

#[test]
fn a_network_that_cannot_be_applied_leaves_the_old_one_and_no_timer() {
    let running = Running::new();
    running
        .system
        .failing
        .borrow_mut()
        .insert("networkctl reload".to_owned());
    let error = running.set(&[FIXED]).unwrap_err();
    assert!(
        format!("{error:#}").contains("networkctl reload"),
        "{error:#}"
    );
    assert!(running.did(STOP_TIMER));
    assert!(!running.has(WIRED));
    assert_eq!(running.state().trial, Trial::Settled);
    assert!(running.state().history.is_empty());
}

#[test]
fn without_a_timer_the_network_is_not_touched() {
    let running = Running::new();
    running
        .system
        .failing
        .borrow_mut()
        .insert(START_TIMER.to_owned());
    running.set(&[FIXED]).unwrap_err();
    assert!(!running.has(WIRED));
    assert!(!running.did("networkctl reload"));
}
