//! Runs other programs. A failure names the command, the end of its output, and what to try.

use std::{
    ffi::OsStr,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

/// Lines of a failed command's output that are shown.
const SHOWN: usize = 40;

/// A command to run to its end.
pub struct Run {
    command: Command,
    hint: String,
}

/// `run("mkfs.erofs")`, to be continued with its arguments.
#[must_use]
pub fn run(program: impl AsRef<OsStr>) -> Run {
    let mut command = Command::new(program);
    command.stdin(Stdio::null());
    Run {
        command,
        hint: "read the output above and mend its cause".to_owned(),
    }
}

impl Run {
    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(args);
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Takes an environment variable away.
    #[must_use]
    pub fn without_env(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    /// The folder to run in.
    #[must_use]
    pub fn dir(mut self, dir: &Path) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// What to try when it fails.
    #[must_use]
    pub fn hint(mut self, hint: &str) -> Self {
        hint.clone_into(&mut self.hint);
        self
    }

    /// Runs it and gives its standard output.
    ///
    /// # Errors
    /// It could not start or did not exit with 0.
    pub fn output(mut self) -> Result<String> {
        let shown = self.shown();
        let output = self
            .command
            .output()
            .with_context(|| format!("could not start: {shown}\n  try: {}", self.hint))?;
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(stdout);
        }
        let all = stdout + &String::from_utf8_lossy(&output.stderr);
        let lines: Vec<&str> = all.lines().collect();
        let end = lines[lines.len().saturating_sub(SHOWN)..].join("\n  | ");
        bail!(
            "command failed ({}): {shown}\n  | {end}\n  try: {}",
            output.status,
            self.hint
        )
    }

    /// Runs it.
    ///
    /// # Errors
    /// It could not start or did not exit with 0.
    pub fn ok(self) -> Result<()> {
        self.output().map(drop)
    }

    /// Runs it with `input` on its standard input.
    ///
    /// # Errors
    /// It could not start, did not take the input, or did not exit with 0.
    pub fn ok_with_input(mut self, input: &str) -> Result<()> {
        let shown = self.shown();
        let mut child = self
            .command
            .stdin(Stdio::piped())
            .spawn()
            .with_context(|| format!("could not start: {shown}"))?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin
                .write_all(input.as_bytes())
                .with_context(|| format!("{shown} did not read its input"))?;
        }
        let status = child.wait().with_context(|| format!("lost: {shown}"))?;
        if !status.success() {
            bail!("command failed ({status}): {shown}\n  try: {}", self.hint);
        }
        Ok(())
    }

    fn shown(&self) -> String {
        let words = std::iter::once(self.command.get_program()).chain(self.command.get_args());
        words
            .map(|word| word.to_string_lossy())
            .collect::<Vec<_>>()
            .join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_command_its_output_and_what_to_try() {
        let error = run("sh")
            .args(["-c", "echo broken pipe dream; exit 3"])
            .hint("mend it")
            .ok()
            .unwrap_err()
            .to_string();
        assert!(error.contains("sh -c echo broken pipe dream"), "{error}");
        assert!(error.contains("  | broken pipe dream"), "{error}");
        assert!(error.contains("exit status: 3"), "{error}");
        assert!(error.contains("try: mend it"), "{error}");
    }
}
