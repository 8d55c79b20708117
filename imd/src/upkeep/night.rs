//! When messages are deleted: at night, because deleting many takes the disk's time from those who write.

use std::time::Duration;

use chrono::Timelike as _;

/// The hours of the night, by the box's time zone.
const HOURS: std::ops::Range<u32> = 2..5;
/// Once a night is enough.
const ONCE: Duration = Duration::from_secs(12 * 3600);
/// A box that is off at night does it when it is on.
const MISSED: Duration = Duration::from_secs(36 * 3600);

/// The hour that clocks on the wall show, 0 to 23.
pub(super) fn hour() -> u32 {
    chrono::Local::now().hour()
}

/// Whether it is time, at this hour and so long after the last time (absent: there was none).
pub(super) fn is_time(hour: u32, since_last: Option<Duration>) -> bool {
    since_last.is_none_or(|since| since > MISSED || since > ONCE && HOURS.contains(&hour))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn hours(n: u64) -> Option<Duration> {
        Some(Duration::from_secs(n * 3600))
    }

    #[test]
    fn messages_are_deleted_once_a_night() {
        let mut last = 0;
        let mut times = Vec::new();
        for hour in 1..=96 {
            if is_time(hour % 24, hours(u64::from(hour - last))) {
                times.push(hour);
                last = hour;
            }
        }
        assert_eq!(times, [26, 50, 74]);
    }

    #[test]
    fn a_box_that_is_off_at_night_does_it_by_day() {
        assert!(is_time(15, None));
        assert!(!is_time(15, hours(30)));
        assert!(is_time(15, hours(37)));
    }
}
