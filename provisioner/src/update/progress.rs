//! How far the other slot is written.

use serde::{Deserialize, Serialize};

use super::kept::Kept;
use super::machine::State;
use super::slots;
use crate::system::System;

/// How far, how fast, and how long it still takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// In percent.
    pub percent: u32,
    /// Bytes of the bundle in a second. Absent: not known yet, or the bundle's length is not.
    pub rate: Option<u64>,
    /// Seconds that are left at this rate. Absent: not known yet.
    pub left: Option<u64>,
}

impl Progress {
    /// What RAUC says. `None`: the other slot is not being written, or RAUC does not say.
    #[must_use]
    pub fn look(system: &dyn System, kept: &Kept) -> Option<Self> {
        let State::Downloading { release } = &kept.update else {
            return None;
        };
        let percent = slots::progress(system)?;
        let now = system.now().unix_timestamp();
        let seconds = kept.began.map_or(0, |began| now - began);
        Some(Self::of(percent, release.bytes, seconds))
    }

    /// From how much was done in some seconds.
    #[must_use]
    pub fn of(percent: u32, bytes: Option<u64>, seconds: i64) -> Self {
        let percent = percent.min(100);
        // A clock that was set back meanwhile says nothing.
        let seconds = u64::try_from(seconds).unwrap_or_default().max(1);
        let done = u64::from(percent);
        Self {
            percent,
            rate: bytes
                .filter(|_| done > 0)
                .map(|bytes| bytes / 100 * done / seconds),
            left: (seconds * (100 - done)).checked_div(done),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_follows_from_what_was_done() {
        let table = [
            ((0, Some(1000), 9), (None, None)),
            ((50, Some(1000), 10), (Some(50), Some(10))),
            ((25, None, 60), (None, Some(180))),
            ((100, Some(1000), 10), (Some(100), Some(0))),
            // The clock was set back.
            ((50, Some(1000), -40), (Some(500), Some(1))),
        ];
        for ((percent, bytes, seconds), (rate, left)) in table {
            let wanted = Progress {
                percent,
                rate,
                left,
            };
            assert_eq!(Progress::of(percent, bytes, seconds), wanted);
        }
    }
}
