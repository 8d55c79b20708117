//! QEMU's machine protocol, as much as the tests need: one command at a time over a Unix socket.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

/// A connection that has finished the greeting.
pub struct Qmp {
    reader: BufReader<UnixStream>,
}

impl Qmp {
    /// Connects to the socket that `-qmp unix:PATH,server=on` made.
    ///
    /// # Errors
    ///
    /// The socket is not there yet, or QEMU did not greet.
    pub fn connect(socket: &Path) -> Result<Self> {
        let stream = UnixStream::connect(socket)
            .with_context(|| format!("connect to {}", socket.display()))?;
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .context("set a time limit on the monitor")?;
        let mut qmp = Self {
            reader: BufReader::new(stream),
        };
        qmp.read_line()?;
        qmp.command("qmp_capabilities")?;
        Ok(qmp)
    }

    /// Runs a command without arguments and waits for its answer.
    ///
    /// # Errors
    ///
    /// QEMU is gone, or refused the command.
    pub fn command(&mut self, name: &str) -> Result<()> {
        self.command_with(name, &json!({}))
    }

    /// Runs a command with arguments and waits for its answer.
    ///
    /// # Errors
    ///
    /// QEMU is gone, or refused the command.
    pub fn command_with(&mut self, name: &str, arguments: &Value) -> Result<()> {
        let line = format!("{}\n", json!({ "execute": name, "arguments": arguments }));
        self.reader
            .get_mut()
            .write_all(line.as_bytes())
            .with_context(|| format!("send {name} to QEMU"))?;
        loop {
            let answer = self.read_line()?;
            if answer.get("return").is_some() {
                return Ok(());
            }
            if let Some(error) = answer.get("error") {
                bail!("QEMU refused {name}: {error}");
            }
        }
    }

    fn read_line(&mut self) -> Result<Value> {
        let mut line = String::new();
        let read = self
            .reader
            .read_line(&mut line)
            .context("read QEMU's answer")?;
        if read == 0 {
            bail!("QEMU closed its monitor");
        }
        serde_json::from_str(&line).with_context(|| format!("QEMU's answer {line:?}"))
    }
}
