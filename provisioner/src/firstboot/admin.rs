//! Step: the first administrator, from the card.

use anyhow::{Result, bail};

use super::FirstBoot;
use crate::imd_config;

/// What `imd user add` exits with when the account is there already.
const EXISTS: i32 = 3;

/// Makes the account, or sets its password when it is there: whoever holds the card owns the box, and a power cut may
/// have come between making the account and removing the password.
///
/// # Errors
/// imd refused.
pub fn create(boot: &mut FirstBoot<'_>) -> Result<String> {
    let Some(admin) = &boot.card.wishes.admin else {
        return Ok("none asked for".to_owned());
    };
    let name = admin.name.clone();
    let password = format!("{}\n", admin.password.reveal());
    // imd's files belong to imd.
    let imd = |action: &[&str]| {
        let mut command = vec!["/usr/bin/imd", "user"];
        command.extend(action);
        command.extend(["--config", imd_config::PATH, "--password-stdin"]);
        boot.files.change()?;
        boot.system.run_as(Some("imd"), &command, Some(&password))
    };
    let mut done = "made";
    let (mut status, mut said) = imd(&["add", name.as_str(), "--admin"])?;
    if status == EXISTS {
        done = "there; its password is set anew";
        (status, said) = imd(&["passwd", name.as_str()])?;
    }
    if status != 0 {
        bail!("imd could not make the account {}: {said}", name.as_str());
    }
    boot.state.admin = Some(name.clone());
    boot.state.save(boot.files)?;
    Ok(format!("{} is {done}", name.as_str()))
}
