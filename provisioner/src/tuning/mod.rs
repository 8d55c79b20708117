//! Tuning: kernel and service settings wanted by `configs/tuning/*.toml`, each with its reason.
//!
//! `file` reads what is wanted (`setting`) on what the data is kept on (`storage`), `machine` what is there, `plan` decides (no I/O), `apply` writes and reads back,
//! `report` shows the outcome. A setting that the machine lacks is "not available"; one that it has and that does
//! not read back as wanted has failed.

pub mod apply;
pub mod file;
pub mod journald;
pub mod machine;
pub mod mounts;
pub mod network_names;
pub mod plan;
pub mod qdisc;
pub mod report;
pub mod setting;
pub mod storage;
pub mod zram;

use anyhow::{Result, bail};

use crate::files::Files;
use crate::imd_config;
use crate::model::Profile;
use crate::system::System;
use report::{Outcome, Report};

/// Where the image keeps configs/tuning.
pub const FOLDER: &str = "/usr/share/perch/tuning";

/// What is wanted of a box with this profile.
///
/// # Errors
/// The tuning files cannot be read, or all their problems.
pub fn wanted(files: &Files, profile: &Profile) -> Result<Vec<setting::Setting>> {
    file::read_for(
        &files.path(FOLDER),
        profile,
        storage::Storage::of_data(files),
    )
}

/// Makes a running box follow another profile, and the report of the last start say what came of it.
///
/// # Errors
/// The tuning files cannot be read, a value did not take, or the report cannot be written.
pub fn follow(files: &Files, system: &dyn System, profile: &Profile) -> Result<()> {
    let rows = apply::apply(
        &machine::Machine { files, system },
        &wanted(files, profile)?,
    );
    let failed = rows.iter().find(|row| row.outcome == Outcome::Failed);
    let failed = failed.map(|row| format!("tuning: {}: {}", row.name, row.note));
    // Without a start's report there is none to keep true.
    if let Some(report) = Report::last(files)? {
        let is_tuning = |row: &report::Row| !imd_config::is_row(row);
        report.with(rows, is_tuning).keep(files)?;
    }
    match failed {
        Some(failed) => bail!(failed),
        None => Ok(()),
    }
}
