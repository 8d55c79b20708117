//! Whole updates on the emulated box: from a publisher's server into the other slot, over a trial, and kept; and bundles that may not
//! be installed.

use std::fs;

use anyhow::{Context, Result, bail, ensure};
use image::keys::Keys;
use perch_tests::chat::server_on;
use perch_tests::guest;
use perch_tests::talkers::{self, Archives, Talkers};
use perch_tests::update_scene::{GOOD, Scene, copy_database};
use perch_tests::updates::{Change, keys, publish, published_name, release, status};
use perch_tests::xmpp::Connector;

/// How much of a bundle may be fetched when little has changed, in percent.
const FETCHED: u64 = 15;
/// People who talk as fast as they can while the box is updated.
const TALKERS: usize = 4;

#[test]
#[ignore = "run `ci/test --only update`"]
fn a_box_refuses_what_it_may_not_install_and_takes_what_it_may() -> Result<()> {
    let mut scene = Scene::begin("good")?;
    assert_refusals(&scene)?;
    assert_updated_while_people_talk(&mut scene)?;
    scene.end();
    Ok(())
}

/// The new version is fetched, tried and kept; what people said meanwhile is there.
fn assert_updated_while_people_talk(scene: &mut Scene) -> Result<()> {
    let bundle = release(&scene.lab, GOOD, &Change::default(), &keys())?;
    publish(&scene.publisher, GOOD, &bundle, &keys())?;
    let size = fs::metadata(&bundle).context("the bundle")?.len();
    let before = status(&scene.vm)?;
    ensure!(before["running"]["slot"] == "A", "{before}");
    let said = scene.vm.run("provisioner update check")?;
    ensure!(said.contains(GOOD), "the check says {said}");

    for person in 0..TALKERS {
        guest::add_user(&scene.vm, &talkers::name(person), talkers::PASSWORD)?;
    }
    let server = server_on(&scene.vm, &scene.card, &scene.lab)?;
    let connector = Connector::new(&server.ca, &server.domain, server.direct_tls)?;
    let runtime = tokio::runtime::Runtime::new().context("start tokio")?;
    let talkers = runtime.block_on(Talkers::start(&connector, TALKERS, 0))?;

    let status = scene.update("install")?;
    let sent = scene.publisher.take_sent(&published_name(GOOD));
    scene.lab.note(&format!(
        "{sent} of {size} bytes were fetched, {} %",
        sent * 100 / size
    ));
    ensure!(
        sent * 100 <= size * FETCHED,
        "{sent} of {size} bytes were fetched for a small change"
    );
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
    let said = runtime.block_on(talkers.said());
    let database = copy_database(&scene.vm, &scene.lab)?;
    let found = runtime.block_on(Archives::default().check(&database, &server.domain, said))?;
    scene.lab.note(&format!(
        "acknowledged during the update and in the archives: {found:?}"
    ));
    ensure!(
        found.acknowledged > 0,
        "nobody talked during the update: {found:?}"
    );
    Ok(())
}

/// What a bundle has on its boot partition, so that a test finds the place.
const NOTE: &str = "This is a note that a test changes by one byte.";

/// What is not as it was signed, and what is not for this box, is refused; the old version runs on.
fn assert_refusals(scene: &Scene) -> Result<()> {
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
    Ok(())
}
