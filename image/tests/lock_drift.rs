//! A lock that names a version the archive does not have: a release refuses, a plain build goes on and says so.
//! Needs the build root and the archive: `ci/test --only lock` runs it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use image::facts::Facts;

/// A version that Debian will never have.
const GONE: &str = "0.0.1-gone";

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// The committed lock with nftables at a version that is not there.
fn lock_with_a_version_that_is_gone(work: &Path) -> PathBuf {
    fs::create_dir_all(work).unwrap();
    let lock = fs::read_to_string(top().join("configs/lock.toml")).unwrap();
    let changed: Vec<String> = lock
        .lines()
        .map(|line| {
            if !line.contains("name = \"nftables\"") {
                return line.to_owned();
            }
            let (before, after) = line.split_once("version = \"").unwrap();
            let (_, after) = after.split_once('"').unwrap();
            format!("{before}version = \"{GONE}\"{after}")
        })
        .collect();
    let path = work.join("lock.toml");
    fs::write(&path, changed.join("\n") + "\n").unwrap();
    path
}

fn image(work: &Path, more: &[&str]) -> Output {
    let lock = lock_with_a_version_that_is_gone(work);
    // The date of the image in dist/: with another one cargo would compile the programs anew.
    let facts = Facts::read(&top().join("target/image/facts.json")).unwrap();
    Command::new(env!("CARGO_BIN_EXE_image"))
        .args(["build", "--lock"])
        .arg(&lock)
        .arg("--work")
        .arg(work)
        .arg("--dist")
        .arg(work.join("dist"))
        .args(more)
        .env("SOURCE_DATE_EPOCH", facts.epoch.to_string())
        .current_dir(top())
        .output()
        .unwrap()
}

#[test]
#[ignore = "run `ci/test --only lock`"]
fn a_release_refuses_and_names_the_version_that_is_gone() {
    let work = top().join("target/lock-test/release");
    let output = image(&work, &["--locked"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{said}");
    assert!(
        said.contains(&format!("nftables: locked {GONE}, the archive gives ")),
        "{said}"
    );
    assert!(said.contains("image lock"), "it says what to try: {said}");
    assert!(!work.join("dist").exists());
}

#[test]
#[ignore = "run `ci/test --only lock`"]
fn a_plain_build_goes_on_says_which_and_marks_the_result() {
    let work = top().join("target/lock-test/plain");
    let output = image(&work, &[]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("WARNING") && said.contains(&format!("nftables: locked {GONE}")),
        "{said}"
    );
    let release = fs::read_to_string(work.join("root/usr/lib/os-release")).unwrap();
    assert!(release.contains("VARIANT_ID=unlocked"), "{release}");
    let manifest = fs::read_dir(work.join("dist"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|ending| ending == "manifest"))
        .unwrap();
    assert!(
        fs::read_to_string(manifest)
            .unwrap()
            .contains("NOT the committed lock")
    );
    fs::remove_dir_all(&work).unwrap();
}
