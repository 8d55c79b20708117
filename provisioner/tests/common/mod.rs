//! A box made of a temporary folder and a system that remembers what it was asked to do.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests; each uses a part"
)]

pub mod boxes;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};
use provisioner::files::Files;
use provisioner::settings::read::{Known, Wishes, read};
use provisioner::system::System;
use settings_file::Document;
use tempfile::TempDir;
use time::OffsetDateTime;
use time::macros::datetime;

/// Makes a root with these files in it.
pub fn root(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, content) in files {
        put(folder.path(), path, content);
    }
    folder
}

/// A `perch.toml` and what it asks for; its problems are with the document.
pub fn reading(text: &str) -> (Document, Wishes) {
    let folder = root(&[("/usr/share/zoneinfo/Europe/Berlin", "")]);
    let files = Files::new(folder.path());
    let document = Document::parse("perch.toml", text);
    let known = Known {
        files: &files,
        wifi: None,
        domain: None,
        s3: None,
    };
    let wishes = read(&document, known);
    (document, wishes)
}

pub fn put(root: &Path, path: &str, content: &str) {
    let place = root.join(path.trim_start_matches('/'));
    std::fs::create_dir_all(place.parent().unwrap()).unwrap();
    std::fs::write(place, content).unwrap();
}

pub fn get(root: &Path, path: &str) -> String {
    let place = root.join(path.trim_start_matches('/'));
    std::fs::read_to_string(&place).unwrap_or_else(|error| panic!("{}: {error}", place.display()))
}

/// What a running box would do, as far as the provisioner can tell.
pub struct FakeSystem {
    pub root: std::path::PathBuf,
    pub commands: RefCell<Vec<String>>,
    pub units: RefCell<BTreeMap<(String, String), String>>,
    pub clock: Cell<OffsetDateTime>,
    pub host_name: RefCell<String>,
    pub taken_names: BTreeSet<String>,
    pub network: bool,
    /// Accounts in imd's database: name and password.
    pub accounts: RefCell<BTreeMap<String, String>>,
    pub imd_works: Cell<bool>,
    /// Links of invitations in imd's database.
    pub invitations: RefCell<Vec<String>>,
    /// What commands print.
    pub answers: RefCell<BTreeMap<String, String>>,
    /// The machine's addresses.
    pub addresses: RefCell<Vec<std::net::IpAddr>>,
    /// Commands that fail.
    pub failing: RefCell<BTreeSet<String>>,
    /// The time since some moment: waiting takes none.
    pub elapsed: Cell<Duration>,
    /// What becomes of units, and when: the time, unit, property, value.
    pub later: RefCell<Vec<(Duration, &'static str, &'static str, &'static str)>>,
    /// Where an update was, by what was on the disk, when a command was run.
    pub states: RefCell<Vec<(String, String)>>,
}

impl FakeSystem {
    pub fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            commands: RefCell::default(),
            units: RefCell::default(),
            clock: Cell::new(datetime!(2026-12-01 12:00 UTC)),
            host_name: RefCell::new("localhost".to_owned()),
            taken_names: BTreeSet::new(),
            network: true,
            accounts: RefCell::default(),
            imd_works: Cell::new(true),
            invitations: RefCell::default(),
            answers: RefCell::default(),
            addresses: RefCell::default(),
            failing: RefCell::default(),
            elapsed: Cell::default(),
            later: RefCell::default(),
            states: RefCell::default(),
        }
    }

    /// What a command prints from now on.
    pub fn answer(&self, command: &str, output: &str) {
        let mut answers = self.answers.borrow_mut();
        answers.insert(command.to_owned(), output.to_owned());
    }

    /// Whether a command was run.
    pub fn ran(&self, command: &str) -> bool {
        self.commands.borrow().iter().any(|ran| ran == command)
    }

    pub fn with_unit(self, unit: &str, property: &str, value: &str) -> Self {
        self.units
            .borrow_mut()
            .insert((unit.to_owned(), property.to_owned()), value.to_owned());
        self
    }

    fn imd(&self, arguments: &[&str], stdin: Option<&str>) -> Result<(i32, String)> {
        if !self.imd_works.get() {
            return Ok((1, "the database is damaged".to_owned()));
        }
        let password = stdin.unwrap_or_default().trim_end_matches('\n').to_owned();
        let mut accounts = self.accounts.borrow_mut();
        match arguments {
            ["user", "add", name, ..] if accounts.contains_key(*name) => {
                Ok((3, format!("{name} exists")))
            }
            ["user", "add" | "passwd", name, ..] => {
                accounts.insert((*name).to_owned(), password);
                Ok((0, String::new()))
            }
            ["invite", "add", ..] => {
                let mut invitations = self.invitations.borrow_mut();
                let link = format!("https://perch.local/invite/token{}", invitations.len());
                invitations.push(link.clone());
                Ok((0, format!("{link}\nxmpp:perch.local?register")))
            }
            _ => bail!("imd does not know {arguments:?}"),
        }
    }
}

impl System for FakeSystem {
    fn run_as(
        &self,
        _user: Option<&str>,
        command: &[&str],
        stdin: Option<&str>,
    ) -> Result<(i32, String)> {
        self.commands.borrow_mut().push(command.join(" "));
        let state = self.root.join("var/lib/perch/update/state.json");
        if let Ok(text) = std::fs::read_to_string(state) {
            let state: serde_json::Value = serde_json::from_str(&text)?;
            let name = state["update"]["state"].as_str().unwrap().to_owned();
            self.states.borrow_mut().push((command.join(" "), name));
        }
        if self.failing.borrow().contains(&command.join(" ")) {
            return Ok((1, "it does not work today".to_owned()));
        }
        match command {
            ["/usr/bin/imd", arguments @ ..] => return self.imd(arguments, stdin),
            ["ssh-keygen", .., "-f", path] => {
                std::fs::write(path, "private key\n")?;
                std::fs::write(format!("{path}.pub"), "public key\n")?;
            }
            ["cp", "-a", .., from, to] => {
                std::fs::copy(from, to)?;
            }
            ["swapon", ..] => {
                let size: u64 = get(&self.root, "/sys/block/zram0/disksize")
                    .trim()
                    .parse()?;
                let table = format!(
                    "Filename Type Size Used Priority\n/zram0 partition {} 0 100\n",
                    size / 1024
                );
                put(&self.root, "/proc/swaps", &table);
            }
            ["systemctl", "daemon-reload"] => {
                // systemd would read the drop-ins: take the values over.
                for ((unit, property), value) in self.units.borrow_mut().iter_mut() {
                    let path = self.root.join(format!(
                        "run/systemd/system/{unit}.d/60-perch-{property}.conf"
                    ));
                    if let Ok(text) = std::fs::read_to_string(path) {
                        value.clear();
                        value.push_str(text.trim().rsplit('=').next().unwrap());
                    }
                }
            }
            _ => {}
        }
        let answer = self.answers.borrow().get(&command.join(" ")).cloned();
        Ok((0, answer.unwrap_or_default()))
    }

    fn unit_property(&self, unit: &str, property: &str) -> Result<Option<String>> {
        Ok(self
            .units
            .borrow()
            .get(&(unit.to_owned(), property.to_owned()))
            .cloned())
    }

    fn now(&self) -> OffsetDateTime {
        self.clock.get()
    }

    fn pause(&self, time: Duration) {
        let now = self.elapsed.get() + time;
        self.elapsed.set(now);
        for (_, unit, property, value) in self.later.borrow().iter().filter(|(at, ..)| *at <= now) {
            let key = ((*unit).to_owned(), (*property).to_owned());
            self.units.borrow_mut().insert(key, (*value).to_owned());
        }
    }

    fn elapsed(&self) -> Duration {
        self.elapsed.get()
    }

    fn set_clock(&self, time: OffsetDateTime) -> Result<()> {
        self.clock.set(time);
        Ok(())
    }

    fn set_host_name(&self, name: &str) -> Result<()> {
        name.clone_into(&mut self.host_name.borrow_mut());
        Ok(())
    }

    fn mount(&self, device: &str, _: &Path, kind: &str, may_write: bool) -> Result<()> {
        let how = if may_write { "rw" } else { "ro" };
        let command = format!("mount {device} {kind} {how}");
        self.commands.borrow_mut().push(command);
        Ok(())
    }

    fn unmount(&self, _: &Path) -> Result<()> {
        self.commands.borrow_mut().push("unmount".to_owned());
        Ok(())
    }

    fn addresses(&self) -> Vec<std::net::IpAddr> {
        self.addresses.borrow().clone()
    }

    fn is_name_taken(&self, name: &str) -> Result<bool> {
        if !self.network {
            bail!("no network within 20 seconds");
        }
        Ok(self.taken_names.contains(name))
    }
}
