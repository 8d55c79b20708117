//! The first boot on a made-up box, with the power cut after every single change.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod common;

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

use common::{FakeSystem, get, put, root};
use provisioner::files::{Files, PowerCut};
use provisioner::firstboot;
use provisioner::firstboot::state::BoxState;
use tempfile::TempDir;
use time::macros::datetime;

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBKcV1d0Xq8Wm0v0u5dI7bKQwXo0mG0iQm0i0o0u0aBc anna@laptop";

fn wishes() -> String {
    format!(
        "# Anna's box\ntimezone = \"Europe/Berlin\"\n[admin]\nname = \"anna\"\npassword = \"correct horse\" # the usual\n[ssh]\nenabled = true\nauthorized_keys = [\"{KEY}\"]\n"
    )
}

/// A freshly flashed box, as the initrd leaves it.
fn flashed(perch_toml: Option<&str>) -> TempDir {
    let folder = root(&[
        ("/data/etc/machine-id", "0123456789abcdef0123456789abcdef\n"),
        ("/data/etc/hostname", "perch\n"),
        ("/data/etc/hosts", "127.0.0.1 localhost\n"),
        ("/usr/share/zoneinfo/Europe/Berlin", "zone"),
        ("/usr/lib/clock-epoch", ""),
        ("/boot/firmware/config.txt", "arm_64bit=1\n"),
    ]);
    symlink(
        "/usr/share/zoneinfo/Etc/UTC",
        folder.path().join("data/etc/localtime"),
    )
    .unwrap();
    if let Some(text) = perch_toml {
        put(folder.path(), "/boot/firmware/perch.toml", text);
    }
    std::fs::create_dir_all(folder.path().join("etc/ssh/keys")).unwrap();
    folder
}

fn boot(root: &Path, system: &FakeSystem) -> Vec<String> {
    let mut said = Vec::new();
    let complete =
        firstboot::run(&Files::new(root), system, |line| said.push(line.to_owned())).unwrap();
    assert!(complete, "{said:#?}");
    said
}

/// Every file with its mode, and its content where that is not random.
fn state_of(root: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let metadata = path.symlink_metadata().unwrap();
            let name = path.strip_prefix(root).unwrap().display().to_string();
            if metadata.is_dir() {
                folders.push(path);
                continue;
            }
            let content = if metadata.is_symlink() {
                std::fs::read_link(&path).unwrap().display().to_string()
            } else if name.contains("tls/") || name.contains("ca.crt") {
                "random".to_owned()
            } else {
                let text = std::fs::read_to_string(&path).unwrap();
                text.lines()
                    .filter(|line| !line.contains("SHA-256"))
                    .collect::<Vec<_>>()
                    .join("\n")
            };
            found.insert(name, format!("{:o} {content}", metadata.mode()));
        }
    }
    found
}

/// As a client does: the server's certificate is good for each name, by the authority on the card alone.
fn assert_certificates(root: &Path, names: &[&str]) {
    use x509_parser::pem::Pem;
    let ders = |path: &str| -> Vec<Vec<u8>> {
        Pem::iter_from_buffer(get(root, path).as_bytes())
            .map(|pem| pem.unwrap().contents)
            .collect()
    };
    let authority = ders("/boot/firmware/perch-ca.crt").remove(0).into();
    let chain = ders("/var/lib/perch/tls/server.crt");
    let anchor = webpki::anchor_from_trusted_cert(&authority).unwrap();
    let server = chain[0].clone().into();
    let certificate = webpki::EndEntityCert::try_from(&server).unwrap();
    let now = datetime!(2026-12-02 0:00 UTC)
        .unix_timestamp()
        .unsigned_abs();
    certificate
        .verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &[anchor],
            &[],
            rustls::pki_types::UnixTime::since_unix_epoch(std::time::Duration::from_secs(now)),
            webpki::KeyUsage::server_auth(),
            None,
            None,
        )
        .unwrap();
    for name in names {
        certificate
            .verify_is_valid_for_subject_name(&(*name).try_into().unwrap())
            .unwrap();
    }
    let key = rcgen::KeyPair::from_pem(&get(root, "/var/lib/perch/tls/server.key")).unwrap();
    let (_, parsed) = x509_parser::parse_x509_certificate(&chain[0]).unwrap();
    assert_eq!(
        parsed.public_key().subject_public_key.data.as_ref(),
        rcgen::PublicKeyData::der_bytes(&key)
    );
}

#[test]
fn a_box_without_perch_toml_becomes_perch_with_ssh_off() {
    let folder = flashed(None);
    let system = FakeSystem::new(folder.path());
    boot(folder.path(), &system);
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
fn the_wishes_of_perch_toml_come_true_and_the_password_leaves_the_card() {
    let folder = flashed(Some(&wishes()));
    let system = FakeSystem::new(folder.path());
    boot(folder.path(), &system);
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
        wishes().replace("correct horse", ""),
        "the rest of the owner's file is as it was"
    );
    let status = get(folder.path(), "/boot/firmware/perch-status.txt");
    assert!(
        status.contains("Administrator:       anna@perch.local"),
        "{status}"
    );
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
    let folder = flashed(Some(&wishes()));
    let system = FakeSystem::new(folder.path());
    boot(folder.path(), &system);
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
fn a_bad_perch_toml_leaves_a_working_box_as_it_is_and_is_explained_on_the_card() {
    let folder = flashed(Some(&wishes()));
    let system = FakeSystem::new(folder.path());
    boot(folder.path(), &system);
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
        "perch.toml:3: admim: found an unknown key; accepted: one of hostname, domain, timezone, admin, ssh (did you mean admin?)",
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
    let folder = flashed(None);
    let system = FakeSystem::new(folder.path());
    boot(folder.path(), &system);
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
    assert_eq!(permitted.len(), 1);
    assert_eq!(
        constraints.value.excluded_subtrees.as_ref().unwrap().len(),
        2,
        "no addresses"
    );
}

#[test]
fn a_server_certificate_near_its_end_is_replaced_and_the_authority_stays() {
    let folder = flashed(None);
    let system = FakeSystem::new(folder.path());
    boot(folder.path(), &system);
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
    let built = std::time::SystemTime::from(datetime!(2026-11-20 0:00 UTC));
    let epoch = std::fs::File::options()
        .write(true)
        .open(folder.path().join("usr/lib/clock-epoch"))
        .unwrap();
    epoch.set_modified(built).unwrap();
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
fn a_password_put_on_the_card_again_sets_it_anew() {
    let folder = flashed(Some(&wishes()));
    let system = FakeSystem::new(folder.path());
    boot(folder.path(), &system);
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
    assert_eq!(left, " ".repeat(wishes().len()));
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
fn turning_ssh_off_again_takes_effect() {
    let folder = flashed(Some(&wishes()));
    let system = FakeSystem::new(folder.path());
    boot(folder.path(), &system);
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
