//! Tuning: kernel and service settings wanted by `configs/tuning/*.toml`, each with its reason.
//!
//! `file` reads what is wanted, `machine` what is there, `plan` decides (no I/O), `apply` writes and reads back,
//! `report` shows the outcome. A setting that the machine lacks is "not available"; one that it has and that does
//! not read back as wanted has failed.

pub mod apply;
pub mod file;
pub mod journald;
pub mod machine;
pub mod plan;
pub mod report;
pub mod zram;

/// Where the image keeps configs/tuning.
pub const FOLDER: &str = "/usr/share/perch/tuning";
