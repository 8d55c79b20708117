//! The domain's certificate in service, and out of it: what is not wanted, over, or broken does not stay.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod common;

use common::boxes::{boot, flashed};
use common::{FakeSystem, get};
use provisioner::acme::machine::State;
use provisioner::acme::{run, service};
use provisioner::files::Files;
use provisioner::firstboot::state::BoxState;
use provisioner::model::Domain;
use provisioner::settings::apply::Machine;
use provisioner::settings::change::{change, request_of_pairs};
use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
use tempfile::TempDir;
use time::macros::datetime;
use time::{Duration, OffsetDateTime};

const WISHES: &str = "domain = \"chat.example.org\"\n[acme]\nenabled = true\nagree_terms = true\n";

/// A key and a chain as an authority gives it, good for ninety days from the box's clock on.
fn issued(name: &str) -> String {
    let now: OffsetDateTime = datetime!(2026-12-01 12:00 UTC);
    let authority =
        CertifiedIssuer::self_signed(CertificateParams::default(), KeyPair::generate().unwrap());
    let authority = authority.unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.not_before = now - Duration::hours(1);
    params.not_after = now + Duration::days(90);
    let signed = params.signed_by(&key, &authority).unwrap();
    format!("{}{}{}", key.serialize_pem(), signed.pem(), authority.pem())
}

/// A box with a certificate for its domain in service.
fn certified() -> (TempDir, FakeSystem) {
    let folder = flashed(Some(WISHES));
    let system = FakeSystem::new(folder.path());
    boot(folder.path(), &system);
    let files = Files::new(folder.path());
    let domain = Domain::new("chat.example.org").unwrap();
    service::install(&files, &domain, &issued(domain.as_str())).unwrap();
    (folder, system)
}

fn is_in_service(folder: &TempDir) -> bool {
    let there = [service::FILE, service::NGINX].map(|path| {
        let place = folder.path().join(path.trim_start_matches('/'));
        place.exists()
    });
    assert_eq!(there[0], there[1], "both or neither");
    there[0]
}

#[test]
fn a_good_certificate_stays_in_service_over_starts() {
    let (folder, system) = certified();
    let nginx = get(folder.path(), service::NGINX);
    assert!(nginx.contains("server_name chat.example.org;"), "{nginx}");
    assert!(nginx.contains("ssl_certificate /var/lib/perch/tls/domain.pem;"));
    boot(folder.path(), &system);
    assert!(is_in_service(&folder));
    let files = Files::new(folder.path());
    let state = BoxState::load(&files).unwrap();
    let now = system.clock.get().unix_timestamp();
    let held = service::held(&files, &state, now).unwrap().unwrap();
    assert_eq!(held.until - now, 90 * 86_400);
}

#[test]
fn nginxs_part_that_a_power_cut_kept_away_is_made_by_the_next_start() {
    let (folder, system) = certified();
    let part = service::NGINX.trim_start_matches('/');
    std::fs::remove_file(folder.path().join(part)).unwrap();
    boot(folder.path(), &system);
    assert!(is_in_service(&folder));
}

#[test]
fn a_certificate_whose_time_is_over_is_gone_after_a_start() {
    let (folder, system) = certified();
    system.clock.set(system.clock.get() + Duration::days(91));
    boot(folder.path(), &system);
    assert!(!is_in_service(&folder));
}

#[test]
fn a_certificate_that_is_broken_or_for_another_name_or_key_is_gone_after_a_start() {
    let own = issued("chat.example.org");
    let (key, _) = own.split_at(own.find("-----BEGIN CERT").unwrap());
    let other = issued("chat.example.org");
    let chain = &other[other.find("-----BEGIN CERT").unwrap()..];
    for text in [
        "nothing".to_owned(),
        key.to_owned(),
        format!("{key}{chain}"),
        issued("other.example.org"),
    ] {
        let (folder, system) = certified();
        common::put(folder.path(), service::FILE, &text);
        boot(folder.path(), &system);
        assert!(!is_in_service(&folder), "{text}");
    }
}

#[test]
fn a_change_of_the_domain_takes_it_out_of_service_before_the_server_starts_with_the_new_one() {
    let (folder, system) = certified();
    let files = Files::new(folder.path());
    let machine = Machine {
        files: &files,
        system: &system,
    };
    let set = |pairs: &[(&str, &str)]| {
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        change(machine, &request_of_pairs(machine, &pairs)?, "the test")
    };
    set(&[("domain", "new.example.org")]).unwrap();
    assert!(!is_in_service(&folder));
    for command in [
        "systemctl try-restart imd.service",
        "systemctl try-reload-or-restart nginx.service",
        "systemctl --no-block start perch-certificate.service",
    ] {
        assert!(system.ran(command), "{command}");
    }
    let domain = Domain::new("new.example.org").unwrap();
    service::install(&files, &domain, &issued("new.example.org")).unwrap();
    // A change that fails leaves it in service.
    let imd = "systemctl try-restart imd.service".to_owned();
    system.failing.borrow_mut().insert(imd);
    set(&[("domain", "third.example.org")]).unwrap_err();
    assert!(is_in_service(&folder));
    let refused = set(&[("domain", "perch.local")]).unwrap_err().to_string();
    assert!(refused.contains("acme.enabled"), "{refused}");
    set(&[("acme.enabled", "false")]).unwrap();
    assert!(!is_in_service(&folder));
    assert!(system.ran("systemctl try-reload-or-restart imd.service"));
    assert_eq!(run::work(machine, true).unwrap(), State::Off);
}
