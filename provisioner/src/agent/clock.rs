//! The clock, where no server tells the time: the owner's browser offers its own.

use anyhow::Context;
use time::OffsetDateTime;

use super::command::{Refusal, Why};
use crate::system::System;

/// A browser further ahead is wrong itself.
const MOST_AHEAD_SECONDS: i64 = 20 * 365 * 86_400;

/// Sets the clock, forward only: certificates and the order of messages do not bear its going back.
///
/// # Errors
/// The time is before the clock's or decades after it, or the kernel refused.
pub fn set(system: &dyn System, unix: i64) -> Result<(), Refusal> {
    let now = system.now().unix_timestamp();
    if unix <= now {
        return Err(Refusal::new(Why::Backward, "the clock goes forward only"));
    }
    if unix - now > MOST_AHEAD_SECONDS {
        return Err(Refusal::new(Why::Invalid, "the time is decades ahead"));
    }
    let time = OffsetDateTime::from_unix_timestamp(unix).context("reading the time")?;
    Ok(system.set_clock(time)?)
}
