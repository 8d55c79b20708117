//! The picture of the states in `docs/operator/updates.md`, made by running every event in every state.

use std::collections::BTreeSet;

use super::machine::{Effect, Event, Release, Slot, State, step};

/// One of each state; of a trial that failed, also one that is not undone yet.
#[must_use]
pub fn states() -> Vec<State> {
    let release = || Release {
        version: "2.0.0".to_owned(),
        source: Some("https://updates.example/b.raucb".to_owned()),
        bytes: None,
        downgrade: false,
    };
    vec![
        State::Idle,
        State::Available { release: release() },
        State::Preflight { release: release() },
        State::Downloading { release: release() },
        State::Installed { release: release() },
        State::Trial {
            release: release(),
            from: Slot::A,
            boots: vec![],
            verdict: None,
        },
        State::Committed {
            version: "2.0.0".to_owned(),
            slot: Slot::B,
            settled: false,
        },
        State::Failed {
            release: release(),
            during: "trial".to_owned(),
            reason: "it does not work".to_owned(),
            boots: vec![],
            undo: None,
        },
        State::Failed {
            release: release(),
            during: "trial".to_owned(),
            reason: "it does not work".to_owned(),
            boots: vec![],
            undo: Some(Slot::A),
        },
    ]
}

/// One of each event; of starts, one in each slot.
#[must_use]
pub fn events() -> Vec<(String, Event)> {
    let release = || Release {
        version: "2.0.0".to_owned(),
        source: Some("https://updates.example/b.raucb".to_owned()),
        bytes: None,
        downgrade: false,
    };
    let started = |slot, first| Event::Started {
        slot,
        first,
        boot: "4f1a".to_owned(),
    };
    let mut events: Vec<(String, Event)> = [
        // A newer one than was left: that is not offered again.
        Event::Found(Release {
            version: "2.1.0".to_owned(),
            ..release()
        }),
        Event::NothingNew,
        Event::Install(release()),
        Event::Cleared,
        Event::Refused("no room".to_owned()),
        Event::Written,
        Event::Leave { from: Slot::A },
        Event::Healthy("2.0.0".to_owned()),
        Event::Unhealthy("it does not work".to_owned()),
        Event::Settled,
    ]
    .into_iter()
    .map(|event| (event.name().to_owned(), event))
    .collect();
    events.push((
        "started in the new slot".to_owned(),
        started(Slot::B, Slot::B),
    ));
    events.push((
        "started in the old slot".to_owned(),
        started(Slot::A, Slot::B),
    ));
    events.push((
        "power cut before the boot loader knew".to_owned(),
        started(Slot::A, Slot::A),
    ));
    events
}

/// Mermaid's text.
#[must_use]
pub fn mermaid() -> String {
    let mut lines = BTreeSet::new();
    for state in states() {
        for (name, event) in events() {
            if let Ok((next, effects)) = step(&state, event)
                // A state that stays as it is counts where something is done for it, besides tidying up.
                && (next.name() != state.name()
                    || effects.iter().any(|effect| *effect != Effect::DropDatabase))
            {
                lines.insert(format!(
                    "    {} --> {}: {name}\n",
                    state.name(),
                    next.name()
                ));
            }
        }
    }
    format!(
        "stateDiagram-v2\n    [*] --> idle\n{}",
        lines.into_iter().collect::<String>()
    )
}
