//! Where the certificate for the domain stands: pure, so that every state meets every event in a test.

use serde::{Deserialize, Serialize};

use super::fault::Fault;

/// The first wait after a failure; each further one doubles it.
const FIRST_WAIT: i64 = 3600;
/// The longest wait. Let's Encrypt forgives five failed proofs of a name in an hour, and certificates are renewed a month before their end.
const LONGEST_WAIT: i64 = 86_400;

/// A certificate that is in service: its time, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// From when.
    pub from: i64,
    /// Until when.
    pub until: i64,
}

impl Held {
    /// When it is to be renewed: after two thirds of its time.
    #[must_use]
    pub fn renewal(self) -> i64 {
        self.from + (self.until - self.from) / 3 * 2
    }

    /// Whether its end is near: a renewal has failed for half of the time that it had.
    #[must_use]
    pub fn ends_soon(self, now: i64) -> bool {
        self.until - now < (self.until - self.from) / 6
    }
}

/// Where it stands. Times are in seconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum State {
    /// Nobody wants one.
    #[default]
    Off,
    /// One is wanted, and was not ordered yet.
    Missing,
    /// An order is under way, or was cut off.
    Ordering {
        /// The certificate in service meanwhile. Absent: that of the box's own authority.
        held: Option<Held>,
        /// Since when.
        since: i64,
        /// How many orders failed before, one after the other.
        failures: u32,
    },
    /// It is in service.
    Valid {
        /// Its time.
        held: Held,
    },
    /// The last order failed.
    Failed {
        /// As above.
        held: Option<Held>,
        /// Why.
        fault: Fault,
        /// When.
        at: i64,
        /// How many failed, one after the other.
        failures: u32,
        /// When the next one begins by itself.
        next: i64,
        /// Before this the authority wants to hear nothing, whoever asks. Absent: it has said nothing.
        barred: Option<i64>,
    },
}

/// What happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Somebody has looked at the settings and at what is in service.
    Looked {
        /// Whether a certificate is wanted.
        wanted: bool,
        /// Whether that was said differently before.
        changed: bool,
        /// What is in service.
        held: Option<Held>,
    },
    /// An order begins.
    Begun,
    /// The authority has given a certificate, which is in service.
    Issued(Held),
    /// The order failed.
    Refused {
        /// Why.
        fault: Fault,
        /// Until when the authority wants to be left alone. Absent: it has said nothing.
        barred: Option<i64>,
    },
}

/// An event that cannot happen in this state.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{event} while the certificate is {state}")]
pub struct Illegal {
    state: String,
    event: String,
}

impl State {
    /// The certificate in service. `None`: that of the box's own authority alone.
    #[must_use]
    pub fn held(&self) -> Option<Held> {
        match self {
            Self::Off | Self::Missing => None,
            Self::Valid { held } => Some(*held),
            Self::Ordering { held, .. } | Self::Failed { held, .. } => *held,
        }
    }

    fn failures(&self) -> u32 {
        match self {
            Self::Ordering { failures, .. } | Self::Failed { failures, .. } => *failures,
            _ => 0,
        }
    }

    /// Whether an order is to begin now; `asked`: somebody does not want to wait.
    #[must_use]
    pub fn is_due(&self, now: i64, asked: bool) -> bool {
        match self {
            Self::Off => false,
            // One that was cut off is begun again: nobody else is at work.
            Self::Missing | Self::Ordering { .. } => true,
            Self::Valid { held } => asked || now >= held.renewal(),
            Self::Failed { next, barred, .. } => {
                let may = barred.is_none_or(|until| now >= until);
                may && (asked || now >= *next)
            }
        }
    }

    /// When the next order begins by itself. `None`: never, or at once.
    #[must_use]
    pub fn next(&self) -> Option<i64> {
        match self {
            Self::Valid { held } => Some(held.renewal()),
            Self::Failed { next, .. } => Some(*next),
            _ => None,
        }
    }
}

/// How long to wait after so many failures.
fn wait(failures: u32) -> i64 {
    let doubled = FIRST_WAIT << failures.saturating_sub(1).min(5);
    doubled.min(LONGEST_WAIT)
}

/// The state after an event.
///
/// # Errors
/// It cannot happen in this state.
pub fn step(state: &State, event: Event, now: i64) -> Result<State, Illegal> {
    let illegal = |event: &str| {
        let state = format!("{state:?}");
        Err(Illegal {
            state: state
                .split([' ', '{'])
                .next()
                .unwrap_or_default()
                .to_owned(),
            event: event.to_owned(),
        })
    };
    Ok(match (event, state) {
        (Event::Looked { wanted: false, .. }, _) => State::Off,
        (Event::Looked { changed, held, .. }, state) => {
            looked(state, held, changed || *state == State::Off)
        }
        (Event::Begun, State::Off) => return illegal("an order"),
        (Event::Begun, state) => State::Ordering {
            held: state.held(),
            since: now,
            failures: state.failures(),
        },
        (Event::Issued(held), State::Ordering { .. }) => State::Valid { held },
        (Event::Issued(_), _) => return illegal("a certificate"),
        (Event::Refused { fault, barred }, State::Ordering { held, failures, .. }) => {
            let failures = failures.saturating_add(1);
            State::Failed {
                held: *held,
                fault,
                at: now,
                failures,
                next: barred.unwrap_or(now).max(now + wait(failures)),
                barred,
            }
        }
        (Event::Refused { .. }, _) => return illegal("a refusal"),
    })
}

/// A certificate is wanted. What failed before something was changed says nothing of now.
fn looked(state: &State, found: Option<Held>, afresh: bool) -> State {
    let mut state = state.clone();
    match &mut state {
        State::Ordering { held, .. } | State::Failed { held, .. } if !afresh => *held = found,
        _ => return found.map_or(State::Missing, |held| State::Valid { held }),
    }
    state
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
