//! The daemon as a process, as on a box.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::client::within;

const IMD: &str = env!("CARGO_BIN_EXE_imd");

/// A running `imd serve`. Dropped, it is killed.
pub struct Daemon {
    child: Child,
    log: Arc<Mutex<String>>,
}

impl Daemon {
    /// Start it with a settings file, by `wrapper` where that is not empty, with `more` variables in its environment;
    /// where clients can connect, and whether by direct TLS.
    ///
    /// The error has its log when it ends before it is ready.
    pub async fn start(
        settings: &Path,
        wrapper: &[String],
        more: &[(String, String)],
    ) -> Result<(Self, Vec<(SocketAddr, bool)>)> {
        let mut words = wrapper.iter().map(String::as_str).chain([IMD]);
        let mut child = Command::new(words.next().unwrap_or(IMD))
            .args(words)
            .args(["serve", "--config"])
            .arg(settings)
            .envs(more.iter().map(|(name, value)| (name, value)))
            .env_remove("NOTIFY_SOCKET")
            .env_remove("JOURNAL_STREAM")
            .env("IMD_LOG", "info")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("cannot start imd")?;
        let stderr = child.stderr.take().context("no standard error")?;
        let mut lines = BufReader::new(stderr).lines();
        let mut said = String::new();
        let mut addresses = Vec::new();
        let ready = within("become ready", async {
            while let Some(line) = lines.next_line().await? {
                said.push_str(&line);
                said.push('\n');
                if line.contains("listening for clients") {
                    addresses.push(address(&line)?);
                }
                if line.contains(" ready ") {
                    return Ok(true);
                }
            }
            Ok(false)
        });
        if !ready.await? {
            let status = child.wait().await?;
            bail!("imd ended with {status}:\n{said}");
        }
        let log = Arc::new(Mutex::new(said));
        let kept = Arc::clone(&log);
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                if let Ok(mut log) = kept.lock() {
                    log.push_str(&line);
                    log.push('\n');
                }
            }
        });
        Ok((Self { child, log }, addresses))
    }

    /// What it has said.
    pub fn log(&self) -> String {
        self.log.lock().map(|log| log.clone()).unwrap_or_default()
    }

    /// Its process id.
    pub fn id(&self) -> Result<u32> {
        self.child.id().context("imd has ended already")
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill(Pid::from_raw(i32::try_from(self.id()?)?), signal)?)
    }

    /// Stop it by SIGTERM and wait for its end.
    pub async fn stop(mut self) -> Result<()> {
        self.signal(Signal::SIGTERM)?;
        let status = within("stop", async { Ok(self.child.wait().await?) }).await?;
        ensure!(status.success(), "imd ended with {status}:\n{}", self.log());
        Ok(())
    }

    /// Kill it, as a power cut does.
    pub async fn kill(mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }
}

/// The address in a line of the log.
fn address(line: &str) -> Result<(SocketAddr, bool)> {
    let address = line
        .split_whitespace()
        .find_map(|word| word.strip_prefix("address="))
        .with_context(|| format!("no address in {line:?}"))?;
    Ok((address.parse()?, line.contains("direct TLS")))
}
