//! The owner of a box on this computer: commands in a shell, and what the pages ask of the agent.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::host_box::HostBox;
use crate::lab::Lab;
use crate::wait::wait_until;

/// The box's own folder of backups.
const BACKUPS: &str = "root/var/lib/perch-backup";

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// A box with a recovery key.
pub struct Owner {
    /// The box.
    pub host: HostBox,
    /// The recovery key.
    pub words: String,
}

/// What a command has said, and whether it worked.
pub struct Said(pub bool, pub String);

impl Said {
    /// What it said, as it has to have worked.
    ///
    /// # Errors
    ///
    /// It has not; the error has what it said.
    pub fn is_good(&self) -> Result<&str> {
        ensure!(self.0, "{}", self.1);
        Ok(&self.1)
    }

    /// It has to have failed, with these words.
    ///
    /// # Errors
    ///
    /// It has worked, or has said something else.
    pub fn fails_with(&self, words: &str) -> Result<()> {
        ensure!(
            !self.0 && self.1.contains(words),
            "not {words:?}:\n{}",
            self.1
        );
        Ok(())
    }
}

impl Owner {
    /// Of a new box, with a recovery key.
    ///
    /// # Errors
    ///
    /// The box does not start.
    pub fn of_new_box(lab: &Lab) -> Result<Self> {
        let host = HostBox::start(lab, &lab.work)?;
        let mut owner = Self {
            host,
            words: String::new(),
        };
        let answer = owner.ask(&json!("new-recovery-key"))?;
        let words: Vec<String> = serde_json::from_value(answer["Ok"]["recovery-key"].clone())?;
        let asked: Vec<&String> = [2, 7, 11].iter().filter_map(|n| words.get(n - 1)).collect();
        owner.ask(&json!({"confirm-recovery-key": {"words": asked}}))?;
        owner.words = words.join(" ");
        Ok(owner)
    }

    /// A command as the pages send it to the agent, and the answer.
    ///
    /// # Errors
    ///
    /// It was refused.
    pub fn ask(&self, command: &Value) -> Result<Value> {
        let mut agent = UnixStream::connect(self.host.file("agent.sock")).context("the agent")?;
        let request = json!({"actor": {"name": "anna", "address": null}, "command": command});
        writeln!(agent, "{request}").context("ask the agent")?;
        let mut line = String::new();
        BufReader::new(agent)
            .read_line(&mut line)
            .context("hear the agent")?;
        let answer: Value = serde_json::from_str(&line).context("an answer of the agent")?;
        ensure!(answer.get("Ok").is_some(), "{answer}");
        Ok(answer)
    }

    /// `provisioner` with these arguments and this input.
    ///
    /// # Errors
    ///
    /// It cannot be started.
    pub fn run(&self, arguments: &[&str], input: &str) -> Result<Said> {
        said(self.host.provisioner()?, arguments, input)
    }

    /// `provisioner backup`, as if the box's clock were three hours late.
    ///
    /// # Errors
    ///
    /// It cannot be started.
    pub fn backup_late(&self, arguments: &[&str]) -> Result<Said> {
        let own = self.host.provisioner()?;
        let mut command = Command::new("faketime");
        command
            .arg("-f")
            .arg("-3h")
            .arg(own.get_program())
            .args(own.get_args());
        said(command, &[&["backup"], arguments].concat(), "")
    }

    /// `provisioner backup`. A new backup has a name of its own: names are told apart by the second.
    ///
    /// # Errors
    ///
    /// It cannot be started.
    pub fn backup(&self, arguments: &[&str]) -> Result<Said> {
        wait_until(Duration::from_secs(10), "another second", || {
            let newest = self.newest().ok();
            let since =
                newest.and_then(|(name, _)| self.host.file(BACKUPS).join(name).metadata().ok());
            let since = since.map(|about| about.modified()).transpose()?;
            let is_another = since.is_none_or(|since| seconds(SystemTime::now()) > seconds(since));
            Ok(is_another.then_some(()))
        })?;
        self.run(&[&["backup"], arguments].concat(), "")
    }

    /// `provisioner settings set`.
    ///
    /// # Errors
    ///
    /// It cannot be started.
    pub fn set(&self, pairs: &[String]) -> Result<Said> {
        let pairs: Vec<&str> = pairs.iter().map(String::as_str).collect();
        self.run(&[&["settings", "set"], &pairs[..]].concat(), "")
    }

    /// The backup for downloading: its name and content.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn newest(&self) -> Result<(String, Vec<u8>)> {
        let folder = self.host.file(BACKUPS);
        let found = fs::read_dir(folder).context("the box's backups")?.flatten();
        let name = found
            .filter_map(|entry| entry.file_name().into_string().ok())
            .find(|name| name.ends_with(".age"));
        let name = name.context("no backup on the box")?;
        let content = fs::read(self.host.file(BACKUPS).join(&name))?;
        Ok((name, content))
    }

    /// Restores a backup of the target, which another recovery key does not open, and waits until the box has become it.
    ///
    /// # Errors
    ///
    /// It was refused, or the box does not come back.
    pub fn restore(&self, name: &str) -> Result<()> {
        let wrong = "abandon ".repeat(11) + "about";
        let command = [
            "backup",
            "restore",
            "--from-target",
            name,
            "--words-stdin",
            "--no-restart",
        ];
        self.run(&command, &wrong)?
            .fails_with("does not open this backup")?;
        self.run(&command, &self.words)?.is_good()?;
        wait_until(Duration::from_secs(120), "the box to be restored", || {
            let log = fs::read_to_string(self.host.file("root/var/lib/perch/audit.jsonl"));
            Ok(log
                .unwrap_or_default()
                .contains("box.restored")
                .then_some(()))
        })?;
        ensure!(
            !self
                .host
                .file("root/var/lib/perch/restore/fetched.age")
                .exists()
        );
        Ok(())
    }
}

fn said(mut command: Command, arguments: &[&str], input: &str) -> Result<Said> {
    command.args(arguments);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().context("start provisioner")?;
    if let Some(mut stdin) = child.stdin.take() {
        // It may not read it.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().context("wait for provisioner")?;
    let said = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&said).into_owned();
    println!("$ provisioner {}\n{text}", arguments.join(" "));
    Ok(Said(output.status.success(), text))
}
