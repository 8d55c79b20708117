//! The table of settings is the truth: each key changes the outputs that it names and no others, and what takes them up
//! is in the image.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod common;

use std::path::Path;

use common::{get, reading, root};
use provisioner::firstboot::state::BoxState;
use provisioner::settings::keys::KEYS;
use provisioner::settings::outputs::{ALL, Action, Output};
use provisioner::settings::secrets::Secrets;

/// Every key, each with a value that is not its default.
const FULL: &str = "\
hostname = \"office\"
domain = \"chat.example.org\"
language = \"zh\"
timezone = \"Europe/Berlin\"
profile = \"quiet\"
invitations = 30
restore_from = \"usb\"
ssh.enabled = true
ssh.authorized_keys = [\"KEY\"]
network.interface = \"end0\"
network.vlan = 10
network.ipv4 = \"192.168.1.50/24\"
network.ipv4_gateway = \"192.168.1.1\"
network.ipv6 = \"fd00::5/64\"
network.ipv6_gateway = \"fe80::1\"
network.dns = [\"192.168.1.1\"]
wifi.ssid = \"Home\"
wifi.country = \"DE\"
wifi.hidden = true
wifi.password = \"correct horse\"
time.servers = [\"pool.ntp.org\"]
updates.url = \"https://updates.example/perch\"
updates.channel = \"beta\"
updates.pinned = \"1.2.3\"
updates.automatic = true
updates.window = \"02:00-03:00\"
updates.authority = \"/etc/perch/ca.crt\"
acme.enabled = true
acme.agree_terms = true
acme.email = \"anna@example.org\"
acme.directory = \"https://ca.example/directory\"
acme.authority = \"/etc/perch/ca.crt\"
acme.challenge = \"dns-01\"
acme.hook = \"/etc/perch/acme-hook\"
federation.enabled = true
federation.allow = [\"school.example\"]
backup.target = \"s3://perch/box\"
backup.endpoint = \"https://s3.example.org\"
backup.region = \"eu-1\"
backup.access_key = \"AKIA1\"
backup.secret_key = \"secret/secret\"
backup.authority = \"/etc/perch/nas.crt\"
";

/// A box with these settings. Those that other keys are checked against are left out with them.
fn boxed(text: &str) -> (BoxState, Secrets) {
    let folder = root(&[]);
    let (_, wishes) = reading(text);
    let mut state = BoxState {
        settings: wishes.settings.clone(),
        ..BoxState::default()
    };
    state
        .choose_name(&common::FakeSystem::new(folder.path()))
        .unwrap();
    let secrets = Secrets::default().with(&state.settings, &wishes).unwrap();
    (state, secrets)
}

fn full() -> String {
    FULL.replace("KEY", common::boxes::KEY)
}

#[test]
fn each_key_changes_the_outputs_that_it_names_and_no_others() {
    let full = full();
    let (with, secrets) = boxed(&full);
    for key in KEYS {
        let value = (key.show)(&with.settings);
        assert!(value.is_some(), "{} has no value in this test", key.name);
        let less: String = full
            .lines()
            .filter(|line| !line.starts_with(&format!("{} = ", key.name)))
            .map(|line| format!("{line}\n"))
            .collect();
        let (without, fewer) = boxed(&less);
        // The key of an absent network says nothing: without its name there is no Wi-Fi at all.
        let changed: Vec<Output> = ALL
            .into_iter()
            .filter(|output| output.pieces(&with, &secrets) != output.pieces(&without, &fewer))
            .collect();
        // Certificates and tuning values are no files that are rendered here. The domain hides the host name from imd.
        let named: Vec<Output> = key
            .outputs
            .iter()
            .copied()
            .filter(|output| ![Output::Certificate, Output::Acme, Output::Tuning].contains(output))
            .filter(|output| !(key.name == "hostname" && *output == Output::Imd))
            .collect();
        assert_eq!(changed, named, "{}", key.name);
    }
}

#[test]
fn what_takes_settings_up_is_in_the_image() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let units = ["base", "perch"]
        .map(|layer| get(&project, &format!("/configs/layers/{layer}.toml")))
        .concat();
    let (old, new) = (BoxState::default(), boxed(&full()).0);
    let mut seen = 0;
    for action in ALL
        .into_iter()
        .flat_map(|output| output.actions(&old, &new))
    {
        let unit = match action {
            Action::Restart(unit) | Action::Reload(unit) => unit,
            Action::ReloadNetwork { .. } => "systemd-networkd.service",
            Action::SwitchSsh => "ssh.service",
            Action::Order => "perch-certificate.timer",
            Action::SetHostName | Action::Tune | Action::SwitchWifi => continue,
        };
        assert!(units.contains(&format!("\"{unit}\"")), "{unit}");
        seen += 1;
    }
    assert!(seen >= 6, "{seen}");
}

#[test]
fn what_first_boot_writes_its_service_may_write() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let service = get(
        &project,
        "/overlays/perch/usr/lib/systemd/system/perch-firstboot.service",
    );
    let line = |key: &str| {
        service
            .lines()
            .find_map(|line| line.strip_prefix(key))
            .unwrap()
            .to_owned()
    };
    let may: Vec<String> = line("ReadWritePaths=")
        .split(' ')
        .map(str::to_owned)
        .chain(["/var/lib/perch".to_owned()])
        .collect();
    let (state, secrets) = boxed(&full());
    let mut pieces: Vec<_> = ALL
        .into_iter()
        .flat_map(|output| output.pieces(&state, &secrets))
        .collect();
    pieces.push(secrets.piece().unwrap());
    assert!(pieces.len() > 10);
    for piece in pieces {
        assert!(
            may.iter()
                .any(|folder| piece.path.starts_with(&format!("{folder}/"))),
            "{}",
            piece.path
        );
    }
}
