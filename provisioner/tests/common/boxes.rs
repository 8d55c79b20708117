//! A freshly flashed box, its first boot, and what came of it.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests; each uses a part"
)]

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

use provisioner::files::Files;
use provisioner::firstboot;
use provisioner::firstboot::state::BoxState;
use provisioner::settings::apply::Machine;
use provisioner::settings::change::{Done, change, request_of_pairs, request_of_undo};
use tempfile::TempDir;
use time::macros::datetime;

use super::{FakeSystem, get, put, root};

pub const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBKcV1d0Xq8Wm0v0u5dI7bKQwXo0mG0iQm0i0o0u0aBc anna@laptop";

pub fn wishes() -> String {
    format!(
        "# Anna's box\ntimezone = \"Europe/Berlin\"\n[admin]\nname = \"anna\"\npassword = \"correct horse\" # the usual\n[ssh]\nenabled = true\nauthorized_keys = [\"{KEY}\"]\n"
    )
}

/// A freshly flashed box, as the initrd leaves it.
pub fn flashed(perch_toml: Option<&str>) -> TempDir {
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
    // Older than the clock of every scene, whatever day it is.
    let built = std::time::SystemTime::from(datetime!(2026-11-20 0:00 UTC));
    let epoch = std::fs::File::options()
        .write(true)
        .open(folder.path().join("usr/lib/clock-epoch"))
        .unwrap();
    epoch.set_modified(built).unwrap();
    folder
}

pub fn boot(root: &Path, system: &FakeSystem) -> Vec<String> {
    let mut said = Vec::new();
    let complete =
        firstboot::run(&Files::new(root), system, |line| said.push(line.to_owned())).unwrap();
    assert!(complete, "{said:#?}");
    said
}

/// Every file with its mode, and its content where that is not random.
pub fn state_of(root: &Path) -> BTreeMap<String, String> {
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
            } else if name.contains("tls/")
                || name.contains("ca.crt")
                || name.contains("secrets.json")
            {
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
pub fn assert_certificates(root: &Path, names: &[&str]) {
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

/// A box that has been started once.
pub fn booted(perch_toml: Option<&str>) -> (TempDir, FakeSystem) {
    let folder = flashed(perch_toml);
    let system = FakeSystem::new(folder.path());
    boot(folder.path(), &system);
    (folder, system)
}

/// A box that runs.
pub struct Running {
    pub folder: TempDir,
    pub files: Files,
    pub system: FakeSystem,
}

impl Running {
    pub fn new() -> Self {
        let (folder, system) = booted(None);
        let files = Files::new(folder.path());
        Self {
            folder,
            files,
            system,
        }
    }

    pub fn machine(&self) -> Machine<'_> {
        Machine {
            files: &self.files,
            system: &self.system,
        }
    }

    pub fn state(&self) -> BoxState {
        BoxState::load(&self.files).unwrap()
    }

    pub fn settings(&self) -> String {
        self.state().settings.to_toml()
    }

    /// Changes settings as Anna does.
    pub fn set(&self, pairs: &[(&str, &str)]) -> anyhow::Result<Done> {
        let pairs: Vec<(String, String)> = pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        self.system.commands.borrow_mut().clear();
        change(
            self.machine(),
            &request_of_pairs(self.machine(), &pairs)?,
            "anna",
        )
    }

    pub fn undo(&self, number: Option<u32>) -> anyhow::Result<Done> {
        change(
            self.machine(),
            &request_of_undo(self.machine(), number)?,
            "ben",
        )
    }

    pub fn did(&self, command: &str) -> bool {
        self.system
            .commands
            .borrow()
            .iter()
            .any(|done| done == command)
    }

    pub fn has(&self, path: &str) -> bool {
        self.folder.path().join(&path[1..]).exists()
    }
}
