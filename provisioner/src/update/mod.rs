//! Updates of the whole system. `machine` decides (pure), `run` keeps its states (`kept`) and carries its effects out; `slots` speaks to
//! RAUC and the boot loader, `channel` and `fetch` to the publisher's server; `preflight` (with `backup_age`), `database` and `health` are
//! what happens before, between and after the restart. `job` lets a unit do what the page asks for, with `stick` and `stick_copy` for bundles on USB sticks; `progress` is how far it is.
//!
//! Invariant: until the trial is over, the slot that ran before and its database are there, whole.

pub mod backup_age;
pub mod channel;
pub mod database;
pub mod diagram;
mod effects;
pub mod failed_journal;
pub mod fetch;
pub mod health;
pub mod job;
pub mod kept;
pub mod login;
pub mod machine;
pub mod night;
pub mod preflight;
pub mod progress;
mod reasons;
pub mod run;
pub mod slots;
pub mod stick;
pub mod stick_copy;
pub mod surroundings;
pub mod tls;
pub mod window;

/// Where all of it is kept, on the data partition.
pub const FOLDER: &str = "/var/lib/perch/update";
