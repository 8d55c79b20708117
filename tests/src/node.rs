//! Node and libraries from npm, locked by the `package-lock.json` of a folder of `tests/`, and that folder's scripts.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::command::output_of;
use crate::lab::{Lab, repository};

/// A folder of `tests/` with its libraries installed, in `target/node-NAME`.
pub struct Project {
    folder: PathBuf,
}

impl Project {
    /// Installs the libraries of `tests/NAME` unless they are there, and puts its scripts beside them.
    ///
    /// # Errors
    ///
    /// npm is missing, could not fetch what is locked, or a file could not be copied.
    pub fn install(name: &str) -> Result<Self> {
        let source = repository().join("tests").join(name);
        let folder = repository().join("target").join(format!("node-{name}"));
        fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
        let lock =
            fs::File::create(folder.join("lock")).context("make the lock of the libraries")?;
        lock.lock().context("lock the libraries")?;
        for entry in fs::read_dir(&source).with_context(|| format!("read {}", source.display()))? {
            let file = entry.context("read a file's name")?;
            fs::copy(file.path(), folder.join(file.file_name()))
                .with_context(|| format!("copy {}", file.path().display()))?;
        }
        let wanted = fs::read_to_string(folder.join("package-lock.json"))
            .context("read package-lock.json")?;
        let note = folder.join("made-from");
        if !fs::read_to_string(&note).is_ok_and(|made_from| made_from == wanted) {
            // Scripts of packages are not run: what is tried is what was published.
            let mut install = Command::new("npm");
            install.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
            install.env("npm_config_cache", repository().join("target/npm-cache"));
            output_of(install.current_dir(&folder))?;
            fs::write(&note, wanted).context("note what the libraries were made from")?;
        }
        Ok(Self { folder })
    }

    /// Runs a script with its settings as its one argument; `more` is Node's own arguments and variables.
    ///
    /// # Errors
    ///
    /// The script failed: the error has what it said.
    pub fn run(
        &self,
        lab: &Lab,
        script: &str,
        settings: &Value,
        more: impl FnOnce(&mut Command),
    ) -> Result<()> {
        let mut command = Command::new("node");
        command.current_dir(&self.folder);
        more(&mut command);
        command.arg(script).arg(settings.to_string());
        let said = output_of(&mut command)?;
        fs::write(lab.logs.join(format!("{script}.out")), said).context("keep what a script said")
    }
}
