#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::acme::fault::Kind;

const NOW: i64 = 1_796_126_400;
const DAY: i64 = 86_400;

fn held() -> Held {
    Held {
        from: NOW,
        until: NOW + 90 * DAY,
    }
}

fn fault() -> Fault {
    Fault::new(Kind::PortClosed, "timed out")
}

fn ordering(failures: u32) -> State {
    State::Ordering {
        held: None,
        since: NOW,
        failures,
    }
}

fn failed(barred: Option<i64>) -> State {
    let event = Event::Refused {
        fault: fault(),
        barred,
    };
    step(&ordering(0), event, NOW).unwrap()
}

fn states() -> Vec<State> {
    let valid = State::Valid { held: held() };
    vec![State::Off, State::Missing, ordering(0), valid, failed(None)]
}

fn look(changed: bool, held: Option<Held>) -> Event {
    Event::Looked {
        wanted: true,
        changed,
        held,
    }
}

#[test]
fn every_state_meets_every_event() {
    let unwanted = Event::Looked {
        wanted: false,
        changed: true,
        held: Some(held()),
    };
    let refused = Event::Refused {
        fault: fault(),
        barred: None,
    };
    // In the order of `states`: what comes of it, or none where it cannot happen.
    let table: [(Event, [Option<&str>; 5]); 7] = [
        (unwanted, [Some("off"); 5]),
        (
            look(false, None),
            ["missing", "missing", "ordering", "missing", "failed"].map(Some),
        ),
        (
            look(false, Some(held())),
            ["valid", "valid", "ordering", "valid", "failed"].map(Some),
        ),
        (look(true, None), [Some("missing"); 5]),
        (
            Event::Begun,
            [
                None,
                Some("ordering"),
                Some("ordering"),
                Some("ordering"),
                Some("ordering"),
            ],
        ),
        (
            Event::Issued(held()),
            [None, None, Some("valid"), None, None],
        ),
        (refused, [None, None, Some("failed"), None, None]),
    ];
    for (event, outcomes) in table {
        for (state, wanted) in states().iter().zip(outcomes) {
            let found = step(state, event.clone(), NOW).ok();
            let name = found.map(|state| serde_json::to_value(state).unwrap()["state"].clone());
            let name = name.as_ref().and_then(|name| name.as_str());
            assert_eq!(name, wanted, "{event:?} in {state:?}");
        }
    }
}

#[test]
fn a_certificate_is_renewed_after_two_thirds_of_its_time() {
    let valid = State::Valid { held: held() };
    assert!(!valid.is_due(NOW + 59 * DAY, false));
    assert!(valid.is_due(NOW + 60 * DAY, false));
    assert!(valid.is_due(NOW, true));
    assert_eq!(valid.next(), Some(NOW + 60 * DAY));
    assert!(!held().ends_soon(NOW + 74 * DAY) && held().ends_soon(NOW + 76 * DAY));
}

#[test]
fn failures_are_followed_by_longer_and_longer_waits() {
    let mut state = State::Missing;
    let mut waits = Vec::new();
    for _ in 0..7 {
        assert!(state.is_due(NOW + 10 * DAY, false));
        state = step(&state, Event::Begun, NOW).unwrap();
        let refused = Event::Refused {
            fault: fault(),
            barred: None,
        };
        state = step(&state, refused, NOW).unwrap();
        waits.push((state.next().unwrap() - NOW) / 3600);
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 24, 24]);
    // Somebody has mended something: it begins from the beginning.
    let mended = step(&state, look(true, None), NOW).unwrap();
    assert!(mended.is_due(NOW, false));
}

#[test]
fn somebody_may_be_impatient_unless_the_authority_bars_it() {
    assert!(!failed(None).is_due(NOW + 60, false) && failed(None).is_due(NOW + 60, true));
    let barred = failed(Some(NOW + 3 * DAY));
    assert_eq!(barred.next(), Some(NOW + 3 * DAY));
    assert!(!barred.is_due(NOW + 2 * DAY, true) && barred.is_due(NOW + 3 * DAY, false));
}

#[test]
fn what_is_in_service_stays_while_a_renewal_fails_and_is_gone_at_its_end() {
    let valid = State::Valid { held: held() };
    let begun = step(&valid, Event::Begun, NOW).unwrap();
    let refused = Event::Refused {
        fault: fault(),
        barred: None,
    };
    let state = step(&begun, refused, NOW).unwrap();
    assert_eq!(state.held(), Some(held()));
    let state = step(&state, look(false, None), NOW + 91 * DAY).unwrap();
    assert_eq!(state.held(), None);
    assert!(matches!(state, State::Failed { .. }));
}
