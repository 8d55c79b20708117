//! What a start means in each state: one by design, or after a power cut or a fault.

use super::{COMMIT, Effect, Release, Slot, State, UNDO};

/// A start in `slot`, where the boot loader would take `first` the next time.
pub(super) fn started(state: &State, slot: Slot, first: Slot, boot: &str) -> (State, Vec<Effect>) {
    use State::{Available, Committed, Downloading, Failed, Idle, Installed, Preflight, Trial};
    match state {
        // A copy that could not be removed when its time was over must not be there when the next trial fails.
        Idle | Available { .. } | Failed { undo: None, .. } => {
            (state.clone(), vec![Effect::DropDatabase])
        }
        Failed {
            undo: Some(back), ..
        } if slot == *back => (state.clone(), UNDO.to_vec()),
        // Cut before the boot loader was told.
        Failed { .. } => (state.clone(), vec![Effect::Distrust, Effect::Restart]),
        // Nothing has been activated: the other slot is written again when its time comes.
        Preflight { release } | Downloading { release } | Installed { release } => (
            Available {
                release: release.clone(),
            },
            vec![Effect::DropDatabase],
        ),
        Trial { from, verdict, .. } if slot != *from => {
            let mut state = state.clone();
            if let Trial { boots, .. } = &mut state {
                boots.push(boot.to_owned());
            }
            let effects = match verdict {
                None => vec![Effect::Watch],
                // The power was cut between the verdict and its effect.
                Some(_) => vec![Effect::Distrust, Effect::Restart],
            };
            (state, effects)
        }
        // Cut before the boot loader was told.
        Trial {
            release,
            boots,
            verdict: None,
            ..
        } if first == slot && boots.is_empty() => (
            Available {
                release: release.clone(),
            },
            vec![Effect::DropDatabase],
        ),
        Trial { boots, verdict, .. } => {
            let reason = verdict.clone().unwrap_or_else(|| unheard(boots));
            (state.failed(reason, Some(slot)), UNDO.to_vec())
        }
        Committed {
            slot: committed,
            settled,
            ..
        } if slot == *committed => {
            let effects = if *settled { vec![] } else { COMMIT.to_vec() };
            (state.clone(), effects)
        }
        Committed { version, .. } => (
            Failed {
                release: Release {
                    version: version.clone(),
                    source: None,
                    bytes: None,
                    downgrade: false,
                },
                during: state.name().to_owned(),
                reason: "the new version did not start any more after it had been accepted"
                    .to_owned(),
                boots: Vec::new(),
                undo: Some(slot),
            },
            UNDO.to_vec(),
        ),
    }
}

/// The reason where the slot on trial could not say it itself.
fn unheard(boots: &[String]) -> String {
    match boots.len() {
        0 => "the new version did not start: its kernel, its first programs or its files were not sound"
            .to_owned(),
        1 => "the new version started, and stopped or hung before it could be tried".to_owned(),
        times => format!(
            "the new version started {times} times, and stopped or hung each time before it could be tried"
        ),
    }
}
