//! slixmpp from PyPI in a virtual environment of its own, driven by the scripts in `tests/clients/`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::command::output_of;
use crate::lab::{Lab, repository};

/// The interpreter of the virtual environment; made at the first call, and again when `requirements.txt` changed.
///
/// # Errors
///
/// Python or its `venv` module is missing, or PyPI could not be reached.
pub fn python() -> Result<PathBuf> {
    let wanted_file = repository().join("tests/clients/requirements.txt");
    let wanted = fs::read_to_string(&wanted_file)
        .with_context(|| format!("read {}", wanted_file.display()))?;
    let version = output_of(Command::new("python3").arg("--version"))?;
    let stamp = format!("{version}{wanted}");
    let folder = repository()
        .join("target")
        .join(format!("test-venv-{}", version.trim().replace(' ', "-")));
    let (python, note) = (folder.join("bin/python"), folder.join("made-from"));
    // Two suites may want it at once.
    fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
    let lock = fs::File::create(folder.join("lock"))
        .context("make the lock of the virtual environment")?;
    lock.lock().context("lock the virtual environment")?;
    if fs::read_to_string(&note).is_ok_and(|made_from| made_from == stamp) {
        return Ok(python);
    }
    output_of(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    output_of(
        Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", "-r"])
            .arg(&wanted_file),
    )?;
    fs::write(&note, stamp).context("note what the virtual environment was made from")?;
    Ok(python)
}

/// Where clients connect and as whom; the scripts' one argument.
#[derive(Debug, Clone)]
pub struct Server {
    /// The domain of the addresses, which the certificate must prove.
    pub domain: String,
    /// The port with STARTTLS, on loopback.
    pub starttls: u16,
    /// The port with direct TLS, on loopback.
    pub direct_tls: u16,
    /// The certificate authority that the clients trust, and no other.
    pub ca: PathBuf,
}

/// Runs one conversation of `tests/clients/SCRIPT`: the named function, with `more` merged into its settings.
///
/// Its output is printed and kept in the test's logs.
///
/// # Errors
///
/// The conversation failed: the error has what the clients saw.
pub fn converse(
    lab: &Lab,
    script: &str,
    conversation: &str,
    server: &Server,
    more: &Value,
) -> Result<String> {
    let mut command = conversation_command(lab, script, conversation, server, more)?;
    let output = output_of(&mut command).with_context(|| {
        format!(
            "conversation {conversation}; the stanzas are in {}",
            lab.logs.display()
        )
    })?;
    print!("{output}");
    Ok(output)
}

/// The command that [`converse`] runs, for whoever runs it beside something else.
///
/// # Errors
///
/// There is no Python for it.
pub fn conversation_command(
    lab: &Lab,
    script: &str,
    conversation: &str,
    server: &Server,
    more: &Value,
) -> Result<Command> {
    let mut settings = serde_json::json!({
        "domain": server.domain,
        "starttls": server.starttls,
        "direct_tls": server.direct_tls,
        "ca": server.ca,
        "log": log_file(lab, conversation),
    });
    if let (Some(all), Some(more)) = (settings.as_object_mut(), more.as_object()) {
        all.extend(more.clone());
    }
    let script = repository().join("tests/clients").join(script);
    let mut command = Command::new(python()?);
    command
        .arg("-B")
        .arg(&script)
        .arg(conversation)
        .arg(settings.to_string());
    Ok(command)
}

fn log_file(lab: &Lab, conversation: &str) -> PathBuf {
    let name = |number: u32| Path::new(&lab.logs).join(format!("{conversation}-{number}.log"));
    (1..)
        .map(name)
        .find(|path| !path.exists())
        .unwrap_or_else(|| name(0))
}
