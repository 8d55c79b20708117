//! Whether a system that is on trial does what people need of it.

use std::fs::{self, File};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::FOLDER;
use super::login::{Account, send_to_oneself};
use super::machine::Slot;
use super::surroundings::Surroundings;
use super::tls;
use crate::files::Files;
use crate::firstboot::certificates::AUTHORITY;
use crate::firstboot::identity;
use crate::firstboot::state::BoxState;
use crate::imd_config;
use crate::model::secret::hex;
use crate::system::System;

/// How long the server may take to start, counted from the beginning of the watch: a change of its database takes a while.
const START: Duration = Duration::from_secs(300);
/// How long it then has to run without a restart.
const STEADY: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_secs(2);
/// How long the first page may take.
const START_OF_PAGE: Duration = Duration::from_secs(30);

/// The account that logs in: made for the watch, removed after it.
const NAME: &str = "perch-health-check";

/// What is tried over TLS, as a client would.
pub trait Client {
    /// Somebody logs in and sends a message, which arrives.
    ///
    /// # Errors
    /// What did not work.
    fn chat(&self) -> Result<()>;

    /// The box's first page comes.
    ///
    /// # Errors
    /// It does not.
    fn page(&self) -> Result<()>;
}

/// Watches the system until it can be trusted. `before`: what the version before had around it.
///
/// # Errors
/// One sentence on what it does not do.
pub fn watch(files: &Files, system: &dyn System, slot: Slot, before: Surroundings) -> Result<()> {
    watch_as(&Local { files, system }, files, system, slot, before)
}

/// The same, with a client of one's own.
///
/// # Errors
/// As above.
pub fn watch_as(
    client: &dyn Client,
    files: &Files,
    system: &dyn System,
    slot: Slot,
    before: Surroundings,
) -> Result<()> {
    let begun = system.elapsed();
    let first = loop {
        match server(system)? {
            Server::Runs(start) => break start,
            Server::Waits(_) if system.elapsed() - begun < START => system.pause(PAUSE),
            Server::Waits(why) => bail!("{why}"),
        }
    };
    settled(system)?;
    client.chat()?;
    let chatted = system.elapsed();
    while system.elapsed() - chatted < STEADY {
        match server(system)? {
            Server::Runs(start) if start == first => system.pause(PAUSE),
            _ => bail!(
                "the chat server stopped by itself within a minute: {}",
                last_words(system)
            ),
        }
    }
    while let Err(lost) = network(files, system, before) {
        if system.elapsed() - begun >= START {
            return Err(lost);
        }
        system.pause(PAUSE);
    }
    clock(files, system, before)?;
    writable(files)?;
    whole(system, slot)?;
    no_failed_units(system)?;
    client.page()?;
    client.chat()
}

/// What the version before had: a box that is on no network is updated all the same.
fn network(files: &Files, system: &dyn System, before: Surroundings) -> Result<()> {
    let now = Surroundings::look(files, system.now());
    if before.has_address && !now.has_address {
        bail!("the box has no address in its network any more, as it had with the version before");
    }
    if before.has_gateway && !now.has_gateway {
        bail!("the box has no gateway in its network any more, as it had with the version before");
    }
    Ok(())
}

/// This machine, as a client on it sees it.
struct Local<'a> {
    files: &'a Files,
    system: &'a dyn System,
}

impl Client for Local<'_> {
    fn chat(&self) -> Result<()> {
        chat(self.files, self.system)
    }

    fn page(&self) -> Result<()> {
        page(self.files)
    }
}

/// How the chat server is.
enum Server {
    /// This start of it runs.
    Runs(String),
    /// It does not, for this reason.
    Waits(String),
}

fn server(system: &dyn System) -> Result<Server> {
    let property = |name| {
        system
            .unit_property("imd.service", name)
            .map(Option::unwrap_or_default)
    };
    let state = property("ActiveState")?;
    if state == "active" {
        return Ok(Server::Runs(property("InvocationID")?));
    }
    let restarts: u32 = property("NRestarts")?.parse().unwrap_or(0);
    if restarts >= 3 {
        bail!(
            "the chat server ended {restarts} times while starting: {}",
            last_words(system)
        );
    }
    let jobs = system
        .run(&["systemctl", "list-jobs", "--no-legend", "--plain"], None)
        .unwrap_or_default();
    let running = jobs
        .lines()
        .filter(|line| line.ends_with("running"))
        .filter_map(|line| line.split_whitespace().nth(1))
        .collect::<Vec<_>>()
        .join(", ");
    Ok(Server::Waits(if running.is_empty() {
        format!("the chat server did not start: {}", last_words(system))
    } else {
        format!(
            "the chat server did not start within 5 minutes; the system still waited for {running}"
        )
    }))
}

/// What the server said last, for the reason.
fn last_words(system: &dyn System) -> String {
    let said = system
        .run(
            &[
                "journalctl",
                "-b",
                // Whatever a program of the unit is called, and without what systemd says of the unit.
                "_SYSTEMD_UNIT=imd.service",
                "-n",
                "1",
                "-o",
                "cat",
                "--no-pager",
            ],
            None,
        )
        .unwrap_or_default();
    let line = said.lines().last().unwrap_or_default().trim();
    let line = if line.is_empty() {
        "it said nothing"
    } else {
        line
    };
    line.chars().take(300).collect()
}

/// Waits until nothing is being started any more, for two minutes at the most: the watch itself is one of the jobs.
fn settled(system: &dyn System) -> Result<()> {
    let begun = system.elapsed();
    loop {
        let jobs = system.run(&["systemctl", "list-jobs", "--no-legend", "--plain"], None)?;
        let others = jobs.lines().filter(|line| {
            line.ends_with("running") && !line.contains("perch-update-trial.service")
        });
        if others.count() == 0 {
            return Ok(());
        }
        if system.elapsed() - begun > Duration::from_secs(120) {
            bail!(
                "the system did not finish starting: {}",
                jobs.replace('\n', "; ")
            );
        }
        system.pause(PAUSE);
    }
}

/// Somebody logs in over TLS and sends a message, which arrives.
fn chat(files: &Files, system: &dyn System) -> Result<()> {
    let state = BoxState::load(files)?;
    let (domain, host) = (state.domain(), own_name(&state));
    let authority =
        fs::read(files.path(AUTHORITY)).context("the box has no certificate authority")?;
    let password = random()?;
    let imd = |action: &[&str], stdin: Option<&str>| {
        let mut command = vec!["/usr/bin/imd", "user"];
        command.extend(action);
        command.extend(["--config", imd_config::PATH]);
        system.run_as(Some("imd"), &command, stdin)
    };
    let words = format!("{password}\n");
    // One that an earlier watch left behind has an unknown password.
    imd(&["remove", NAME], None).ok();
    let (status, said) = imd(&["add", NAME, "--password-stdin"], Some(&words))?;
    if status != 0 {
        bail!("the chat server cannot make an account: {said}");
    }
    let done = send_to_oneself(
        &Account {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 5223)),
            domain: domain.as_str(),
            host: &host,
            name: NAME,
            password: &password,
            authority: &authority,
        },
        &random()?,
    );
    imd(&["remove", NAME], None).ok();
    done.context("logging in and sending a message does not work")
}

/// The box's first page comes over TLS.
fn page(files: &Files) -> Result<()> {
    let host = own_name(&BoxState::load(files)?);
    let authority =
        fs::read(files.path(AUTHORITY)).context("the box has no certificate authority")?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 443));
    tls::first_page(address, &host, &authority, START_OF_PAGE)
        .context("the box's page does not come")
}

/// The name that the box's own certificate is shown for, whatever another authority has given for the domain: its fault is none
/// of the system's.
fn own_name(state: &BoxState) -> String {
    format!("{}.local", state.host_name())
}

fn random() -> Result<String> {
    let mut bytes = [0; 18];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut bytes)
        .map_err(|_| anyhow::anyhow!("the system gives no random numbers"))?;
    Ok(hex(&bytes))
}

/// The clock is neither before the image nor before what it was, where something holds it over a restart.
fn clock(files: &Files, system: &dyn System, before: Surroundings) -> Result<()> {
    let now = system.now().unix_timestamp();
    if now < identity::build_time(files).unix_timestamp() {
        bail!("the clock is before the time at which the new version was made");
    }
    if let Some(left) = before.clock.filter(|left| now < *left) {
        bail!(
            "the clock went back by {} s in the restart into the new version",
            left - now
        );
    }
    Ok(())
}

fn writable(files: &Files) -> Result<()> {
    let path = files.path(format!("{FOLDER}/probe"));
    let written = File::create(&path)
        .and_then(|mut file| file.write_all(b"probe").and_then(|()| file.sync_all()))
        .and_then(|()| fs::remove_file(&path));
    written.context("the data partition cannot be written")
}

/// No block of the root was found damaged so far.
fn whole(system: &dyn System, slot: Slot) -> Result<()> {
    if is_damaged(system, slot)? {
        bail!(
            "slot {} has damaged blocks: the card may be failing",
            slot.name()
        );
    }
    Ok(())
}

/// Whether a block of the running slot was found to differ from what was signed (dm-verity's status, `C` for corrupted).
///
/// # Errors
/// The kernel does not tell.
pub fn is_damaged(system: &dyn System, slot: Slot) -> Result<bool> {
    let name = format!("system_{}", slot.name());
    let said = system
        .run(&["dmsetup", "status", &name], None)
        .with_context(|| format!("slot {} is not checked by its hashes", slot.name()))?;
    Ok(says_damaged(&said))
}

/// `0 917504 verity C`; from Linux 6.19 on with one more word, of blocks that were mended.
fn says_damaged(status: &str) -> bool {
    let mut words = status.split_whitespace();
    words.any(|word| word == "verity") && words.next() == Some("C")
}

/// The same from the kernel's log of this start, for those who may not ask the kernel itself (the agent).
#[must_use]
pub fn has_logged_damage(system: &dyn System) -> bool {
    let command = ["journalctl", "-k", "-b", "-o", "cat", "--no-pager"];
    let said = system.run(&command, None).unwrap_or_default();
    said.lines()
        .any(|line| line.contains("device-mapper: verity") && line.ends_with("is corrupted"))
}

fn no_failed_units(system: &dyn System) -> Result<()> {
    let failed = system.run(
        &[
            "systemctl",
            "list-units",
            "--failed",
            "--plain",
            "--no-legend",
        ],
        None,
    )?;
    let names: Vec<_> = failed
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    if names.is_empty() {
        return Ok(());
    }
    bail!("these units failed: {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_is_read_from_the_status_of_older_and_newer_kernels() {
        assert!(says_damaged("0 917504 verity C\n") && says_damaged("0 917504 verity C -\n"));
        assert!(!says_damaged("0 917504 verity V\n") && !says_damaged("0 917504 verity V -\n"));
        assert!(!says_damaged("0 8 linear C\n"));
    }
}
