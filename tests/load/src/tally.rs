//! What one receiver got from one sender, who numbers its messages from 0: how many, which twice, which too late.

use std::collections::BTreeSet;

/// The account of one sender's messages at one receiver.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// The number after the highest that came.
    next: u32,
    /// Numbers below `next` that have not come.
    missing: BTreeSet<u32>,
    doubled: u64,
    late: u64,
}

/// What a message was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// Not seen before, and in its order.
    New,
    /// Not seen before, but after one that was sent later.
    Late,
    /// Seen before.
    Doubled,
}

impl Tally {
    /// Notes that the message of this number came.
    pub fn note(&mut self, number: u32) -> Arrival {
        if number >= self.next {
            self.missing.extend(self.next..number);
            self.next = number + 1;
            return Arrival::New;
        }
        if self.missing.remove(&number) {
            self.late += 1;
            return Arrival::Late;
        }
        self.doubled += 1;
        Arrival::Doubled
    }

    /// How many different messages came.
    #[must_use]
    pub fn distinct(&self) -> u64 {
        u64::from(self.next) - self.missing.len() as u64
    }

    /// How many of `sent` messages did not come.
    #[must_use]
    pub fn lost(&self, sent: u32) -> u64 {
        u64::from(sent).saturating_sub(self.distinct())
    }

    /// How many came a second time, or a third.
    #[must_use]
    pub fn doubled(&self) -> u64 {
        self.doubled
    }

    /// How many came after one that was sent later.
    #[must_use]
    pub fn late(&self) -> u64 {
        self.late
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(numbers: &[u32]) -> Tally {
        let mut tally = Tally::default();
        for number in numbers {
            tally.note(*number);
        }
        tally
    }

    /// Lost of `sent`, doubled, late.
    fn faults(numbers: &[u32], sent: u32) -> (u64, u64, u64) {
        let tally = after(numbers);
        (tally.lost(sent), tally.doubled(), tally.late())
    }

    #[test]
    fn all_in_order_has_no_fault() {
        assert_eq!(faults(&[0, 1, 2, 3], 4), (0, 0, 0));
    }

    #[test]
    fn one_that_never_came_is_lost_wherever_it_was() {
        assert_eq!(faults(&[1, 2], 3), (1, 0, 0), "the first");
        assert_eq!(faults(&[0, 2], 3), (1, 0, 0), "in the middle");
        assert_eq!(faults(&[0, 1], 3), (1, 0, 0), "the last");
        assert_eq!(faults(&[], 3), (3, 0, 0), "all");
    }

    #[test]
    fn one_that_came_twice_is_doubled_and_hides_no_loss() {
        assert_eq!(faults(&[0, 0, 1], 2), (0, 1, 0));
        assert_eq!(faults(&[0, 2, 2], 3), (1, 1, 0));
        assert_eq!(
            faults(&[0, 2, 1, 1], 3),
            (0, 1, 1),
            "the late one came twice"
        );
    }

    #[test]
    fn one_that_was_overtaken_is_late_but_not_lost() {
        assert_eq!(faults(&[1, 0], 2), (0, 0, 1));
        assert_eq!(faults(&[3, 0, 1, 2], 4), (0, 0, 3));
    }

    #[test]
    fn each_arrival_says_what_it_was() {
        let mut tally = after(&[0, 2]);
        let said = [1, 1, 3].map(|number| tally.note(number));
        assert_eq!(said, [Arrival::Late, Arrival::Doubled, Arrival::New]);
    }
}
