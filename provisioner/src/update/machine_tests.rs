use super::super::diagram::{events, states};
use super::*;

fn release() -> Release {
    Release {
        version: "2.0.0".to_owned(),
        source: Some("https://updates.example/b.raucb".to_owned()),
        bytes: None,
        downgrade: false,
    }
}

fn trial(boots: &[&str], verdict: Option<&str>) -> State {
    State::Trial {
        release: release(),
        from: Slot::A,
        boots: boots.iter().map(|&boot| boot.to_owned()).collect(),
        verdict: verdict.map(str::to_owned),
    }
}

fn started(slot: Slot, first: Slot) -> Event {
    Event::Started {
        slot,
        first,
        boot: "b1".to_owned(),
    }
}

/// The names of the states that a story goes through, and the effects on the way.
fn story(events: Vec<Event>) -> (Vec<&'static str>, Vec<Effect>) {
    let mut state = State::Idle;
    let (mut names, mut all) = (vec![state.name()], vec![]);
    for event in events {
        let (next, effects) = step(&state, event).unwrap();
        names.push(next.name());
        all.extend(effects);
        state = next;
    }
    (names, all)
}

#[test]
fn an_update_that_works_goes_through_every_state_to_committed() {
    let (names, effects) = story(vec![
        Event::Found(release()),
        Event::Install(release()),
        Event::Cleared,
        Event::Written,
        Event::Leave { from: Slot::A },
        started(Slot::B, Slot::B),
        Event::Healthy("2.0.0".to_owned()),
    ]);
    assert_eq!(
        names,
        [
            "idle",
            "available",
            "preflight",
            "downloading",
            "installed",
            "trial",
            "trial",
            "committed"
        ]
    );
    assert_eq!(
        effects,
        [
            Effect::Preflight,
            Effect::Write,
            Effect::BeginTrial,
            Effect::KeepDatabase,
            Effect::Activate,
            Effect::Restart,
            Effect::Watch,
            Effect::Trust,
            Effect::DropDatabase,
            Effect::Settle
        ]
    );
}

#[test]
fn a_trial_that_is_not_healthy_ends_in_the_old_slot_with_its_own_reason() {
    let (sick, effects) = step(&trial(&["b1"], None), Event::Unhealthy("no login".into())).unwrap();
    assert_eq!(effects, [Effect::Distrust, Effect::Restart]);
    let (end, effects) = step(&sick, started(Slot::A, Slot::B)).unwrap();
    assert_eq!(effects, UNDO);
    let State::Failed { reason, boots, .. } = end else {
        panic!("{end:?}")
    };
    assert_eq!((reason.as_str(), boots.len()), ("no login", 1));
}

#[test]
fn a_slot_that_was_never_heard_of_is_said_not_to_have_started() {
    let (end, _) = step(&trial(&[], None), started(Slot::A, Slot::B)).unwrap();
    let State::Failed { reason, during, .. } = end else {
        panic!("{end:?}")
    };
    assert!(reason.contains("did not start"), "{reason}");
    assert_eq!(during, "trial");
}

#[test]
fn a_slot_that_started_and_stopped_is_told_from_one_that_never_did() {
    let (end, _) = step(&trial(&["b1", "b2"], None), started(Slot::A, Slot::B)).unwrap();
    assert!(matches!(end, State::Failed { reason, .. } if reason.contains("started 2 times")));
}

#[test]
fn a_power_cut_before_the_boot_loader_knew_changes_nothing() {
    let (end, effects) = step(&trial(&[], None), started(Slot::A, Slot::A)).unwrap();
    assert_eq!(end.name(), "available");
    assert_eq!(effects, [Effect::DropDatabase]);
}

#[test]
fn a_power_cut_between_verdict_and_effect_carries_the_effect_out() {
    let (_, effects) = step(&trial(&["b1"], Some("no login")), started(Slot::B, Slot::B)).unwrap();
    assert_eq!(effects, [Effect::Distrust, Effect::Restart]);
}

#[test]
fn a_power_cut_while_preparing_leaves_the_update_available() {
    for state in [
        State::Preflight { release: release() },
        State::Downloading { release: release() },
        State::Installed { release: release() },
    ] {
        let (next, effects) = step(&state, started(Slot::A, Slot::A)).unwrap();
        assert_eq!(next.name(), "available");
        assert_eq!(effects, [Effect::DropDatabase]);
    }
}

#[test]
fn a_version_that_was_left_is_not_offered_again_but_one_that_was_not_fetched_is() {
    let failed = |during: &str| State::Failed {
        release: release(),
        during: during.to_owned(),
        reason: "no login".to_owned(),
        boots: vec![],
        undo: None,
    };
    for (during, version, next) in [
        ("trial", "2.0.0", "failed"),
        ("trial", "2.0.1", "available"),
        ("downloading", "2.0.0", "available"),
    ] {
        let found = Release {
            version: version.to_owned(),
            ..release()
        };
        let (state, effects) = step(&failed(during), Event::Found(found)).unwrap();
        assert_eq!(
            (state.name(), effects.len()),
            (next, 0),
            "{during} {version}"
        );
    }
}

#[test]
fn a_roll_back_downloads_nothing() {
    let back = Release {
        source: None,
        ..release()
    };
    let (state, _) = step(&State::Idle, Event::Install(back)).unwrap();
    let (state, effects) = step(&state, Event::Cleared).unwrap();
    assert_eq!(state.name(), "installed");
    assert_eq!(effects, [Effect::BeginTrial]);
}

fn failed(undo: Option<Slot>) -> State {
    State::Failed {
        release: release(),
        during: "trial".to_owned(),
        reason: "no login".to_owned(),
        boots: vec!["b0".to_owned()],
        undo,
    }
}

fn committed(settled: bool) -> State {
    State::Committed {
        version: "2.0.0".to_owned(),
        slot: Slot::B,
        settled,
    }
}

#[test]
fn what_follows_from_an_end_is_done_at_every_start_until_it_is_settled() {
    let away = [Effect::Distrust, Effect::Restart];
    for (state, slot, wanted) in [
        (failed(Some(Slot::A)), Slot::A, &UNDO[..]),
        // The power was cut before the boot loader was told.
        (failed(Some(Slot::A)), Slot::B, &away[..]),
        (failed(None), Slot::A, &[Effect::DropDatabase]),
        (committed(false), Slot::B, &COMMIT[..]),
        (committed(true), Slot::B, &[]),
    ] {
        let (next, effects) = step(&state, started(slot, Slot::A)).unwrap();
        assert_eq!((&next, &effects[..]), (&state, wanted));
    }
    for (before, after) in [
        (failed(Some(Slot::A)), failed(None)),
        (committed(false), committed(true)),
    ] {
        assert_eq!(step(&before, Event::Settled).unwrap(), (after, vec![]));
    }
}

#[test]
fn nothing_is_begun_before_the_last_trial_is_undone() {
    let left = failed(Some(Slot::A));
    assert!(step(&left, Event::Install(release())).is_err());
    let newer = Release {
        version: "2.1.0".to_owned(),
        ..release()
    };
    let found = step(&left, Event::Found(newer)).unwrap();
    assert_eq!(found, (left, vec![]));
}

#[test]
fn a_step_to_the_trial_that_is_refused_is_undone_as_a_trial_that_failed() {
    let (next, effects) = step(&trial(&[], None), Event::Refused("full".into())).unwrap();
    assert_eq!(
        effects,
        [Effect::Return, Effect::DropDatabase, Effect::Restart]
    );
    assert!(next.is_being_undone());
    let (_, effects) = step(&next, started(Slot::A, Slot::A)).unwrap();
    assert_eq!(effects, UNDO);
}

#[test]
fn a_version_that_was_accepted_and_starts_no_more_is_undone_with_its_journal() {
    for settled in [false, true] {
        let (next, effects) = step(&committed(settled), started(Slot::A, Slot::B)).unwrap();
        assert_eq!(effects, UNDO);
        assert!(
            matches!(next, State::Failed { during, undo: Some(Slot::A), .. } if during == "committed")
        );
    }
}

#[test]
fn states_of_the_version_before_are_read() {
    let release = r#""release":{"version":"2.0.0","source":null,"bytes":null}"#;
    for (text, wanted) in [
        (
            r#"{"state":"committed","version":"2.0.0","slot":"B"}"#.to_owned(),
            "settled: false",
        ),
        (
            format!(r#"{{"state":"failed",{release},"during":"trial","reason":"x","boots":[]}}"#),
            "undo: None",
        ),
    ] {
        let state: State = serde_json::from_str(&text).unwrap();
        assert!(format!("{state:?}").contains(wanted), "{state:?}");
    }
}

/// Every state with every event: either a next state, or an error; and a start is never an error.
#[test]
fn every_state_takes_a_start_and_no_event_loses_the_release() {
    for state in states() {
        for (name, event) in events() {
            match step(&state, event) {
                Ok((next, _)) => assert!(
                    next.release().is_some()
                        || matches!(next, State::Idle | State::Committed { .. }),
                    "{} and {name}",
                    state.name()
                ),
                Err(illegal) => {
                    assert_eq!(illegal.state, state.name());
                    assert!(!name.contains("start") && !name.contains("power"), "{name}");
                }
            }
        }
    }
}

#[test]
fn states_are_kept_as_json_and_read_back() {
    for state in states() {
        let text = serde_json::to_string(&state).unwrap();
        assert_eq!(serde_json::from_str::<State>(&text).unwrap(), state);
    }
}
