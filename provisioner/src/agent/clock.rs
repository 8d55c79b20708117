//! The clock, where no server tells the time: the owner's browser offers its own.

use anyhow::Context;
use time::OffsetDateTime;

use super::command::{Refusal, Why};
use crate::files::{Access, Files};
use crate::system::System;

/// Is there when the owner has told the time since the start.
pub const SET: &str = "/run/perch-agent/clock-set";
/// A browser further ahead is wrong itself.
const MOST_AHEAD_SECONDS: i64 = 20 * 365 * 86_400;
/// A browser's clock that differs less is not worth a jump, and says that the box's is right.
const GRAIN_SECONDS: i64 = 2;

/// Sets the clock, forward only: certificates and the order of messages do not bear its going back.
///
/// # Errors
/// The time is before the clock's or decades after it, or the kernel refused.
pub fn set(files: &Files, system: &dyn System, unix: i64) -> Result<(), Refusal> {
    let now = system.now().unix_timestamp();
    if (unix - now).abs() > GRAIN_SECONDS {
        if unix <= now {
            return Err(Refusal::new(Why::Backward, "the clock goes forward only"));
        }
        if unix - now > MOST_AHEAD_SECONDS {
            return Err(Refusal::new(Why::Invalid, "the time is decades ahead"));
        }
        let time = OffsetDateTime::from_unix_timestamp(unix).context("reading the time")?;
        system.set_clock(time)?;
    }
    files.replace(SET, b"", Access::Everyone)?;
    Ok(())
}

/// Whether the owner has told the time since the start.
#[must_use]
pub fn was_set(files: &Files) -> bool {
    files.path(SET).exists()
}
