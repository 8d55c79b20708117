//! `imd check-config`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;

pub(super) fn command(file: &Path) -> Result<ExitCode> {
    let config = match super::settings(file) {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    crate::listen::tls::acceptors(&config)?;
    println!("{}: no problems", file.display());
    Ok(ExitCode::SUCCESS)
}
