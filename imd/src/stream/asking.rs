//! When a client is asked what it has got (XEP-0198 §4): at once for the first that it must not miss, then seldom
//! (`docs/adr/0073`, `docs/adr/0090`).

use std::time::Duration;

use tokio::time::Instant;

use crate::session::Owed;

/// How long a client that owes little is not asked again.
const AGAIN: Duration = Duration::from_secs(30);

/// What a client has been asked.
#[derive(Debug, Default)]
pub(super) struct Asking {
    /// It has been asked and has not answered.
    waits: bool,
    /// It owes something that it was not asked about.
    owes: bool,
    /// When it was asked last.
    last: Option<Instant>,
}

impl Asking {
    /// Whether the client is to be asked now, when it owes so much. It counts as asked then.
    pub(super) fn asks(&mut self, owed: Owed, now: impl FnOnce() -> Instant) -> bool {
        if self.waits {
            return false;
        }
        self.owes = owed != Owed::Nothing;
        if !self.owes {
            return false;
        }
        let now = now();
        let due = match owed {
            Owed::Much => true,
            _ => self.last.is_none_or(|last| now >= last + AGAIN),
        };
        if due {
            self.asked(now);
        }
        due
    }

    /// It has been asked.
    pub(super) fn asked(&mut self, now: Instant) {
        self.waits = true;
        self.owes = false;
        self.last = Some(now);
    }

    /// It has answered.
    pub(super) fn answered(&mut self) {
        self.waits = false;
    }

    /// When it has to be asked though nothing more is sent; absent while it owes nothing.
    pub(super) fn due(&self) -> Option<Instant> {
        self.last
            .filter(|_| self.owes && !self.waits)
            .map(|last| last + AGAIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_owes_little_is_asked_at_once_and_then_twice_a_minute() {
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        let mut asking = Asking::default();
        assert!(!asking.asks(Owed::Nothing, || at(0)));
        assert_eq!(asking.due(), None);
        assert!(asking.asks(Owed::Some, || at(1)));
        assert!(!asking.asks(Owed::Much, || at(2)), "it has not answered");
        asking.answered();
        assert!(!asking.asks(Owed::Some, || at(3)));
        assert_eq!(asking.due(), Some(at(31)));
        assert!(asking.asks(Owed::Some, || at(31)));
        assert_eq!(asking.due(), None);
    }

    #[test]
    fn who_owes_much_is_asked_again_at_once() {
        let now = Instant::now();
        let mut asking = Asking::default();
        assert!(asking.asks(Owed::Some, || now));
        asking.answered();
        assert!(asking.asks(Owed::Much, || now));
    }

    #[test]
    fn who_has_acknowledged_everything_is_not_waited_for() {
        let now = Instant::now();
        let mut asking = Asking::default();
        assert!(asking.asks(Owed::Some, || now));
        asking.answered();
        assert!(!asking.asks(Owed::Some, || now));
        assert!(!asking.asks(Owed::Nothing, || now));
        assert_eq!(asking.due(), None);
    }
}
