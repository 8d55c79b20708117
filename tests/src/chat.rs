//! The chat of two people on a box, over a reset.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::box_settings::{ANNA, BEN};
use crate::card::Card;
use crate::clients::{Server, converse};
use crate::command::output_of;
use crate::guest;
use crate::lab::Lab;
use crate::tuning;
use crate::vm::Vm;

/// Where the clients connect; the authority is read from the card, where the box's owner finds it.
///
/// # Errors
///
/// The box has not put its authority there, or cannot be reached.
pub fn server_on(vm: &Vm, card: &Card, lab: &Lab) -> Result<Server> {
    let ca = lab.work.join("perch-ca.crt");
    let certificate = card
        .read("perch-ca.crt")
        .context("the box put its authority on the card")?;
    ensure!(
        certificate.starts_with(b"-----BEGIN CERTIFICATE-----"),
        "perch-ca.crt is no certificate"
    );
    fs::write(&ca, certificate).context("keep perch-ca.crt")?;
    Ok(Server {
        domain: guest::domain(vm)?,
        starttls: vm.ports.starttls,
        direct_tls: vm.ports.direct_tls,
        ca,
    })
}

/// The box's web, as a browser that knows its authority sees it: the web chat, and where clients find the server.
///
/// # Errors
///
/// What is missing.
pub fn assert_web(vm: &Vm, card: &Card, lab: &Lab) -> Result<()> {
    let server = server_on(vm, card, lab)?;
    let get = |path: &str| {
        let domain = &server.domain;
        output_of(
            Command::new("curl")
                .args(["-sSf", "--max-time", "60", "--cacert"])
                .arg(&server.ca)
                .arg("--connect-to")
                .arg(format!("{domain}:443:127.0.0.1:{}", vm.ports.https))
                .arg("-L")
                .arg(format!("https://{domain}{path}")),
        )
    };
    for (path, part) in [
        ("/", "href=\"/chat/\""),
        ("/chat/", "/chat/converse/converse.min.js"),
        ("/trust", "/perch-ca.mobileconfig"),
        ("/static/perch.css", "--accent"),
        ("/static/uPlot.iife.min.js", "uPlot"),
        ("/chat/converse/converse.min.js", "converse"),
        (
            "/.well-known/host-meta.json",
            "urn:xmpp:alt-connections:websocket",
        ),
        ("/health", ""),
    ] {
        let text = get(path)?;
        ensure!(
            text.contains(part),
            "{path} has no {part:?}: {}",
            text.chars().take(500).collect::<String>()
        );
    }
    Ok(())
}

/// Two clients become contacts, talk and read the archive; the machine is reset; they find everything again.
///
/// # Errors
///
/// What the clients or the box did otherwise.
pub fn meet_and_meet_again_after_a_reset(lab: &Lab, vm: &mut Vm, card: &Card) -> Result<()> {
    guest::add_user(vm, "ben", BEN)?;
    let server = server_on(vm, card, lab)?;
    let passwords = json!({ "anna": ANNA, "ben": BEN });
    converse(lab, "box_chat.py", "meet", &server, &passwords)?;
    lab.note("two clients became contacts, talked, and read the archive");
    let before = guest::boot_id(vm)?;
    vm.reset()?;
    guest::wait_for_another_boot(vm, &before)?;
    vm.wait_ready()?;
    lab.note("reset, booted again, no unit failed");
    tuning::assert_tuned_before_imd(vm)?;
    converse(lab, "box_chat.py", "again", &server, &passwords)?;
    lab.note("the clients found everything again");
    Ok(())
}
