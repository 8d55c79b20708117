//! Updates that go wrong on the emulated box: each ends in the old slot, with the chat working and the reason said. And the owner's way
//! back from one that went well.

use anyhow::{Result, ensure};
use perch_tests::update_scene::{BAD, GOOD, Scene};
use perch_tests::updates::{Change, keys, publish, release, status};

#[test]
#[ignore = "run `ci/test --only bad-updates`"]
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
#[ignore = "run `ci/test --only bad-updates`"]
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

/// A version with this change does not get as far as telling what is wrong with it.
fn does_not_start(name: &str, change: &Change<'_>) -> Result<()> {
    let mut scene = Scene::begin(name)?;
    scene.assert_left(BAD, change, "did not start")?;
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
    )
}

#[test]
#[ignore = "run `ci/test --only bad-updates`"]
fn an_init_that_hangs_is_left() -> Result<()> {
    let init = "#!/bin/sh\necho 'hanging on purpose' >/dev/kmsg\nwhile :; do sleep 60; done\n";
    does_not_start(
        "hangs",
        &Change {
            root: &[("usr/lib/systemd/systemd", init)],
            ..Change::default()
        },
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
