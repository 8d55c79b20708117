//! How long the writer lets a batch gather before it commits: pure, from what was measured.
//!
//! A commit costs a sync and some pages of the disk however few messages it has. While hardly anybody writes, each is committed
//! at once. When many do, a batch gathers until it is worth its commit, or for about as long as a sync takes, whichever is
//! longer, and never longer than [`MOST`], or than leaves time for the commit. Only acknowledgements wait for it; messages are delivered before. Where waiting brings
//! no company, because those who write wait for their acknowledgements themselves, it is not tried again for some time.

use std::time::Duration;

/// Messages in a second up to which nothing gathers.
const QUIET: f64 = 20.0;
/// Messages for which a commit is worth its fixed cost.
const WORTH: f64 = 48.0;
/// The longest wait.
pub(super) const MOST: Duration = Duration::from_millis(90);
/// In which a message and the commit before its own are to be done, so that an acknowledgement comes within 150 ms.
const IN_TIME: f64 = 0.130;
/// Over how long the rate is measured.
const WINDOW: Duration = Duration::from_millis(500);
/// Fewer messages in a batch that gathered are no company.
const COMPANY: usize = 4;
/// After how many commits gathering is tried again, at first and after it has brought nothing again and again.
const AGAIN: (u32, u32) = (16, 1024);
/// How much one sync counts among those before it.
const SYNC_WEIGHT: f64 = 0.2;

/// What the storage and the senders have been doing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Pace {
    /// What a commit with its sync takes, in seconds.
    sync: f64,
    /// Messages in a second.
    rate: f64,
    /// Commits for which nothing gathers.
    skip: u32,
    /// How many those were the last time.
    skipped: u32,
}

/// When a batch is to be committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gather {
    /// So long after its first message came ...
    pub(super) wait: Duration,
    /// ... or as soon as it has so many.
    pub(super) enough: usize,
}

impl Pace {
    /// Nothing is known yet: nothing gathers.
    pub(super) const fn new() -> Self {
        Self {
            sync: 0.0,
            rate: 0.0,
            skip: 0,
            skipped: 0,
        }
    }

    /// What to do with the next batch, so long after the last commit.
    pub(super) fn gather(&self, since_last: Duration) -> Gather {
        let rate = self.rate * (-since_last.as_secs_f64() / WINDOW.as_secs_f64()).exp();
        if rate < QUIET || self.skip > 0 {
            return Gather {
                wait: Duration::ZERO,
                enough: 1,
            };
        }
        let seconds = (WORTH / rate).max(self.sync);
        let enough = (rate * self.sync).max(WORTH);
        let longest = MOST.as_secs_f64();
        let longest = (IN_TIME - 2.0 * self.sync).clamp(self.sync.min(longest), longest);
        Gather {
            wait: Duration::from_secs_f64(seconds.min(longest)),
            enough: enough as usize,
        }
    }

    /// A batch of so many messages was committed; its commit took so long, and the one before ended so long ago. `cut`: it had
    /// no time to gather, because of something that may not wait.
    pub(super) fn committed(
        &mut self,
        messages: usize,
        cut: bool,
        sync: Duration,
        since_last: Duration,
    ) {
        self.learn_company(messages, cut);
        let sync = sync.as_secs_f64();
        self.sync = match self.sync {
            0.0 => sync,
            before => before + (sync - before) * SYNC_WEIGHT,
        };
        let since = since_last.as_secs_f64().max(1e-6);
        let weight = 1.0 - (-since / WINDOW.as_secs_f64()).exp();
        self.rate += (messages as f64 / since - self.rate) * weight;
    }

    fn learn_company(&mut self, messages: usize, cut: bool) {
        if self.skip > 0 {
            self.skip -= 1;
        } else if messages >= COMPANY {
            self.skipped = 0;
        } else if !cut && self.rate >= QUIET {
            self.skipped = (self.skipped * 2).clamp(AGAIN.0, AGAIN.1);
            self.skip = self.skipped;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    /// A writer that meets `rate` messages a second on a disk that syncs in `sync`, after some time.
    fn settled(rate: f64, sync: Duration) -> Pace {
        let mut pace = Pace::new();
        let mut clock = 0.0;
        while clock < 10.0 {
            let gather = pace.gather(Duration::ZERO);
            let until_enough = Duration::from_secs_f64(gather.enough as f64 / rate);
            let gap = sync + gather.wait.min(until_enough).saturating_sub(sync);
            let gap = gap.max(Duration::from_secs_f64(1.0 / rate));
            let messages = (gap.as_secs_f64() * rate).round() as usize;
            pace.committed(messages, false, sync, gap);
            clock += gap.as_secs_f64();
        }
        pace
    }

    #[test]
    fn nothing_waits_while_few_write() {
        assert_eq!(Pace::new().gather(Duration::ZERO).wait, Duration::ZERO);
        for rate in [0.1, 1.0, 15.0] {
            let gather = settled(rate, ms(40)).gather(Duration::ZERO);
            assert_eq!((gather.wait, gather.enough), (Duration::ZERO, 1));
        }
    }

    #[test]
    fn many_writers_share_a_commit() {
        let gather = settled(400.0, ms(1)).gather(Duration::ZERO);
        assert!((ms(80)..=MOST).contains(&gather.wait), "{gather:?}");
        assert_eq!(gather.enough, 48);
    }

    #[test]
    fn at_full_load_a_batch_is_there_at_once() {
        let gather = settled(8_000.0, ms(2)).gather(Duration::ZERO);
        assert!(gather.wait <= ms(7), "{gather:?}");
        assert_eq!(gather.enough, 48);
    }

    #[test]
    fn slow_storage_gets_batches_of_about_one_sync() {
        let gather = settled(4_000.0, ms(40)).gather(Duration::ZERO);
        assert!((ms(38)..=ms(42)).contains(&gather.wait), "{gather:?}");
        assert!((150..=170).contains(&gather.enough), "{gather:?}");
    }

    #[test]
    fn slow_storage_leaves_less_time_to_gather() {
        let gather = settled(400.0, ms(40)).gather(Duration::ZERO);
        assert!((ms(45)..=ms(55)).contains(&gather.wait), "{gather:?}");
    }

    #[test]
    fn however_slow_the_storage_the_wait_is_bounded() {
        assert_eq!(settled(400.0, ms(3_000)).gather(Duration::ZERO).wait, MOST);
    }

    #[test]
    fn after_a_pause_the_next_message_does_not_wait() {
        let mut pace = settled(400.0, ms(2));
        let after = pace.gather(Duration::from_secs(5));
        assert_eq!((after.wait, after.enough), (Duration::ZERO, 1));
        pace.committed(1, false, ms(2), Duration::from_secs(5));
        assert_eq!(pace.gather(Duration::ZERO).wait, Duration::ZERO);
    }

    #[test]
    fn who_writes_alone_seldom_waits() {
        let mut pace = Pace::new();
        let mut waits = 0;
        for _ in 0..10_000 {
            let wait = pace.gather(Duration::ZERO).wait;
            waits += u32::from(!wait.is_zero());
            pace.committed(1, false, ms(2), ms(2) + wait);
        }
        assert!((1..30).contains(&waits), "{waits}");
    }

    #[test]
    fn company_is_noticed_again() {
        let mut pace = settled(400.0, ms(2));
        pace.committed(1, false, ms(2), ms(90));
        assert!(pace.gather(Duration::ZERO).wait.is_zero());
        for _ in 0..AGAIN.0 {
            pace.committed(1, false, ms(2), ms(2));
        }
        assert!(!pace.gather(Duration::ZERO).wait.is_zero());
    }

    #[test]
    fn storage_that_has_become_slow_is_noticed_soon() {
        let mut pace = settled(4_000.0, ms(1));
        for _ in 0..12 {
            pace.committed(160, false, ms(40), ms(40));
        }
        assert!(
            pace.gather(Duration::ZERO).wait >= ms(30),
            "{:?}",
            pace.gather(Duration::ZERO)
        );
    }
}
