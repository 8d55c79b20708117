//! Step: SSH, which is off until the owner turns it on. Host keys are made only then.

use anyhow::{Context, Result};

use super::FirstBoot;
use crate::files::Access;

/// ssh.service starts only when this file is there.
const ENABLED: &str = "/etc/ssh/keys/enabled";
/// The owner's keys from `perch.toml`; root may have more in its home.
const AUTHORIZED: &str = "/etc/ssh/keys/authorized_keys";
const HOST_KEY: &str = "/etc/ssh/keys/ssh_host_ed25519_key";

/// Makes what is missing, or turns SSH off.
///
/// # Errors
/// A key or file cannot be made.
pub fn set_up(boot: &mut FirstBoot<'_>) -> Result<String> {
    let keys: Vec<&str> = boot.state.ssh_keys.iter().map(|key| key.as_str()).collect();
    if !boot.state.ssh_enabled {
        boot.files.remove(ENABLED)?;
        return Ok("off".to_owned());
    }
    let mut text = keys.join("\n");
    text.push('\n');
    boot.files
        .replace(AUTHORIZED, text.as_bytes(), Access::Everyone)?;
    let host_key = boot.files.path(HOST_KEY);
    let public = host_key.with_extension("pub");
    if !host_key.exists() || !public.exists() {
        make_host_key(boot)?;
    }
    boot.files.replace(ENABLED, b"", Access::Everyone)?;
    Ok(format!("on, {} keys may log in", keys.len()))
}

/// The public key takes its name first: whoever sees the private one sees a pair.
fn make_host_key(boot: &FirstBoot<'_>) -> Result<()> {
    let (key, new) = (
        boot.files.path(HOST_KEY),
        boot.files.path(format!("{HOST_KEY}.new")),
    );
    let public_of = |path: &std::path::Path| {
        let mut name = path.as_os_str().to_owned();
        name.push(".pub");
        std::path::PathBuf::from(name)
    };
    for leftover in [new.clone(), public_of(&new)] {
        boot.files.remove_link(&leftover)?;
    }
    boot.files.change()?;
    let path = new
        .to_str()
        .context("the path of the SSH host key is not UTF-8")?;
    boot.system.run(
        &[
            "ssh-keygen",
            "-q",
            "-t",
            "ed25519",
            "-N",
            "",
            "-C",
            "",
            "-f",
            path,
        ],
        None,
    )?;
    for made in [&new, &public_of(&new)] {
        std::fs::File::open(made)
            .and_then(|file| file.sync_all())
            .with_context(|| format!("syncing {}", made.display()))?;
    }
    boot.files.rename(&public_of(&new), &public_of(&key))?;
    boot.files.rename(&new, &key)
}
