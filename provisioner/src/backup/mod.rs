//! Backups: one encrypted file with everything that makes the box, and the way back.
//!
//! - `key`: the recovery key, its words, and the key that the box keeps; `key_check`: whether its owner still has it.
//! - `contents`: what is in a backup, `owners`: files among it that the owner has made; `make`: writes one while the server runs; `open`: reads one into a scratch folder;
//!   `check`: whether what came out is whole.
//! - `stick`: USB sticks, and which one the owner has accepted; `keep`: how many backups stay; `shelf`: where they lie.
//! - `target`: another computer that gets a backup every night.
//! - `restore`: prepares a restore, and puts it in the box's place before anything has started; `source`: where backups for it
//!   lie; `card`: the one that `perch.toml` names on a new box.
//! - `drill`: tries whether a backup can be had back.
//! - `job`: what runs in a process of its own; `outcome`: what came of it.
//!
//! Nothing here formats a disk, and nothing of the box changes before a backup was read, decrypted and checked whole.

pub mod card;
pub mod check;
pub mod contents;
pub mod drill;
pub mod job;
pub mod keep;
pub mod key;
pub mod key_check;
pub mod make;
pub mod open;
pub mod outcome;
pub mod owners;
pub mod restore;
pub mod shelf;
pub mod source;
pub mod stick;
pub mod target;

/// Where backups lie on the box. The pages may read it, so nothing is here that is not encrypted.
pub const FOLDER: &str = "/var/lib/perch-backup";
/// Where the pages put a backup that somebody sends.
pub const UPLOADED: &str = "/var/lib/perch-backup/in/uploaded.age";
/// What is known of backups, for root alone.
pub const STATE: &str = "/var/lib/perch/backup";
/// The scratch folder of restores and drills, on the same file system as what it replaces.
pub const SCRATCH: &str = "/var/lib/perch/restore";
/// What a backup's name ends in.
pub const ENDING: &str = ".age";
