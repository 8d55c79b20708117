//! Updates of the emulated Raspberry Pi 4B: a bad version is left, a power cut in the download does no harm, and a good version is kept
//! while many people are online.

use anyhow::{Result, ensure};
use perch_tests::guest;
use perch_tests::qemu::Board;
use perch_tests::update_scene::{BAD, GOOD, Scene};
use perch_tests::updates::{Change, keys, publish, published_name, release, status};
use perch_tests::wait::wait_until;

/// People who are online while the box is updated. `update-life` has 200: with so many, QEMU's USB network stood still for minutes in two
/// runs, for everybody, while RAUC read the card.
const PEOPLE: usize = 20;
/// So much of the bundle is fetched when the power is cut.
const CUT_AFTER: u64 = 1 << 20;

#[test]
#[ignore = "run `ci/test --only raspi4b-update`"]
fn the_emulated_pi_leaves_a_bad_version_and_keeps_a_good_one() -> Result<()> {
    let mut scene = Scene::begin_on(Board::Raspi4b, "raspi4b")?;
    let bundle = release(&scene.lab, GOOD, &Change::default(), &keys())?;
    publish(&scene.publisher, GOOD, &bundle, &keys())?;
    assert_a_cut_does_no_harm(&mut scene)?;
    scene.assert_people_stay(GOOD, PEOPLE, |scene| {
        scene.vm.run("provisioner update check")?;
        // The connection may break before the answer.
        let said = scene.vm.run("provisioner update install 2>&1");
        scene.lab.note(&format!("install: {said:?}"));
        Ok(())
    })?;
    guest::assert_board(&scene.vm, Board::Raspi4b)?;
    guest::assert_layout(&scene.vm)?;
    let server = "#!/bin/sh\necho 'this release cannot start'\nexit 1\n";
    let change = Change {
        root: &[("usr/bin/imd", server)],
        ..Change::default()
    };
    scene.assert_left_for("B", BAD, &change, "this release cannot start")?;
    scene.end();
    Ok(())
}

/// The power is cut in the middle of the download: the old version runs, and takes the update then.
fn assert_a_cut_does_no_harm(scene: &mut Scene) -> Result<()> {
    scene.vm.run("provisioner update check")?;
    scene
        .vm
        .run("systemctl --no-block start perch-update@install.service")?;
    let name = published_name(GOOD);
    wait_until(scene.vm.boot_deadline(), "the download", || {
        Ok((scene.publisher.sent(&name).bytes > CUT_AFTER).then_some(()))
    })?;
    scene.lab.note("the power is cut");
    scene.vm.cut_power_and_start()?;
    scene.vm.wait_ready()?;
    let status = status(&scene.vm)?;
    scene
        .lab
        .note(&format!("after the cut: {}", status["update"]));
    ensure!(
        status["running"]["slot"] == "A" && status["update"]["state"] == "available",
        "{status}"
    );
    scene.chat("again")
}
