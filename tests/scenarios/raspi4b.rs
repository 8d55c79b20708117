//! The test that matters: a whole first boot with a chat on an emulated Raspberry Pi 4B, and all of it again after the
//! power was cut.

use anyhow::Result;
use perch_tests::box_settings::perch_toml;
use perch_tests::card::Card;
use perch_tests::chat::meet_and_meet_again_after_a_reset;
use perch_tests::guest;
use perch_tests::lab::Lab;
use perch_tests::qemu::Board;
use perch_tests::tuning;
use perch_tests::vm::{SshKey, Vm};

#[test]
#[ignore = "run `ci/test --only raspi4b`"]
fn a_flashed_card_boots_is_tuned_and_carries_a_chat_over_a_reset() -> Result<()> {
    let lab = Lab::new("raspi4b", "chat")?;
    let card = Card::flash(&lab, "card")?;
    let key = SshKey::new(&lab)?;
    card.write("perch.toml", perch_toml(&key).as_bytes())?;

    let mut vm = Vm::start(&lab, Board::Raspi4b, &card, &key)?;
    vm.wait_ready()?;
    lab.note("booted, no unit failed");
    guest::assert_board(&vm, Board::Raspi4b)?;
    guest::assert_layout(&vm)?;
    guest::assert_slot_is_good(&vm)?;
    tuning::assert_tuned(&vm)?;
    tuning::assert_tuned_before_imd(&vm)?;
    lab.note("the tuning values are the wanted ones, set before imd started");
    meet_and_meet_again_after_a_reset(&lab, &mut vm, &card)?;
    vm.passed();
    lab.passed();
    Ok(())
}
