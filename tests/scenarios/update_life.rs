//! What a box goes through in years, in half an hour: versions in a row with many people online, another signing chain, the pages'
//! buttons, servers that stall, a full disk, a version on a USB stick, and the way back. And a box that starts from a USB disk, which fails.

use std::fs;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use image::keys::Keys;
use perch_tests::command::output_of;
use perch_tests::guest;
use perch_tests::lab::Lab;
use perch_tests::qemu::Board;
use perch_tests::update_scene::Scene;
use perch_tests::updates::{Change, keys, publish, release, status};
use serde_json::json;

/// People who are online while the box is updated.
const PEOPLE: usize = 200;
/// In their order; the first is still signed with the old chain.
const VERSIONS: [&str; 3] = ["97.0.0", "97.0.1", "97.0.2"];
/// The number of the partition with slot A's root.
const SYSTEM_A: u64 = 4;
/// After so many bytes of the bundle the server stands still.
const STALL_AFTER: u64 = 1 << 20;

#[test]
#[ignore = "run `ci/test --only update-life`"]
fn three_updates_in_a_row_lose_nothing_and_the_owner_may_go_back() -> Result<()> {
    let mut scene = Scene::begin("life")?;
    scene.chat("open_a_room")?;
    let next = Keys::at(&scene.lab.work.join("next-keys"));
    next.init("perch")?;
    let keyring = fs::read_to_string(next.keyring()).context("read the next keyring")?;
    // The old chain signs the version that brings the new one.
    let change = Change {
        root: &[("usr/share/perch/keyring.pem", &keyring)],
        ..Change::default()
    };
    let bundle = release(&scene.lab, VERSIONS[0], &change, &keys())?;
    publish(&scene.publisher, VERSIONS[0], &bundle, &keys())?;
    fs::remove_file(bundle).context("remove the bundle")?;
    assert_no_room_is_refused(&scene)?;
    scene.assert_people_stay(VERSIONS[0], PEOPLE, |scene| {
        scene.press(&json!([
            { "step": "check", "version": VERSIONS[0] },
            { "step": "install", "version": VERSIONS[0] },
        ]))
    })?;
    as_before(&scene)?;

    let bundle = release(&scene.lab, VERSIONS[1], &change, &next)?;
    scene.assert_kept(VERSIONS[1], |scene| {
        scene.press(&json!([{ "step": "file", "version": VERSIONS[1], "bundle": bundle }]))
    })?;
    assert_the_old_chain_is_refused(&scene)?;

    let bundle = release(&scene.lab, VERSIONS[2], &change, &next)?;
    publish(&scene.publisher, VERSIONS[2], &bundle, &next)?;
    scene.assert_kept(VERSIONS[2], |scene| {
        scene.vm.run("provisioner update check").map(drop)?;
        scene
            .vm
            .run("systemctl --no-block start perch-update@install.service")
            .map(drop)
    })?;
    as_before(&scene)?;

    scene.assert_kept(VERSIONS[1], |scene| {
        scene.press(&json!([
            { "step": "said", "name": "three-in-a-row", "text": VERSIONS[2] },
            { "step": "back", "version": VERSIONS[1] },
        ]))
    })?;
    as_before(&scene)?;
    scene.press(&json!([{ "step": "said", "name": "back", "text": VERSIONS[1] }]))?;
    scene.end();
    Ok(())
}

/// Accounts, contacts, archives and the room are there.
fn as_before(scene: &Scene) -> Result<()> {
    scene.chat("again")?;
    scene.chat("again_in_the_room")
}

/// An update that cannot be kept apart from the old database is not begun.
fn assert_no_room_is_refused(scene: &Scene) -> Result<()> {
    scene.vm.run("provisioner update check")?;
    scene.vm.run(
        "free=$(df --output=avail -B1M /data | tail -n 1) && fallocate -l $((free - 20))M /data/filling",
    )?;
    let said = scene.vm.run("provisioner update install");
    scene.vm.run("rm /data/filling")?;
    let Err(refusal) = said else {
        bail!("an update was begun without room for the database's copy");
    };
    ensure!(
        format!("{refusal:#}").contains("larger card"),
        "{refusal:#}"
    );
    assert_nothing_changed(scene)
}

fn assert_nothing_changed(scene: &Scene) -> Result<()> {
    let status = status(&scene.vm)?;
    ensure!(
        status["running"]["slot"] == "A" && status["update"]["state"] == "failed",
        "{status}"
    );
    ensure!(
        scene.vm.run("fw_printenv -n BOOT_ORDER")?.starts_with('A'),
        "the boot loader would take slot B"
    );
    scene.chat("again")
}

/// What the chain before signs is not taken any more.
fn assert_the_old_chain_is_refused(scene: &Scene) -> Result<()> {
    let bundle = release(&scene.lab, "97.5.0", &Change::default(), &keys())?;
    publish(&scene.publisher, "97.5.0", &bundle, &keys())?;
    fs::remove_file(bundle).context("remove the bundle")?;
    let Err(refusal) = scene.vm.run("provisioner update check") else {
        bail!("a list that the old chain signed was taken");
    };
    ensure!(format!("{refusal:#}").contains("not signed"), "{refusal:#}");
    fs::remove_dir_all(&scene.publisher.folder).context("remove the old publisher's folder")?;
    fs::create_dir(&scene.publisher.folder).context("make a publisher's folder")
}

/// A server that stands still in the middle of the bundle is given up; the old version runs on, and takes the update when the server is
/// well again.
#[test]
#[ignore = "run `ci/test --only update-life`"]
fn a_server_that_stalls_is_given_up_and_the_update_installed_later() -> Result<()> {
    let mut scene = Scene::begin("stall")?;
    let bundle = release(&scene.lab, VERSIONS[0], &Change::default(), &keys())?;
    publish(&scene.publisher, VERSIONS[0], &bundle, &keys())?;
    scene.vm.run("provisioner update check")?;
    scene.publisher.stall_after(Some(STALL_AFTER));
    let begun = Instant::now();
    let said = scene.vm.run("provisioner update install");
    scene.publisher.stall_after(None);
    scene.lab.note(&format!(
        "a server that stalls: {said:?} after {:?}",
        begun.elapsed()
    ));
    let Err(refusal) = said else {
        bail!("an update of which a part was fetched went on");
    };
    ensure!(
        format!("{refusal:#}").contains("stopped sending"),
        "{refusal:#}"
    );
    assert_nothing_changed(&scene)?;
    let status = scene.update("install")?;
    ensure!(
        status["update"]["state"] == "committed" && status["running"]["version"] == VERSIONS[0],
        "the update was not kept: {status}"
    );
    scene.end();
    Ok(())
}

/// The serial number of a USB stick.
const SERIAL: &str = "4C530002";

/// A stick as people have them, with a version that somebody has copied onto it.
fn stick(lab: &Lab) -> Result<Vec<String>> {
    let bundle = release(lab, VERSIONS[0], &Change::default(), &keys())?;
    let stick = lab.work.join("stick.img");
    output_of(Command::new("truncate").args(["-s", "1G"]).arg(&stick))?;
    output_of(
        Command::new("mkfs.vfat")
            .args(["-F", "32", "-n", "PHOTOS"])
            .arg(&stick),
    )?;
    output_of(
        Command::new("mcopy")
            .arg("-i")
            .args([&stick, &bundle])
            .arg("::/"),
    )?;
    fs::remove_file(bundle).context("remove the bundle")?;
    let drive = format!("if=none,id=stick,format=raw,file={}", stick.display());
    let device = format!("usb-storage,drive=stick,serial={SERIAL}");
    let devices = ["-device", "qemu-xhci", "-drive", &drive, "-device", &device];
    Ok(devices.map(str::to_owned).to_vec())
}

/// By the page alone, without a publisher.
#[test]
#[ignore = "run `ci/test --only update-life`"]
fn a_version_on_a_usb_stick_is_installed_from_there() -> Result<()> {
    let mut scene = Scene::begin_with(Board::Virt, "stick", stick)?;
    scene.assert_kept(VERSIONS[0], |scene| {
        scene.press(&json!([{ "step": "stick", "version": VERSIONS[0], "serial": SERIAL }]))
    })?;
    scene.chat("again")?;
    scene.end();
    Ok(())
}

/// A file of the system that is read only when somebody opens the web chat.
const WEB_CHAT: &str = "/usr/share/perch/web/converse.min.js";

#[test]
#[ignore = "run `ci/test --only update-life`"]
fn a_box_that_starts_from_a_usb_disk_says_that_it_is_damaged_and_an_update_mends_it() -> Result<()>
{
    let mut scene = Scene::begin_on(Board::VirtUsb, "usb")?;
    guest::assert_layout(&scene.vm)?;
    let disk = scene.vm.run("readlink -f /run/perch/disk/*")?;
    ensure!(
        disk.lines().all(|line| line.starts_with("/dev/sd")),
        "the box does not run from the USB disk: {disk}"
    );
    assert_damage_is_named(&mut scene)?;
    let bundle = release(&scene.lab, VERSIONS[0], &Change::default(), &keys())?;
    publish(&scene.publisher, VERSIONS[0], &bundle, &keys())?;
    scene.assert_kept(VERSIONS[0], |scene| {
        scene.vm.run("provisioner update check")?;
        scene
            .vm
            .run("systemctl --no-block start perch-update@install.service")
            .map(drop)
    })?;
    scene.chat("again")?;
    scene.vm.run(&format!("cat {WEB_CHAT} >/dev/null"))?;
    ensure!(
        status(&scene.vm)?["running"]["damaged"] == false,
        "the new slot is called damaged"
    );
    scene.end();
    Ok(())
}

/// A spoiled block is a read error for who wants it, and the page and the command name the slot.
fn assert_damage_is_named(scene: &mut Scene) -> Result<()> {
    let system = scene.lab.work.join("system.erofs");
    scene.card.extract(SYSTEM_A, &system)?;
    let path = format!("--path={WEB_CHAT}");
    let said = output_of(Command::new("dump.erofs").args(["-e", &path]).arg(&system))?;
    fs::remove_file(&system).context("remove the copy of the system")?;
    // `   0:        0..  220212 |  220212 :  165076992.. 165142528 |   65536`: the first piece of the file.
    let piece = said
        .lines()
        .find_map(|line| line.trim().strip_prefix("0:"))
        .context("dump.erofs names no piece")?;
    let place = piece
        .split(':')
        .nth(1)
        .and_then(|rest| rest.split("..").next());
    let place = place.context("where the piece is")?.trim().parse()?;
    scene.card.damage(SYSTEM_A, place)?;
    scene.vm.cut_power_and_start()?;
    scene.vm.wait_ready()?;
    scene.lab.note("started with a damaged block");
    let Err(error) = scene.vm.run(&format!("cat {WEB_CHAT} >/dev/null")) else {
        bail!("a damaged file was read");
    };
    ensure!(
        format!("{error:#}").contains("nput/output error"),
        "{error:#}"
    );
    let text = scene.vm.run("provisioner update status")?;
    ensure!(text.contains("slot A has damaged blocks"), "{text}");
    scene.press(&json!([{ "step": "said", "name": "damaged", "text": "are damaged" }]))?;
    scene.chat("again")
}
