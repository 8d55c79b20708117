//! Backups on another computer: a folder of an SFTP server, or of a bucket that speaks S3's protocol.
//!
//! - `sftp`: OpenSSH's own programs, with `host_key`: who the server is. `s3`: signed requests.
//! - `send`: what is sent, checked and given up, the same for both.
//! - `state`: what is known of the target. `work`: what the jobs do. `fault`: why it did not work.
//!
//! What goes there is encrypted already. Files that are not this box's backups are neither changed nor removed. Whatever fails,
//! the backups that lie there stay.

pub mod fault;
pub mod host_key;
pub mod s3;
pub mod send;
pub mod sftp;
pub mod state;
pub mod work;

use std::path::Path;

use fault::{Fault, Kind};

use super::shelf::Lying;
use crate::firstboot::state::BoxState;
use crate::model::target::Address;
use crate::settings::apply::Machine;
use crate::settings::secrets::Secrets;
use crate::settings::target::Target;

/// What lies there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Every file of the folder.
    pub files: Vec<Lying>,
    /// Bytes that can still be written. Absent: the target does not say.
    pub free: Option<u64>,
}

/// A folder on another computer.
pub trait Place {
    /// What lies there.
    ///
    /// # Errors
    /// It cannot be reached or read.
    fn list(&self) -> Result<Listing, Fault>;

    /// Puts a file there under a name. What a failure leaves is no file of that name.
    ///
    /// # Errors
    /// It cannot be written whole.
    fn put(&self, file: &Path, name: &str) -> Result<(), Fault>;

    /// Fetches a file.
    ///
    /// # Errors
    /// It is not there, or cannot be read whole.
    fn fetch(&self, name: &str, into: &Path) -> Result<(), Fault>;

    /// Removes files; those that are not there any more are no error.
    ///
    /// # Errors
    /// One cannot be removed.
    fn remove(&self, names: &[String]) -> Result<(), Fault>;
}

/// The target of the settings. `None`: they have none.
#[must_use]
pub fn configured(machine: Machine<'_>) -> Option<Target> {
    let state = BoxState::load(machine.files).ok()?;
    state.settings.backup
}

/// Gets a target ready for use. For SFTP this makes the box's key where there is none, and asks an unknown server for its host key.
///
/// # Errors
/// Something is missing that the owner has to do first.
pub fn open<'a>(machine: Machine<'a>, target: &Target) -> Result<Box<dyn Place + 'a>, Fault> {
    match target.url.address() {
        Some(Address::Sftp(address)) => {
            let server = sftp::Sftp::new(machine, address);
            server.prepare(target)?;
            Ok(Box::new(server))
        }
        Some(Address::S3 { bucket, prefix }) => {
            let secrets = Secrets::load(machine.files)?;
            let opened = s3::S3::new(machine.files, target, &secrets, &bucket, prefix)?;
            Ok(Box::new(opened))
        }
        None => Err(Fault::new(Kind::Box, "backup.target cannot be read")),
    }
}
