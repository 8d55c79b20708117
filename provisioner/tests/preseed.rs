//! The file that Raspberry Pi Imager leaves on a card.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod common;

use common::boxes::{KEY, boot, flashed, wishes};
use common::{FakeSystem, get, put};
use provisioner::files::Files;
use provisioner::firstboot::state::BoxState;

const CARD: &str = "/boot/firmware/rpi-preseed.toml";

/// In the order and form of Imager 2.0.11, whose wizard hashes both passwords.
fn as_imager_writes_it() -> String {
    format!(
        "config_version = \"1.0\"\n\n[system]\nhostname = \"Office\"\n\n\
         [user]\nname = \"anna\"\npassword = \"$y$j9T$abcdefgh$0123456789\"\npassword_encrypted = true\ngroups = [\"sudo\"]\n\n\
         [ssh]\nenabled = true\npassword_authentication = false\nauthorized_keys = [\n  \"{KEY}\",\n]\n\n\
         [wlan]\nssid = \"Home\"\npassword = \"{}\"\npassword_encrypted = true\nhidden = false\ncountry = \"DE\"\n\n\
         [locale]\nkeymap = \"de\"\ntimezone = \"Europe/Berlin\"\n\n\
         [interfaces]\ni2c = true\n",
        "0a".repeat(32)
    )
}

fn boxed(text: &str) -> (tempfile::TempDir, FakeSystem, String) {
    let folder = flashed(None);
    put(folder.path(), CARD, text);
    let system = FakeSystem::new(folder.path());
    boot(folder.path(), &system);
    let status = get(folder.path(), "/boot/firmware/perch-status.txt");
    (folder, system, status)
}

#[test]
fn imagers_settings_come_true_and_the_rest_is_named() {
    let (folder, system, status) = boxed(&as_imager_writes_it());
    assert_eq!(*system.host_name.borrow(), "office");
    assert_eq!(
        get(folder.path(), "/etc/ssh/keys/authorized_keys"),
        format!("{KEY}\n")
    );
    let zone = std::fs::read_link(folder.path().join("data/etc/localtime")).unwrap();
    assert!(zone.ends_with("Europe/Berlin"));
    let supplicant = get(folder.path(), "/etc/perch/wpa_supplicant.conf");
    assert!(
        supplicant.contains(&format!("psk={}\n", "0a".repeat(32))),
        "{supplicant}"
    );
    assert!(
        !get(folder.path(), CARD).contains("0a0a"),
        "the key has left the card"
    );
    assert!(system.accounts.borrow().is_empty());
    for part in [
        "Problems: none",
        "rpi-preseed.toml: applied",
        "rpi-preseed.toml:8: user.password: no chat password can be made of it; name the administrator in perch.toml",
        "rpi-preseed.toml:10: user.groups",
        "rpi-preseed.toml:27: locale.keymap",
        "interfaces",
    ] {
        assert!(status.contains(part), "{part} is not in:\n{status}");
    }
}

#[test]
fn a_second_start_changes_nothing() {
    let (folder, system, _) = boxed(&as_imager_writes_it());
    let before = common::boxes::state_of(folder.path());
    boot(folder.path(), &system);
    assert_eq!(common::boxes::state_of(folder.path()), before);
}

#[test]
fn a_plain_password_makes_the_administrator_and_leaves_the_card() {
    let text = "config_version = \"1.1\"\n[user]\nname = \"anna\"\npassword = \"correct horse\"\n\
        [ethernet]\nmethod = \"static\"\naddress = \"192.168.1.50/24\"\ngateway = \"192.168.1.1\"\ndns = [\"192.168.1.1\"]\n\
        [locale]\nlang = \"zh_CN.UTF-8\"\n[time]\nntp = [\"time.example.org\"]\nfallback_ntp = [\"192.168.1.1\"]\n";
    let (folder, system, status) = boxed(text);
    assert!(status.contains("Problems: none"), "{status}");
    assert_eq!(
        system.accounts.borrow().get("anna").map(String::as_str),
        Some("correct horse")
    );
    assert!(!get(folder.path(), CARD).contains("horse"));
    let settings = BoxState::load(&Files::new(folder.path())).unwrap().settings;
    assert_eq!(
        settings.to_toml(),
        "language = \"zh\"\nnetwork.ipv4 = \"192.168.1.50/24\"\nnetwork.ipv4_gateway = \"192.168.1.1\"\nnetwork.ipv6 = \"auto\"\n\
         network.dns = [\"192.168.1.1\"]\ntime.servers = [\"time.example.org\", \"192.168.1.1\"]\n"
    );
}

#[test]
fn perch_toml_wins_where_both_speak() {
    let folder = flashed(Some(&format!("hostname = \"attic\"\n{}", wishes())));
    put(folder.path(), CARD, &as_imager_writes_it());
    let system = FakeSystem::new(folder.path());
    boot(folder.path(), &system);
    assert_eq!(*system.host_name.borrow(), "attic");
    assert_eq!(system.accounts.borrow().len(), 1);
    let status = get(folder.path(), "/boot/firmware/perch-status.txt");
    assert!(
        status.contains("perch.toml: applied") && status.contains("rpi-preseed.toml: applied"),
        "{status}"
    );
}

#[test]
fn a_bad_value_is_named_and_nothing_of_the_file_is_used() {
    for (text, problem) in [
        (
            "[system]\nhostname = \"a\"\n",
            "rpi-preseed.toml:1: config_version: found nothing; accepted: \"1.0\", or another version that starts with 1",
        ),
        (
            "config_version = \"2.0\"\n[system]\nhostname = \"a\"\n",
            "rpi-preseed.toml:1: config_version: found \"2.0\"; accepted: \"1.0\"",
        ),
        (
            "config_version = \"1.0\"\n[system]\nhostname = \"a b\"\n",
            "rpi-preseed.toml:3: system.hostname: found \"a b\"; accepted: a name of 1 to 40",
        ),
        (
            "config_version = \"1.0\"\n[ssh]\nenabled = 1\n",
            "rpi-preseed.toml:3: ssh.enabled: found 1; accepted: true or false",
        ),
        (
            "config_version = \"1.0\"\n[wlan]\nssid = \"a\"\npassword = \"short\"\n",
            "rpi-preseed.toml:4: wlan.password: found a string of 5 characters; accepted: a passphrase",
        ),
        (
            "config_version = \"1.0\"\n[wlan]\nssid = \"a\"\nkey_mgmt = \"wep\"\n",
            "rpi-preseed.toml:4: wlan.key_mgmt: found \"wep\"; accepted: one of \"none\", \"owe\", \"wpa-psk\", \"sae\"",
        ),
        (
            "config_version = \"1.0\"\n[ethernet]\nmethod = \"static\"\n",
            "rpi-preseed.toml:2: ethernet.address: found nothing; accepted: an address with its prefix length",
        ),
        (
            "config_version = \"1.0\"\n[ethernet]\naddress = \"10.0.0.2/24\"\n",
            "rpi-preseed.toml:3: ethernet.address: found \"10.0.0.2/24\"; accepted: nothing, unless",
        ),
        (
            "config_version = \"1.0\"\n[ethernet]\nmethod = \"static\"\naddress = \"10.0.0.2/24\"\ngateway = \"10.0.1.1\"\n",
            "rpi-preseed.toml:5: ethernet.gateway: found \"10.0.1.1\"; accepted: another address",
        ),
        (
            "config_version = \"1.0\"\n[locale]\ntimezone = \"Mars/Base\"\n",
            "rpi-preseed.toml:3: locale.timezone: found \"Mars/Base\"; accepted: a time zone",
        ),
        (
            "config_version = \"1.0\"\n[time]\nntp = [\"a b\"]\n",
            "rpi-preseed.toml:3: time.ntp[0]: found \"a b\"; accepted: a host name",
        ),
    ] {
        let (folder, system, status) = boxed(text);
        assert!(status.contains(problem), "{problem} is not in:\n{status}");
        assert_eq!(*system.host_name.borrow(), "perch");
        let state = BoxState::load(&Files::new(folder.path())).unwrap();
        assert_eq!(state.settings, Default::default(), "{text}");
    }
}

#[test]
fn ssh_without_a_key_stays_off_and_the_rest_of_the_file_counts() {
    let (_folder, system, status) = boxed(
        "config_version = \"1.0\"\n[system]\nhostname = \"office\"\n[ssh]\nenabled = true\npassword_authentication = true\n",
    );
    assert_eq!(*system.host_name.borrow(), "office");
    assert!(
        status.contains("SSH:                 off") && status.contains("Problems: none"),
        "{status}"
    );
    assert!(
        status.contains("rpi-preseed.toml:5: ssh.enabled: there are no authorized_keys"),
        "{status}"
    );
}
