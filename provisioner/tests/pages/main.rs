//! The pages, as a browser without scripts sees them: the web process with the real agent on a folder that stands for a box,
//! and an admin API of a few lines.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod backup_target;
mod backups;
mod browser;
mod certificate;
mod charts;
mod figures;
mod forms;
mod groups;
mod imd;
mod invitations;
mod log;
mod people;
mod power;
mod rooms;
mod settings;
mod setup;
mod sign_in;
mod site;
mod updates;
mod updates_stick;
