//! The same image on QEMU's `virt` machine: power cuts in the first boot and under load, and bad settings.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use perch_tests::box_settings::{ANNA, BEN, perch_toml};
use perch_tests::card::Card;
use perch_tests::chat::{assert_web, server_on};
use perch_tests::clients::converse;
use perch_tests::guest;
use perch_tests::lab::Lab;
use perch_tests::moments::{moments, number_from};
use perch_tests::new_box::assert_set_up_from_a_browser;
use perch_tests::qemu::Board;
use perch_tests::tuning;
use perch_tests::vm::{SshKey, Vm};
use perch_tests::wait::wait_until;
use serde_json::json;

/// How often the power is cut in the first boot, unless `PERCH_CUTS` says otherwise, as `ci/powercut` does.
const CUTS: u32 = 1;

fn flashed(lab: &Lab, key: &SshKey) -> Result<Card> {
    let card = Card::flash(lab, "card")?;
    card.write("perch.toml", perch_toml(key).as_bytes())?;
    Ok(card)
}

#[test]
#[ignore = "run `ci/test --only virt`"]
fn the_same_image_boots_on_virt_and_neither_a_power_cut_nor_a_bad_perch_toml_stops_it() -> Result<()>
{
    let lab = Lab::new("virt", "boots")?;
    let key = SshKey::new(&lab)?;
    let card = flashed(&lab, &key)?;
    let mut vm = Vm::start(&lab, Board::Virt, &card, &key)?;
    vm.wait_ready()?;
    guest::assert_board(&vm, Board::Virt)?;
    guest::assert_layout(&vm)?;
    guest::assert_slot_is_good(&vm)?;
    tuning::assert_tuned(&vm)?;
    tuning::assert_tuned_before_imd(&vm)?;
    guest::assert_card_is_written_at_once(&vm, &card)?;
    assert_web(&vm, &card, &lab)?;
    guest::assert_sandboxed(&vm)?;
    guest::assert_only_documented_ports(&vm)?;
    lab.note(&format!(
        "the idle imd has {} KiB resident",
        guest::assert_idle_imd_is_small(&vm)?
    ));
    cut_power_in_a_chat(&lab, &mut vm, &card)?;
    vm.power_off()?;
    assert_a_bad_perch_toml_is_explained(&lab, &card, &key)?;
    lab.passed();
    Ok(())
}

/// The power is cut while somebody sends: what the server had acknowledged is in the archive when the box has started again.
fn cut_power_in_a_chat(lab: &Lab, vm: &mut Vm, card: &Card) -> Result<()> {
    guest::add_user(vm, "ben", BEN)?;
    let acknowledged = lab.work.join("acknowledged.txt");
    let settings =
        json!({ "anna": ANNA, "ben": BEN, "acknowledged": acknowledged, "at_least": 50 });
    let server = server_on(vm, card, lab)?;
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| converse(lab, "conversations.py", "burst", &server, &settings));
        let enough = wait_until(Duration::from_secs(300), "50 acknowledged messages", || {
            let lines = fs::read_to_string(&acknowledged)
                .unwrap_or_default()
                .lines()
                .count();
            Ok((lines >= 50).then_some(lines))
        });
        // Whatever came of it, the sender ends when its connection does.
        let cut = vm.cut_power_and_start();
        let said = sender
            .join()
            .map_err(|_| anyhow::anyhow!("the sending client's thread failed"))?;
        cut.and(said).and(enough)
    })?;
    vm.wait_ready()?;
    let server = server_on(vm, card, lab)?;
    let said = converse(
        lab,
        "conversations.py",
        "burst_is_in_the_archive",
        &server,
        &settings,
    )?;
    lab.note(&said.replace('\n', "; "));
    Ok(())
}

/// The box that ran goes on as it was, and says on the card what is wrong with the file.
fn assert_a_bad_perch_toml_is_explained(lab: &Lab, card: &Card, key: &SshKey) -> Result<()> {
    card.write(
        "perch.toml",
        b"hostname = \"two words\"\n\n[admim]\nname = \"anna\"\n",
    )?;
    let mut vm = Vm::start(lab, Board::Virt, card, key)?;
    vm.wait_ready()?;
    ensure!(
        vm.run("systemctl is-active imd.service")?.trim() == "active",
        "imd does not run"
    );
    ensure!(
        vm.run("hostname")?.trim() == "perch",
        "the host name was taken from a bad file"
    );
    vm.power_off()?;
    let status = card.read_text("perch-status.txt")?;
    for part in [
        "perch.toml:1",
        "hostname",
        "two words",
        "perch.toml:3",
        "admim",
    ] {
        ensure!(
            status.contains(part),
            "perch-status.txt does not say {part:?}:\n{status}"
        );
    }
    Ok(())
}

/// By a browser alone, which takes pictures of each page at both widths and in both languages.
#[test]
#[ignore = "run `ci/test --only virt`"]
fn a_new_box_is_set_up_from_a_browser() -> Result<()> {
    let lab = Lab::new("virt", "pages")?;
    assert_set_up_from_a_browser(&lab, Board::Virt)?;
    lab.passed();
    Ok(())
}

/// End state of a first boot with the power cut at several moments: as if it had not been cut.
#[test]
#[ignore = "run `ci/test --only virt`"]
fn a_first_boot_with_power_cuts_ends_as_one_without() -> Result<()> {
    let lab = Lab::new("virt", "first_boot_cuts")?;
    let key = SshKey::new(&lab)?;
    let fresh = flashed(&lab, &key)?;

    let card = fresh.copy(&lab, "whole")?;
    let begun = Instant::now();
    let mut vm = Vm::start(&lab, Board::Virt, &card, &key)?;
    let kernel = wait_until(vm.boot_deadline(), "the kernel to start", || {
        Ok(vm
            .serial()
            .contains("Starting kernel")
            .then(|| begun.elapsed()))
    })?;
    vm.wait_ready()?;
    let whole = begun.elapsed();
    let wanted = guest::settled_state(&vm)?;
    vm.passed();
    fs::write(lab.logs.join("state-without-cuts.txt"), &wanted).context("keep the wanted state")?;
    lab.note(&format!(
        "a whole first boot: kernel at {kernel:?}, ready at {whole:?}"
    ));

    let seed = number_from("PERCH_SEED", 2026)?;
    let cuts = u32::try_from(number_from("PERCH_CUTS", CUTS.into())?).context("PERCH_CUTS")?;
    for (number, moment) in moments(seed, cuts, kernel, whole).into_iter().enumerate() {
        lab.note(&format!(
            "seed {seed}, cut {number}: {} ms after the start",
            moment.as_millis()
        ));
        let card = fresh.copy(&lab, "cut")?;
        let begun = Instant::now();
        let vm = Vm::start(&lab, Board::Virt, &card, &key)?;
        wait_until(moment + Duration::from_secs(60), "the moment", || {
            Ok((begun.elapsed() >= moment).then_some(()))
        })?;
        vm.cut_power();
        let mut vm = Vm::start(&lab, Board::Virt, &card, &key)?;
        vm.wait_ready()
            .with_context(|| format!("after a power cut at {moment:?}"))?;
        guest::assert_layout(&vm)?;
        let state = guest::settled_state(&vm)?;
        fs::write(
            lab.logs.join(format!("state-after-cut-{number}.txt")),
            &state,
        )
        .context("keep the state")?;
        ensure!(
            state == wanted,
            "after a power cut at {moment:?}:\n{}",
            differences(&wanted, &state)
        );
        vm.passed();
    }
    lab.passed();
    Ok(())
}

fn differences(wanted: &str, found: &str) -> String {
    let missing = wanted
        .lines()
        .filter(|line| !found.lines().any(|other| other == *line))
        .map(|line| format!("- {line}"));
    let extra = found
        .lines()
        .filter(|line| !wanted.lines().any(|other| other == *line))
        .map(|line| format!("+ {line}"));
    missing.chain(extra).collect::<Vec<_>>().join("\n")
}

#[test]
#[ignore = "run `ci/test --only virt`"]
fn without_a_perch_toml_ssh_is_off_and_the_server_runs() -> Result<()> {
    let lab = Lab::new("virt", "no_settings")?;
    let key = SshKey::new(&lab)?;
    let card = Card::flash(&lab, "card")?;
    let vm = Vm::start(&lab, Board::Virt, &card, &key)?;
    wait_until(vm.boot_deadline(), "the server to offer a stream", || {
        Ok(vm.offers_a_stream().then_some(()))
    })?;
    ensure!(
        vm.run("true").is_err(),
        "SSH answers on a box whose owner did not turn it on"
    );
    ensure!(
        card.read_text("perch-status.txt").is_ok(),
        "there is no perch-status.txt"
    );
    vm.passed();
    lab.passed();
    Ok(())
}
