//! Steps: what the box tells its owner on the FAT partition, for a computer that the card is put into.

use anyhow::{Context, Result};

use super::{FirstBoot, certificates};
use crate::backup;
use crate::files::Access;

const STATUS: &str = "/boot/firmware/perch-status.txt";
const AUTHORITY: &str = "/boot/firmware/perch-ca.crt";

/// Step: puts the authority's certificate where every computer can read it.
///
/// # Errors
/// There is none, or the card cannot be written.
pub fn publish_authority(boot: &mut FirstBoot<'_>) -> Result<String> {
    let certificate = boot
        .files
        .read(certificates::AUTHORITY)?
        .context("there is no certificate authority")?;
    let changed = boot.files.replace(
        AUTHORITY,
        format!("{certificate}\n").as_bytes(),
        Access::Fat,
    )?;
    Ok(if changed { "written" } else { "as it was" }.to_owned())
}

/// Step: writes the status.
///
/// # Errors
/// The card cannot be written.
pub fn publish(boot: &mut FirstBoot<'_>) -> Result<String> {
    // CR LF, so that every editor of a card in a computer shows lines.
    let text = render(boot).replace('\n', "\r\n");
    let changed = boot.files.replace(STATUS, text.as_bytes(), Access::Fat)?;
    Ok(if changed { "written" } else { "as it was" }.to_owned())
}

fn render(boot: &FirstBoot<'_>) -> String {
    let state = &boot.state;
    let domain = state.domain();
    let admin = match &state.admin {
        Some(name) => format!("{}@{}", name.as_str(), domain.as_str()),
        None => "none yet; name one in perch.toml, section [admin]".to_owned(),
    };
    let fingerprint =
        certificates::fingerprint(boot.files).unwrap_or_else(|| "no certificate yet".to_owned());
    let invitations = match state.invitations_printed {
        0 => "none printed".to_owned(),
        number => format!("{number}, in perch-invitations.html beside this file"),
    };
    let mut text = format!(
        "Perch box, as of its last start\n\n\
         Name on the network: {}.local\n\
         Chat domain:         {}\n\
         Web chat:            https://{}/\n\
         Administrator:       {admin}\n\
         SSH:                 {}\n\
         Invitations:         {invitations}\n\
         Certificate:         perch-ca.crt beside this file; SHA-256 {fingerprint}\n\n",
        state.host_name(),
        domain.as_str(),
        domain.as_str(),
        if state.settings.ssh_enabled == Some(true) {
            "on, by key"
        } else {
            "off"
        },
    );
    for file in boot.state.card.keys() {
        text.push_str(&format!("{file}: applied\n"));
    }
    let asked = boot.card.wishes.restore.is_some();
    text.extend(backup::card::told(boot.files, state, asked));
    text.push_str("Settings (all others have their defaults):\n");
    for line in state.settings.to_toml().lines() {
        text.push_str(&format!("  {line}\n"));
    }
    text.push('\n');
    if !boot.card.skipped.is_empty() {
        text.push_str("Passed over (a chat box has no use for it):\n");
        for part in &boot.card.skipped {
            text.push_str(&format!("  {part}\n"));
        }
        text.push('\n');
    }
    if boot.problems.is_empty() {
        text.push_str("Problems: none\n");
    } else {
        text.push_str(
            "Problems (what is named here was not used; the box keeps its earlier settings):\n",
        );
        for problem in &boot.problems {
            text.push_str(&format!("  {problem}\n"));
        }
    }
    text
}
