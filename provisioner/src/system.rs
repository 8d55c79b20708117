//! What the provisioner asks of the running system besides its files: programs, clock, host name, network.

use std::io::Write;
use std::net::IpAddr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use time::OffsetDateTime;

use crate::mdns;

/// The running system; tests bring their own.
pub trait System {
    /// Runs a program, hands it `stdin`, and returns what it printed, trimmed.
    ///
    /// # Errors
    /// It cannot be started or failed; the error carries what it said.
    fn run(&self, command: &[&str], stdin: Option<&str>) -> Result<String> {
        let (status, output) = self.run_as(None, command, stdin)?;
        if status == 0 {
            return Ok(output);
        }
        bail!(
            "{} failed with status {status}: {output}",
            command.join(" ")
        )
    }

    /// Runs a program as another user and returns its exit status and what it printed (what it complained about if it
    /// failed). A program ended by a signal has status 128.
    ///
    /// # Errors
    /// It cannot be started, or there is no such user.
    fn run_as(
        &self,
        user: Option<&str>,
        command: &[&str],
        stdin: Option<&str>,
    ) -> Result<(i32, String)>;

    /// Runs a program whose exit status is a part of its answer, and returns that with what it printed.
    ///
    /// # Errors
    /// It cannot be started.
    fn ask(&self, command: &[&str]) -> Result<(i32, String)> {
        self.run_as(None, command, None)
    }

    /// Runs a program that changes nothing but what its arguments name, hands it `stdin`, and returns all that it said. Other than the
    /// programs above it is run for any root.
    ///
    /// # Errors
    /// It cannot be started.
    fn talk(&self, command: &[&str], stdin: &str) -> Result<Said> {
        talk(command, stdin)
    }

    /// A property of a systemd unit; `None` if there is no such unit.
    ///
    /// # Errors
    /// systemd does not answer.
    fn unit_property(&self, unit: &str, property: &str) -> Result<Option<String>>;

    /// The clock.
    fn now(&self) -> OffsetDateTime;

    /// Waits.
    fn pause(&self, time: Duration) {
        std::thread::sleep(time);
    }

    /// The time since some moment, whatever becomes of the clock.
    fn elapsed(&self) -> Duration {
        static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);
        BEGUN.elapsed()
    }

    /// Sets the clock.
    ///
    /// # Errors
    /// The kernel refused.
    fn set_clock(&self, time: OffsetDateTime) -> Result<()>;

    /// Sets the running system's host name.
    ///
    /// # Errors
    /// The kernel refused.
    fn set_host_name(&self, name: &str) -> Result<()>;

    /// Starts a unit and does not wait for it. Below another root, where no systemd runs, this program with those `arguments`
    /// does the same.
    ///
    /// # Errors
    /// It cannot be started.
    fn start(&self, unit: &str, _root: &Path, _arguments: &[&str]) -> Result<()> {
        let command = ["systemctl", "--no-block", "start", unit];
        self.run(&command, None).map(drop)
    }

    /// Restarts the machine.
    ///
    /// # Errors
    /// systemd refused.
    fn restart(&self) -> Result<()> {
        let command = ["systemctl", "--no-block", "reboot"];
        self.run(&command, None).map(drop)
    }

    /// Mounts a device, without programs and devices on it.
    ///
    /// # Errors
    /// The kernel refused.
    fn mount(&self, device: &str, folder: &Path, kind: &str, may_write: bool) -> Result<()>;

    /// Writes everything out, and takes a device away from its folder.
    ///
    /// # Errors
    /// The kernel refused.
    fn unmount(&self, folder: &Path) -> Result<()>;

    /// The machine's addresses, but for its own loop.
    fn addresses(&self) -> Vec<IpAddr>;

    /// The same, each with the device that has it. A system that does not tell devices apart has one without a name.
    fn links(&self) -> Vec<(String, IpAddr)> {
        let addresses = self.addresses().into_iter();
        addresses.map(|address| (String::new(), address)).collect()
    }

    /// Asks the local network whether some machine already answers to `<name>.local`.
    ///
    /// # Errors
    /// There is no network to ask.
    fn is_name_taken(&self, name: &str) -> Result<bool>;
}

/// What a program said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Its exit status; 128 if a signal ended it.
    pub status: i32,
    /// Its standard output.
    pub output: String,
    /// Its standard error, trimmed.
    pub complaint: String,
}

fn talk(command: &[&str], stdin: &str) -> Result<Said> {
    // Its words are read here.
    said(process(command)?.env("LC_ALL", "C"), Some(stdin))
}

fn process(command: &[&str]) -> Result<Command> {
    let [program, arguments @ ..] = command else {
        bail!("no program to run")
    };
    let mut process = Command::new(program);
    process.args(arguments);
    Ok(process)
}

/// Runs a process to its end. The input is a few lines, less than a pipe holds: a program that talks while it reads them does not
/// stand still.
fn said(process: &mut Command, stdin: Option<&str>) -> Result<Said> {
    process.stdin(stdin.map_or_else(Stdio::null, |_| Stdio::piped()));
    process.stdout(Stdio::piped()).stderr(Stdio::piped());
    let program = process.get_program().display().to_string();
    let mut child = process
        .spawn()
        .with_context(|| format!("starting {program}"))?;
    if let (Some(text), Some(mut pipe)) = (stdin, child.stdin.take()) {
        // A program that fails early closes its end; its status says more than the broken pipe.
        let _ = pipe.write_all(text.as_bytes());
    }
    let output = child
        .wait_with_output()
        .with_context(|| format!("waiting for {program}"))?;
    Ok(Said {
        status: output.status.code().unwrap_or(128),
        output: String::from_utf8_lossy(&output.stdout).into_owned(),
        complaint: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}

/// The machine that this program runs on.
pub struct Linux;

impl System for Linux {
    fn run_as(
        &self,
        user: Option<&str>,
        command: &[&str],
        stdin: Option<&str>,
    ) -> Result<(i32, String)> {
        let mut process = process(command)?;
        if let Some(user) = user {
            let found = nix::unistd::User::from_name(user)
                .with_context(|| format!("looking up user {user}"))?;
            let found = found.with_context(|| format!("there is no user {user}"))?;
            process.uid(found.uid.as_raw()).gid(found.gid.as_raw());
        }
        let said = said(&mut process, stdin)?;
        Ok(match said.status {
            0 => (0, said.output.trim().to_owned()),
            status => (status, said.complaint),
        })
    }

    fn ask(&self, command: &[&str]) -> Result<(i32, String)> {
        let said = said(&mut process(command)?, None)?;
        Ok((said.status, said.output.trim().to_owned()))
    }

    fn unit_property(&self, unit: &str, property: &str) -> Result<Option<String>> {
        let command = [
            "systemctl",
            "show",
            "--property",
            "LoadState",
            "--property",
            property,
            unit,
        ];
        let shown = self.run(&command, None)?;
        let value = |key: &str| {
            shown
                .lines()
                .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
        };
        if value("LoadState") == Some("not-found") {
            return Ok(None);
        }
        match value(property) {
            Some(value) => Ok(Some(value.to_owned())),
            None => bail!("systemd knows no property {property} of {unit}"),
        }
    }

    fn now(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc()
    }

    fn set_clock(&self, time: OffsetDateTime) -> Result<()> {
        let spec = nix::sys::time::TimeSpec::new(time.unix_timestamp(), 0);
        nix::time::clock_settime(nix::time::ClockId::CLOCK_REALTIME, spec)
            .context("setting the clock")
    }

    fn set_host_name(&self, name: &str) -> Result<()> {
        nix::unistd::sethostname(name).with_context(|| format!("setting the host name {name}"))
    }

    fn mount(&self, device: &str, folder: &Path, kind: &str, may_write: bool) -> Result<()> {
        use nix::mount::MsFlags;
        let mut flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        if !may_write {
            flags |= MsFlags::MS_RDONLY;
        }
        nix::mount::mount(Some(device), folder, Some(kind), flags, None::<&str>)
            .with_context(|| format!("mounting {device}"))
    }

    fn unmount(&self, folder: &Path) -> Result<()> {
        nix::mount::umount(folder).with_context(|| format!("unmounting {}", folder.display()))
    }

    fn addresses(&self) -> Vec<IpAddr> {
        let links = self.links().into_iter();
        links.map(|(_, address)| address).collect()
    }

    fn links(&self) -> Vec<(String, IpAddr)> {
        // Without a network there are none.
        let interfaces = nix::ifaddrs::getifaddrs().into_iter().flatten();
        let found = interfaces.filter_map(|one| {
            let address = one.address?;
            let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
            let v6 = || address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip()));
            Some((one.interface_name, v4.or_else(v6)?))
        });
        found
            .filter(|(_, address)| !address.is_loopback())
            .collect()
    }

    fn is_name_taken(&self, name: &str) -> Result<bool> {
        mdns::is_taken(name)
    }
}

/// The system that belongs to a root folder other than `/`: nothing runs there.
pub struct NotRunning;

impl System for NotRunning {
    fn run_as(&self, _: Option<&str>, command: &[&str], _: Option<&str>) -> Result<(i32, String)> {
        bail!("{} is run on a running system only", command.join(" "))
    }

    fn unit_property(&self, _: &str, _: &str) -> Result<Option<String>> {
        Ok(None)
    }

    fn now(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc()
    }

    fn set_clock(&self, _: OffsetDateTime) -> Result<()> {
        bail!("the clock belongs to the running system")
    }

    fn set_host_name(&self, _: &str) -> Result<()> {
        Ok(())
    }

    fn start(&self, _: &str, root: &Path, arguments: &[&str]) -> Result<()> {
        let own = std::env::current_exe().context("looking for this program")?;
        let mut process = Command::new(own);
        process.arg("--root").arg(root).args(arguments);
        let child = process.stdin(Stdio::null()).spawn();
        let mut child = child.context("starting this program")?;
        std::thread::spawn(move || child.wait());
        Ok(())
    }

    /// Whoever runs the folder sees in its files what waits for the next start.
    fn restart(&self) -> Result<()> {
        Ok(())
    }

    fn mount(&self, _: &str, _: &Path, _: &str, _: bool) -> Result<()> {
        Ok(())
    }

    fn unmount(&self, _: &Path) -> Result<()> {
        Ok(())
    }

    fn addresses(&self) -> Vec<IpAddr> {
        Vec::new()
    }

    fn is_name_taken(&self, _: &str) -> Result<bool> {
        bail!("no network is asked for a folder")
    }
}
