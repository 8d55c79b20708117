//! What `perch.toml` asks for, and what comes of a bad one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod common;

use std::path::Path;

use common::boxes::{KEY, assert_certificates, boot, booted, flashed, wishes};
use common::{FakeSystem, get, put};
use provisioner::files::Files;
use provisioner::firstboot::state::BoxState;

#[test]
fn the_wishes_of_perch_toml_come_true_and_the_password_leaves_the_card() {
    let (folder, system) = booted(Some(&wishes()));
    assert_eq!(
        system.accounts.borrow().get("anna").map(String::as_str),
        Some("correct horse")
    );
    assert_eq!(
        get(folder.path(), "/etc/ssh/keys/authorized_keys"),
        format!("{KEY}\n")
    );
    assert!(folder.path().join("etc/ssh/keys/enabled").exists());
    assert!(
        folder
            .path()
            .join("etc/ssh/keys/ssh_host_ed25519_key.pub")
            .exists()
    );
    let link = std::fs::read_link(folder.path().join("data/etc/localtime")).unwrap();
    assert_eq!(link, Path::new("/usr/share/zoneinfo/Europe/Berlin"));
    let card = get(folder.path(), "/boot/firmware/perch.toml");
    assert_eq!(
        card,
        wishes().replace("\"correct horse\"", "\"\"             "),
        "the rest of the owner's file is as it was, and where it was"
    );
    let status = get(folder.path(), "/boot/firmware/perch-status.txt");
    assert!(
        status.contains("Administrator:       anna@perch.local")
            && status.contains("Web chat:            https://perch.local/"),
        "{status}"
    );
}

#[test]
fn a_bad_perch_toml_leaves_a_working_box_as_it_is_and_is_explained_on_the_card() {
    let (folder, system) = booted(Some(&wishes()));
    let (state, config) = (
        BoxState::load(&Files::new(folder.path())).unwrap(),
        get(folder.path(), "/etc/perch/imd.toml"),
    );
    let bad = "hostname = \"two words\"\n\n[admim]\nname = \"eve\"\n[admin]\nname = \"anna\"\npassword = \"short\"\n";
    put(folder.path(), "/boot/firmware/perch.toml", bad);
    let said = boot(folder.path(), &system).join("\n");
    assert_eq!(BoxState::load(&Files::new(folder.path())).unwrap(), state);
    assert_eq!(get(folder.path(), "/etc/perch/imd.toml"), config);
    let status = get(folder.path(), "/boot/firmware/perch-status.txt");
    for problem in [
        "perch.toml:1: hostname: found \"two words\"; accepted: a name of 1 to 40 letters a-z, digits and hyphens, such as \"perch\"",
        "perch.toml:3: admim: found an unknown key; accepted: one of hostname, domain, language, timezone, profile, invitations, restore_from, restore_words, setup_code, admin, ssh, network, wifi, time, updates, acme, federation, backup (did you mean admin?)",
        "perch.toml:7: admin.password: found a string of 5 characters; accepted: a password of 8 to 256 characters",
    ] {
        assert!(status.contains(problem), "{problem} is not in:\n{status}");
        assert!(
            said.contains(&format!("<3>{problem}")),
            "{problem} is not in:\n{said}"
        );
    }
    assert!(!status.contains("short") && !said.contains("short"));
    assert_eq!(
        get(folder.path(), "/boot/firmware/perch.toml"),
        bad,
        "the owner can mend it"
    );
}

#[test]
fn a_name_and_domain_given_later_are_taken_over_with_a_new_certificate() {
    let (folder, system) = booted(None);
    let authority = get(folder.path(), "/boot/firmware/perch-ca.crt");
    put(
        folder.path(),
        "/boot/firmware/perch.toml",
        "hostname = \"office\"\n",
    );
    boot(folder.path(), &system);
    assert_certificates(folder.path(), &["office.local"]);
    assert_eq!(
        get(folder.path(), "/boot/firmware/perch-ca.crt"),
        authority,
        "devices go on trusting it"
    );
    put(
        folder.path(),
        "/boot/firmware/perch.toml",
        "domain = \"chat.example.org\"\n",
    );
    boot(folder.path(), &system);
    assert_certificates(folder.path(), &["chat.example.org", "office.local"]);
}

#[test]
fn a_password_put_on_the_card_again_sets_it_anew() {
    let (folder, system) = booted(Some(&wishes()));
    put(
        folder.path(),
        "/boot/firmware/perch.toml",
        "[admin]\nname = \"anna\"\npassword = \"battery staple\"\n",
    );
    boot(folder.path(), &system);
    assert_eq!(
        system.accounts.borrow().get("anna").map(String::as_str),
        Some("battery staple")
    );
}

#[test]
fn the_blocks_that_held_the_password_are_overwritten() {
    use std::io::Read;
    let folder = flashed(Some(&wishes()));
    let mut old = std::fs::File::open(folder.path().join("boot/firmware/perch.toml")).unwrap();
    boot(folder.path(), &FakeSystem::new(folder.path()));
    let mut left = String::new();
    old.read_to_string(&mut left).unwrap();
    assert_eq!(left.len(), wishes().len(), "it is the same file");
    assert!(!left.contains("horse"), "{left}");
}

#[test]
fn a_file_that_an_editor_named_with_txt_is_pointed_out() {
    let folder = flashed(None);
    put(
        folder.path(),
        "/boot/firmware/perch.toml.txt",
        "hostname = \"office\"\n",
    );
    boot(folder.path(), &FakeSystem::new(folder.path()));
    let status = get(folder.path(), "/boot/firmware/perch-status.txt");
    assert!(
        status.contains(
            "perch.toml.txt:1: found a file of this name; accepted: perch.toml, without .txt"
        ),
        "{status}"
    );
}

#[test]
fn the_example_file_is_valid_and_asks_for_nothing() {
    let example =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../overlays/bootfs/perch.example.toml");
    let example = std::fs::read_to_string(example).unwrap();
    let folder = flashed(Some(&example));
    boot(folder.path(), &FakeSystem::new(folder.path()));
    assert!(get(folder.path(), "/boot/firmware/perch-status.txt").contains("Problems: none"));
    // With the comment signs taken away it is a full example, and valid too.
    let full: String = example
        .lines()
        .map(|line| format!("{}\n", line.strip_prefix("#: ").unwrap_or(line)))
        .collect();
    let folder = flashed(Some(&full));
    let system = FakeSystem::new(folder.path());
    boot(folder.path(), &system);
    let status = get(folder.path(), "/boot/firmware/perch-status.txt");
    assert!(status.contains("Problems: none"), "{status}");
    assert_eq!(system.accounts.borrow().len(), 1);
}

#[test]
fn every_key_is_in_the_users_page_and_the_example() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let folder = flashed(Some(
        "unknown = 1\n[admin]\nunknown = 1\n[ssh]\nunknown = 1\n[network]\nunknown = 1\n[wifi]\nunknown = 1\n[time]\nunknown = 1\n[updates]\nunknown = 1\n[acme]\nunknown = 1\n[federation]\nunknown = 1\n[backup]\nunknown = 1\n",
    ));
    let said = boot(folder.path(), &FakeSystem::new(folder.path())).join("\n");
    // The messages about unknown keys list the known ones.
    let known: Vec<&str> = said
        .lines()
        .filter_map(|line| {
            line.split_once("found an unknown key; accepted: one of ")?
                .1
                .split('(')
                .next()
        })
        .flat_map(|keys| keys.trim().split(", "))
        .collect();
    assert!(known.len() >= 44, "{known:?}");
    for file in [
        "docs/user/first-boot.md",
        "overlays/bootfs/perch.example.toml",
    ] {
        let text = std::fs::read_to_string(project.join(file)).unwrap();
        for key in &known {
            assert!(text.contains(key), "{key} is not in {file}");
        }
    }
}
