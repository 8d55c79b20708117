//! Commands in a guest, all over one SSH connection: a login takes an emulated processor seconds (keys, PAM, logind), which everything
//! else in the guest waits for.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};

use crate::command::{output_of, output_with_input};

/// The guest's name in the configuration.
const GUEST: &str = "guest";

/// The way into a guest as root. The connection is made by the first command, and kept until the guest or its network ends it.
pub struct Shell {
    /// A configuration for `ssh` (`ssh_config(5)`).
    configuration: PathBuf,
    /// The socket of the process that holds the connection.
    control: PathBuf,
    /// Which start of the guest the connection is of.
    start: Mutex<usize>,
}

impl Shell {
    /// Logs in with `key` at a port of this computer. `folder` is where the connection's socket is: a short path.
    ///
    /// # Errors
    ///
    /// The folder cannot be written.
    pub fn new(key: &Path, port: u16, folder: &Path) -> Result<Self> {
        let configuration = folder.join("ssh_config");
        let control = folder.join("ssh");
        let text = format!(
            "Host {GUEST}
HostName 127.0.0.1
Port {port}
User root
IdentityFile \"{}\"
BatchMode yes
StrictHostKeyChecking no
UserKnownHostsFile /dev/null
LogLevel ERROR
ConnectTimeout 60
ServerAliveInterval 15
ServerAliveCountMax 8
ControlMaster auto
ControlPath \"{}\"
ControlPersist yes
",
            key.display(),
            control.display()
        );
        fs::write(&configuration, text)
            .with_context(|| format!("write {}", configuration.display()))?;
        Ok(Self {
            configuration,
            control,
            start: Mutex::new(0),
        })
    }

    /// Whether there is a connection for the guest's `start`, which counts its starts. One of another start is given up: the guest has
    /// forgotten it, and a command would wait for an answer until TCP gives up.
    #[must_use]
    pub fn is_connected(&self, start: usize) -> bool {
        let mut connected = self.start.lock().unwrap_or_else(PoisonError::into_inner);
        if *connected != start {
            *connected = start;
            self.disconnect();
        }
        self.control.exists()
    }

    /// Gives the connection up, if there is one.
    pub fn disconnect(&self) {
        // The process that held it may have been killed.
        output_of(self.ssh().args(["-O", "exit", GUEST])).ok();
        fs::remove_file(&self.control).ok();
    }

    /// Runs a shell command with `input` on its standard input, and returns what it printed.
    ///
    /// # Errors
    ///
    /// The guest cannot be reached, or the command failed: the error has its output.
    pub fn run(&self, command: &str, input: &[u8]) -> Result<String> {
        output_with_input(self.ssh().arg(GUEST).arg(command), input)
    }

    fn ssh(&self) -> Command {
        let mut ssh = Command::new("ssh");
        ssh.arg("-F").arg(&self.configuration);
        ssh
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_of_an_earlier_start_is_given_up() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let shell = Shell::new(Path::new("key"), 22, folder.path())?;
        assert!(!shell.is_connected(1));
        fs::write(&shell.control, "")?;
        assert!(shell.is_connected(1));
        assert!(!shell.is_connected(2));
        assert!(!shell.control.exists());
        Ok(())
    }
}
