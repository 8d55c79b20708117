//! QEMU's command line for the two boards. What each line is for: the comments here and docs/contributing.md.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::json;

use crate::card::Card;
use crate::command::output_of;
use crate::qmp::Qmp;
use crate::wait::wait_until;

/// U-Boot for `virt`, from Debian's `u-boot-qemu`; the Pi's own U-Boot comes from the card.
const VIRT_U_BOOT: &str = "/usr/lib/u-boot/qemu_arm64/u-boot.bin";

/// Which machine to emulate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Board {
    /// QEMU's generic arm64 machine: fast, for volume.
    Virt,
    /// The same, which starts from a disk on USB.
    VirtUsb,
    /// A Raspberry Pi 4B: slow, for the truth.
    Raspi4b,
}

/// QEMU's arguments for a watchdog on `virt`. Only where a test is about it: a machine that stands still because others compute is one
/// that hangs.
pub const WATCHDOG: [&str; 2] = ["-device", "i6300esb"];

/// Host ports on loopback that reach the guest's.
#[derive(Debug, Clone, Copy)]
pub struct Ports {
    /// SSH, guest port 22.
    pub ssh: u16,
    /// XMPP with STARTTLS, guest port 5222.
    pub starttls: u16,
    /// XMPP with direct TLS, guest port 5223.
    pub direct_tls: u16,
    /// The web, guest port 443.
    pub https: u16,
}

impl Ports {
    /// Ports that are free now.
    ///
    /// # Errors
    ///
    /// The computer has none left.
    pub fn free() -> Result<Self> {
        // Held together, so that they differ.
        let held = [free_port()?, free_port()?, free_port()?, free_port()?];
        let [ssh, starttls, direct_tls, https] = [0, 1, 2, 3].map(|index: usize| held[index].1);
        Ok(Self {
            ssh,
            starttls,
            direct_tls,
            https,
        })
    }

    fn forwards(self) -> String {
        let pairs = [
            (self.ssh, 22),
            (self.starttls, 5222),
            (self.direct_tls, 5223),
            (self.https, 443),
        ];
        let forwards = pairs.map(|(host, guest)| format!(",hostfwd=tcp:127.0.0.1:{host}-:{guest}"));
        format!("user,id=n0{}", forwards.concat())
    }
}

/// A listener on a free loopback port, and its number, which this process does not give again, and the system gives to no connection:
/// the ports that it chooses begin higher (`ip_local_port_range`). So whoever is slow to listen finds it free.
///
/// # Errors
///
/// The computer has none left.
pub fn free_port() -> Result<(std::net::TcpListener, u16)> {
    const FIRST: u16 = 20_000;
    const PORTS: u16 = 12_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Tests of other processes begin elsewhere.
    let start = u16::try_from(std::process::id().wrapping_mul(97) % u32::from(PORTS))?;
    for _ in 0..PORTS {
        let next = NEXT.fetch_add(1, Ordering::Relaxed) % PORTS;
        let port = FIRST + (start + next) % PORTS;
        if let Ok(listener) = std::net::TcpListener::bind(("127.0.0.1", port)) {
            return Ok((listener, port));
        }
    }
    bail!("no port is free")
}

/// The command that boots `card`; serial ports go to `logs`, the monitor's socket is `monitor`.
///
/// # Errors
///
/// The card lacks the files that the Pi's firmware would load.
pub fn command(
    board: Board,
    card: &Card,
    ports: Ports,
    work: &Path,
    logs: &Path,
    monitor: &Path,
) -> Result<Command> {
    // A test that is itself killed must not leave a machine behind.
    let mut qemu = Command::new("setpriv");
    qemu.args(["--pdeathsig", "KILL", "qemu-system-aarch64"]);
    qemu.args([
        "-display",
        "none",
        "-smp",
        "4",
        "-netdev",
        &ports.forwards(),
    ]);
    let disk = format!("format=raw,file={}", card.file.display());
    match board {
        Board::Virt | Board::VirtUsb => {
            qemu.args([
                "-M",
                "virt",
                "-cpu",
                "cortex-a72",
                "-m",
                "1024",
                "-bios",
                VIRT_U_BOOT,
            ]);
            if board == Board::VirtUsb {
                qemu.arg("-drive").arg(format!("if=none,id=disk,{disk}"));
                qemu.args(["-device", "qemu-xhci"]);
                qemu.args(["-device", "usb-storage,drive=disk"]);
            } else {
                qemu.arg("-drive").arg(format!("if=virtio,id=card,{disk}"));
            }
            qemu.args(["-device", "virtio-net-pci,netdev=n0,romfile="]);
        }
        Board::Raspi4b => {
            let (kernel, tree) = firmware_files(card, work)?;
            qemu.args(["-M", "raspi4b", "-m", "2G"]);
            qemu.arg("-kernel").arg(kernel).arg("-dtb").arg(tree);
            qemu.arg("-drive").arg(format!("if=sd,{disk}"));
            // Its network is plugged in later: see `plug_network_in`. After a restart it would not come back: `Vm::keep_on` starts anew.
            qemu.arg("-no-reboot");
        }
    }
    for number in 0..2 {
        qemu.arg("-serial")
            .arg(format!("file:{}", next_log(logs, number).display()));
    }
    qemu.arg("-qmp")
        .arg(format!("unix:{},server=on,wait=off", monitor.display()));
    Ok(qemu)
}

/// What Linux says last of its drivers on the emulated Pi, whose graphics are not there.
const DRIVERS_ARE_LOADED: &str = "vc4-drm gpu: probe with driver vc4-drm failed";

/// Plugs the emulated Pi's network into its USB port once Linux's driver has the port, beside whatever the test does.
///
/// QEMU's DWC2 reports a device that is there from the start before Linux's driver is ready for it, now and then: the driver then
/// forgets it and says "Not connected" for good.
pub fn plug_network_in(process: u32, serial: PathBuf, monitor: PathBuf, deadline: Duration) {
    std::thread::spawn(move || {
        let machine = PathBuf::from(format!("/proc/{process}"));
        let loaded = wait_until(deadline, "Linux to load its drivers", || {
            if !machine.exists() {
                return Ok(Some(false));
            }
            let said = fs::read(&serial).context("read the serial log")?;
            let said = String::from_utf8_lossy(&said);
            Ok(said.contains(DRIVERS_ARE_LOADED).then_some(true))
        });
        let plugged = match loaded {
            // The power was cut before.
            Ok(false) => return,
            Ok(true) => Qmp::connect(&monitor).and_then(|mut qmp| {
                let device = json!({ "driver": "usb-net", "netdev": "n0", "port": "1" });
                qmp.command_with("device_add", &device)
            }),
            Err(error) => Err(error),
        };
        // The test waits for the network: its log has the reason why it does not come.
        if let Err(error) = plugged {
            eprintln!("the emulated Pi's network was not plugged in: {error:#}");
        }
    });
}

/// `serialN-BOOT.log`: QEMU empties the file it is given, and a test boots more than once.
pub fn next_log(logs: &Path, number: u32) -> PathBuf {
    let name = |boot: u32| logs.join(format!("serial{number}-{boot}.log"));
    (1..)
        .map(name)
        .find(|path| !path.exists())
        .unwrap_or_else(|| name(0))
}

/// QEMU has no VideoCore firmware: it stands in for it, so this does what the firmware does with the card: reads
/// `config.txt`, loads the kernel (U-Boot) and the device tree named there.
fn firmware_files(card: &Card, work: &Path) -> Result<(PathBuf, PathBuf)> {
    let config = card.read_text("config.txt")?;
    let kernel = setting(&config, "kernel").context("config.txt names no kernel")?;
    let tree = setting(&config, "device_tree").unwrap_or("bcm2711-rpi-4-b.dtb");
    let (kernel_file, tree_file) = (work.join("u-boot.bin"), work.join("emulated.dtb"));
    let u_boot = leave_usb_to_linux(card.read(kernel)?)?;
    fs::write(&kernel_file, u_boot).context("write U-Boot")?;
    fs::write(&tree_file, card.read(tree)?).context("write the device tree")?;
    edit_for_emulator(&tree_file)?;
    Ok((kernel_file, tree_file))
}

/// What the Pi's U-Boot does before its boot script: it looks for USB disks.
const PREBOOT: &[u8] = b"preboot=pci enum; usb start;\0";

/// Takes USB out of the default environment of a U-Boot: QEMU's DWC2 does not report the devices on its port again to a
/// second driver (its core reset does nothing), and Linux would find none. The script is on the SD card in any case.
fn leave_usb_to_linux(mut u_boot: Vec<u8>) -> Result<Vec<u8>> {
    let mut places = u_boot.windows(PREBOOT.len()).enumerate();
    let at = places.find(|(_, bytes)| *bytes == PREBOOT);
    let (at, _) = at.context("U-Boot's default environment has another preboot than expected")?;
    // Another variable of the same length: an environment has no gaps.
    let idle = b"preboot=true                ";
    u_boot[at..at + idle.len()].copy_from_slice(idle);
    Ok(u_boot)
}

/// The last value of `name` in a `config.txt`, whatever the section.
#[must_use]
pub fn setting<'a>(config: &'a str, name: &str) -> Option<&'a str> {
    let values = config
        .lines()
        .filter_map(|line| line.trim().split_once('='));
    values
        .filter(|(key, _)| key.trim() == name)
        .map(|(_, value)| value.trim())
        .next_back()
}

/// Takes out of a copy of the Pi's device tree what QEMU does not emulate, and puts the SD card and the USB port
/// where QEMU has them.
fn edit_for_emulator(tree: &Path) -> Result<()> {
    for node in [
        "clock@7ef00000",
        "interrupt-controller@7ef00100",
        "hdmi@7ef00700",
        "hdmi@7ef05700",
        "i2c@7ef04500",
        "i2c@7ef09500",
    ] {
        fdtput(
            tree,
            &["-t", "s"],
            &[&format!("/soc/{node}"), "status", "disabled"],
        )?;
    }
    // The Wi-Fi controller of a real board is where QEMU has the card slot.
    let slot = "/soc/mmc@7e300000";
    fdtput(tree, &["-r"], &[&format!("{slot}/wifi@1")])?;
    for property in ["mmc-pwrseq", "non-removable", "pinctrl-0", "pinctrl-names"] {
        fdtput(tree, &["-d"], &[slot, property])?;
    }
    fdtput(tree, &[], &[slot, "broken-cd"])?;
    for property in ["vmmc-supply", "vqmmc-supply"] {
        fdtput(tree, &["-d"], &["/emmc2bus/mmc@7e340000", property])?;
    }
    // QEMU's watchdog restarts the machine as soon as it is armed: the initrd then leaves it off.
    fdtput(
        tree,
        &["-p", "-t", "s"],
        &["/chosen", "perch,emulator", "qemu"],
    )?;
    fdtput(
        tree,
        &["-t", "s"],
        &["/soc/usb@7e980000", "dr_mode", "host"],
    )
}

fn fdtput(tree: &Path, options: &[&str], words: &[&str]) -> Result<()> {
    let result = output_of(Command::new("fdtput").args(options).arg(tree).args(words));
    match result {
        // A property that is not there need not be removed; a kernel's newer tree may lack one.
        Err(error) if options == ["-d"] && format!("{error:#}").contains("NOTFOUND") => Ok(()),
        Err(error) if options == ["-r"] && format!("{error:#}").contains("NOTFOUND") => Ok(()),
        Err(error) => bail!("edit the device tree for the emulator: {error:#}"),
        Ok(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::setting;

    #[test]
    fn the_last_of_two_settings_counts_and_a_comment_does_not() {
        let config = "kernel=first\n# kernel=comment\n[pi4]\n kernel = u-boot.bin \n";
        assert_eq!(setting(config, "kernel"), Some("u-boot.bin"));
        assert_eq!(setting(config, "armstub"), None);
    }
}
