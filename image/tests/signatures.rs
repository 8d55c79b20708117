//! Which bundles a box takes, asked of RAUC itself with the keyring and the configuration that a box has. Needs the build root's RAUC.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use image::config::Configs;
use image::keys::{Keys, RELEASE_DAYS};
use image::rauc::{Update, system_conf};
use tempfile::TempDir;

/// A publisher's chain in a folder of its own.
struct Publisher {
    folder: TempDir,
}

impl Publisher {
    /// `None` where there is no RAUC; the test says so.
    fn new() -> Option<Self> {
        if Command::new("rauc").arg("--version").output().is_err() {
            println!("SKIPPED: no rauc on this machine");
            return None;
        }
        let publisher = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        publisher.keys().init("perch").unwrap();
        Some(publisher)
    }

    fn keys(&self) -> Keys {
        Keys::at(&self.folder.path().join("keys"))
    }

    /// A small bundle, signed by the chain's release key.
    fn bundle(&self) -> PathBuf {
        let place = |name: &str| self.folder.path().join(name);
        for name in ["boot.img", "system.img"] {
            fs::write(place(name), vec![b'x'; 64 << 10]).unwrap();
        }
        let update = Update {
            compatible: "perch-rpi-arm64",
            version: "1.0.0",
            commit: "unknown",
            epoch: 1,
            boot: &place("boot.img"),
            system: &place("system.img"),
        };
        let to = place("bundle.raucb");
        update
            .bundle(&self.keys(), self.folder.path(), &to)
            .unwrap();
        to
    }

    /// The same content in a bundle of another format, which `image` itself does not make. Nothing is encrypted for `crypt`: that
    /// is for `rauc encrypt` to do afterwards, and what lacks a key is refused in any case.
    fn bundle_of_format(&self, format: &str) -> PathBuf {
        let content = self.folder.path().join(format);
        fs::create_dir(&content).unwrap();
        fs::write(content.join("system.img"), vec![b'x'; 64 << 10]).unwrap();
        let manifest = format!(
            "[update]\ncompatible=perch-rpi-arm64\nversion=1.0.0\n\n[bundle]\nformat={format}\n\n\
             [image.system]\nfilename=system.img\n"
        );
        fs::write(content.join("manifest.raucm"), manifest).unwrap();
        let to = self.folder.path().join(format!("{format}.raucb"));
        let option = |name: &str, path: PathBuf| format!("--{name}={}", path.display());
        let made = Command::new("rauc")
            .arg("bundle")
            .arg(option("cert", self.keys().release_certificate()))
            .arg(option("key", self.keys().release_key()))
            .arg(option("signing-keyring", self.keys().keyring()))
            .arg("--mksquashfs-args=-noD -noF")
            .arg(&content)
            .arg(&to)
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        to
    }

    /// Replaces a bundle's signature by one of the present release key; RAUC itself would not sign with one that does not hold today.
    ///
    /// A bundle ends with the signed manifest and, in eight bytes, that one's length.
    fn sign_again(&self, bundle: &Path) {
        let bytes = fs::read(bundle).unwrap();
        let (content, length) = bytes.split_at(bytes.len() - 8);
        let length = u64::from_be_bytes(length.try_into().unwrap());
        let (content, signed) = content.split_at(content.len() - usize::try_from(length).unwrap());
        let place = |name: &str| self.folder.path().join(name);
        fs::write(place("signed"), signed).unwrap();
        let openssl = |action: &[&str], from: &str, to: &str| {
            let done = Command::new("openssl")
                .args(["cms", "-binary"])
                .args(action)
                .arg("-in")
                .arg(place(from))
                .arg("-out")
                .arg(place(to))
                .output()
                .unwrap();
            assert!(done.status.success(), "{done:?}");
        };
        openssl(
            &["-verify", "-noverify", "-inform", "DER"],
            "signed",
            "manifest",
        );
        let (certificate, key) = (self.keys().release_certificate(), self.keys().release_key());
        let [certificate, key] = [certificate, key].map(|path| path.display().to_string());
        openssl(
            &[
                "-sign",
                "-nodetach",
                "-outform",
                "DER",
                "-signer",
                &certificate,
                "-inkey",
                &key,
            ],
            "manifest",
            "signed",
        );
        let signed = fs::read(place("signed")).unwrap();
        let length = u64::try_from(signed.len()).unwrap().to_be_bytes();
        fs::write(bundle, [content, &signed, &length].concat()).unwrap();
    }

    /// What a box whose image was built with this chain's keyring says of a bundle: nothing, or why it refuses it.
    fn refusal(&self, bundle: &Path) -> Option<String> {
        let top = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let text = system_conf(&Configs::load(top).unwrap(), "0.1.0").unwrap();
        let keyring = self.keys().keyring();
        let conf = self.folder.path().join("system.conf");
        let here = text
            .lines()
            .map(|line| match line.strip_prefix("path=") {
                Some(_) => format!("path={}\n", keyring.display()),
                None => format!("{line}\n"),
            })
            .collect::<String>();
        fs::write(&conf, here).unwrap();
        let output = Command::new("rauc")
            .arg(format!("--conf={}", conf.display()))
            .arg("info")
            .arg(bundle)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (!output.status.success()).then_some(said)
    }
}

fn assert_refused(refusal: Option<String>, reason: &str) {
    let said = refusal.expect("the bundle was taken");
    assert!(said.contains(reason), "{said}");
}

#[test]
fn a_bundle_of_the_publishers_is_taken_and_a_strangers_is_not() {
    let (Some(ours), Some(stranger)) = (Publisher::new(), Publisher::new()) else {
        return;
    };
    assert_eq!(ours.refusal(&ours.bundle()), None);
    assert_refused(
        ours.refusal(&stranger.bundle()),
        "signature verification failed",
    );
}

/// What is in a `plain` bundle is checked once and read later; `crypt` is of no use to a box that has no key of its own.
#[test]
fn a_bundle_of_the_publishers_in_another_format_than_verity_is_refused() {
    let Some(publisher) = Publisher::new() else {
        return;
    };
    let verity = publisher.bundle_of_format("verity");
    assert_eq!(publisher.refusal(&verity), None);
    for format in ["plain", "crypt"] {
        assert_refused(
            publisher.refusal(&publisher.bundle_of_format(format)),
            &format!("Bundle format '{format}' not allowed"),
        );
    }
}

#[test]
fn a_bundle_signed_by_an_expired_key_or_one_that_is_not_valid_yet_is_refused() {
    let Some(publisher) = Publisher::new() else {
        return;
    };
    let bundle = publisher.bundle();
    for (first_day, reason) in [
        (-10, "certificate has expired"),
        (10, "certificate is not yet valid"),
    ] {
        publisher.keys().release("perch", first_day, 5).unwrap();
        publisher.sign_again(&bundle);
        assert_refused(publisher.refusal(&bundle), reason);
    }
}

#[test]
fn a_bundle_signed_by_a_key_that_was_taken_back_is_refused_and_one_by_its_successor_is_taken() {
    let Some(publisher) = Publisher::new() else {
        return;
    };
    let before = publisher.bundle();
    publisher.keys().release("perch", 0, RELEASE_DAYS).unwrap();
    assert_eq!(
        publisher.refusal(&before),
        None,
        "the first key still holds"
    );
    let kept = publisher.keys().folder.join("release-1.pem");
    publisher.keys().revoke(&kept).unwrap();
    assert_refused(publisher.refusal(&before), "certificate revoked");
    let after = publisher.bundle();
    assert_eq!(publisher.refusal(&after), None);
}

/// The signature covers the manifest, and the manifest the root hash of all the rest, which is checked when it is read.
#[test]
fn a_bundle_whose_signed_part_was_altered_by_one_byte_is_refused() {
    let Some(publisher) = Publisher::new() else {
        return;
    };
    let bundle = publisher.bundle();
    let mut bytes = fs::read(&bundle).unwrap();
    let part = b"version=1.0.0";
    let place = bytes.windows(part.len()).rposition(|found| found == part);
    bytes[place.expect("the manifest is in the signature") + 8] ^= 1;
    fs::write(&bundle, bytes).unwrap();
    assert_refused(publisher.refusal(&bundle), "signature verification failed");
}

#[test]
fn a_bundle_that_ends_early_is_refused() {
    let Some(publisher) = Publisher::new() else {
        return;
    };
    let bundle = publisher.bundle();
    let bytes = fs::read(&bundle).unwrap();
    fs::write(&bundle, &bytes[..bytes.len() / 2]).unwrap();
    assert!(
        publisher.refusal(&bundle).is_some(),
        "half a bundle was taken"
    );
}
