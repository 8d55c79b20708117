//! One test's folders: `target/test-work/TEST` for what it makes, `target/test-logs/SUITE.d/TEST` for what it leaves.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};

/// The top of the repository.
#[must_use]
pub fn repository() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests).to_owned()
}

/// One test's place and clock.
pub struct Lab {
    /// Scratch files: emptied when the test starts, removed when it has passed.
    pub work: PathBuf,
    /// What is kept: serial logs, journals, notes.
    pub logs: PathBuf,
    begun: Instant,
}

impl Lab {
    /// Empty folders for the test `name` of `suite`.
    ///
    /// # Errors
    ///
    /// A folder could not be made.
    pub fn new(suite: &str, name: &str) -> Result<Self> {
        let target = repository().join("target");
        let lab = Self {
            work: target.join("test-work").join(suite).join(name),
            logs: target
                .join("test-logs")
                .join(format!("{}.d", suite.replace('_', "-")))
                .join(name),
            begun: Instant::now(),
        };
        for folder in [&lab.work, &lab.logs] {
            if folder.exists() {
                fs::remove_dir_all(folder)
                    .with_context(|| format!("empty {}", folder.display()))?;
            }
            fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
        }
        Ok(lab)
    }

    /// One emptied folder for both, for a machine that a person starts (`ci/try`).
    ///
    /// # Errors
    ///
    /// The folder could not be made.
    pub fn at(folder: PathBuf) -> Result<Self> {
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("empty {}", folder.display()))?;
        }
        fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
        Ok(Self {
            work: folder.clone(),
            logs: folder,
            begun: Instant::now(),
        })
    }

    /// Notes a step with the seconds since the start, in the test's output and in `steps.log`.
    pub fn note(&self, step: &str) {
        let line = format!("{:>5} s  {step}\n", self.begun.elapsed().as_secs());
        print!("{line}");
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.logs.join("steps.log"));
        if let Ok(mut log) = log {
            log.write_all(line.as_bytes()).ok();
        }
    }

    /// Removes the scratch files: the last thing a passing test does.
    pub fn passed(self) {
        self.note("passed");
        fs::remove_dir_all(&self.work).ok();
    }
}
