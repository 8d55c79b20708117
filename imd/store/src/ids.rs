//! Archive ids: strictly increasing over the life of the database, also when the clock jumps back.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970-01-01T00:00:00Z.
pub type UnixMillis = i64;

/// The present time by the system clock; 0 when the clock is before 1970.
pub fn now_millis() -> UnixMillis {
    i64::try_from(now_micros() / 1000).unwrap_or(i64::MAX)
}

fn now_micros() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
        })
}

/// The id of an archived stanza (XEP-0359 stanza-id, XEP-0313 `id`), unique in the whole database.
///
/// Its text form is 16 lower-case hexadecimal digits, so that texts sort as the numbers do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ArchiveId(pub u64);

impl fmt::Display for ArchiveId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The text is not an archive id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an archive id: 16 lower-case hexadecimal digits are wanted")]
pub struct NotAnArchiveId;

impl FromStr for ArchiveId {
    type Err = NotAnArchiveId;

    /// Accepts exactly what `Display` prints; ids beyond 2^63 - 1, which SQL integers cannot hold, are refused.
    fn from_str(text: &str) -> Result<Self, NotAnArchiveId> {
        let digits = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if text.len() != 16 || !text.bytes().all(digits) {
            return Err(NotAnArchiveId);
        }
        match u64::from_str_radix(text, 16) {
            Ok(id) if i64::try_from(id).is_ok() => Ok(Self(id)),
            _ => Err(NotAnArchiveId),
        }
    }
}

/// Gives out archive ids: the time in microseconds, or the last id plus one where the clock has not moved on.
#[derive(Debug)]
pub struct ArchiveIds {
    last: AtomicU64,
}

impl ArchiveIds {
    /// Starts after `last`, the greatest id in the database (`None`: the archive is empty).
    pub fn starting_after(last: Option<ArchiveId>) -> Self {
        Self {
            last: AtomicU64::new(last.map_or(0, |id| id.0)),
        }
    }

    /// The next id: greater than every id given out or found in the database before.
    pub fn next(&self) -> ArchiveId {
        self.next_at(now_micros())
    }

    fn next_at(&self, now: u64) -> ArchiveId {
        let after = |last: u64| now.max(last.saturating_add(1));
        let last = self
            .last
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| {
                Some(after(last))
            });
        ArchiveId(after(last.unwrap_or_else(|last| last)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_increase_when_the_clock_stands_or_jumps_back() {
        let ids = ArchiveIds::starting_after(Some(ArchiveId(1_000)));
        let given: Vec<u64> = [500, 2_000, 2_000, 10, 3_000]
            .into_iter()
            .map(|now| ids.next_at(now).0)
            .collect();
        assert_eq!(given, [1_001, 2_000, 2_001, 2_002, 3_000]);
    }

    #[test]
    fn ids_are_unique_across_threads() {
        let ids = ArchiveIds::starting_after(None);
        let mut all: Vec<ArchiveId> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (0..1_000).map(|_| ids.next()).collect::<Vec<_>>()))
                .collect();
            threads
                .into_iter()
                .flat_map(|thread| thread.join().unwrap())
                .collect()
        });
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 4_000);
    }

    #[test]
    fn the_text_form_sorts_as_the_number_and_reads_back() {
        assert!(ArchiveId(255).to_string() < ArchiveId(256).to_string());
        assert_eq!(ArchiveId(255).to_string().parse(), Ok(ArchiveId(255)));
    }

    #[test]
    fn only_the_exact_text_form_is_an_id() {
        for bad in [
            "",
            "ff",
            "00000000000000FF",
            "ffffffffffffffff",
            "00000000000000 1",
            "+00000000000000f",
        ] {
            assert_eq!(bad.parse::<ArchiveId>(), Err(NotAnArchiveId), "{bad:?}");
        }
    }
}
