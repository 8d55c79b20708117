//! Running programs, with their output in the error when they fail.

use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Runs `command` to its end and returns what it wrote to standard output.
///
/// # Errors
///
/// It could not be started, or it did not exit with 0: the error has its output.
pub fn output_of(command: &mut Command) -> Result<String> {
    output_with_input(command, b"")
}

/// [`output_of`] with `input` on standard input.
///
/// # Errors
///
/// As [`output_of`].
pub fn output_with_input(command: &mut Command, input: &[u8]) -> Result<String> {
    let name = format!("{command:?}");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("start {name}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not read its input closes the pipe: that is its right.
        stdin.write_all(input).ok();
    }
    let output = child
        .wait_with_output()
        .with_context(|| format!("wait for {name}"))?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("{name}: {}\n{stdout}{stderr}", output.status);
    }
    Ok(stdout)
}
