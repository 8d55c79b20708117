//! The last messages of a room, shown to newcomers (XEP-0045 §7.2.14). They come from the archive when the
//! room is loaded; from then on each message is added as it is sent, before it is on the disk.

use std::collections::VecDeque;
use std::sync::Arc;

use imd_proto::{Element, Jid, ns};
use imd_store::{ArchiveEntry, ArchiveId, UnixMillis};

use super::settings::MAX_HISTORY;
use crate::feature::{archive, time};

/// Bytes that the history of one room may hold.
const MAX_BYTES: usize = 256 * 1024;

/// A message of the past.
#[derive(Debug, Clone)]
pub struct Past {
    /// Its id in the archive.
    pub id: ArchiveId,
    /// When it was sent.
    pub time: UnixMillis,
    /// The message without `to`, with the time.
    pub xml: Arc<str>,
}

/// The last messages, oldest first.
#[derive(Debug, Default)]
pub struct History {
    messages: VecDeque<Past>,
    bytes: usize,
}

/// How much of the history a newcomer wants; an absent field does not limit it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Characters of all messages together.
    pub max_chars: Option<usize>,
    /// Messages.
    pub max_stanzas: Option<usize>,
    /// Only those of the last seconds.
    pub seconds: Option<u64>,
    /// Only those since then.
    pub since: Option<UnixMillis>,
}

impl Wanted {
    /// Read `<history/>`; what makes no sense does not limit.
    #[must_use]
    pub fn read(history: &Element) -> Self {
        let number = |name: &str| history.attr(name).and_then(|v| v.trim().parse().ok());
        Self {
            max_chars: number("maxchars"),
            max_stanzas: number("maxstanzas"),
            seconds: history
                .attr("seconds")
                .and_then(|v| v.trim().parse::<u64>().ok()),
            since: history.attr("since").and_then(time::parse),
        }
    }
}

impl History {
    /// Add a message; the oldest go when there are too many.
    pub fn push(&mut self, past: Past) {
        self.bytes += past.xml.len();
        self.messages.push_back(past);
        while self.messages.len() > MAX_HISTORY as usize || self.bytes > MAX_BYTES {
            match self.messages.pop_front() {
                Some(old) => self.bytes -= old.xml.len(),
                None => break,
            }
        }
    }

    /// Forget a message: it never reached the disk, or is retracted.
    pub fn remove(&mut self, id: ArchiveId) {
        self.messages.retain(|past| past.id != id);
        self.bytes = self.messages.iter().map(|past| past.xml.len()).sum();
    }

    /// Forget everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// What a newcomer gets: at most `most` messages.
    #[must_use]
    pub fn select(&self, wanted: &Wanted, most: usize, now: UnixMillis) -> Vec<Arc<str>> {
        let within = wanted
            .seconds
            .map(|s| now.saturating_sub(i64::try_from(s.saturating_mul(1000)).unwrap_or(i64::MAX)));
        let earliest = within.max(wanted.since).unwrap_or(UnixMillis::MIN);
        let most = wanted.max_stanzas.unwrap_or(most).min(most);
        let mut chars = wanted.max_chars.unwrap_or(usize::MAX);
        let mut chosen: Vec<_> = self
            .messages
            .iter()
            .rev()
            .take(most)
            .take_while(|past| past.time >= earliest)
            .take_while(|past| {
                let length = past.xml.chars().count();
                let fits = length <= chars;
                chars = chars.saturating_sub(length);
                fits
            })
            .map(|past| Arc::clone(&past.xml))
            .collect();
        chosen.reverse();
        chosen
    }
}

/// Whether a message is shown to newcomers: what has been said, not that it has been read.
#[must_use]
pub fn is_shown_later(message: &Element) -> bool {
    let quiet = [ns::RECEIPTS, ns::CHAT_MARKERS];
    let hint = |name| message.child(name, ns::HINTS).is_some();
    !hint("no-store")
        && !hint("no-permanent-store")
        && archive::has_content(message)
        && (message.child_text("body").is_some()
            || !message.children().any(|c| quiet.contains(&c.ns())))
}

/// A message as newcomers get it: with the time at which it was sent (XEP-0203).
#[must_use]
pub fn delayed(message_xml: &str, room: &Jid, time: UnixMillis) -> Arc<str> {
    let delay = Element::new("delay", ns::DELAY)
        .with_attr("from", room.as_str())
        .with_attr("stamp", time::format(time));
    insert_last(message_xml, &delay.to_xml()).into()
}

/// Put a serialised child at the end of a serialised message that has children.
fn insert_last(message: &str, child: &str) -> String {
    const END: &str = "</message>";
    match message.strip_suffix(END) {
        Some(start) => format!("{start}{child}{END}"),
        None => message.to_owned(),
    }
}

/// How the archive notes the sender's real address: always the last child.
const ADDRESS_START: &str = "<x xmlns='http://jabber.org/protocol/muc#user'><item ";
const ADDRESS_END: &str = "</x></message>";

/// An archived message without the sender's real address (XEP-0313 §4.1.2 on rooms).
#[must_use]
pub fn without_address(stanza: &str) -> std::borrow::Cow<'_, str> {
    match stanza.rfind(ADDRESS_START) {
        Some(at) if stanza.ends_with(ADDRESS_END) => format!("{}</message>", &stanza[..at]).into(),
        _ => stanza.into(),
    }
}

/// A message of the archive as a newcomer gets it.
#[must_use]
pub fn from_archive(room: &Jid, entry: &ArchiveEntry) -> Past {
    let id = Element::new("stanza-id", ns::STANZA_ID)
        .with_attr("by", room.as_str())
        .with_attr("id", entry.id.to_string());
    let marked = insert_last(&without_address(&entry.stanza), &id.to_xml());
    Past {
        id: entry.id,
        time: entry.time,
        xml: delayed(&marked, room, entry.time),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn past(id: u64, time: UnixMillis) -> Past {
        Past {
            id: ArchiveId(id),
            time,
            xml: "0123456789".into(),
        }
    }

    fn history() -> History {
        let mut history = History::default();
        for id in 1..=5 {
            let time = i64::try_from(id).unwrap() * 1000;
            history.push(past(id, time));
        }
        history
    }

    /// XEP-0045 §7.2.14: each limit alone, and the server's own.
    #[test]
    fn a_newcomer_gets_as_much_history_as_it_wants() {
        let history = history();
        let count = |wanted: Wanted, most| history.select(&wanted, most, 5000).len();
        let none = Wanted::default();
        let stanzas = |n| Wanted {
            max_stanzas: Some(n),
            ..Wanted::default()
        };
        let chars = |n| Wanted {
            max_chars: Some(n),
            ..Wanted::default()
        };
        let seconds = |n| Wanted {
            seconds: Some(n),
            ..Wanted::default()
        };
        let since = |n| Wanted {
            since: Some(n),
            ..Wanted::default()
        };
        for (wanted, most, expected) in [
            (none.clone(), 100, 5),
            (none, 3, 3),
            (stanzas(2), 3, 2),
            (stanzas(9), 3, 3),
            (chars(25), 100, 2),
            (chars(0), 100, 0),
            (seconds(2), 100, 3),
            (since(4000), 100, 2),
        ] {
            assert_eq!(count(wanted.clone(), most), expected, "{wanted:?}");
        }
    }

    #[test]
    fn the_history_is_bounded_and_forgets_what_is_retracted() {
        let mut history = history();
        history.remove(ArchiveId(3));
        assert_eq!(history.select(&Wanted::default(), 100, 0).len(), 4);
        for id in 0..u64::from(MAX_HISTORY) * 2 {
            history.push(past(id, 0));
        }
        assert_eq!(history.messages.len(), MAX_HISTORY as usize);
        assert_eq!(history.bytes, history.messages.len() * 10);
    }

    #[test]
    fn the_archive_hides_real_addresses_from_those_who_may_not_see_them() {
        let kept = "<message from='r@d/n'><body>b</body><x xmlns='http://jabber.org/protocol/muc#user'><item jid='a@b/c'/></x></message>";
        assert_eq!(
            without_address(kept),
            "<message from='r@d/n'><body>b</body></message>"
        );
        let other = "<message><body>x</body></message>";
        assert_eq!(without_address(other), other);
    }
}
