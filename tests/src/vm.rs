//! An emulated machine: start, log in, look, reset, cut the power, and leave evidence when a test fails.
//!
//! A released image has no way in but the owner's: the tests use that too, an SSH key named in `perch.toml`.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::card::Card;
use crate::command::output_of;
use crate::lab::Lab;
use crate::qemu::{self, Board, Ports};
use crate::qmp::Qmp;
use crate::shell::Shell;
use crate::wait::wait_until;

/// A running machine. Dropping it ends it; without [`Vm::passed`] before, its journal is kept first.
pub struct Vm {
    /// Where the guest's services are on this computer.
    pub ports: Ports,
    board: Board,
    card: Card,
    qemu: Child,
    monitor: PathBuf,
    /// Removed with the machine.
    _socket_folder: tempfile::TempDir,
    shell: Shell,
    work: PathBuf,
    logs: PathBuf,
    evidence_wanted: bool,
    /// QEMU's arguments besides the board's.
    devices: Vec<String>,
}

/// An SSH key pair made for one test.
pub struct SshKey {
    /// The private key's file.
    pub file: PathBuf,
    /// The line for `authorized_keys`.
    pub public: String,
}

impl SshKey {
    /// Makes a key pair in the test's scratch folder.
    ///
    /// # Errors
    ///
    /// `ssh-keygen` is missing or failed.
    pub fn new(lab: &Lab) -> Result<Self> {
        let file = lab.work.join("ssh_key");
        output_of(
            Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-C", "perch-test", "-f"])
                .arg(&file),
        )?;
        let public =
            fs::read_to_string(file.with_extension("pub")).context("read the public key")?;
        Ok(Self {
            file,
            public: public.trim().to_owned(),
        })
    }
}

impl Vm {
    /// Starts a machine with `card` in its slot. Returns at once; [`Vm::wait_ready`] waits for the services.
    ///
    /// # Errors
    ///
    /// QEMU is missing, or the card lacks its boot files.
    pub fn start(lab: &Lab, board: Board, card: &Card, key: &SshKey) -> Result<Self> {
        Self::start_with(lab, board, card, key, &[])
    }

    /// [`Vm::start`] with more devices, as arguments of QEMU's.
    ///
    /// # Errors
    ///
    /// As [`Vm::start`].
    pub fn start_with(
        lab: &Lab,
        board: Board,
        card: &Card,
        key: &SshKey,
        devices: &[&str],
    ) -> Result<Self> {
        let devices: Vec<String> = devices.iter().map(|&part| part.to_owned()).collect();
        let ports = Ports::free()?;
        // A socket's path may have 107 bytes: a clone in a deep folder has none to spare.
        let socket_folder = tempfile::tempdir().context("make a folder for QEMU's monitor")?;
        let monitor = socket_folder.path().join("monitor");
        let qemu = switch_on(board, card, ports, &lab.work, &lab.logs, &monitor, &devices)?;
        Ok(Self {
            ports,
            board,
            card: card.clone(),
            qemu,
            monitor,
            shell: Shell::new(&key.file, ports.ssh, socket_folder.path())?,
            _socket_folder: socket_folder,
            work: lab.work.clone(),
            logs: lab.logs.clone(),
            evidence_wanted: true,
            devices,
        })
    }

    /// How long a boot may take, with room for a machine that does other work meanwhile.
    #[must_use]
    pub fn boot_deadline(&self) -> Duration {
        boot_deadline(self.board)
    }

    /// Waits until the guest has finished booting, and checks that no unit failed.
    ///
    /// # Errors
    ///
    /// QEMU ended, the deadline passed, or the guest is degraded: the error names the units.
    pub fn wait_ready(&mut self) -> Result<()> {
        let deadline = self.boot_deadline();
        wait_until(deadline, "the guest to let us in by SSH", || {
            if let Some(status) = self.qemu.try_wait().context("look after QEMU")? {
                return Ok(Some(Err(anyhow::anyhow!("QEMU ended by itself: {status}"))));
            }
            // One that was left for another start does not count.
            let serial = self.serial();
            let this_start = serial.rsplit("Starting kernel ...").next();
            if this_start.is_some_and(|said| said.contains("Kernel panic - not syncing")) {
                return Ok(Some(Err(anyhow::anyhow!("the kernel panicked"))));
            }
            self.run("true").map(|_| Some(Ok(())))
        })
        .and_then(|ended| ended)
        .map_err(|error| self.with_serial_tail(error))?;
        wait_until(deadline, "the guest to finish booting", || {
            let state = self.run("systemctl is-system-running || true")?;
            match state.trim() {
                "running" | "degraded" => Ok(Some(())),
                other => bail!(
                    "it is `{other}`; jobs: {}",
                    self.run("systemctl list-jobs --no-legend")?
                ),
            }
        })?;
        self.assert_healthy()
    }

    /// Checks that no unit failed, and that systemd broke no ordering cycle.
    ///
    /// # Errors
    ///
    /// The names of the failed units with the end of their journals.
    pub fn assert_healthy(&self) -> Result<()> {
        let failed = self.run("systemctl list-units --failed --plain --no-legend")?;
        if !failed.trim().is_empty() {
            let units = failed
                .lines()
                .filter_map(|line| line.split_whitespace().next());
            let units = units
                .map(|unit| format!("-u {unit}"))
                .collect::<Vec<_>>()
                .join(" ");
            let said = self.run(&format!("journalctl -b --no-pager -n 60 {units}"))?;
            bail!("units have failed:\n{failed}\n{said}");
        }
        let cycles =
            self.run("journalctl -b --no-pager -t systemd | grep -i 'ordering cycle' || true")?;
        if !cycles.is_empty() {
            bail!("systemd found an ordering cycle:\n{cycles}");
        }
        Ok(())
    }

    /// Runs a shell command as root in the guest and returns what it printed.
    ///
    /// # Errors
    ///
    /// The guest cannot be reached, or the command failed: the error has its output.
    pub fn run(&self, command: &str) -> Result<String> {
        self.run_with_input(command, b"")
    }

    /// [`Vm::run`] with `input` on the command's standard input.
    ///
    /// # Errors
    ///
    /// As [`Vm::run`].
    pub fn run_with_input(&self, command: &str, input: &[u8]) -> Result<String> {
        // A forwarded port accepts before the guest listens; without this every early look costs ssh's own time limit.
        if !self.shell.is_connected(self.starts()) && !self.answers(self.ports.ssh, b"SSH-") {
            bail!("the guest's SSH port does not answer");
        }
        self.shell.run(command, input)
    }

    /// Whether the server answers a stream header on the STARTTLS port.
    #[must_use]
    pub fn offers_a_stream(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.ports.starttls)) else {
            return false;
        };
        stream.set_read_timeout(Some(Duration::from_secs(20))).ok();
        let header = "<stream:stream to='perch.local' version='1.0' xmlns='jabber:client' \
                      xmlns:stream='http://etherx.jabber.org/streams'>";
        let mut heard = [0; 512];
        let length = stream
            .write_all(header.as_bytes())
            .and_then(|()| stream.read(&mut heard))
            .unwrap_or(0);
        String::from_utf8_lossy(&heard[..length]).contains("<stream:stream")
    }

    /// Whether what listens behind a forwarded port greets with `greeting`.
    fn answers(&self, port: u16, greeting: &[u8]) -> bool {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else {
            return false;
        };
        stream.set_read_timeout(Some(Duration::from_secs(20))).ok();
        let mut heard = vec![0; greeting.len()];
        stream.read_exact(&mut heard).is_ok() && heard == greeting
    }

    /// Presses the reset button: the guest gets no chance to write anything.
    ///
    /// On the emulated Pi the power is cut and comes back instead: after a reset QEMU's DWC2 has no devices for Linux.
    ///
    /// # Errors
    ///
    /// QEMU is gone, or does not start again.
    pub fn reset(&mut self) -> Result<()> {
        match self.board {
            Board::Raspi4b => self.cut_power_and_start(),
            _ => {
                Qmp::connect(&self.monitor)?.command("system_reset")?;
                self.shell.disconnect();
                Ok(())
            }
        }
    }

    /// Pulls the plug and puts it back.
    ///
    /// # Errors
    ///
    /// QEMU does not start again.
    pub fn cut_power_and_start(&mut self) -> Result<()> {
        self.end();
        self.shell.disconnect();
        fs::remove_file(&self.monitor).ok();
        let Self {
            board,
            card,
            ports,
            work,
            logs,
            monitor,
            devices,
            ..
        } = &*self;
        self.qemu = switch_on(*board, card, *ports, work, logs, monitor, devices)?;
        Ok(())
    }

    /// The emulated Pi ends when its guest restarts it (see [`Vm::reset`]): starts it again if it has.
    ///
    /// # Errors
    ///
    /// QEMU does not start again.
    pub fn keep_on(&mut self) -> Result<()> {
        if self.board == Board::Raspi4b && !self.is_running() {
            self.cut_power_and_start()?;
        }
        Ok(())
    }

    /// Pulls the plug: QEMU is killed where it stands.
    pub fn cut_power(mut self) {
        self.evidence_wanted = false;
        self.end();
    }

    /// Everything the guest has said on its first serial port since QEMU was started.
    #[must_use]
    pub fn serial(&self) -> String {
        let newest = self.serial_logs().last();
        newest
            .and_then(|path| fs::read(path).ok())
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// One for each time that QEMU was started.
    fn serial_logs(&self) -> impl Iterator<Item = PathBuf> {
        (1..)
            .map(|boot| self.logs.join(format!("serial0-{boot}.log")))
            .take_while(|path| path.exists())
    }

    /// A number that changes whenever the guest is started, also by itself: how often QEMU was, and how often U-Boot has said what memory
    /// there is, which it does once in each start.
    fn starts(&self) -> usize {
        self.serial_logs()
            .filter_map(|path| fs::read(path).ok())
            .map(|said| 1 + String::from_utf8_lossy(&said).matches("DRAM:").count())
            .sum()
    }

    /// Whether QEMU still runs.
    #[must_use]
    pub fn is_running(&mut self) -> bool {
        matches!(self.qemu.try_wait(), Ok(None))
    }

    /// Shuts the guest down in order and waits until QEMU has ended.
    ///
    /// # Errors
    ///
    /// It did not power off in time.
    pub fn power_off(mut self) -> Result<()> {
        // The connection may break before the answer.
        self.run("systemctl poweroff").ok();
        wait_until(self.boot_deadline(), "the guest to power off", || {
            Ok(self.qemu.try_wait().context("look after QEMU")?.map(|_| ()))
        })
        .map_err(|error| self.with_serial_tail(error))?;
        self.passed();
        Ok(())
    }

    /// Ends the machine without keeping its journal: the test got what it wanted.
    pub fn passed(mut self) {
        self.evidence_wanted = false;
    }

    fn with_serial_tail(&self, error: anyhow::Error) -> anyhow::Error {
        let serial = self.serial();
        let lines: Vec<_> = serial.lines().collect();
        let tail = lines[lines.len().saturating_sub(40)..].join("\n");
        error.context(format!(
            "the end of the serial log in {}:\n{tail}",
            self.logs.display()
        ))
    }

    fn end(&mut self) {
        self.qemu.kill().ok();
        self.qemu.wait().ok();
    }

    /// The journal by SSH where the guest still answers, else the journal's files from the data partition.
    fn keep_journal(&mut self) {
        match self.run("journalctl -b --no-pager -o short-monotonic; systemctl list-units --all --no-pager; cat /run/perch/apply.json") {
            Ok(journal) => {
                fs::write(self.logs.join("journal.txt"), journal).ok();
                self.end();
            }
            Err(_) => {
                self.end();
                self.keep_journal_files(&self.logs.join("journal")).ok();
            }
        }
        if let Ok(status) = self.card.read("perch-status.txt") {
            fs::write(self.logs.join("perch-status.txt"), status).ok();
        }
    }

    fn keep_journal_files(&self, to: &Path) -> Result<()> {
        fs::create_dir_all(to).context("make a folder for the journal")?;
        let data = self.logs.join("data.ext4");
        self.card.extract(6, &data)?;
        let dumped = output_of(
            Command::new("debugfs")
                .arg("-R")
                .arg(format!("rdump /var/log/journal {}", to.display()))
                .arg(&data),
        );
        fs::remove_file(&data).ok();
        dumped?;
        let text = output_of(
            Command::new("journalctl")
                .args(["--no-pager", "-o", "short-monotonic", "-D"])
                .arg(to.join("journal")),
        )?;
        fs::write(self.logs.join("journal.txt"), text).context("write journal.txt")
    }
}

fn boot_deadline(board: Board) -> Duration {
    match board {
        Board::Virt | Board::VirtUsb => Duration::from_secs(420),
        Board::Raspi4b => Duration::from_secs(900),
    }
}

/// Starts QEMU for a card.
fn switch_on(
    board: Board,
    card: &Card,
    ports: Ports,
    work: &Path,
    logs: &Path,
    monitor: &Path,
    devices: &[String],
) -> Result<Child> {
    let complaints = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(logs.join("qemu.log"))
        .context("make qemu.log")?;
    let serial = qemu::next_log(logs, 0);
    let machine = qemu::command(board, card, ports, work, logs, monitor)?
        .args(devices)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(complaints)
        .spawn()
        .context("start qemu-system-aarch64 (package qemu-system-arm)")?;
    if board == Board::Raspi4b {
        qemu::plug_network_in(
            machine.id(),
            serial,
            monitor.to_owned(),
            boot_deadline(board),
        );
    }
    Ok(machine)
}

impl Drop for Vm {
    fn drop(&mut self) {
        if self.evidence_wanted && self.is_running() {
            self.keep_journal();
        }
        self.end();
    }
}
