//! The first boot on a made-up box, with the power cut after every single change.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod common;

use common::boxes::{assert_certificates, boot, booted, flashed, state_of, wishes};
use common::{FakeSystem, get, put};
use provisioner::files::{Files, PowerCut};
use provisioner::firstboot::{self, certificates, status};
use time::macros::datetime;

#[test]
fn a_box_without_perch_toml_becomes_perch_with_ssh_off() {
    let (folder, system) = booted(None);
    assert_eq!(get(folder.path(), "/data/etc/hostname"), "perch\n");
    assert_eq!(*system.host_name.borrow(), "perch");
    assert!(
        !folder
            .path()
            .join("etc/ssh/keys/ssh_host_ed25519_key")
            .exists()
    );
    assert!(!folder.path().join("etc/ssh/keys/enabled").exists());
    let config: toml::Table = get(folder.path(), "/etc/perch/imd.toml").parse().unwrap();
    assert_eq!(config["domain"].as_str(), Some("perch.local"));
    assert_certificates(folder.path(), &["perch.local"]);
    assert!(get(folder.path(), "/boot/firmware/perch-status.txt").contains("Problems: none"));
    assert!(system.accounts.borrow().is_empty());
}

#[test]
fn after_a_power_cut_at_any_moment_the_next_boot_ends_the_same() {
    let whole = flashed(Some(&wishes()));
    boot(whole.path(), &FakeSystem::new(whole.path()));
    let wanted = state_of(whole.path());
    let mut cuts = 0;
    loop {
        let folder = flashed(Some(&wishes()));
        let system = FakeSystem::new(folder.path());
        let cut = firstboot::run(
            &Files::new(folder.path()).with_power_for(cuts),
            &system,
            |_| {},
        );
        match cut {
            Ok(_) => break,
            Err(error) => assert!(error.is::<PowerCut>(), "{error:#}"),
        }
        boot(folder.path(), &system);
        assert_eq!(state_of(folder.path()), wanted, "cut after {cuts} changes");
        assert_eq!(
            system.accounts.borrow().get("anna").map(String::as_str),
            Some("correct horse")
        );
        assert_certificates(folder.path(), &["perch.local"]);
        cuts += 1;
    }
    assert!(cuts > 30, "only {cuts} changes were cut off");
}

#[test]
fn a_second_boot_changes_nothing() {
    let (folder, system) = booted(Some(&wishes()));
    let (before, keys) = (
        state_of(folder.path()),
        get(folder.path(), "/var/lib/perch/tls/server.key"),
    );
    let commands = system.commands.borrow().len();
    boot(folder.path(), &system);
    assert_eq!(state_of(folder.path()), before);
    assert_eq!(get(folder.path(), "/var/lib/perch/tls/server.key"), keys);
    assert_eq!(system.commands.borrow().len(), commands);
}

#[test]
fn a_taken_name_gets_a_number_once_and_keeps_it() {
    let folder = flashed(None);
    let mut system = FakeSystem::new(folder.path());
    system.taken_names.insert("perch".to_owned());
    boot(folder.path(), &system);
    assert_eq!(*system.host_name.borrow(), "perch-2");
    assert!(get(folder.path(), "/etc/perch/imd.toml").contains("perch-2.local"));
    assert_certificates(folder.path(), &["perch-2.local"]);
    system.taken_names = ["perch-2".to_owned()].into();
    boot(folder.path(), &system);
    assert_eq!(*system.host_name.borrow(), "perch-2");
}

#[test]
fn without_a_network_the_box_comes_up_and_says_that_it_could_not_ask() {
    let folder = flashed(None);
    let mut system = FakeSystem::new(folder.path());
    system.network = false;
    let said = boot(folder.path(), &system);
    assert_eq!(*system.host_name.borrow(), "perch");
    assert!(said.iter().any(|line| line.starts_with("<3>could not ask whether another machine is named perch")));
}

#[test]
fn the_authority_may_not_sign_names_of_others() {
    let folder = flashed(None);
    boot(folder.path(), &FakeSystem::new(folder.path()));
    let certificate = get(folder.path(), "/var/lib/perch/tls/ca.crt");
    let pem = x509_parser::pem::Pem::iter_from_buffer(certificate.as_bytes())
        .next()
        .unwrap()
        .unwrap();
    let parsed = pem.parse_x509().unwrap();
    let constraints = parsed.name_constraints().unwrap().unwrap();
    assert!(constraints.critical);
    let permitted = constraints.value.permitted_subtrees.as_ref().unwrap();
    // Names below `local`, and addresses of local networks; where some are permitted, others are not.
    assert_eq!(permitted.len(), 5);
    assert!(constraints.value.excluded_subtrees.is_none());
}

#[test]
fn the_certificate_has_the_addresses_of_the_local_network_and_keeps_them() {
    let (folder, system) = booted(None);
    let certificate = || get(folder.path(), "/var/lib/perch/tls/server.crt");
    let first = certificate();
    let files = Files::new(folder.path());
    let follow = || certificates::follow_addresses(&files, &system).unwrap();
    assert!(!follow(), "no addresses yet");
    let addresses = [
        "192.168.1.50",
        "fd00:7065:7263:6800::5",
        "203.0.113.9",
        "2001:db8::1",
        "fe80::1",
    ];
    *system.addresses.borrow_mut() = addresses.iter().map(|a| a.parse().unwrap()).collect();
    assert!(follow());
    assert_ne!(certificate(), first);
    assert_certificates(
        folder.path(),
        &["perch.local", "192.168.1.50", "fd00:7065:7263:6800::5"],
    );
    assert!(system.ran("systemctl try-reload-or-restart nginx.service"));
    assert!(
        !system.ran("systemctl try-restart imd.service"),
        "nobody's chat is ended"
    );
    let second = certificate();
    // The next start, before there is a network.
    system.addresses.borrow_mut().clear();
    boot(folder.path(), &system);
    assert_eq!(certificate(), second);
    *system.addresses.borrow_mut() = vec!["10.0.0.7".parse().unwrap()];
    assert!(follow());
    assert_certificates(folder.path(), &["perch.local", "10.0.0.7"]);
}

#[test]
fn a_server_certificate_near_its_end_is_replaced_and_the_authority_stays() {
    let (folder, system) = booted(None);
    let (authority, server) = (
        get(folder.path(), "/var/lib/perch/tls/ca.crt"),
        get(folder.path(), "/var/lib/perch/tls/server.crt"),
    );
    system.clock.set(datetime!(2028-10-01 0:00 UTC));
    boot(folder.path(), &system);
    assert_eq!(get(folder.path(), "/var/lib/perch/tls/ca.crt"), authority);
    assert_ne!(get(folder.path(), "/var/lib/perch/tls/server.crt"), server);
}

#[test]
fn the_clock_is_never_before_the_image() {
    let folder = flashed(None);
    let system = FakeSystem::new(folder.path());
    system.clock.set(datetime!(1970-01-01 0:01 UTC));
    boot(folder.path(), &system);
    assert_eq!(system.clock.get(), datetime!(2026-11-20 0:00 UTC));
    assert_certificates(folder.path(), &["perch.local"]);
}

#[test]
fn an_administrator_that_cannot_be_made_is_reported_and_the_password_stays_for_the_next_boot() {
    let folder = flashed(Some(&wishes()));
    let system = FakeSystem::new(folder.path());
    system.imd_works.set(false);
    let said = boot(folder.path(), &system).join("\n");
    assert!(
        said.contains(
            "<3>administrator: imd could not make the account anna: the database is damaged"
        ),
        "{said}"
    );
    assert_eq!(get(folder.path(), "/boot/firmware/perch.toml"), wishes());
    system.imd_works.set(true);
    boot(folder.path(), &system);
    assert_eq!(system.accounts.borrow().len(), 1);
}

#[test]
fn turning_ssh_off_again_takes_effect() {
    let (folder, system) = booted(Some(&wishes()));
    put(
        folder.path(),
        "/boot/firmware/perch.toml",
        "[ssh]\nenabled = false\n",
    );
    boot(folder.path(), &system);
    assert!(!folder.path().join("etc/ssh/keys/enabled").exists());
}

#[test]
fn ssh_without_a_key_is_a_problem_and_stays_off() {
    let folder = flashed(Some("[ssh]\nenabled = true\n"));
    let said = boot(folder.path(), &FakeSystem::new(folder.path())).join("\n");
    assert!(
        said.contains(
            "<3>perch.toml:1: ssh.authorized_keys: found nothing; accepted: at least one key"
        ),
        "{said}"
    );
    assert!(!folder.path().join("etc/ssh/keys/enabled").exists());
}

const STATUS: &str = "/boot/firmware/perch-status.txt";

#[test]
fn the_card_says_the_addresses_and_is_written_only_when_they_change() {
    let (folder, system) = booted(None);
    let files = Files::new(folder.path());
    let card = || get(folder.path(), STATUS);
    assert!(
        card().contains("Addresses:           none yet"),
        "{}",
        card()
    );
    // Without a network nothing is written.
    assert!(!status::tell_addresses(&files, &system).unwrap());
    let addresses = |texts: &[&str]| {
        let parsed = texts.iter().map(|text| text.parse().unwrap());
        *system.addresses.borrow_mut() = parsed.collect();
    };
    addresses(&["fe80::1", "2001:db8::5", "fd00::5", "192.168.1.50"]);
    assert!(status::tell_addresses(&files, &system).unwrap());
    let said = "Addresses:           192.168.1.50, fd00::5\r\n";
    assert!(card().contains(said), "{}", card());
    assert!(card().contains("Problems: none\r\n"), "{}", card());
    // Another prefix of the provider's, a cable that is pulled, another start: all is as it was.
    addresses(&["fe80::1", "2001:db8:1::5", "fd00::5", "192.168.1.50"]);
    assert!(!status::tell_addresses(&files, &system).unwrap());
    addresses(&[]);
    assert!(!status::tell_addresses(&files, &system).unwrap());
    let before = card();
    boot(folder.path(), &system);
    assert_eq!(card(), before);
    addresses(&["2001:db8:1::5"]);
    assert!(status::tell_addresses(&files, &system).unwrap());
    assert!(card().contains("Addresses:           2001:db8:1::5\r\n"));
}

#[test]
fn the_card_names_the_administrator_who_claimed_the_box_in_a_browser() {
    let (folder, system) = booted(None);
    assert!(get(folder.path(), STATUS).contains("Administrator:       none yet"));
    put(
        folder.path(),
        "/var/lib/perch/claim.json",
        r#"{"made":{"by":"anna","address":"192.168.1.23","at":1,"set_up":true}}"#,
    );
    boot(folder.path(), &system);
    let status = get(folder.path(), STATUS);
    assert!(
        status.contains("Administrator:       anna@perch.local\r\n"),
        "{status}"
    );
}
