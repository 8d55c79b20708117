//! The test that matters: a whole first boot with a chat on an emulated Raspberry Pi 4B.

use std::fs;

use anyhow::{Context, Result, ensure};
use perch_tests::box_settings::{ANNA, BEN, perch_toml};
use perch_tests::card::Card;
use perch_tests::clients::{Server, converse};
use perch_tests::guest;
use perch_tests::lab::{Lab, asked_for};
use perch_tests::qemu::Board;
use perch_tests::tuning;
use perch_tests::vm::{SshKey, Vm};
use serde_json::json;

#[test]
fn a_flashed_card_boots_is_tuned_and_carries_a_chat_over_a_reset() -> Result<()> {
    if !asked_for("raspi4b") {
        return Ok(());
    }
    let lab = Lab::new("raspi4b", "chat")?;
    let card = Card::flash(&lab, "card")?;
    let key = SshKey::new(&lab)?;
    card.write("perch.toml", perch_toml(&key).as_bytes())?;

    let mut vm = Vm::start(&lab, Board::Raspi4b, &card, &key)?;
    vm.wait_ready()?;
    lab.note("booted, no unit failed");
    guest::assert_board(&vm, Board::Raspi4b)?;
    tuning::assert_tuned(&vm)?;
    tuning::assert_tuned_before_imd(&vm)?;
    guest::assert_layout(&vm)?;
    lab.note("the tuning values are the wanted ones, set before imd started");

    guest::add_user(&vm, "ben", BEN)?;
    let server = server_on(&vm, &card, &lab)?;
    let passwords = json!({ "anna": ANNA, "ben": BEN });
    converse(&lab, "box_chat.py", "meet", &server, &passwords)?;
    lab.note("two clients became contacts, talked, and read the archive");

    let before = guest::boot_id(&vm)?;
    vm.reset()?;
    guest::wait_for_another_boot(&vm, &before)?;
    vm.wait_ready()?;
    lab.note("reset, booted again, no unit failed");
    tuning::assert_tuned_before_imd(&vm)?;
    converse(&lab, "box_chat.py", "again", &server, &passwords)?;
    lab.note("the clients found everything again");
    vm.passed();
    lab.passed();
    Ok(())
}

/// Where the clients connect; the authority is read from the card, where the box's owner finds it.
fn server_on(vm: &Vm, card: &Card, lab: &Lab) -> Result<Server> {
    let ca = lab.work.join("perch-ca.crt");
    let certificate = card
        .read("perch-ca.crt")
        .context("the box put its authority on the card")?;
    ensure!(
        certificate.starts_with(b"-----BEGIN CERTIFICATE-----"),
        "perch-ca.crt is no certificate"
    );
    fs::write(&ca, certificate).context("keep perch-ca.crt")?;
    let domain = guest::domain(vm)?;
    Ok(Server {
        domain,
        starttls: vm.ports.starttls,
        direct_tls: vm.ports.direct_tls,
        ca,
    })
}
