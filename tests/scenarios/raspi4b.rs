//! The test that matters: a whole first boot with a chat on an emulated Raspberry Pi 4B.
//!
//! Linux 6.12.118 in QEMU 10.0 does not keep a device on the emulated DWC2 port ("Not connected"), so that the guest has
//! no network. Then the box is judged by the journal on its card, over a reset, and the test says that the chat was left
//! out; `virt` has the same chat on the same image. With a kernel that has network here, the chat runs.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use perch_tests::box_settings::perch_toml;
use perch_tests::card::Card;
use perch_tests::card_journal::assert_orderly_start;
use perch_tests::chat::meet_and_meet_again_after_a_reset;
use perch_tests::guest;
use perch_tests::lab::{Lab, asked_for};
use perch_tests::qemu::Board;
use perch_tests::tuning;
use perch_tests::vm::{SshKey, Vm};
use perch_tests::wait::wait_until;

/// systemd's last word of a start.
const STARTED: &str = "Startup finished in";

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
    if wait_for_start(&vm, 1)? {
        vm.wait_ready()?;
        lab.note("booted, no unit failed");
        guest::assert_board(&vm, Board::Raspi4b)?;
        tuning::assert_tuned(&vm)?;
        tuning::assert_tuned_before_imd(&vm)?;
        guest::assert_layout(&vm)?;
        lab.note("the tuning values are the wanted ones, set before imd started");
        meet_and_meet_again_after_a_reset(&lab, &mut vm, &card)?;
    } else {
        lab.note("NO NETWORK on the emulated Pi: the chat is left out here");
        assert_orderly_start(&vm.journal_on_card()?)?;
        let status = card
            .read_text("perch-status.txt")
            .context("the box put its status on the card")?;
        ensure!(
            card.read("perch-ca.crt").is_ok(),
            "there is no perch-ca.crt; the status is:\n{status}"
        );
        let settings = card.read_text("perch.toml")?;
        ensure!(
            !settings.contains("first password"),
            "the password is still on the card"
        );
        lab.note("booted, tuned before imd started, no unit failed, by the journal on the card");
        vm.reset()?;
        wait_for_start(&vm, 2)?;
        let journal = vm.journal_on_card()?;
        let (_, second) = journal
            .split_once(STARTED)
            .context("the first start's end")?;
        assert_orderly_start(second)?;
        lab.note("reset, booted again, no unit failed");
    }
    vm.passed();
    lab.passed();
    Ok(())
}

/// Waits until the guest can be reached (true), or has started `times` times by its card without a network (false).
fn wait_for_start(vm: &Vm, times: usize) -> Result<bool> {
    let mut looked = Instant::now();
    let mut started = None;
    wait_until(vm.boot_deadline(), "the Pi to start", || {
        if vm.run("true").is_ok() {
            return Ok(Some(true));
        }
        // Looking at the card copies its data partition: not too often.
        if started.is_none() && looked.elapsed() > Duration::from_secs(30) {
            looked = Instant::now();
            if vm.journal_on_card()?.matches(STARTED).count() >= times {
                started = Some(Instant::now());
            }
        }
        // A network may come a little after the end of the start.
        let quiet = started.is_some_and(|at: Instant| at.elapsed() > Duration::from_secs(60));
        Ok(quiet.then_some(false))
    })
}
