//! Whole updates on the emulated box: from a publisher's server into the other slot, over power cuts in the download and in the trial, and
//! kept; and bundles that may not be installed.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use image::keys::Keys;
use perch_tests::chat::server_on;
use perch_tests::guest;
use perch_tests::lab::repository;
use perch_tests::moments::{moments, number_from};
use perch_tests::talkers::{self, Archives, PAUSE_ON_A_BOX, Said, Talkers};
use perch_tests::update_scene::{BAD, GOOD, Scene, copy_database};
use perch_tests::updates::{Change, keys, outcome, publish, published_name, release, status};
use perch_tests::wait::wait_until;
use perch_tests::xmpp::Connector;
use tokio::runtime::Runtime;

/// How much of a bundle may be fetched when little has changed, in percent.
const FETCHED: u64 = 15;
/// How much one request fetches on average, in bytes: half a block of the bundle, as a block that is alone in a request is smaller packed
/// (`docs/adr/0092`).
const FETCHED_AT_ONCE: u64 = 8192;
/// People who talk as fast as they can while the box is updated.
const TALKERS: usize = 4;
/// The power is cut before this: the download, and what is done before the restart.
const LAST_CUT: Duration = Duration::from_secs(60);
/// The power is cut so early in the trial, which takes a minute at least.
const CUT_IN_TRIAL: Duration = Duration::from_secs(50);

#[test]
#[ignore = "run `ci/test --only update`"]
fn a_box_refuses_what_it_may_not_install_and_takes_what_it_may() -> Result<()> {
    let mut scene = Scene::begin("good")?;
    assert_refusals(&scene)?;
    for person in 0..TALKERS {
        guest::add_user(&scene.vm, &talkers::name(person), talkers::PASSWORD)?;
    }
    let runtime = tokio::runtime::Runtime::new().context("start tokio")?;
    let server = as_long_as_the_server()?;
    let change = Change {
        root: &[("usr/share/perch/another-imd", &server)],
        ..Change::default()
    };
    let bundle = release(&scene.lab, GOOD, &change, &keys())?;
    publish(&scene.publisher, GOOD, &bundle, &keys())?;
    let cut_off = cut_in_an_update(&mut scene, &runtime)?;
    let size = fs::metadata(&bundle).context("the bundle")?.len();
    let restarted = update_while_people_talk(&mut scene, &runtime, size)?;
    let on_trial = cut_in_a_trial(&mut scene, &runtime)?;
    let database = copy_database(&scene.vm, &scene.lab)?;
    let domain = guest::domain(&scene.vm)?;
    for said in [cut_off, restarted, on_trial] {
        let found = runtime.block_on(Archives::default().check(&database, &domain, &said))?;
        scene
            .lab
            .note(&format!("acknowledged and in the archives: {found:?}"));
        ensure!(
            found.acknowledged > 0,
            "nobody talked during the update: {found:?}"
        );
    }
    scene.end();
    Ok(())
}

/// What a change of the server makes new at the most: as many bytes as its program has unpacked, none of them known, and of which the image's
/// file system makes nothing smaller.
fn as_long_as_the_server() -> Result<String> {
    let program = repository().join("target/image/root/usr/bin/imd");
    let length = fs::metadata(&program)
        .with_context(|| format!("the image's {}", program.display()))?
        .len();
    let mut state: u64 = 2026;
    let text = (0..length).map(|_| {
        // Knuth's MMIX generator.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        char::from(b'0' + u8::try_from(state >> 58).unwrap_or(0))
    });
    Ok(text.collect())
}

fn talk(scene: &Scene, runtime: &Runtime, run: usize) -> Result<Talkers> {
    let server = server_on(&scene.vm, &scene.card, &scene.lab)?;
    let connector = Connector::new(&server.ca, &server.domain, server.direct_tls)?;
    runtime.block_on(Talkers::start_with_pauses(
        &connector,
        TALKERS,
        run,
        PAUSE_ON_A_BOX,
    ))
}

/// The power is cut at a moment of the download or just after it: the old version starts, and knows of the new one. Returns what
/// people had said.
fn cut_in_an_update(scene: &mut Scene, runtime: &Runtime) -> Result<(usize, Vec<Said>)> {
    scene.vm.run("provisioner update check")?;
    let talkers = talk(scene, runtime, 0)?;
    scene
        .vm
        .run("systemctl --no-block start perch-update@install.service")?;
    let begun = Instant::now();
    let seed = number_from("PERCH_SEED", 2026)?;
    let moment = moments(seed, 1, Duration::ZERO, LAST_CUT)[0];
    wait_until(moment + LAST_CUT, "the moment", || {
        Ok((begun.elapsed() >= moment).then_some(()))
    })?;
    let before =
        status(&scene.vm).map_or_else(|error| format!("{error:#}"), |s| s["update"].to_string());
    scene.vm.cut_power_and_start()?;
    let said = runtime.block_on(talkers.said());
    scene.vm.wait_ready()?;
    let after = status(&scene.vm)?;
    scene.lab.note(&format!(
        "power cut {moment:?} after the button: {before}, then {}",
        after["update"]
    ));
    ensure!(after["running"]["slot"] == "A", "{after}");
    scene.chat("again")?;
    Ok(said)
}

/// The new version is fetched, tried and kept. Returns what people said meanwhile.
fn update_while_people_talk(
    scene: &mut Scene,
    runtime: &Runtime,
    size: u64,
) -> Result<(usize, Vec<Said>)> {
    let said = scene.vm.run("provisioner update check")?;
    ensure!(said.contains(GOOD), "the check says {said}");
    let talkers = talk(scene, runtime, 1)?;
    let before = scene.publisher.sent(&published_name(GOOD));
    let status = scene.update("install")?;
    let after = scene.publisher.sent(&published_name(GOOD));
    let bytes = after.bytes - before.bytes;
    let requests = after.requests - before.requests;
    let fetched = format!(
        "{bytes} of {size} bytes were fetched, {} %, in {requests} requests",
        bytes * 100 / size
    );
    scene.lab.note(&fetched);
    ensure!(bytes * 100 <= size * FETCHED, "{fetched}");
    ensure!(requests * FETCHED_AT_ONCE <= bytes, "{fetched}");
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
    Ok(runtime.block_on(talkers.said()))
}

/// The power is cut while a version is on trial: the box starts by itself, keeps one of the two, and the chat works. Returns what people had
/// said.
fn cut_in_a_trial(scene: &mut Scene, runtime: &Runtime) -> Result<(usize, Vec<Said>)> {
    let bundle = release(&scene.lab, BAD, &Change::default(), &keys())?;
    publish(&scene.publisher, BAD, &bundle, &keys())?;
    scene.vm.run("provisioner update check")?;
    scene
        .vm
        .run("systemctl --no-block start perch-update@install.service")?;
    let deadline = scene.vm.boot_deadline() * 2;
    let talkers = wait_until(deadline, "the trial", || {
        let status = status(&scene.vm)?;
        // The state is kept before the restart into the version.
        ensure!(
            status["update"]["state"] == "trial" && status["running"]["version"] == BAD,
            "{status}"
        );
        talk(scene, runtime, 2).map(Some)
    })?;
    let begun = Instant::now();
    let seed = number_from("PERCH_SEED", 2026)?;
    let moment = moments(seed, 1, Duration::ZERO, CUT_IN_TRIAL)[0];
    wait_until(moment + LAST_CUT, "the moment", || {
        Ok((begun.elapsed() >= moment).then_some(()))
    })?;
    let before = status(&scene.vm)?["update"].clone();
    scene.vm.cut_power_and_start()?;
    let said = runtime.block_on(talkers.said());
    let after = outcome(&mut scene.vm)?;
    scene.lab.note(&format!(
        "power cut {moment:?} into the trial: {before}, then {}",
        after["update"]
    ));
    // A cut is no fault of the version's: it is tried again, and kept.
    ensure!(
        after["update"]["state"] == "committed"
            && after["running"]["slot"] == "A"
            && after["running"]["version"] == BAD,
        "{after}"
    );
    scene.vm.wait_ready()?;
    guest::assert_slot_is_good(&scene.vm)?;
    scene.chat("again")?;
    Ok(said)
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
