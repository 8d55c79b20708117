//! Waiting for a moment to within some microseconds: tokio's own timer counts in milliseconds, which is more than a
//! message takes.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use tokio::io::unix::AsyncFd;

/// nix's timer with the trait that tokio wants besides the one it has.
struct Timer(TimerFd);

impl AsFd for Timer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Timer {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

/// A timer that can wait for one moment at a time.
pub struct Pace(AsyncFd<Timer>);

impl Pace {
    /// # Errors
    ///
    /// The system gives no timer.
    pub fn new() -> Result<Self> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags).context("make a timer")?;
        #[expect(
            deprecated,
            reason = "its successor is unsafe: the descriptor must stay open and the same, as this one's does"
        )]
        let watched = AsyncFd::new(Timer(timer)).context("watch a timer")?;
        Ok(Self(watched))
    }

    /// Waits until `moment`.
    ///
    /// # Errors
    ///
    /// The timer cannot be set.
    pub async fn until(&self, moment: Instant) -> Result<()> {
        let left = moment.saturating_duration_since(Instant::now());
        if left < Duration::from_micros(20) {
            return Ok(());
        }
        let once = Expiration::OneShot(TimeSpec::from(left));
        let timer = &self.0.get_ref().0;
        timer
            .set(once, TimerSetTimeFlags::empty())
            .context("set a timer")?;
        let mut ready = self.0.readable().await.context("wait for a timer")?;
        // It is not blocking: the wait is over.
        let _ = timer.wait();
        ready.clear_ready();
        Ok(())
    }
}
