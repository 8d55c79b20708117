//! Programs in a terminal of their own, by tmux: typing, and reading the screen.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::command::output_of;
use crate::wait::wait_until;

/// How long a program may take to show something.
const PATIENCE: Duration = Duration::from_secs(60);

/// A terminal with a program in it. Dropping it ends both.
pub struct Terminal {
    socket: PathBuf,
    screens: PathBuf,
}

impl Terminal {
    /// Starts a shell command in a terminal of 100 columns and 30 lines. `folder` takes tmux's socket, and the last screen
    /// goes into `screens` when the terminal ends.
    ///
    /// # Errors
    ///
    /// tmux is missing or could not start.
    pub fn start(folder: &Path, screens: PathBuf, command: &str) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
        let terminal = Self {
            socket: folder.join("tmux"),
            screens,
        };
        let size = ["-x", "100", "-y", "30"];
        terminal.tmux(&[&["new-session", "-d"][..], &size, &[command]].concat())?;
        Ok(terminal)
    }

    fn tmux(&self, words: &[&str]) -> Result<String> {
        let mut tmux = Command::new("tmux");
        // No settings of whoever runs the test, and colours and characters as everywhere.
        tmux.args(["-u", "-f", "/dev/null", "-S"])
            .arg(&self.socket)
            .args(words)
            .env("TERM", "xterm-256color");
        output_of(&mut tmux)
    }

    /// Types a line and presses Enter.
    ///
    /// # Errors
    ///
    /// The terminal is gone.
    pub fn type_line(&self, line: &str) -> Result<()> {
        self.tmux(&["send-keys", "-l", line])?;
        self.tmux(&["send-keys", "Enter"])?;
        Ok(())
    }

    /// What the screen shows.
    ///
    /// # Errors
    ///
    /// The terminal is gone.
    pub fn screen(&self) -> Result<String> {
        self.tmux(&["capture-pane", "-p"])
    }

    /// Waits until the screen shows a text.
    ///
    /// # Errors
    ///
    /// It did not in time: the error has the screen.
    pub fn wait_for(&self, text: &str) -> Result<()> {
        let waited = wait_until(PATIENCE, &format!("{text:?} on the screen"), || {
            Ok(self.screen()?.contains(text).then_some(()))
        });
        waited.with_context(|| format!("the screen:\n{}", self.screen().unwrap_or_default()))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Ok(screen) = self.screen() {
            fs::write(&self.screens, screen).ok();
        }
        self.tmux(&["kill-server"]).ok();
    }
}
