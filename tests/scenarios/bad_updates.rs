//! Updates that go wrong on the emulated box: each ends in the old slot, with the chat working and the reason said. And the owner's way
//! back from one that went well.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use perch_tests::chat::server_on;
use perch_tests::command::{output_of, output_with_input};
use perch_tests::guest;
use perch_tests::talkers::{self, Archives, PAUSE_ON_A_BOX, Talkers};
use perch_tests::update_scene::{BAD, GOOD, Scene, copy_database};
use perch_tests::updates::{Change, keys, outcome, publish, release, status};
use perch_tests::wait::wait_until;
use perch_tests::xmpp::Connector;

#[test]
#[ignore = "run `ci/test --only bad-updates`"]
fn a_server_that_ends_at_its_start_is_left() -> Result<()> {
    let mut scene = Scene::begin("server_ends")?;
    // Not called as the server is: the reason is what the unit's programs say, whatever their names.
    let unit =
        "[Service]\nExecStart=\nExecStart=/bin/sh -c \"echo this release cannot start; exit 1\"\n";
    scene.assert_left(
        BAD,
        &Change {
            root: &[("usr/lib/systemd/system/imd.service.d/ends.conf", unit)],
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
#[ignore = "run `ci/test --only bad-updates`"]
fn a_server_that_lets_nobody_in_is_left() -> Result<()> {
    let mut scene = Scene::begin("no_login")?;
    let unit = "[Service]\nExecStart=\nExecStart=/bin/sh -c \"sed s/^domain[^_].*/domain='\\\"elsewhere.example\\\"'/ \
                /etc/perch/imd.toml >/run/imd/elsewhere.toml && exec /usr/bin/imd serve --config /run/imd/elsewhere.toml\"\n";
    scene.assert_left(
        BAD,
        &Change {
            root: &[("usr/lib/systemd/system/imd.service.d/elsewhere.conf", unit)],
            ..Change::default()
        },
        "it said: this server is elsewhere.example",
    )?;
    scene.end();
    Ok(())
}

/// What a newer version's change of the database begins with: its schema has another number, which this one's server refuses.
const NEWER_SCHEMA: &str = "printf '\\000\\017\\102\\100' | \
     dd of=/var/lib/imd/imd.sqlite bs=1 seek=60 conv=notrunc status=none";

#[test]
#[ignore = "run `ci/test --only bad-updates`"]
fn a_migration_that_fails_is_undone() -> Result<()> {
    let mut scene = Scene::begin("migration")?;
    let unit = format!("[Service]\nExecStartPre=+/bin/sh -c \"{NEWER_SCHEMA}\"\n");
    scene.assert_left(
        BAD,
        &Change {
            root: &[("usr/lib/systemd/system/imd.service.d/migration.conf", &unit)],
            ..Change::default()
        },
        "newer",
    )?;
    scene.end();
    Ok(())
}

/// The new version serves people and changes the schema, and is left for another reason: the database is what it was before, and what
/// people wrote meanwhile is kept beside it.
#[test]
#[ignore = "run `ci/test --only bad-updates`"]
fn what_was_written_in_a_trial_that_changed_the_schema_is_kept() -> Result<()> {
    const TALKERS: usize = 2;
    let mut scene = Scene::begin("written_in_trial")?;
    for person in 0..TALKERS {
        guest::add_user(&scene.vm, &talkers::name(person), talkers::PASSWORD)?;
    }
    let schema = format!("[Service]\nExecStopPost=+/bin/sh -c \"{NEWER_SCHEMA}\"\n");
    let change = Change {
        root: &[
            (
                "usr/lib/systemd/system/imd.service.d/migration.conf",
                &schema,
            ),
            (
                "usr/lib/systemd/system/broken.service",
                "[Service]\nType=oneshot\nExecStart=/bin/false\n",
            ),
            (
                "usr/lib/systemd/system/multi-user.target.d/broken.conf",
                "[Unit]\nWants=broken.service\n",
            ),
        ],
        ..Change::default()
    };
    let bundle = release(&scene.lab, BAD, &change, &keys())?;
    publish(&scene.publisher, BAD, &bundle, &keys())?;
    let server = server_on(&scene.vm, &scene.card, &scene.lab)?;
    let connector = Connector::new(&server.ca, &server.domain, server.direct_tls)?;
    let runtime = tokio::runtime::Runtime::new().context("start tokio")?;
    let before = runtime.block_on(Talkers::start_with_pauses(
        &connector,
        TALKERS,
        0,
        PAUSE_ON_A_BOX,
    ))?;
    let said = scene.vm.run("provisioner update install 2>&1");
    scene.lab.note(&format!("install: {said:?}"));
    let before = runtime.block_on(before.said());
    let during = wait_until(scene.vm.boot_deadline(), "the trial", || {
        let status = status(&scene.vm)?;
        ensure!(status["running"]["slot"] == "B", "{status}");
        runtime
            .block_on(Talkers::start_with_pauses(
                &connector,
                TALKERS,
                1,
                PAUSE_ON_A_BOX,
            ))
            .map(Some)
    })?;
    let outcome = outcome(&mut scene.vm)?;
    let during = runtime.block_on(during.said());
    scene.lab.note(&format!("{}", outcome["update"]));
    let reason = outcome["update"]["reason"].as_str().unwrap_or_default();
    ensure!(
        outcome["running"]["slot"] == "A" && reason.contains("broken.service"),
        "the version was not left for its broken unit: {outcome}"
    );
    scene.vm.wait_ready()?;
    scene.chat("again")?;

    let database = copy_database(&scene.vm, &scene.lab)?;
    let check = |database: &PathBuf, said| {
        let found = runtime.block_on(Archives::default().check(database, &server.domain, &said))?;
        scene
            .lab
            .note(&format!("{}: {found:?}", database.display()));
        ensure!(found.acknowledged > 0, "nothing was said: {found:?}");
        anyhow::Ok(())
    };
    check(&database, before)?;
    let version = output_of(
        Command::new("sqlite3")
            .arg(&database)
            .arg("PRAGMA user_version"),
    )?;
    let aside = copy_aside(&scene)?;
    // This computer's programs refuse the newer schema as well.
    let number = format!("PRAGMA user_version = {}", version.trim());
    output_of(Command::new("sqlite3").arg(&aside).arg(number))?;
    check(&aside, during)?;
    scene.end();
    Ok(())
}

/// The database of the trial, as the box keeps it.
fn copy_aside(scene: &Scene) -> Result<PathBuf> {
    let folder = scene.lab.work.join("aside");
    std::fs::create_dir(&folder).context("make a folder for the trial's database")?;
    let packed = scene
        .vm
        .run("tar -C /var/lib/perch/update/after -c . | base64 -w0")?;
    let packed = STANDARD.decode(packed.trim()).context("the packed files")?;
    output_with_input(
        Command::new("tar").arg("-x").arg("-C").arg(&folder),
        &packed,
    )?;
    Ok(folder.join("imd.sqlite"))
}

/// A version with this change does not get as far as telling what is wrong with it; the console says it.
fn does_not_start(name: &str, change: &Change<'_>, console: &str) -> Result<()> {
    let mut scene = Scene::begin(name)?;
    let armed = scene
        .vm
        .run("systemctl show -p RuntimeWatchdogUSec -p WatchdogDevice")?;
    ensure!(
        armed.contains("RuntimeWatchdogUSec=14s") && armed.contains("WatchdogDevice=/dev/watchdog"),
        "the watchdog is not armed: {armed}"
    );
    scene.assert_left(BAD, change, "did not start")?;
    ensure!(
        scene.vm.serial().contains(console),
        "it was left for something else: the console does not say {console:?}"
    );
    scene.end();
    Ok(())
}

#[test]
#[ignore = "run `ci/test --only bad-updates`"]
fn a_kernel_that_panics_is_left() -> Result<()> {
    // Without an initrd the kernel finds no root.
    does_not_start(
        "panic",
        &Change {
            boot: &[("initrd.img", "no initrd")],
            ..Change::default()
        },
        "Kernel panic - not syncing: VFS: Unable to mount root fs",
    )
}

#[test]
#[ignore = "run `ci/test --only bad-updates`"]
fn an_init_that_hangs_is_left() -> Result<()> {
    // An error, so that the console has it in spite of `quiet`.
    let init = "#!/bin/sh\necho '<3>hanging on purpose' >/dev/kmsg\nwhile :; do sleep 60; done\n";
    does_not_start(
        "hangs",
        &Change {
            root: &[("usr/lib/systemd/systemd", init)],
            ..Change::default()
        },
        "hanging on purpose",
    )
}

#[test]
#[ignore = "run `ci/test --only bad-updates`"]
fn a_root_that_is_not_what_was_written_is_left() -> Result<()> {
    // The first block that is read does not fit to the hash.
    let verity = format!("system_verity=1000:{}\n", "0".repeat(64));
    does_not_start(
        "damaged",
        &Change {
            boot: &[("verity.txt", &verity)],
            ..Change::default()
        },
        "is damaged: its root cannot be read",
    )
}

#[test]
#[ignore = "run `ci/test --only bad-updates`"]
fn a_boot_partition_without_a_kernel_is_left() -> Result<()> {
    does_not_start(
        "no_kernel",
        &Change {
            boot: &[("vmlinuz", "no kernel")],
            ..Change::default()
        },
        "Perch: slot B does not start",
    )
}

#[test]
#[ignore = "run `ci/test --only bad-updates`"]
fn a_boot_partition_that_cannot_be_read_is_left() -> Result<()> {
    does_not_start(
        "boot_unreadable",
        &Change {
            boot_unreadable: true,
            ..Change::default()
        },
        "Perch: slot B does not start",
    )
}

#[test]
#[ignore = "run `ci/test --only bad-updates`"]
fn the_owner_may_go_back_to_the_version_before() -> Result<()> {
    let mut scene = Scene::begin("back")?;
    let bundle = release(&scene.lab, GOOD, &Change::default(), &keys())?;
    publish(&scene.publisher, GOOD, &bundle, &keys())?;
    let old = status(&scene.vm)?["running"]["version"].clone();
    let kept = scene.update("install")?;
    ensure!(
        kept["running"]["version"] == GOOD,
        "it was not kept: {kept}"
    );
    scene.vm.wait_ready()?;
    let back = scene.update("rollback")?;
    ensure!(
        back["update"]["state"] == "committed" && back["running"]["version"] == old,
        "the old version did not come back: {back}"
    );
    ensure!(
        back["update"]["version"] == old,
        "it is not called by its version: {back}"
    );
    scene.vm.wait_ready()?;
    scene.chat("again")?;
    scene.end();
    Ok(())
}
