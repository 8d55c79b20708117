//! Whether the wall clock can be believed, for those who delete by age.
//!
//! A box without a battery-backed clock starts in the past and jumps when the network tells it the time; a wrong time
//! server may send it years ahead. So a time is believed when it follows from one that was believed before. After a jump
//! it has to go on steadily for a day, in which somebody may notice and mend it.

use std::time::{Duration, Instant};

use imd_store::UnixMillis;

/// 2026-01-01: no true time is before this.
const EARLIEST: UnixMillis = 1_767_225_600_000;
/// How far the two clocks may come apart before it is a jump.
const JUMP: Duration = Duration::from_secs(600);
/// How long a time that does not follow from the one before has to go on.
const STEADY: Duration = Duration::from_secs(86_400);
/// How long the daemon may have been off: a later time may be a wrong one.
const OFF: Duration = Duration::from_secs(30 * 86_400);

/// What is known of the clock.
#[derive(Debug)]
pub struct Clock {
    /// The last time that was believed, and when that was; `None`: in an earlier run.
    trusted: Option<(UnixMillis, Option<Instant>)>,
    /// Since when the clock has gone on steadily from a time that is not believed.
    suspicious: Option<(UnixMillis, Instant)>,
}

/// Whether the clock can be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// It can.
    Believe,
    /// Not yet, because of this.
    Wait(&'static str),
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// Whether a time is, but for [`JUMP`], what another has become.
fn follows(now: UnixMillis, at: Instant, before: (UnixMillis, Instant)) -> bool {
    let expected = before
        .0
        .saturating_add(millis(at.saturating_duration_since(before.1)));
    now.abs_diff(expected) <= JUMP.as_millis() as u64
}

impl Clock {
    /// With the time that was believed last in an earlier run; `None`: this is the first.
    #[must_use]
    pub fn new(trusted: Option<UnixMillis>) -> Self {
        Self {
            trusted: trusted.map(|time| (time, None)),
            suspicious: None,
        }
    }

    /// Judge the wall clock's time `now`, read when the clock that never jumps showed `at`.
    pub fn judge(&mut self, now: UnixMillis, at: Instant) -> Judgement {
        if now < EARLIEST {
            self.suspicious = None;
            return Judgement::Wait("it is before 2026");
        }
        let plausible = match self.trusted {
            None => true,
            Some((time, Some(when))) => follows(now, at, (time, when)),
            Some((time, None)) => {
                now >= time.saturating_sub(millis(JUMP)) && now <= time.saturating_add(millis(OFF))
            }
        };
        let steady = self.suspicious.is_some_and(|since| {
            follows(now, at, since) && at.saturating_duration_since(since.1) >= STEADY
        });
        if plausible || steady {
            self.trusted = Some((now, Some(at)));
            self.suspicious = None;
            return Judgement::Believe;
        }
        if self.suspicious.is_none_or(|since| !follows(now, at, since)) {
            self.suspicious = Some((now, at));
        }
        Judgement::Wait("it has jumped; it has to go on steadily for a day")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Judgement::{Believe, Wait};

    const HOUR: Duration = Duration::from_secs(3600);
    const NOW: UnixMillis = EARLIEST + 100 * 86_400_000;
    const YEAR: i64 = 365 * 86_400_000;

    fn waits(judgement: Judgement) -> bool {
        matches!(judgement, Wait(_))
    }

    #[test]
    fn a_clock_that_goes_on_is_believed() {
        let start = Instant::now();
        let mut clock = Clock::new(Some(NOW - 86_400_000));
        for hour in 0..100 {
            let now = NOW + i64::from(hour) * 3_600_000;
            assert_eq!(clock.judge(now, start + HOUR * hour), Believe);
        }
    }

    #[test]
    fn a_clock_that_was_never_set_is_not_believed() {
        assert!(waits(Clock::new(None).judge(0, Instant::now())));
        assert!(waits(Clock::new(Some(NOW)).judge(0, Instant::now())));
    }

    #[test]
    fn after_a_jump_a_day_has_to_pass_and_going_back_ends_the_wait() {
        for jump in [10 * YEAR, -30 * 86_400_000] {
            let start = Instant::now();
            let mut clock = Clock::new(None);
            assert_eq!(clock.judge(NOW, start), Believe);
            let wrong = |hour: u32| NOW + jump + i64::from(hour) * 3_600_000;
            for hour in 1..=24 {
                assert!(
                    waits(clock.judge(wrong(hour), start + HOUR * hour)),
                    "{hour}"
                );
            }
            let mended = NOW + 24 * 3_600_000 + 60_000;
            assert_eq!(clock.judge(mended, start + HOUR * 24), Believe);
            // It has jumped again: a new day begins.
            for hour in 25..=48 {
                assert!(
                    waits(clock.judge(wrong(hour), start + HOUR * hour)),
                    "{hour}"
                );
            }
            assert_eq!(clock.judge(wrong(49), start + HOUR * 49), Believe);
        }
    }

    #[test]
    fn a_jump_while_the_daemon_was_off_is_a_jump() {
        let at = Instant::now();
        assert!(waits(Clock::new(Some(NOW)).judge(NOW + 10 * YEAR, at)));
        assert!(waits(Clock::new(Some(NOW)).judge(NOW - YEAR / 2, at)));
        assert_eq!(Clock::new(Some(NOW)).judge(NOW + 86_400_000, at), Believe);
    }

    #[test]
    fn a_clock_that_jumps_about_is_never_believed() {
        let start = Instant::now();
        let mut clock = Clock::new(Some(NOW));
        assert_eq!(clock.judge(NOW, start), Believe);
        for hour in 1..200 {
            let now = NOW + i64::from(hour) * YEAR;
            assert!(waits(clock.judge(now, start + HOUR * hour)));
        }
    }
}
