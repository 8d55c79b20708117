//! Whole updates on the emulated box: from a publisher's server into the other slot, over a trial, and kept; and bad ones, each of
//! which ends in the old slot with the reason.

use std::fs;

use anyhow::{Context, Result, bail, ensure};
use image::keys::Keys;
use perch_tests::box_settings::{ANNA, BEN, perch_toml};
use perch_tests::card::Card;
use perch_tests::chat::server_on;
use perch_tests::clients::converse;
use perch_tests::guest;
use perch_tests::lab::Lab;
use perch_tests::publisher::Publisher;
use perch_tests::qemu::{Board, WATCHDOG};
use perch_tests::updates::{
    Change, keys, outcome, publish, published_name, release, status, subscribe,
};
use perch_tests::vm::{SshKey, Vm};
use serde_json::{Value, json};

/// Versions that are newer than any in `dist/`, in their order.
const GOOD: &str = "97.0.0";
const BAD: &str = "98.0.0";

/// A box with two people who know each other, and a publisher that it listens to.
struct Scene {
    lab: Lab,
    card: Card,
    vm: Vm,
    publisher: Publisher,
}

impl Scene {
    fn begin(name: &str) -> Result<Self> {
        let lab = Lab::new("update", name)?;
        let key = SshKey::new(&lab)?;
        let card = Card::flash(&lab, "card")?;
        card.write("perch.toml", perch_toml(&key).as_bytes())?;
        let mut vm = Vm::start_with(&lab, Board::Virt, &card, &key, &WATCHDOG)?;
        vm.wait_ready()?;
        lab.note("booted");
        let publisher = Publisher::start(&lab.work)?;
        subscribe(&vm, &publisher)?;
        guest::add_user(&vm, "ben", BEN)?;
        let scene = Self {
            lab,
            card,
            vm,
            publisher,
        };
        scene.chat("meet")?;
        Ok(scene)
    }

    fn chat(&self, conversation: &str) -> Result<()> {
        let server = server_on(&self.vm, &self.card, &self.lab)?;
        let passwords = json!({ "anna": ANNA, "ben": BEN });
        converse(&self.lab, "box_chat.py", conversation, &server, &passwords)?;
        self.lab.note("two clients talked");
        Ok(())
    }

    /// Has the box restart into its other slot and waits for what becomes of it.
    fn update(&self, action: &str) -> Result<Value> {
        let before = guest::boot_id(&self.vm)?;
        // The connection may break before the answer.
        let said = self.vm.run(&format!("provisioner update {action} 2>&1"));
        self.lab.note(&format!("{action}: {said:?}"));
        let status = outcome(&self.vm)?;
        self.lab.note(&format!("{}", status["update"]));
        ensure!(
            guest::boot_id(&self.vm)? != before,
            "the box did not restart: {said:?}"
        );
        Ok(status)
    }

    /// A bad version is offered, tried and left: the old slot runs, the chat works, and the reason is said.
    fn assert_left(&mut self, version: &str, change: &Change<'_>, reason: &str) -> Result<()> {
        let bundle = release(&self.lab, version, change, &keys())?;
        publish(&self.publisher, version, &bundle, &keys())?;
        fs::remove_file(&bundle).context("remove the bundle")?;
        let status = self.update("install")?;
        ensure!(
            status["running"]["slot"] == "A" && status["update"]["state"] == "failed",
            "version {version} was not left: {status}"
        );
        let said = status["update"]["reason"].as_str().unwrap_or_default();
        ensure!(
            said.contains(reason),
            "the reason is {said:?}, not {reason:?}"
        );
        self.vm.wait_ready()?;
        self.chat("again")?;
        guest::assert_slot_is_good(&self.vm)
    }

    fn end(self) {
        self.vm.passed();
        self.lab.passed();
    }
}

#[test]
#[ignore = "run `ci/test --only update`"]
fn an_update_is_fetched_tried_and_kept_and_the_owner_may_go_back() -> Result<()> {
    let mut scene = Scene::begin("good")?;
    let bundle = release(&scene.lab, GOOD, &Change::default(), &keys())?;
    publish(&scene.publisher, GOOD, &bundle, &keys())?;
    let size = fs::metadata(&bundle).context("the bundle")?.len();
    let before = status(&scene.vm)?;
    let old = before["running"]["version"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    ensure!(before["running"]["slot"] == "A", "{before}");
    let said = scene.vm.run("provisioner update check")?;
    ensure!(said.contains(GOOD), "the check says {said}");

    let status = scene.update("install")?;
    let sent = scene.publisher.take_sent(&published_name(GOOD));
    scene.lab.note(&format!(
        "{sent} of {size} bytes were fetched, {} %",
        sent * 100 / size
    ));
    ensure!(
        status["update"]["state"] == "committed"
            && status["running"]["slot"] == "B"
            && status["running"]["version"] == GOOD,
        "the new version was not kept: {status}"
    );
    let text = scene.vm.run("provisioner update status")?;
    ensure!(
        text.contains(&format!("committed: version {GOOD} in slot B")),
        "{text}"
    );
    scene.vm.wait_ready()?;
    guest::assert_layout(&scene.vm)?;
    guest::assert_slot_is_good(&scene.vm)?;
    scene.chat("again")?;

    let status = scene.update("rollback")?;
    ensure!(
        status["update"]["state"] == "committed" && status["running"]["version"] == old.as_str(),
        "the old version did not come back: {status}"
    );
    scene.vm.wait_ready()?;
    scene.chat("again")?;
    scene.end();
    Ok(())
}

#[test]
#[ignore = "run `ci/test --only update`"]
fn a_server_that_ends_at_its_start_is_left() -> Result<()> {
    let mut scene = Scene::begin("server_ends")?;
    let server = "#!/bin/sh\necho 'this release cannot start'\nexit 1\n";
    scene.assert_left(
        BAD,
        &Change {
            root: &[("usr/bin/imd", server)],
            ..Change::default()
        },
        "this release cannot start",
    )?;
    let journal = scene
        .vm
        .run("cat /var/lib/perch/update/failed-journal.txt")?;
    ensure!(
        journal.contains("this release cannot start"),
        "the journal of the slot that failed is not kept: {journal}"
    );
    scene.end();
    Ok(())
}

#[test]
#[ignore = "run `ci/test --only update`"]
fn a_server_that_lets_nobody_in_is_left() -> Result<()> {
    let mut scene = Scene::begin("no_login")?;
    let unit = "[Service]\nExecStart=\nExecStart=/bin/sh -c \"sed s/^domain.*/domain='\\\"elsewhere.example\\\"'/ \
                /etc/perch/imd.toml >/run/imd/elsewhere.toml && exec /usr/bin/imd serve --config /run/imd/elsewhere.toml\"\n";
    scene.assert_left(
        BAD,
        &Change {
            root: &[("usr/lib/systemd/system/imd.service.d/elsewhere.conf", unit)],
            ..Change::default()
        },
        "logging in and sending a message does not work",
    )?;
    scene.end();
    Ok(())
}

#[test]
#[ignore = "run `ci/test --only update`"]
fn a_kernel_that_panics_is_left() -> Result<()> {
    let mut scene = Scene::begin("panic")?;
    // Without an initrd the kernel finds no root.
    scene.assert_left(
        BAD,
        &Change {
            boot: &[("initrd.img", "no initrd")],
            ..Change::default()
        },
        "did not start",
    )?;
    scene.end();
    Ok(())
}

#[test]
#[ignore = "run `ci/test --only update`"]
fn an_init_that_hangs_is_left() -> Result<()> {
    let mut scene = Scene::begin("hangs")?;
    let init = "#!/bin/sh\necho 'hanging on purpose' >/dev/kmsg\nwhile :; do sleep 60; done\n";
    scene.assert_left(
        BAD,
        &Change {
            root: &[("usr/lib/systemd/systemd", init)],
            ..Change::default()
        },
        "did not start",
    )?;
    scene.end();
    Ok(())
}

/// What a bundle has on its boot partition, so that a test finds the place.
const NOTE: &str = "This is a note that a test changes by one byte.";

#[test]
#[ignore = "run `ci/test --only update`"]
fn what_may_not_be_installed_is_refused_and_the_old_version_runs_on() -> Result<()> {
    let scene = Scene::begin("refused")?;
    let with_note = |version: &str, keys: &Keys, compatible: Option<&str>| -> Result<Vec<u8>> {
        let change = Change {
            boot: &[("note.txt", NOTE)],
            compatible,
            ..Change::default()
        };
        let bundle = release(&scene.lab, version, &change, keys)?;
        let bytes = fs::read(&bundle).context("read a bundle")?;
        fs::remove_file(&bundle).context("remove a bundle")?;
        Ok(bytes)
    };
    let strangers = Keys::at(&scene.lab.work.join("strangers-keys"));
    strangers.init("perch")?;
    let good = with_note(GOOD, &keys(), None)?;
    let mut altered = good.clone();
    let mut places = altered.windows(NOTE.len());
    let place = places.position(|part| part == NOTE.as_bytes());
    altered[place.context("the note is not in the bundle")?] ^= 1;
    let cases = [
        ("altered", altered, "changed"),
        ("truncated", good[..good.len() / 2].to_vec(), "not complete"),
        (
            "strangers",
            with_note(GOOD, &strangers, None)?,
            "not signed",
        ),
        ("older", with_note("0.0.1", &keys(), None)?, "not newer"),
        (
            "elsewhere",
            with_note(GOOD, &keys(), Some("perch-other"))?,
            "another kind of box",
        ),
    ];
    for (name, content, reason) in cases {
        fs::write(scene.publisher.folder.join(name), content).context("offer a bundle")?;
        let url = format!("{}/{name}", scene.publisher.url());
        let Err(refusal) = scene.vm.run(&format!("provisioner update install {url}")) else {
            bail!("{name} was not refused");
        };
        let said = format!("{refusal:#}");
        scene.lab.note(&format!("{name}: {said}"));
        ensure!(
            said.contains(reason),
            "{name}: {said} does not say {reason:?}"
        );
    }
    let status = status(&scene.vm)?;
    ensure!(status["running"]["slot"] == "A", "{status}");
    ensure!(
        scene.vm.run("fw_printenv -n BOOT_ORDER")?.starts_with('A'),
        "the boot loader would take slot B"
    );
    scene.chat("again")?;
    scene.end();
    Ok(())
}
