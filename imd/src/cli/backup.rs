//! `imd backup`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};

use super::api::{Api, Common};
use crate::admin::backup::{self, NewBackup};

/// What to back up, or to look at.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct Backup {
    #[command(subcommand)]
    action: Option<Action>,
    /// The folder to make; it must not be there yet, and the server has to be able to write it.
    #[arg(value_name = "FOLDER", required = true)]
    folder: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Read all of a backup, and say whether it is whole. Needs no server. Exit code 1: it is not.
    Verify {
        /// The folder of a backup, or a database.
        backup: PathBuf,
    },
}

pub(super) fn command(arguments: Backup) -> Result<ExitCode> {
    match (arguments.action, arguments.folder) {
        (Some(Action::Verify { backup }), _) => verify(&backup),
        (None, Some(folder)) => make(&folder, &arguments.common),
        // Refused by clap.
        (None, None) => Ok(ExitCode::from(2)),
    }
}

fn make(folder: &Path, common: &Common) -> Result<ExitCode> {
    let folder = std::path::absolute(folder)
        .with_context(|| format!("cannot tell where {} is", folder.display()))?
        .display()
        .to_string();
    let api = match Api::open(common)? {
        Ok(api) => api,
        Err(code) => return Ok(code),
    };
    let done = api.send(
        "POST",
        "/backups",
        &NewBackup {
            folder: folder.clone(),
        },
    )?;
    api.print(&done, |v| {
        let files = v["uploads"].as_array().map_or(0, Vec::len);
        format!(
            "{folder}: {} bytes of database, {files} files",
            v["database_bytes"]
        )
    })?;
    Ok(ExitCode::SUCCESS)
}

fn verify(path: &Path) -> Result<ExitCode> {
    let (manifest, size) = backup::verify(path)?;
    let what = match manifest {
        Some(m) => format!(
            "a backup of {} from {}, {} files",
            m.domain,
            m.made,
            m.uploads.len()
        ),
        None => "a database".to_owned(),
    };
    println!(
        "{}: {what}; every page is sound, {} entries in archives",
        path.display(),
        size.archived
    );
    Ok(ExitCode::SUCCESS)
}
