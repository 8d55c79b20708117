//! SSH, which is off until the owner turns it on. Host keys are made only then.

use anyhow::{Context, Result};

use super::state::BoxState;
use crate::files::{Access, Files};
use crate::model::SshKey;
use crate::settings::outputs::{Content, Piece};
use crate::system::System;

/// ssh.service starts only when this file is there.
const ENABLED: &str = "/etc/ssh/keys/enabled";
/// The owner's keys from the settings; root may have more in its home.
const AUTHORIZED: &str = "/etc/ssh/keys/authorized_keys";
const HOST_KEY: &str = "/etc/ssh/keys/ssh_host_ed25519_key";

/// The files that turn it on, or off.
pub fn pieces(state: &BoxState) -> Vec<Piece> {
    let piece = |path: &str, content| Piece {
        path: path.to_owned(),
        content,
        access: Access::Everyone,
    };
    if state.settings.ssh_enabled != Some(true) {
        return vec![piece(ENABLED, Content::Absent)];
    }
    let keys = state.settings.ssh_keys.as_deref().unwrap_or_default();
    let mut text: Vec<&str> = keys.iter().map(SshKey::as_str).collect();
    text.push("");
    vec![
        piece(AUTHORIZED, Content::Text(text.join("\n"))),
        piece(ENABLED, Content::Text(String::new())),
    ]
}

/// Makes the host key if there is none.
///
/// # Errors
/// It cannot be made.
pub fn make_host_key_if_missing(files: &Files, system: &dyn System) -> Result<()> {
    let host_key = files.path(HOST_KEY);
    if host_key.exists() && host_key.with_extension("pub").exists() {
        return Ok(());
    }
    make_host_key(files, system)
}

fn make_host_key(files: &Files, system: &dyn System) -> Result<()> {
    make_key(files, HOST_KEY, "", |command| {
        system.run(command, None).map(drop)
    })
}

/// Makes an Ed25519 key pair in the place of any other; `run` runs ssh-keygen(1). The public key takes its name first: whoever sees
/// the private one sees a pair.
///
/// # Errors
/// It cannot be made or written.
pub fn make_key(
    files: &Files,
    place: &str,
    comment: &str,
    run: impl FnOnce(&[&str]) -> Result<()>,
) -> Result<()> {
    let (key, new) = (files.path(place), files.path(format!("{place}.new")));
    let public_of = |path: &std::path::Path| {
        let mut name = path.as_os_str().to_owned();
        name.push(".pub");
        std::path::PathBuf::from(name)
    };
    for leftover in [new.clone(), public_of(&new)] {
        files.remove_link(&leftover)?;
    }
    files.change()?;
    let path = new.to_str().context("the path of the key is not UTF-8")?;
    run(&[
        "ssh-keygen",
        "-q",
        "-t",
        "ed25519",
        "-N",
        "",
        "-C",
        comment,
        "-f",
        path,
    ])?;
    for made in [&new, &public_of(&new)] {
        std::fs::File::open(made)
            .and_then(|file| file.sync_all())
            .with_context(|| format!("syncing {}", made.display()))?;
    }
    files.rename(&public_of(&new), &public_of(&key))?;
    files.rename(&new, &key)
}
