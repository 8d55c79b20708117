//! The box's pages on the emulated Raspberry Pi 4B, in Chromium.

use anyhow::Result;
use perch_tests::lab::Lab;
use perch_tests::new_box::assert_set_up_from_a_browser;
use perch_tests::qemu::Board;

#[test]
#[ignore = "run `ci/test --only raspi4b-pages`"]
fn a_new_pi_is_set_up_from_a_browser() -> Result<()> {
    let lab = Lab::new("raspi4b_pages", "pages")?;
    assert_set_up_from_a_browser(&lab, Board::Raspi4b)?;
    lab.passed();
    Ok(())
}
