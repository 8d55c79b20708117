//! What the scenarios ask a booted box, over SSH.

use std::path::Path;
use std::time::Duration;

use crate::card::Card;
use crate::qemu::Board;
use crate::vm::Vm;
use crate::wait::wait_until;
use anyhow::{Context, Result, ensure};

/// The configuration that the provisioner renders for `imd`.
const IMD_CONFIG: &str = "/etc/perch/imd.toml";

/// Makes an account by the box's own command line.
///
/// # Errors
///
/// `imd user add` failed.
pub fn add_user(vm: &Vm, name: &str, password: &str) -> Result<()> {
    let command = format!("imd user add {name} --config {IMD_CONFIG} --password-stdin");
    vm.run_with_input(&command, format!("{password}\n").as_bytes())?;
    Ok(())
}

/// The domain of the box's addresses, from the configuration that `imd` runs with.
///
/// # Errors
///
/// The configuration is not there or names none.
pub fn domain(vm: &Vm) -> Result<String> {
    let text = vm.run(&format!("cat {IMD_CONFIG}"))?;
    let config: toml::Table = text.parse().with_context(|| format!("read {IMD_CONFIG}"))?;
    let domain = config.get("domain").and_then(toml::Value::as_str);
    Ok(domain
        .with_context(|| format!("{IMD_CONFIG} names no domain"))?
        .to_owned())
}

/// A number that differs between any two boots.
///
/// # Errors
///
/// The guest cannot be reached.
pub fn boot_id(vm: &Vm) -> Result<String> {
    vm.run("cat /proc/sys/kernel/random/boot_id")
}

/// Waits until the guest answers from another boot than `before`.
///
/// # Errors
///
/// It did not come back in time.
pub fn wait_for_another_boot(vm: &Vm, before: &str) -> Result<()> {
    wait_until(
        vm.boot_deadline(),
        "the guest to come back after the reset",
        || Ok((boot_id(vm)? != before).then_some(())),
    )
}

/// The board is the one that was asked for, and runs arm64.
///
/// # Errors
///
/// It is another.
pub fn assert_board(vm: &Vm, board: Board) -> Result<()> {
    let machine = vm.run("uname -m; tr -d '\\0' </proc/device-tree/model; tr '\\0' '\\n' </proc/device-tree/compatible")?;
    let wanted = match board {
        Board::Raspi4b => "Raspberry Pi 4 Model B",
        Board::Virt | Board::VirtUsb => "linux,dummy-virt",
    };
    ensure!(
        machine.starts_with("aarch64\n") && machine.contains(wanted),
        "the machine is {machine}, not {wanted}"
    );
    Ok(())
}

/// The layout of the design: read-only erofs root, state on the data partition, which has grown to the card.
///
/// # Errors
///
/// The first thing that is otherwise.
pub fn assert_layout(vm: &Vm) -> Result<()> {
    let root = vm.run("findmnt -no FSTYPE,OPTIONS /")?;
    ensure!(
        root.starts_with("erofs") && root.contains("ro"),
        "the root file system is {root}"
    );
    let written = vm.run("touch /usr/written 2>&1 || true; touch /written 2>&1 || true")?;
    ensure!(
        written.matches("Read-only file system").count() == 2,
        "the root could be written: {written}"
    );
    let mounts =
        vm.run("findmnt -no SOURCE,FSTYPE /data /var; findmnt -no FSTYPE --target /var/lib/imd")?;
    ensure!(
        mounts.lines().last() == Some("ext4"),
        "imd's data is not on the data partition: {mounts}"
    );
    let size: u64 = vm
        .run("df --output=size -B1M /data | tail -n1")?
        .trim()
        .parse()
        .context("the size of /data")?;
    ensure!(
        size > 2000,
        "the data partition has {size} MiB on a card of 4 GiB: it has not grown"
    );
    Ok(())
}

/// The slot that started has its tries back: otherwise U-Boot would take the other one after three starts.
///
/// # Errors
///
/// It has not got them within a minute.
pub fn assert_slot_is_good(vm: &Vm) -> Result<()> {
    let find = "sed -n 's/.*rauc.slot=\\([AB]\\).*/\\1/p' /proc/cmdline";
    let slot = vm.run(find)?.trim().to_owned();
    let mut left = String::new();
    wait_until(
        Duration::from_secs(60),
        "the slot to be marked good",
        || {
            left = vm.run(&format!("fw_printenv -n BOOT_{slot}_LEFT"))?;
            Ok((left.trim() == "3").then_some(()))
        },
    )
    .with_context(|| format!("slot {slot} has {:?} tries left", left.trim()))
}

/// How small an idle server is: at most 15 MB resident (`docs/adr/0080`). Returns the KiB.
///
/// # Errors
///
/// It has more.
pub fn assert_idle_imd_is_small(vm: &Vm) -> Result<u64> {
    let status = vm.run("grep VmRSS: /proc/$(systemctl show -P MainPID imd.service)/status")?;
    let number = status.split_whitespace().nth(1).context("no VmRSS")?;
    let kib: u64 = number
        .parse()
        .with_context(|| format!("the resident memory in {status:?}"))?;
    ensure!(
        kib * 1024 < 15_000_000,
        "the idle imd has {kib} KiB resident, more than 15 MB"
    );
    Ok(kib)
}

/// What the box puts on its FAT partition is there for good as soon as the program that wrote it has ended: it is read from
/// the card while the guest writes nothing back by itself.
///
/// # Errors
///
/// The card has another authority than the box, or none.
pub fn assert_card_is_written_at_once(vm: &Vm, card: &Card) -> Result<()> {
    let interval = "/proc/sys/vm/dirty_writeback_centisecs";
    let before = vm.run(&format!("cat {interval}"))?;
    vm.run(&format!(
        "echo 0 >{interval} && sync && rm /boot/firmware/perch-ca.crt && provisioner firstboot"
    ))?;
    let written = card.read_text("perch-ca.crt");
    vm.run(&format!("echo {} >{interval}", before.trim()))?;
    let wanted = vm.run("cat /var/lib/perch/tls/ca.crt")?;
    let written = written.context("the new perch-ca.crt")?;
    ensure!(
        written == wanted,
        "a power cut now would leave {written:?} as perch-ca.crt"
    );
    Ok(())
}

/// What a first boot leaves, without what differs between any two boxes: one line each, sorted.
///
/// # Errors
///
/// The guest cannot be reached.
pub fn settled_state(vm: &Vm) -> Result<String> {
    wait_until(
        Duration::from_secs(60),
        "the first boot to have no jobs left",
        || {
            Ok(vm
                .run("systemctl list-jobs --no-legend")?
                .trim()
                .is_empty()
                .then_some(()))
        },
    )?;
    vm.run(
        "set -e; hostname; imd user list --config /etc/perch/imd.toml; \
         systemctl show -P ActiveState imd.service avahi-daemon.service ssh.service perch-apply.service; \
         cat /boot/firmware/perch.toml; \
         openssl verify -CAfile /boot/firmware/perch-ca.crt /var/lib/perch/tls/server.crt 2>/dev/null || true; \
         cmp /boot/firmware/perch-ca.crt /var/lib/perch/tls/ca.crt; \
         cd /data; find . -xdev -printf '%y %m %u:%g %p\\n' | sed \"s/$(cat /etc/machine-id)/MACHINE-ID/\" \
         | grep -Ev '/log/journal/|random-seed|-wal$|-shm$|/tmp/|/systemd/(timesync|timers|catalog|linger|coredump)|/private/|lost.found' | sort",
    )
}

/// The most exposed that a unit of ours may be, in tenths (`systemd-analyze security`).
const EXPOSURE: u32 = 25;
/// The same for nginx, which is Debian's with our drop-in: it starts as root to take its ports.
const NGINX_EXPOSURE: u32 = 35;

/// Every service that the image's layers bring, a template by one instance: a new unit is in here by itself.
fn units() -> Result<Vec<String>> {
    let layers = Path::new(env!("CARGO_MANIFEST_DIR")).join("../overlays");
    let mut found = Vec::new();
    for layer in std::fs::read_dir(&layers).context("reading the overlays")? {
        let folder = layer.context("reading the overlays")?.path();
        let entries = std::fs::read_dir(folder.join("usr/lib/systemd/system"));
        for entry in entries.into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.ends_with(".service") {
                found.push(name.replace("@.", "@check."));
            }
        }
    }
    found.sort();
    ensure!(found.len() > 15, "only {found:?} in {}", layers.display());
    Ok(found)
}

/// Each of our units is as little exposed as it may be.
///
/// # Errors
///
/// Names the first that is more, with systemd's reasons.
pub fn assert_sandboxed(vm: &Vm) -> Result<()> {
    let ours = units()?.into_iter().map(|unit| (unit, EXPOSURE));
    for (unit, most) in ours.chain([("nginx.service".to_owned(), NGINX_EXPOSURE)]) {
        let command = format!(
            "systemd-analyze security --no-pager --threshold={most} {unit} >/tmp/exposure 2>&1 && echo fine || cat /tmp/exposure"
        );
        let said = vm.run(&command)?;
        ensure!(said.trim() == "fine", "{unit}: {said}");
    }
    Ok(())
}

/// The ports of `docs/operator/ports.md`.
const PORTS: [&str; 7] = [
    "22/tcp", "80/tcp", "443/tcp", "5222/tcp", "5223/tcp", "5353/udp", "68/udp",
];

/// Nothing listens on the network but what is documented; and that does.
///
/// # Errors
///
/// Names the ports that are open without being documented, or the other way round.
pub fn assert_only_documented_ports(vm: &Vm) -> Result<()> {
    let listening = vm.run("ss -Hltun")?;
    let mut open = std::collections::BTreeSet::new();
    for line in listening.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (Some(kind), Some(local)) = (fields.first(), fields.get(4)) else {
            continue;
        };
        let Some((address, port)) = local.rsplit_once(':') else {
            continue;
        };
        let address = address.split('%').next().unwrap_or_default();
        if address.starts_with("127.") || address == "[::1]" {
            continue;
        }
        open.insert((port.parse::<u32>().unwrap_or(0), (*kind).to_owned()));
    }
    // avahi asks from ports of its own choice, and DHCPv6 and the lease need theirs.
    let surprising: Vec<String> = open
        .iter()
        .map(|(port, kind)| format!("{port}/{kind}"))
        .filter(|port| !PORTS.contains(&port.as_str()) && port != "546/udp")
        .filter(|port| !(port.ends_with("/udp") && is_avahis(vm, port)))
        .collect();
    ensure!(
        surprising.is_empty(),
        "open without being documented: {surprising:?} in\n{listening}"
    );
    for port in ["22/tcp", "80/tcp", "443/tcp", "5222/tcp", "5223/tcp"] {
        let (number, _) = port.split_once('/').unwrap_or_default();
        ensure!(
            open.iter().any(|(open, _)| open.to_string() == number),
            "{port} is documented and not open:\n{listening}"
        );
    }
    Ok(())
}

/// A machine beside the box: a network namespace with a cable to it, as seen by routes, filters and what programs are bound to.
const OUTSIDE: &str = "modprobe veth && ip netns add outside && ip link add inside0 type veth peer name outside0 && \
     ip link set outside0 netns outside && ip address add 10.99.1.1/24 dev inside0 && \
     ip address add fd99::1/64 dev inside0 nodad && ip link set inside0 up && \
     ip -n outside address add 10.99.1.2/24 dev outside0 && ip -n outside address add fd99::2/64 dev outside0 nodad && \
     ip -n outside link set outside0 up";
/// Prints the TCP ports up to the second argument that take a connection at the address that is the first one.
const SCAN: &str = "my ($to, $last) = @ARGV; my $six = $to =~ /:/; \
     for my $port (1..$last) { socket(my $s, $six ? AF_INET6 : AF_INET, SOCK_STREAM, 0) or die $!; \
     my $place = $six ? pack_sockaddr_in6($port, inet_pton(AF_INET6, $to)) : pack_sockaddr_in($port, inet_aton($to)); \
     print qq($port\\n) if connect($s, $place); close $s }";

/// Every TCP port is tried from another machine's place: those that are documented answer, and no others.
///
/// # Errors
///
/// Names the ports.
pub fn assert_nothing_else_answers_from_outside(vm: &Vm) -> Result<()> {
    vm.run(OUTSIDE)?;
    for (address, last) in [("10.99.1.1", 65535), ("fd99::1", 9999)] {
        let scan = format!("ip netns exec outside perl -MSocket=:all -e '{SCAN}' {address} {last}");
        let open = vm.run(&scan)?;
        let open: Vec<&str> = open.lines().collect();
        ensure!(
            open == ["22", "80", "443", "5222", "5223"],
            "at {address} answer {open:?}"
        );
    }
    vm.run("ip netns delete outside").map(drop)
}

fn is_avahis(vm: &Vm, port: &str) -> bool {
    let number = port.split('/').next().unwrap_or_default();
    vm.run(&format!("ss -Hlunp 'sport = :{number}'"))
        .is_ok_and(|said| said.contains("avahi-daemon"))
}
