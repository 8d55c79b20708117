//! Disks that the boot chain has trouble with, on QEMU's `virt` machine: two of one release, a slots.env that a power cut tore, and one
//! that cannot be written.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use perch_tests::box_settings::perch_toml;
use perch_tests::card::Card;
use perch_tests::command::output_of;
use perch_tests::lab::Lab;
use perch_tests::qemu::Board;
use perch_tests::vm::{SshKey, Vm};
use perch_tests::wait::wait_until;

/// Where a release keeps its slot counters, and how large the file is.
const SLOTS: [&str; 2] = ["slots.env", "slots.bak"];
const SLOTS_BYTES: &str = "0x4000";
/// The number of the partition that grows at a first start.
const DATA: u64 = 6;

/// Slot counters as U-Boot reads them.
fn slots(lab: &Lab, text: &str) -> Result<Vec<u8>> {
    let (plain, packed) = (lab.work.join("slots.txt"), lab.work.join("slots.packed"));
    fs::write(&plain, text).context("write the slot counters")?;
    output_of(
        Command::new("mkenvimage")
            .args(["-p", "0", "-s", SLOTS_BYTES, "-o"])
            .arg(&packed)
            .arg(&plain),
    )?;
    fs::read(&packed).context("read the slot counters")
}

/// Waits for what the boot script says of the slot it starts: `A from usb 0`.
fn started(vm: &Vm) -> Result<String> {
    let says = "Perch: starting slot ";
    wait_until(
        vm.boot_deadline(),
        "the boot script to start a slot",
        || {
            let serial = vm.serial();
            let line = serial.lines().find_map(|line| line.split_once(says));
            Ok(line.map(|(_, rest)| rest.trim().to_owned()))
        },
    )
}

/// The disk that Linux runs from and that RAUC writes is the one on which U-Boot counts.
fn assert_on_the_disk_that_u_boot_started_from(vm: &Vm, from: &str) -> Result<()> {
    let device = if from.contains("usb") {
        "/dev/sd"
    } else {
        "/dev/vd"
    };
    let disks = vm.run("readlink -f /run/perch/disk/*")?;
    ensure!(
        disks.lines().all(|line| line.starts_with(device)),
        "U-Boot started slot {from}, Linux runs from:\n{disks}"
    );
    let mark = vm.run("fw_printenv -n BOOT_MARK")?;
    let line = vm.run("cat /proc/cmdline")?;
    ensure!(
        line.contains(&format!("perch.start={} ", mark.trim())),
        "the mark is {mark}, the command line: {line}"
    );
    Ok(())
}

/// The other disk is on a bus that Linux has sooner, with the same partition UUIDs.
#[test]
#[ignore = "run `ci/test --only disks`"]
fn of_two_disks_of_one_release_the_box_runs_from_the_one_that_u_boot_started() -> Result<()> {
    let lab = Lab::new("disks", "two")?;
    let key = SshKey::new(&lab)?;
    let cards = [Card::flash(&lab, "first")?, Card::flash(&lab, "second")?];
    for card in &cards {
        card.write("perch.toml", perch_toml(&key).as_bytes())?;
    }
    let [usb, virtio] = cards;
    // QEMU's arguments live as long as the test.
    let drive: &'static str = format!("if=virtio,format=raw,file={}", virtio.file.display()).leak();
    let devices: &'static [&'static str] = vec!["-drive", drive].leak();
    let mut vm = Vm::start_with(&lab, Board::VirtUsb, &usb, &key, devices)?;
    let from = started(&vm)?;
    lab.note(&format!("U-Boot starts slot {from}"));
    vm.wait_ready()?;
    assert_on_the_disk_that_u_boot_started_from(&vm, &from)?;
    vm.cut_power_and_start()?;
    ensure!(started(&vm)? == from, "U-Boot takes the other disk");
    vm.wait_ready()?;
    assert_on_the_disk_that_u_boot_started_from(&vm, &from)?;
    vm.power_off()?;
    // Nobody has written on the other one: it is as it was flashed.
    let other = if from.contains("usb") { &virtio } else { &usb };
    let fresh = Card::flash(&lab, "fresh")?;
    ensure!(
        other.read("slots.env")? == fresh.read("slots.env")?,
        "tries were counted on the other disk"
    );
    ensure!(
        other.partition(DATA)? == fresh.partition(DATA)?,
        "the other disk has grown"
    );
    lab.passed();
    Ok(())
}

#[test]
#[ignore = "run `ci/test --only disks`"]
fn a_torn_slots_env_is_replaced_by_slots_bak() -> Result<()> {
    let lab = Lab::new("disks", "torn")?;
    let key = SshKey::new(&lab)?;
    let card = Card::flash(&lab, "card")?;
    card.write("perch.toml", perch_toml(&key).as_bytes())?;
    let whole = slots(&lab, "BOOT_ORDER=B A\nBOOT_A_LEFT=3\nBOOT_B_LEFT=3\n")?;
    let mut torn = slots(&lab, "BOOT_ORDER=A B\nBOOT_A_LEFT=2\nBOOT_B_LEFT=3\n")?;
    // One sector of what was to be written has arrived.
    torn[..16].copy_from_slice(&whole[..16]);
    card.write(SLOTS[0], &torn)?;
    card.write(SLOTS[1], &whole)?;
    let mut vm = Vm::start(&lab, Board::Virt, &card, &key)?;
    let from = started(&vm)?;
    ensure!(from.starts_with('B'), "slot {from} was started");
    vm.wait_ready()?;
    ensure!(
        vm.run("cat /proc/cmdline")?.contains("rauc.slot=B "),
        "Linux runs from another slot"
    );
    let order = vm.run("fw_printenv -n BOOT_ORDER")?;
    ensure!(order.trim() == "B A", "slots.env has the order {order}");
    vm.power_off()?;
    lab.passed();
    Ok(())
}

/// A disk that takes no writes, in QEMU's words.
const CANNOT_BE_WRITTEN: [&str; 2] = ["-set", "drive.card.read-only=on"];

#[test]
#[ignore = "run `ci/test --only disks`"]
fn a_start_that_cannot_be_counted_is_one_of_the_slot_that_is_known_to_work() -> Result<()> {
    for slot in ["A", "B"] {
        // A place of its own for each: the console of the one before would be taken for this one's.
        let lab = Lab::new("disks", &format!("read_only_{slot}"))?;
        let key = SshKey::new(&lab)?;
        let card = Card::flash(&lab, "card")?;
        let text = format!("BOOT_ORDER=B A\nBOOT_A_LEFT=3\nBOOT_B_LEFT=3\nBOOT_LAST={slot}\n");
        for name in SLOTS {
            card.write(name, &slots(&lab, &text)?)?;
        }
        let vm = Vm::start_with(&lab, Board::Virt, &card, &key, &CANNOT_BE_WRITTEN)?;
        let from = started(&vm)?;
        ensure!(
            from.starts_with(slot) && vm.serial().contains("slots.env cannot be written"),
            "slot {slot} was started last, slot {from} is started now"
        );
        lab.note(&format!("slot {slot} was started last: {from}"));
        vm.cut_power();
        lab.passed();
    }
    Ok(())
}
