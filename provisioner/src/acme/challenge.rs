//! What proves that the domain is the box's: a file that nginx shows on port 80, or a record that the owner's hook puts.

use anyhow::{Context, Result};

use super::fault::{Fault, Kind};
use crate::files::Access;
use crate::settings::apply::Machine;

/// What nginx shows below `/.well-known/acme-challenge/`.
pub const FOLDER: &str = "/run/perch-acme";
/// How long a hook may take, in seconds: it waits until the domain's servers show the record.
const PATIENCE: &str = "600";

/// A proof that has been put up.
#[derive(Debug, PartialEq, Eq)]
pub enum Proof {
    /// A file.
    File(String),
    /// A record: the hook, its name and its value.
    Record(String, String, String),
}

/// Puts a file up.
///
/// # Errors
/// The authority wants another name than one of a token, or it cannot be written.
pub fn show_file(machine: Machine<'_>, token: &str, content: &str) -> Result<Proof, Fault> {
    // RFC 8555 §8.3: base64url. Nothing else becomes a name here.
    let valid = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if token.is_empty() || token.len() > 128 || !token.chars().all(valid) {
        return Err(Fault::new(Kind::Refused, "its token is none"));
    }
    let path = format!("{FOLDER}/{token}");
    let written = machine
        .files
        .replace(&path, content.as_bytes(), Access::Everyone);
    written.map_err(|error| Fault::new(Kind::Trouble, format!("{error:#}")))?;
    Ok(Proof::File(path))
}

/// Lets the hook put a record, and waits for it.
///
/// # Errors
/// There is no such program, or it failed.
pub fn put_record(
    machine: Machine<'_>,
    hook: &str,
    domain: &str,
    value: &str,
) -> Result<Proof, Fault> {
    if !machine.files.path(hook).is_file() {
        return Err(Fault::new(Kind::HookMissing, hook));
    }
    let name = format!("_acme-challenge.{domain}");
    let (status, said) = run(machine, hook, "add", &name, value)
        .map_err(|error| Fault::new(Kind::HookFailed, format!("{error:#}")))?;
    let kind = match status {
        0 => return Ok(Proof::Record(hook.to_owned(), name, value.to_owned())),
        // As timeout(1) and shells say it.
        126 | 127 => Kind::HookMissing,
        _ => Kind::HookFailed,
    };
    let why = match status {
        124 => "it did not end within ten minutes".to_owned(),
        _ => format!("exit status {status}: {said}"),
    };
    Err(Fault::new(kind, format!("{hook}: {why}")))
}

fn run(
    machine: Machine<'_>,
    hook: &str,
    verb: &str,
    name: &str,
    value: &str,
) -> Result<(i32, String)> {
    let program = machine.files.path(hook).display().to_string();
    let command = ["timeout", PATIENCE, &program, verb, name, value];
    machine.system.run_as(None, &command, None)
}

impl Proof {
    /// Takes it away again. A failure does not keep a certificate from being used.
    ///
    /// # Errors
    /// It cannot be taken away.
    pub fn withdraw(&self, machine: Machine<'_>) -> Result<()> {
        match self {
            Self::File(path) => machine.files.remove(path),
            Self::Record(hook, name, value) => {
                let (status, said) = run(machine, hook, "remove", name, value)?;
                anyhow::ensure!(status == 0, "{hook} remove: exit status {status}: {said}");
                Ok(())
            }
        }
        .context("taking a proof away")
    }
}
