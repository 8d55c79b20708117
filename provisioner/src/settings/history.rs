//! The last changes: what, who, when. They are kept with the settings, so that both are saved in one.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::keys::{Change, can_be_undone};

/// How many changes are kept.
pub const LONGEST: usize = 20;

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Counts up from 1; what `undo` takes.
    pub number: u32,
    /// When (RFC 3339, UTC).
    pub at: String,
    /// Who, or which file of the card.
    pub who: String,
    /// What.
    pub changes: Vec<Change>,
}

impl Entry {
    /// Whether there is something to take back.
    #[must_use]
    pub fn can_be_undone(&self) -> bool {
        can_be_undone(&self.changes)
    }
}

/// Adds a change, and forgets the oldest beyond [`LONGEST`]. Returns its number.
pub fn add(history: &mut Vec<Entry>, now: OffsetDateTime, who: &str, changes: Vec<Change>) -> u32 {
    let number = history.last().map_or(1, |last| last.number + 1);
    let second = now.replace_nanosecond(0).unwrap_or(now);
    history.push(Entry {
        number,
        at: second.format(&Rfc3339).unwrap_or_default(),
        who: who.to_owned(),
        changes,
    });
    let surplus = history.len().saturating_sub(LONGEST);
    history.drain(..surplus);
    number
}
