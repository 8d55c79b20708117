//! Settings from the card to the files that follow from them, and back when something fails on the way.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod common;

use std::path::Path;

use common::boxes::{boot, booted, flashed, state_of, wishes};
use common::{FakeSystem, get, put};
use provisioner::files::Files;
use provisioner::firstboot;
use provisioner::firstboot::state::BoxState;
use provisioner::settings::apply::{Machine, apply};
use provisioner::settings::plan::When;
use provisioner::settings::secrets::Secrets;

const CARD: &str = "/boot/firmware/perch.toml";
const WIRED: &str = "/etc/systemd/network/40-perch-wired.network";

fn with_card(text: &str) -> (tempfile::TempDir, FakeSystem) {
    let (folder, system) = booted(Some(text));
    let status = get(folder.path(), "/boot/firmware/perch-status.txt");
    assert!(status.contains("Problems: none"), "{status}");
    (folder, system)
}

fn exists(root: &Path, path: &str) -> bool {
    root.join(path.trim_start_matches('/')).exists()
}

/// A box like this one.
fn copy(root: &Path) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let copied = std::process::Command::new("cp")
        .args(["-a", "--"])
        .arg(root.join("."))
        .arg(folder.path())
        .status()
        .unwrap();
    assert!(copied.success());
    folder
}

/// Without the comment that heads each file.
fn body(root: &Path, path: &str) -> String {
    let text = get(root, path);
    let (head, body) = text.split_once('\n').unwrap();
    assert!(head.starts_with("# Written by the provisioner"), "{head}");
    body.to_owned()
}

#[test]
fn a_box_whose_owner_says_nothing_of_the_network_has_the_images_own_file() {
    let (folder, system) = booted(None);
    assert!(!exists(folder.path(), WIRED));
    assert!(
        !system
            .commands
            .borrow()
            .iter()
            .any(|command| command.contains("network"))
    );
}

#[test]
fn a_fixed_address_is_written_for_networkd_and_taken_up_at_the_same_start() {
    let (folder, system) = with_card(
        "[network]\nipv4 = \"192.168.1.50/24\"\nipv4_gateway = \"192.168.1.1\"\nipv6 = \"fd00::5/64\"\nipv6_gateway = \"fe80::1\"\ndns = [\"192.168.1.1\"]\n",
    );
    assert_eq!(
        body(folder.path(), WIRED),
        "[Match]\nType=ether\nKind=!*\n\n[Network]\nDHCP=no\nIPv6AcceptRA=no\nLinkLocalAddressing=ipv6\nMulticastDNS=no\n\
         DNS=192.168.1.1\nAddress=192.168.1.50/24\nAddress=fd00::5/64\nGateway=192.168.1.1\nGateway=fe80::1\n\n\
         [DHCPv4]\nUseDomains=no\n"
    );
    assert_eq!(*system.commands.borrow(), ["networkctl reload"]);
}

#[test]
fn in_a_vlan_the_box_has_addresses_there_and_none_on_the_cable_itself() {
    let (folder, system) =
        with_card("[network]\nvlan = 10\ninterface = \"end0\"\nipv6 = \"off\"\n");
    assert_eq!(
        body(folder.path(), WIRED),
        "[Match]\nName=end0\n\n[Network]\nVLAN=vlan10\nDHCP=no\nIPv6AcceptRA=no\nLinkLocalAddressing=no\n"
    );
    assert_eq!(
        body(folder.path(), "/etc/systemd/network/40-perch-vlan.netdev"),
        "[NetDev]\nName=vlan10\nKind=vlan\n\n[VLAN]\nId=10\n"
    );
    assert_eq!(
        body(folder.path(), "/etc/systemd/network/41-perch-vlan.network"),
        "[Match]\nName=vlan10\n\n[Network]\nDHCP=ipv4\nIPv6AcceptRA=no\nLinkLocalAddressing=ipv4\nMulticastDNS=no\n\n\
         [DHCPv4]\nUseDomains=no\n"
    );
    put(folder.path(), CARD, "[network]\n");
    boot(folder.path(), &system);
    assert!(!exists(
        folder.path(),
        "/etc/systemd/network/40-perch-vlan.netdev"
    ));
    assert!(
        system
            .commands
            .borrow()
            .contains(&"networkctl delete vlan10".to_owned())
    );
}

#[test]
fn time_servers_are_told_to_timesyncd_again_at_every_start() {
    let (folder, system) = with_card("[time]\nservers = [\"pool.ntp.org\", \"192.168.1.1\"]\n");
    let drop_in = "/run/systemd/timesyncd.conf.d/60-perch.conf";
    assert_eq!(
        body(folder.path(), drop_in),
        "[Time]\nNTP=pool.ntp.org 192.168.1.1\n"
    );
    std::fs::remove_dir_all(folder.path().join("run")).unwrap();
    boot(folder.path(), &system);
    assert!(exists(folder.path(), drop_in));
    let restarts = system
        .commands
        .borrow()
        .iter()
        .filter(|c| c.contains("systemd-timesyncd"))
        .count();
    assert_eq!(restarts, 2);
}

#[test]
fn the_secret_key_of_a_target_moves_into_the_box_and_leaves_the_card() {
    let text = "[backup]\ntarget = \"s3://perch/box\"\nendpoint = \"https://nas\"\naccess_key = \"AKIA1\"\nsecret_key = \"very/secret\"\n";
    let (folder, system) = with_card(text);
    let card = get(folder.path(), CARD);
    assert_eq!(card, text.replace("\"very/secret\"", "\"\"           "));
    let secrets = || std::fs::read_to_string(folder.path().join("var/lib/perch/secrets.json"));
    assert!(secrets().unwrap().contains("very/secret"));
    boot(folder.path(), &system);
    let status = get(folder.path(), "/boot/firmware/perch-status.txt");
    assert!(status.contains("Problems: none"), "{status}");
    assert!(secrets().unwrap().contains("very/secret"));
    let state = BoxState::load(&Files::new(folder.path())).unwrap();
    assert!(state.settings.backup.is_some());
    // The owner writes another one.
    put(
        folder.path(),
        CARD,
        &text.replace("very/secret", "newer/secret"),
    );
    boot(folder.path(), &system);
    assert!(secrets().unwrap().contains("newer/secret"));
    assert!(!get(folder.path(), CARD).contains("newer/secret"));
}

#[test]
fn the_wifi_password_and_the_setup_code_move_into_the_box_and_leave_the_card() {
    let text = "setup_code = \"open sesame\"\n[wifi]\nssid = \"At home\"\ncountry = \"DE\"\npassword = \"correct \\\"horse\\\"\"\n";
    let (folder, system) = with_card(text);
    let card = get(folder.path(), CARD);
    assert!(
        !card.contains("horse") && !card.contains("sesame"),
        "{card}"
    );
    assert_eq!(card.len(), text.len());
    let secrets = get(folder.path(), "/var/lib/perch/secrets.json");
    assert!(!secrets.contains("sesame"), "{secrets}");
    assert_eq!(
        body(folder.path(), "/etc/perch/wpa_supplicant.conf"),
        "country=DE\n\nnetwork={\n\tssid=417420686f6d65\n\tpsk=\"correct \"horse\"\"\n\tkey_mgmt=WPA-PSK WPA-PSK-SHA256 SAE\n\tieee80211w=1\n}\n"
    );
    for secret in [
        "/var/lib/perch/secrets.json",
        "/etc/perch/wpa_supplicant.conf",
    ] {
        use std::os::unix::fs::PermissionsExt;
        let mode = folder
            .path()
            .join(&secret[1..])
            .metadata()
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{secret}");
    }
    let before = state_of(folder.path());
    boot(folder.path(), &system);
    let status = get(folder.path(), "/boot/firmware/perch-status.txt");
    assert!(status.contains("Problems: none"), "{status}");
    assert_eq!(
        state_of(folder.path()).get("etc/perch/wpa_supplicant.conf"),
        before.get("etc/perch/wpa_supplicant.conf")
    );
    assert_eq!(get(folder.path(), "/var/lib/perch/secrets.json"), secrets);
}

#[test]
fn a_file_that_was_applied_is_not_applied_again_until_it_changes() {
    let (folder, system) = with_card("timezone = \"Europe/Berlin\"\nhostname = \"office\"\n");
    let files = Files::new(folder.path());
    // Somebody chooses another name from elsewhere.
    let mut state = BoxState::load(&files).unwrap();
    state.settings.host_name = Some(provisioner::model::HostName::new("attic").unwrap());
    state.save(&files).unwrap();
    boot(folder.path(), &system);
    assert_eq!(*system.host_name.borrow(), "attic");
    put(folder.path(), CARD, "hostname = \"cellar\"\n");
    boot(folder.path(), &system);
    assert_eq!(*system.host_name.borrow(), "cellar");
}

#[test]
fn the_status_says_what_is_applied() {
    let (folder, _) =
        with_card("hostname = \"office\"\nlanguage = \"zh\"\nrestore_from = \"usb\"\n");
    let status = get(folder.path(), "/boot/firmware/perch-status.txt").replace("\r\n", "\n");
    let part = "perch.toml: applied\nSettings (all others have their defaults):\n  hostname = \"office\"\n  language = \"zh\"\n  restore_from = \"usb\"\n\n";
    assert!(status.contains(part), "{status}");
}

/// Changes what every output is made of.
const EVERYTHING: &str = "hostname = \"office\"\ndomain = \"chat.example.org\"\ntimezone = \"Europe/Berlin\"\nsetup_code = \"open sesame\"\n\
    [network]\nvlan = 10\nipv4 = \"192.168.1.50/24\"\n[wifi]\nssid = \"Home\"\ncountry = \"DE\"\npassword = \"correct horse\"\n\
    [time]\nservers = [\"pool.ntp.org\"]\n[ssh]\nenabled = false\n\
    [updates]\nurl = \"https://updates.example\"\nautomatic = true\n\
    [acme]\nenabled = true\nagree_terms = true\n";

/// Written by hand, before the settings say something of updates.
const BY_HAND: &str = "channel = \"beta\" # for now\n";

#[test]
fn a_failure_at_any_step_leaves_the_box_as_it_was() {
    let (folder, system) = booted(Some(&wishes()));
    let root = folder.path().to_owned();
    put(&root, "/etc/perch/update.toml", BY_HAND);
    let files = Files::new(&root);
    let old = BoxState::load(&files).unwrap();
    let document = settings_file::Document::parse("perch.toml", EVERYTHING);
    let known = provisioner::settings::read::Known {
        files: &files,
        s3: None,
        wifi: None,
        domain: None,
    };
    let asked = provisioner::settings::read::read(&document, known);
    let mut new = old.clone();
    new.settings = old.settings.with(&asked.settings);
    new.choose_name(&system).unwrap();
    let secrets = Secrets::default().with(&new.settings, &asked).unwrap();
    let tls = |path: &str| get(&root, &format!("/var/lib/perch/tls/{path}"));
    let (before, certificates) = (
        state_of(&root),
        [
            tls("ca.crt"),
            tls("ca.key"),
            tls("server.crt"),
            tls("server.key"),
        ],
    );
    let mut steps = 0;
    loop {
        let failing = Files::new(&root).with_failure_after(steps);
        let machine = Machine {
            files: &failing,
            system: &system,
        };
        let applied = apply(machine, &old, &new, &secrets, When::Running);
        if failing.has_failure_left() {
            let plan = applied.unwrap();
            assert!(plan.changes.len() >= 10, "{:?}", plan.changes);
            break;
        }
        let error = format!("{:#}", applied.unwrap_err());
        assert!(
            error.starts_with("not applied, everything is as it was: "),
            "step {steps}: {error}"
        );
        assert_eq!(state_of(&root), before, "step {steps}: {error}");
        assert_eq!(
            [
                tls("ca.crt"),
                tls("ca.key"),
                tls("server.crt"),
                tls("server.key")
            ],
            certificates,
            "step {steps}"
        );
        assert_eq!(*system.host_name.borrow(), "perch", "step {steps}");
        steps += 1;
    }
    assert!(steps > 35, "only {steps} steps failed");
    assert_eq!(*system.host_name.borrow(), "office");
    assert_ne!(state_of(&root), before);
}

#[test]
fn a_program_that_refuses_new_settings_gets_the_old_ones_back_and_the_owner_is_told() {
    let (folder, system) = booted(Some(&wishes()));
    let before = state_of(folder.path());
    system
        .failing
        .borrow_mut()
        .insert("networkctl reload".to_owned());
    put(
        folder.path(),
        CARD,
        "hostname = \"office\"\n[network]\nipv4 = \"192.168.1.50/24\"\n",
    );
    let mut said = Vec::new();
    let complete = firstboot::run(&Files::new(folder.path()), &system, |line| {
        said.push(line.to_owned())
    })
    .unwrap();
    assert!(complete, "the server starts: {said:#?}");
    let after = state_of(folder.path());
    for path in [
        "etc/perch/imd.toml",
        "data/etc/hostname",
        "var/lib/perch/box.json",
    ] {
        let without_card = |state: &std::collections::BTreeMap<String, String>| {
            state[path]
                .lines()
                .filter(|line| !line.contains("perch.toml"))
                .collect::<Vec<_>>()
                .join("\n")
        };
        if path.ends_with("box.json") {
            assert!(
                without_card(&after).contains("\"host_name\": \"perch\""),
                "{}",
                after[path]
            );
        } else {
            assert_eq!(after[path], before[path], "{path}");
        }
    }
    assert!(!exists(folder.path(), WIRED));
    let status = get(folder.path(), "/boot/firmware/perch-status.txt");
    assert!(status.contains("perch.toml: not applied"), "{status}");
    assert!(status.contains("networkctl reload"), "{status}");
    // Once it works, the next start applies the same file.
    system.failing.borrow_mut().clear();
    boot(folder.path(), &system);
    assert!(exists(folder.path(), WIRED));
    assert_eq!(*system.host_name.borrow(), "office");
}

#[test]
fn after_a_power_cut_at_any_moment_of_a_change_the_next_start_ends_the_same() {
    // Hashing the code takes its time by design, and its file is the one that has Wi-Fi's key.
    let card = EVERYTHING.replace("setup_code = \"open sesame\"\n", "");
    let (before, _) = booted(Some(&wishes()));
    put(before.path(), CARD, &card);
    put(before.path(), "/etc/perch/update.toml", BY_HAND);
    let changed = || {
        let folder = copy(before.path());
        let system = FakeSystem::new(folder.path());
        (folder, system)
    };
    let (whole, system) = changed();
    boot(whole.path(), &system);
    let wanted = state_of(whole.path());
    assert_eq!(
        body(whole.path(), "/etc/perch/update.toml"),
        "url = \"https://updates.example\"\nchannel = \"beta\"\nautomatic = true\n"
    );
    for cuts in 0.. {
        let (folder, system) = changed();
        let cut = firstboot::run(
            &Files::new(folder.path()).with_power_for(cuts),
            &system,
            |_| {},
        );
        let done = cut.is_ok();
        boot(folder.path(), &system);
        assert_eq!(state_of(folder.path()), wanted, "cut after {cuts} changes");
        if done {
            assert!(cuts > 35, "only {cuts} changes were cut off");
            return;
        }
    }
}

#[test]
fn the_box_goes_on_with_what_it_had_when_the_card_has_nothing() {
    let folder = flashed(Some("[network]\nipv4 = \"192.168.1.50/24\"\n"));
    let system = FakeSystem::new(folder.path());
    boot(folder.path(), &system);
    std::fs::remove_file(folder.path().join("boot/firmware/perch.toml")).unwrap();
    boot(folder.path(), &system);
    assert!(exists(folder.path(), WIRED));
}
