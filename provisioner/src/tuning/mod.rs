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

use crate::files::Files;
use crate::model::Profile;

/// Where the image keeps configs/tuning.
pub const FOLDER: &str = "/usr/share/perch/tuning";

/// What is wanted of a box with this profile.
///
/// # Errors
/// The tuning files cannot be read, or all their problems.
pub fn wanted(files: &Files, profile: &Profile) -> anyhow::Result<Vec<setting::Setting>> {
    file::read_for(
        &files.path(FOLDER),
        profile,
        storage::Storage::of_data(files),
    )
}
