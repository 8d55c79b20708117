//! A histogram of durations whose buckets grow with the value: 64 for each power of two, so that what is read from it is
//! at most 1.6 % too high, whatever the range.

/// Buckets for each power of two.
const PER_OCTAVE: u64 = 64;
const OCTAVE_BITS: u32 = PER_OCTAVE.trailing_zeros();

/// Counts of durations in nanoseconds.
#[derive(Debug, Clone, Default)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    sum: u128,
    most: u64,
}

impl Histogram {
    /// Counts a duration, in nanoseconds.
    pub fn record(&mut self, nanos: u64) {
        let at = index(nanos);
        if self.counts.len() <= at {
            self.counts.resize(at + 1, 0);
        }
        self.counts[at] += 1;
        self.total += 1;
        self.sum += u128::from(nanos);
        self.most = self.most.max(nanos);
    }

    /// Counts all that another has counted.
    pub fn merge(&mut self, other: &Self) {
        if self.counts.len() < other.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.total += other.total;
        self.sum += other.sum;
        self.most = self.most.max(other.most);
    }

    /// How many were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.total
    }

    /// The longest, in nanoseconds.
    #[must_use]
    pub fn max(&self) -> u64 {
        self.most
    }

    /// The mean, in nanoseconds; 0 of nothing.
    #[must_use]
    pub fn mean(&self) -> f64 {
        if self.total == 0 {
            return 0.0;
        }
        self.sum as f64 / self.total as f64
    }

    /// What a share `q` (0 to 1) of all took at most, in nanoseconds: the upper end of its bucket. 0 of nothing.
    #[must_use]
    pub fn quantile(&self, q: f64) -> u64 {
        let rank = ((self.total as f64 * q).ceil() as u64).clamp(1, self.total.max(1));
        let mut seen = 0;
        for (at, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return last_of(at).min(self.most);
            }
        }
        0
    }

    /// The buckets that are not empty: the longest duration that each holds, in nanoseconds, and its count.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let filled = self.counts.iter().enumerate().filter(|(_, n)| **n > 0);
        filled.map(|(at, n)| (last_of(at), *n))
    }
}

/// The bucket of a value: itself below [`PER_OCTAVE`], then by its highest bits.
fn index(nanos: u64) -> usize {
    let octave = (u64::BITS - nanos.leading_zeros()).saturating_sub(OCTAVE_BITS + 1);
    (u64::from(octave) * PER_OCTAVE + (nanos >> octave)) as usize
}

/// The largest value of a bucket.
fn last_of(at: usize) -> u64 {
    let at = at as u64;
    if at < 2 * PER_OCTAVE {
        return at;
    }
    let octave = at / PER_OCTAVE - 1;
    let first = (at - octave * PER_OCTAVE) << octave;
    first + ((1 << octave) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_in_a_bucket_that_ends_at_or_just_after_it() {
        let mut value = 0_u64;
        while value < 1 << 50 {
            for near in [value.saturating_sub(1), value, value + 1] {
                let last = last_of(index(near));
                assert!(last >= near, "{near} is beyond its bucket's end {last}");
                assert!(
                    last - near <= near / 64,
                    "{near} is told as {last}: more than 1.6 % too high"
                );
            }
            value = value * 9 / 8 + 1;
        }
    }

    #[test]
    fn buckets_follow_each_other_without_a_gap() {
        for at in 0..2000 {
            assert_eq!(index(last_of(at)), at);
            assert_eq!(index(last_of(at) + 1), at + 1);
        }
    }

    #[test]
    fn quantiles_of_one_to_a_hundred_are_what_one_counts_by_hand() {
        let mut histogram = Histogram::default();
        for value in (1..=100).rev() {
            histogram.record(value);
        }
        let read = [0.0, 0.01, 0.5, 0.99, 1.0].map(|q| histogram.quantile(q));
        assert_eq!(read, [1, 1, 50, 99, 100]);
        assert_eq!(histogram.mean(), 50.5);
        assert_eq!((histogram.count(), histogram.max()), (100, 100));
    }

    #[test]
    fn one_slow_message_in_a_thousand_shows_in_the_last_quantile_only() {
        let mut histogram = Histogram::default();
        for _ in 0..999 {
            histogram.record(1_000_000);
        }
        histogram.record(5_000_000_000);
        assert!(histogram.quantile(0.99) < 1_020_000);
        assert_eq!(histogram.quantile(1.0), 5_000_000_000);
    }

    #[test]
    fn nothing_counted_is_told_as_nothing() {
        let empty = Histogram::default();
        assert_eq!(
            (empty.quantile(0.5), empty.mean(), empty.buckets().count()),
            (0, 0.0, 0)
        );
    }
}
