//! Open files: the limit that bounds how many people can be online.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Raise the limit of open files to what the system allows; returns it.
///
/// # Errors
/// When the system refuses.
pub fn raise_limit() -> nix::Result<u64> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    Ok(hard)
}
