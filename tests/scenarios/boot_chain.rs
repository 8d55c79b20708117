//! The image file by file, as the Pi's firmware, U-Boot and the person who flashes it meet it; nothing is booted.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use perch_tests::card::{Card, built_image};
use perch_tests::command::output_of;
use perch_tests::lab::Lab;
use perch_tests::qemu::setting;

const MIB: u64 = 1 << 20;

/// Runs `check` on a freshly flashed card.
fn with_card(name: &str, check: impl FnOnce(&Card) -> Result<()>) -> Result<()> {
    let lab = Lab::new("boot_chain", name)?;
    check(&Card::flash(&lab, "card")?)?;
    lab.passed();
    Ok(())
}

#[test]
#[ignore = "run `ci/test --only boot-chain`"]
fn the_firmware_finds_every_file_of_its_chain() -> Result<()> {
    with_card("firmware", |card| {
        let config = card.read_text("config.txt")?;
        for (key, value) in [("arm_64bit", "1"), ("enable_uart", "1")] {
            ensure!(
                setting(&config, key) == Some(value),
                "config.txt has no {key}={value}"
            );
        }
        let kernel = setting(&config, "kernel").context("config.txt names no kernel")?;
        ensure!(
            kernel.starts_with("u-boot"),
            "config.txt starts {kernel}, not U-Boot"
        );
        ensure!(
            contains(&card.read(kernel)?, b"U-Boot 20"),
            "{kernel} is no U-Boot"
        );
        // The second stage of a Pi 4B is in its EEPROM: the first files it reads are these two.
        ensure!(
            card.read("start4.elf")?.starts_with(b"\x7fELF"),
            "start4.elf is no ELF file"
        );
        ensure!(!card.read("fixup4.dat")?.is_empty(), "fixup4.dat is empty");
        let tree = setting(&config, "device_tree").unwrap_or("bcm2711-rpi-4-b.dtb");
        ensure!(
            card.read(tree)?.starts_with(&[0xd0, 0x0d, 0xfe, 0xed]),
            "{tree} is no device tree"
        );
        Ok(())
    })
}

#[test]
#[ignore = "run `ci/test --only boot-chain`"]
fn every_overlay_that_config_txt_names_is_there() -> Result<()> {
    with_card("overlays", |card| {
        let config = card.read_text("config.txt")?;
        let overlays = card.list("overlays")?;
        ensure!(
            overlays.iter().any(|name| name.ends_with(".dtbo")),
            "overlays/ has no overlay: {overlays:?}"
        );
        for line in config
            .lines()
            .filter_map(|line| line.trim().strip_prefix("dtoverlay="))
        {
            let name = line.split(',').next().unwrap_or(line);
            ensure!(
                name.is_empty() || !card.read(&format!("overlays/{name}.dtbo"))?.is_empty(),
                "{name} is empty"
            );
        }
        Ok(())
    })
}

#[test]
#[ignore = "run `ci/test --only boot-chain`"]
fn every_other_file_that_config_txt_names_is_there() -> Result<()> {
    with_card("named_files", |card| {
        let config = card.read_text("config.txt")?;
        for key in ["armstub", "start_file", "fixup_file", "ramfsfile"] {
            if let Some(file) = setting(&config, key) {
                ensure!(!card.read(file)?.is_empty(), "{key}={file} is empty");
            }
        }
        Ok(())
    })
}

#[test]
#[ignore = "run `ci/test --only boot-chain`"]
fn u_boot_finds_its_script_and_the_script_names_no_device() -> Result<()> {
    with_card("script", |card| {
        let script = card.read("boot.scr")?;
        ensure!(
            script.starts_with(&[0x27, 0x05, 0x19, 0x56]),
            "boot.scr was not made by mkimage"
        );
        ensure!(
            !contains(&script, b"mmcblk"),
            "boot.scr names an SD card: it would not boot from USB"
        );
        for name in [
            &b"${devtype}"[..],
            b"BOOT_ORDER",
            b"BOOT_A_LEFT",
            b"BOOT_B_LEFT",
            b"booti",
        ] {
            ensure!(
                contains(&script, name),
                "boot.scr has no {}",
                String::from_utf8_lossy(name)
            );
        }
        Ok(())
    })
}

#[test]
#[ignore = "run `ci/test --only boot-chain`"]
fn the_disk_has_the_documented_partitions_and_both_slots_are_filled() -> Result<()> {
    with_card("partitions", |card| {
        let wanted = ["BOOTFS", "boot_a", "boot_b", "system_a", "system_b", "data"];
        for (number, name) in (1..).zip(wanted) {
            let partition = card.partition(number)?;
            ensure!(
                partition.name == name,
                "partition {number} is called {}, not {name}",
                partition.name
            );
            ensure!(
                partition.start % MIB == 0,
                "{name} does not start at a whole MiB"
            );
        }
        for number in [4, 5] {
            ensure!(
                card.bytes(number, 1024, 4)? == [0xe2, 0xe1, 0xf5, 0xe0],
                "partition {number} is no erofs"
            );
        }
        let (a, b) = (card.bytes(2, 0, 65_536)?, card.bytes(3, 0, 65_536)?);
        ensure!(
            a.iter().any(|byte| *byte != 0) && b.iter().any(|byte| *byte != 0),
            "a boot slot is empty"
        );
        ensure!(
            card.bytes(6, 1080, 2)? == [0x53, 0xef],
            "the data partition is no ext4"
        );
        Ok(())
    })
}

#[test]
#[ignore = "run `ci/test --only boot-chain`"]
fn a_person_finds_an_example_of_perch_toml_and_no_settings() -> Result<()> {
    with_card("example", |card| {
        let example = card.read_text("perch.example.toml")?;
        for word in [
            "hostname",
            "[admin]",
            "password",
            "[ssh]",
            "authorized_keys",
        ] {
            ensure!(
                example.contains(word),
                "perch.example.toml does not mention {word}"
            );
        }
        ensure!(
            card.read("perch.toml").is_err(),
            "the image has a perch.toml of its own"
        );
        Ok(())
    })
}

#[test]
#[ignore = "run `ci/test --only boot-chain`"]
fn the_image_is_small_and_complete() -> Result<()> {
    let lab = Lab::new("boot_chain", "files")?;
    let image = built_image()?;
    let raw = output_of(
        Command::new("sh")
            .arg("-c")
            .arg("zstd -dc \"$0\" | wc -c")
            .arg(&image),
    )?;
    let bytes: u64 = raw.trim().parse().context("the size of the image")?;
    lab.note(&format!("the image has {} MiB", bytes / MIB));
    ensure!(
        bytes <= 1536 * MIB,
        "the image has {bytes} bytes; 1.5 GiB are allowed"
    );
    let dist = image.parent().context("the image's folder")?;
    output_of(
        Command::new("sha256sum")
            .args(["--quiet", "--check", "SHA256SUMS"])
            .current_dir(dist),
    )?;
    let sums = fs::read_to_string(dist.join("SHA256SUMS")).context("read SHA256SUMS")?;
    for entry in fs::read_dir(dist).context("read dist/")? {
        let name = entry
            .context("read dist/")?
            .file_name()
            .to_string_lossy()
            .into_owned();
        ensure!(
            name.starts_with("SHA256SUMS") || name.starts_with('.') || sums.contains(&name),
            "{name} is not in SHA256SUMS"
        );
    }
    ensure!(sums.contains(".bmap"), "there is no bmap");
    lab.passed();
    Ok(())
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
