//! `provisioner settings` as a shell sees it. The root is a folder, in which nothing runs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod common;

use std::path::Path;
use std::process::{Command, Output};

use common::boxes::{booted, wishes};
use common::put;

fn settings(root: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_provisioner"))
        .arg("--root")
        .arg(root)
        .arg("settings")
        .args(arguments)
        .output()
        .unwrap()
}

fn said(root: &Path, arguments: &[&str]) -> String {
    let output = settings(root, arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn what_is_chosen_is_printed_as_perch_toml_takes_it() {
    let (folder, _) = booted(Some(&wishes()));
    let all = said(folder.path(), &["get"]);
    assert!(
        all.starts_with("timezone = \"Europe/Berlin\"\nssh.enabled = true\n"),
        "{all}"
    );
    assert_eq!(
        said(folder.path(), &["get", "timezone"]),
        "\"Europe/Berlin\"\n"
    );
    let missing = settings(folder.path(), &["get", "hostname"]);
    assert_eq!((missing.status.code(), missing.stdout.len()), (Some(1), 0));
    put(folder.path(), "/all.toml", &all);
    let file = folder.path().join("all.toml");
    assert_eq!(
        said(folder.path(), &["diff", file.to_str().unwrap()]),
        "nothing would change\n"
    );
}

#[test]
fn a_dry_run_prints_the_plan_and_a_bad_value_its_problem() {
    let (folder, _) = booted(None);
    let plan = said(
        folder.path(),
        &["set", "--dry-run", "network.ipv4=192.168.1.50/24"],
    );
    assert!(
        plan.contains("network.ipv4: default -> \"192.168.1.50/24\"\n")
            && plan.contains("\nreload the network\n"),
        "{plan}"
    );
    let bad = settings(folder.path(), &["set", "network.ipv4=192.168.1.50"]);
    assert_eq!(bad.status.code(), Some(1));
    let error = String::from_utf8_lossy(&bad.stderr);
    assert!(
        error.starts_with(
            "provisioner: command line:1: network.ipv4: found \"192.168.1.50\"; accepted: \"dhcp\""
        ),
        "{error}"
    );
    assert_eq!(said(folder.path(), &["get"]), "");
}

#[test]
fn the_history_names_number_time_and_who() {
    let (folder, _) = booted(Some("hostname = \"office\"\n"));
    assert_eq!(
        said(folder.path(), &["history"]),
        "1  2026-12-01T12:00:00Z  perch.toml\n    hostname: default -> \"office\"\n"
    );
    let undo = said(folder.path(), &["undo", "--dry-run"]);
    assert!(
        undo.starts_with("hostname: \"office\" -> default\n"),
        "{undo}"
    );
}

#[test]
fn what_is_changed_on_the_command_line_is_in_the_log_with_who_did_it() {
    let (folder, _) = booted(None);
    let run = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_provisioner"))
            .arg("--root")
            .arg(folder.path())
            .args(arguments)
            .env("SUDO_USER", "anna")
            .output()
            .unwrap()
    };
    let place = folder.path().join("var/lib/perch/audit.jsonl");
    let log = || std::fs::read_to_string(&place).unwrap_or_default();
    run(&["settings", "get"]);
    run(&["settings", "set", "--dry-run", "hostname=office"]);
    run(&["settings", "history"]);
    run(&["power", "status"]);
    let before = log();
    assert!(!before.contains("command line"), "{before}");
    run(&[
        "settings",
        "set",
        "hostname=two words",
        "setup_code=secret-code",
    ]);
    run(&["settings", "undo", "7"]);
    run(&["settings", "confirm"]);
    run(&["power", "cancel"]);
    run(&["power", "restart", "--at", "03:00"]);
    run(&["backup", "now"]);
    run(&["certificate", "renew"]);
    let log = log();
    let acts: Vec<serde_json::Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|act: &serde_json::Value| act["who"] == "anna (command line)")
        .collect();
    let found: Vec<(&str, &str)> = acts
        .iter()
        .map(|act| {
            (
                act["action"].as_str().unwrap(),
                act["subject"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            ("settings.change", "hostname, setup_code"),
            ("settings.undo", "7"),
            ("network.confirm", ""),
            ("box.cancel-plan", ""),
            ("box.plan", "restart 03:00"),
            ("backup.make", ""),
            ("certificate.renew", ""),
        ],
        "{log}"
    );
    assert!(
        acts[0]["error"].as_str().unwrap().contains("hostname"),
        "{log}"
    );
    assert!(!log.contains("secret-code"), "{log}");
}
