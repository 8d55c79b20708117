//! A folder of an SSH server, by OpenSSH's own programs: `sftp` with its commands on the standard input, and `ssh-keyscan`.
//!
//! No configuration of the system or of a user is read, nothing is asked, and only the box's own key and the accepted host key count.

use std::path::Path;

use anyhow::{Context, Result};

use super::fault::{Fault, Kind};
use super::host_key::{self, HostKey};
use super::send::UNFINISHED;
use super::{Listing, Place, state};
use crate::backup::shelf::Lying;
use crate::files::Files;
use crate::firstboot::ssh::make_key;
use crate::model::target::SftpAddress;
use crate::settings::apply::Machine;
use crate::settings::target::Target;
use crate::system::Said;

/// The key that the box logs in with, for root alone.
pub const KEY: &str = "/var/lib/perch/backup/sftp_key";
/// Its public part.
pub const PUBLIC_KEY: &str = "/var/lib/perch/backup/sftp_key.pub";
/// What `ssh` is told of every connection (ssh_config(5)): after two minutes without an answer it is over.
const OPTIONS: [&str; 13] = [
    "BatchMode=yes",
    "StrictHostKeyChecking=yes",
    "GlobalKnownHostsFile=none",
    "UpdateHostKeys=no",
    "CheckHostIP=no",
    "IdentitiesOnly=yes",
    "IdentityAgent=none",
    "PreferredAuthentications=publickey",
    "ForwardAgent=no",
    "ConnectTimeout=30",
    "ServerAliveInterval=30",
    "ServerAliveCountMax=4",
    "LogLevel=ERROR",
];

/// The box's public key, as a line of authorized_keys. `None`: there is no key yet.
///
/// # Errors
/// It cannot be read.
pub fn public_key(files: &Files) -> Result<Option<String>> {
    let text = files.read(PUBLIC_KEY)?;
    Ok(text.map(|text| text.trim().to_owned()))
}

/// Makes the box's key if there is none. Half a pair is none.
fn make_key_if_missing(machine: Machine<'_>) -> Result<()> {
    let files = machine.files;
    let [key, public_key] = [files.path(KEY), files.path(PUBLIC_KEY)];
    if key.exists() && public_key.exists() {
        return Ok(());
    }
    if let Some(folder) = key.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    }
    make_key(files, KEY, "perch-backup", |command| {
        let made = machine.system.talk(command, "")?;
        anyhow::ensure!(made.status == 0, "ssh-keygen: {}", made.complaint);
        Ok(())
    })
}

/// A folder of an SSH server.
pub struct Sftp<'a> {
    machine: Machine<'a>,
    address: SftpAddress,
}

impl<'a> Sftp<'a> {
    /// Nothing is asked yet.
    #[must_use]
    pub fn new(machine: Machine<'a>, address: SftpAddress) -> Self {
        Self { machine, address }
    }

    /// Makes the box's key where there is none, and asks a server that was not accepted for its host key, for the owner to compare.
    ///
    /// # Errors
    /// The host key waits for the owner, or the server does not answer.
    pub fn prepare(&self, target: &Target) -> Result<(), Fault> {
        make_key_if_missing(self.machine)?;
        let host = self.address.known_as();
        if host_key::accepted(self.machine.files, &host)?.is_some() {
            return Ok(());
        }
        let mut known = state::load(self.machine.files, target);
        let shown = self.shown_key()?;
        let fingerprint = shown.fingerprint();
        known.offered = Some(HostKey { host, ..shown });
        state::save(self.machine.files, &known)?;
        Err(Fault::new(Kind::HostKeyUnknown, fingerprint))
    }

    fn shown_key(&self) -> Result<HostKey, Fault> {
        let port = self.address.port.to_string();
        let kinds = "ed25519,ecdsa,rsa";
        let command = [
            "ssh-keyscan",
            "-T",
            "30",
            "-p",
            &port,
            "-t",
            kinds,
            "--",
            &self.address.host,
        ];
        let said = self.machine.system.talk(&command, "")?;
        HostKey::best(&said.output).ok_or_else(|| match fault_of(&said.complaint) {
            Kind::NoName => Fault::new(Kind::NoName, reason(&said.complaint)),
            _ => Fault::new(Kind::NoAnswer, self.address.to_string()),
        })
    }

    /// Runs commands of sftp(1) in the folder; the first that fails ends them.
    fn run(&self, commands: &[String]) -> Result<String, Fault> {
        let Said {
            status,
            output,
            complaint,
        } = self.batch(commands)?;
        if status == 0 {
            return Ok(output);
        }
        Err(Fault::new(fault_of(&complaint), reason(&complaint)))
    }

    fn batch(&self, commands: &[String]) -> Result<Said> {
        let files = self.machine.files;
        let own = |option: &str, path: &str| {
            let place = files.path(path);
            // Its words are split at blanks, and `%` means something.
            let place = place.display().to_string().replace('%', "%%");
            format!("{option}=\"{place}\"")
        };
        let mut options = vec![
            own("IdentityFile", KEY),
            own("UserKnownHostsFile", host_key::ACCEPTED),
            format!("HostName={}", self.address.host),
            format!("User={}", self.address.user),
        ];
        options.extend(OPTIONS.map(str::to_owned));
        let port = self.address.port.to_string();
        let mut command = vec!["sftp", "-F", "none", "-b", "-", "-P", &port];
        for option in &options {
            command.extend(["-o", option]);
        }
        // Stands for HostName, so that an address with colons means what it says.
        command.push("backup-target");
        let mut text = format!("cd {}\n", quoted(&self.address.folder));
        for line in commands {
            text.push_str(line);
            text.push('\n');
        }
        self.machine.system.talk(&command, &text)
    }
}

impl Place for Sftp<'_> {
    fn list(&self) -> Result<Listing, Fault> {
        // The sign in front: not every server can say how much room there is.
        let said = self.run(&["-df".to_owned(), "ls -ln".to_owned()]);
        let output = said.map_err(|fault| {
            let fault = fault.instead(Kind::NoBackup, Kind::NoFolder);
            // Nothing was to be sent yet.
            fault.instead(Kind::Cut, Kind::NoAnswer)
        })?;
        Ok(listing(&output))
    }

    fn put(&self, file: &Path, name: &str) -> Result<(), Fault> {
        let part = format!("{name}{UNFINISHED}");
        let sent = self.run(&[
            format!(
                "put -f {} {}",
                quoted(&file.display().to_string()),
                quoted(&part)
            ),
            format!("rename {} {}", quoted(&part), quoted(name)),
        ]);
        // It answered a moment ago.
        sent.map(drop)
            .map_err(|fault| fault.instead(Kind::NoAnswer, Kind::Cut))
    }

    fn fetch(&self, name: &str, into: &Path) -> Result<(), Fault> {
        let into = quoted(&into.display().to_string());
        self.run(&[format!("get {} {into}", quoted(name))])
            .map(drop)
    }

    fn remove(&self, names: &[String]) -> Result<(), Fault> {
        if names.is_empty() {
            return Ok(());
        }
        let commands: Vec<String> = names
            .iter()
            .map(|name| format!("rm {}", quoted(name)))
            .collect();
        match self.run(&commands) {
            Err(fault) if fault.kind == Kind::NoBackup => Ok(()),
            other => other.map(drop),
        }
    }
}

/// As one word of sftp(1).
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// What `df` and `ls -ln` have printed: sizes in KiB in the line after the heading; and permissions, links, owner, group, size, three
/// words of a time, and the name.
fn listing(output: &str) -> Listing {
    let mut found = Listing::default();
    let mut is_df = false;
    for line in output.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if is_df {
            let kib = words.get(2).and_then(|word| word.parse::<u64>().ok());
            found.free = kib.map(|kib| kib.saturating_mul(1024));
        }
        is_df = words.starts_with(&["Size", "Used", "Avail"]);
        if let [rights, _, _, _, bytes, _, _, _, name] = words[..]
            && rights.starts_with('-')
            && let Ok(bytes) = bytes.parse()
        {
            found.files.push(Lying {
                name: name.to_owned(),
                bytes,
            });
        }
    }
    found
}

/// The last line that says something: the warning of another host key has many before it.
fn reason(complaint: &str) -> &str {
    let mut lines = complaint.lines().rev();
    let said = lines.find(|line| !line.trim().is_empty() && !line.starts_with("Connection closed"));
    said.unwrap_or(complaint)
}

/// What the programs' words mean. They have no codes of their own.
fn fault_of(complaint: &str) -> Kind {
    // It ends with this line whatever the reason was; alone it is the reason.
    let told = complaint.trim_end();
    let told = told.strip_suffix("\nConnection closed").unwrap_or(told);
    let has = |words: &[&str]| words.iter().any(|word| told.contains(word));
    let is_writing = has(&["write remote", "remote fsync"]);
    match () {
        () if has(&[
            "Host key verification failed",
            "HOST IDENTIFICATION HAS CHANGED",
        ]) =>
        {
            Kind::HostKeyChanged
        }
        () if has(&["Permission denied (", "Too many authentication failures"]) => Kind::KeyRefused,
        () if has(&[
            "Could not resolve",
            "Name or service not known",
            "getaddrinfo",
        ]) =>
        {
            Kind::NoName
        }
        () if has(&["No space left", "quota"]) || (is_writing && has(&["Failure"])) => Kind::Full,
        () if has(&["Permission denied", "Operation unsupported"]) => Kind::NotAllowed,
        () if has(&["No such file", "not found"]) => Kind::NoBackup,
        () if has(&[
            "connect to host",
            "timed out",
            "not responding",
            "Connection refused",
            "No route to host",
        ]) =>
        {
            Kind::NoAnswer
        }
        () if is_writing
            || has(&[
                "onnection closed",
                "closed by remote host",
                "Connection reset",
                "Broken pipe",
            ]) =>
        {
            Kind::Cut
        }
        () => Kind::Other,
    }
}

#[cfg(test)]
#[path = "sftp_tests.rs"]
mod tests;
