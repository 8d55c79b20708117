//! Steps: what the box tells its owner on the FAT partition, for a computer that the card is put into.

use anyhow::{Context, Result};

use super::{FirstBoot, certificates};
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
    let mut text = format!(
        "Perch box, as of its last start\n\n\
         Name on the network: {}.local\n\
         Chat domain:         {}\n\
         Web chat:            https://{}/\n\
         Administrator:       {admin}\n\
         SSH:                 {}\n\
         Certificate:         perch-ca.crt beside this file; SHA-256 {fingerprint}\n\n",
        state.host_name(),
        domain.as_str(),
        domain.as_str(),
        if state.ssh_enabled {
            "on, with the keys from perch.toml"
        } else {
            "off"
        },
    );
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
