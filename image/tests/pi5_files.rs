//! What can be said of the Pi 5's image without a Pi 5: each part that its start needs is there and fits the others.
//! `ci/test --only pi5-files` builds the image and runs it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// What the board's device tree has that a box needs, and the kernel's driver for it.
const DEVICES: [(&str, &str); 12] = [
    ("brcm,bcm2712-sdhci", "sdhci_brcmstb"),
    ("brcm,bcm2712c0-pinctrl", "pinctrl_brcmstb_bcm2712"),
    ("brcm,brcmstb-gpio", "gpio_brcmstb"),
    ("regulator-fixed", "fixed"),
    ("regulator-gpio", "gpio_regulator"),
    ("brcm,bcm2712-pm", "bcm2835_pm"),
    ("brcm,bcm2712-pcie", "pcie_brcmstb"),
    ("brcm,bcm2712-mip", "irq_bcm2712_mip"),
    ("raspberrypi,rp1-clocks", "clk_rp1"),
    ("raspberrypi,rp1-gpio", "pinctrl_rp1"),
    ("raspberrypi,rp1-gem", "macb"),
    ("snps,dwc3", "dwc3"),
];
/// Those without which there is no card.
const FOR_THE_CARD: [&str; 5] = [
    "sdhci-brcmstb",
    "pinctrl-brcmstb-bcm2712",
    "gpio-brcmstb",
    "fixed",
    "gpio-regulator",
];

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// What the build left of the image's parts.
fn made(path: &str) -> PathBuf {
    top().join("target/image-rpi5-arm64").join(path)
}

fn output(program: &str, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{program}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// A file of BOOTFS, from the file system itself.
fn on_bootfs(name: &str) -> Vec<u8> {
    let image = made("firmware.img");
    output(
        "mtype",
        &["-i", image.to_str().unwrap(), &format!("::/{name}")],
    )
}

fn has(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|part| part == text.as_bytes())
}

/// The folder of the kernel's modules in a tree, whose name is the kernel's version.
fn modules(tree: &str) -> PathBuf {
    let mut found = fs::read_dir(made(tree))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let folder = found.next().unwrap();
    assert!(found.next().is_none(), "one kernel only");
    folder
}

#[test]
#[ignore = "run `ci/test --only pi5-files`"]
fn the_firmware_starts_u_boot_which_knows_the_processor_and_the_card() {
    let config = String::from_utf8(on_bootfs("config.txt")).unwrap();
    for line in ["[all]", "arm_64bit=1", "kernel=u-boot.bin", "enable_uart=1"] {
        assert!(config.lines().any(|one| one == line), "{line}\n{config}");
    }
    // Settings of the Pi 4 that would slow a Pi 5 down.
    assert!(
        !config.contains("core_freq") && !config.contains("gpu_mem"),
        "{config}"
    );
    let u_boot = on_bootfs("u-boot.bin");
    for known in ["brcm,bcm2712", "brcm,bcm2712-sdhci"] {
        assert!(has(&u_boot, known), "U-Boot does not know {known}");
    }
    assert!(has(&on_bootfs("boot.scr"), "console=ttyAMA10,115200"));
}

#[test]
#[ignore = "run `ci/test --only pi5-files`"]
fn each_device_of_the_board_that_a_box_needs_has_a_driver() {
    for tree in ["bcm2712-rpi-5-b.dtb", "bcm2712-d-rpi-5-b.dtb"] {
        assert!(has(&on_bootfs(tree), "raspberrypi,5-model-b"), "{tree}");
    }
    let tree = on_bootfs("bcm2712-rpi-5-b.dtb");
    let folder = modules("root/usr/lib/modules");
    let mut aliases = fs::read(folder.join("modules.alias")).unwrap();
    aliases.extend(fs::read(folder.join("modules.builtin.modinfo")).unwrap());
    let aliases = String::from_utf8_lossy(&aliases).replace('\0', "\n");
    for (device, driver) in DEVICES {
        assert!(has(&tree, device), "the device tree has no {device}");
        let alias = format!("alias=of:N*T*C{device}");
        let driven = aliases.lines().any(|line| {
            let module = line.strip_prefix(&format!("alias of:N*T*C{device}"));
            module.is_some_and(|rest| rest.ends_with(&format!(" {driver}")))
                || line.starts_with(&format!("{driver}.{alias}"))
        });
        assert!(driven, "the kernel has no {driver} for {device}");
        println!("{device}: {driver}");
    }
    // RP1 is found on its bus, not in the tree.
    let on_bus = |line: &str| line.starts_with("alias pci:v00001DE4") && line.ends_with("rp1_pci");
    assert!(
        aliases.lines().any(on_bus),
        "RP1 is not loaded by its PCI numbers"
    );
}

#[test]
#[ignore = "run `ci/test --only pi5-files`"]
fn the_initrd_finds_the_card_and_the_root() {
    let folder = modules("initrd/lib/modules");
    let listed = fs::read_to_string(folder.join("modules.dep")).unwrap();
    for module in FOR_THE_CARD
        .iter()
        .chain(&["erofs", "dm-verity", "ext4", "vfat", "bcm2835_wdt"])
    {
        assert!(
            listed.contains(&format!("/{module}.ko:")),
            "the initrd has no {module}"
        );
    }
}

#[test]
#[ignore = "run `ci/test --only pi5-files`"]
fn the_kernel_is_one_that_u_boot_starts_and_is_not_in_the_root_a_second_time() {
    let packed = made("boot/vmlinuz");
    let kernel = output("gzip", &["-dc", packed.to_str().unwrap()]);
    assert_eq!(&kernel[0x38..0x3c], b"ARM\x64", "no arm64 Image");
    let bytes = u64::from_le_bytes(kernel[0x10..0x18].try_into().unwrap());
    // boot.cmd: the packed kernel is loaded 64 MiB above where it is unpacked to, the initrd 128 MiB.
    assert!(
        kernel.len() < 64 << 20,
        "unpacked it would overwrite the packed one"
    );
    assert!(bytes < 128 << 20, "running it would overwrite the initrd");
    println!(
        "kernel: {} MiB packed, {} MiB in memory",
        packed.metadata().unwrap().len() >> 20,
        bytes >> 20
    );
    for beside in ["vmlinuz", "dtb"] {
        assert!(
            !modules("root/usr/lib/modules").join(beside).exists(),
            "{beside}"
        );
    }
}

#[test]
#[ignore = "run `ci/test --only pi5-files`"]
fn box_and_bundle_agree_on_the_kind_of_box_and_no_pi_4_takes_the_bundle() {
    let conf = fs::read_to_string(made("root/usr/lib/rauc/system.conf")).unwrap();
    assert!(conf.contains("\ncompatible=perch-rpi5-arm64\n"), "{conf}");
    let dist = fs::read_dir(top().join("dist-rpi5-arm64")).unwrap();
    let names: Vec<PathBuf> = dist.map(|entry| entry.unwrap().path()).collect();
    let ending = |end: &str| {
        names
            .iter()
            .find(|path| path.to_string_lossy().ends_with(end))
    };
    assert!(ending("-rpi5-arm64.img.zst").is_some(), "{names:?}");
    let bundle = ending("-rpi5-arm64.raucb").expect("a bundle");
    let said = output(
        "unsquashfs",
        &["-cat", bundle.to_str().unwrap(), "manifest.raucm"],
    );
    assert!(
        has(&said, "compatible=perch-rpi5-arm64\n"),
        "{}",
        String::from_utf8_lossy(&said)
    );
}
