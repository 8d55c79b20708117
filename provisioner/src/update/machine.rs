//! The life of an update as a pure function: state and event in, next state and effects out. `run` keeps each state on disk
//! before it carries the effects out, so that a power cut at any moment is one more event: [`Event::Started`].

use serde::{Deserialize, Serialize};

#[path = "machine_start.rs"]
mod start;

/// One of the two places that a system can be in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Slot {
    /// `boot_a` and `system_a`.
    A,
    /// `boot_b` and `system_b`.
    B,
}

impl Slot {
    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    /// RAUC's `bootname`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::B => "B",
        }
    }
}

/// What is installed, or put back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// Its version.
    pub version: String,
    /// A bundle's address or file. Absent: what the other slot has (a roll-back).
    pub source: Option<String>,
    /// Bytes of the bundle; absent: not known.
    pub bytes: Option<u64>,
    /// The bundle may be older than what runs: the owner said so.
    #[serde(default)]
    pub downgrade: bool,
}

/// Where an update is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum State {
    /// Nothing is known to be newer.
    #[default]
    Idle,
    /// There is another version.
    Available {
        /// Which.
        release: Release,
    },
    /// The box is looked at before anything is changed.
    Preflight {
        /// For which.
        release: Release,
    },
    /// The other slot is written.
    Downloading {
        /// With which.
        release: Release,
    },
    /// The other slot is whole, and not yet started.
    Installed {
        /// What is in it.
        release: Release,
    },
    /// The other slot is to be started, or runs and is not yet trusted.
    Trial {
        /// What is in it.
        release: Release,
        /// The slot to go back to.
        from: Slot,
        /// Starts of the slot on trial, by the kernel's boot ID.
        boots: Vec<String>,
        /// Why it is not trusted, once that is known.
        verdict: Option<String>,
    },
    /// The new version is trusted.
    Committed {
        /// Which.
        version: String,
        /// Where it is.
        slot: Slot,
        /// Whether all that follows from it is done: the boot loader knows, and the kept database is gone. A start does the rest.
        #[serde(default)]
        settled: bool,
    },
    /// The old version runs, for this reason.
    Failed {
        /// What had been tried.
        release: Release,
        /// During which state.
        during: String,
        /// One sentence.
        reason: String,
        /// Starts of the slot that failed, by boot ID: none if nothing of it was heard.
        boots: Vec<String>,
        /// The slot to go back to, for as long as something of the trial is not undone. Absent: nothing is left to undo. A start does
        /// the rest.
        #[serde(default)]
        undo: Option<Slot>,
    },
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The channel names another version.
    Found(Release),
    /// The channel names what runs already.
    NothingNew,
    /// Somebody, or the night's timer, wants it.
    Install(Release),
    /// The preflight found nothing against it.
    Cleared,
    /// The preflight, the download or the step to the trial did not work out.
    Refused(String),
    /// The other slot is written and verified.
    Written,
    /// The database is kept, the restart is next.
    Leave {
        /// The slot that runs.
        from: Slot,
    },
    /// The box has started.
    Started {
        /// The slot that runs.
        slot: Slot,
        /// The slot that the boot loader would take first.
        first: Slot,
        /// The kernel's boot ID.
        boot: String,
    },
    /// The slot on trial does all that it has to; the version that it names itself.
    Healthy(String),
    /// It does not.
    Unhealthy(String),
    /// All that follows from a state is done.
    Settled,
}

/// What is to be done, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Look at the box.
    Preflight,
    /// Write the other slot.
    Write,
    /// Begin the trial.
    BeginTrial,
    /// Stop the server and keep a copy of its database.
    KeepDatabase,
    /// Let the boot loader take the slot on trial next.
    Activate,
    /// Restart.
    Restart,
    /// Watch the slot on trial.
    Watch,
    /// Put the kept database back where the new version has changed its schema.
    RestoreDatabase,
    /// Keep the journal of the slot that failed.
    KeepJournal,
    /// Let the boot loader take the running slot first again.
    Return,
    /// Tell the boot loader that the running slot is good.
    Trust,
    /// Tell the boot loader not to take the running slot again.
    Distrust,
    /// Remove the kept database.
    DropDatabase,
    /// Say that all before is done, if it is.
    Settle,
}

/// What undoes a trial. Each can be done again, and is done although one before it did not work: a boot loader that cannot be told is no
/// reason to leave the database as it is.
const UNDO: [Effect; 4] = [
    Effect::Return,
    Effect::RestoreDatabase,
    Effect::KeepJournal,
    Effect::Settle,
];

/// What ends a trial that is trusted. As above.
const COMMIT: [Effect; 3] = [Effect::Trust, Effect::DropDatabase, Effect::Settle];

/// An event that makes no sense in a state.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("an update that is {state} cannot take this: {event}")]
pub struct Illegal {
    /// The state's name.
    pub state: &'static str,
    /// The event's name.
    pub event: &'static str,
}

impl State {
    /// Its name, as the page and the command line show it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Available { .. } => "available",
            Self::Preflight { .. } => "preflight",
            Self::Downloading { .. } => "downloading",
            Self::Installed { .. } => "installed",
            Self::Trial { .. } => "trial",
            Self::Committed { .. } => "committed",
            Self::Failed { .. } => "failed",
        }
    }

    fn release(&self) -> Option<&Release> {
        match self {
            Self::Idle | Self::Committed { .. } => None,
            Self::Available { release }
            | Self::Preflight { release }
            | Self::Downloading { release }
            | Self::Installed { release }
            | Self::Trial { release, .. }
            | Self::Failed { release, .. } => Some(release),
        }
    }

    /// Whether something of a trial is still to be undone; nothing else is begun before.
    #[must_use]
    pub fn is_being_undone(&self) -> bool {
        matches!(self, Self::Failed { undo: Some(_), .. })
    }

    fn failed(&self, reason: String, undo: Option<Slot>) -> Self {
        let boots = match self {
            Self::Trial { boots, .. } => boots.clone(),
            _ => Vec::new(),
        };
        match self.release() {
            Some(release) => Self::Failed {
                release: release.clone(),
                during: self.name().to_owned(),
                reason,
                boots,
                undo,
            },
            None => self.clone(),
        }
    }
}

impl Event {
    /// Its name in the diagram.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Found(_) => "found",
            Self::NothingNew => "nothing new",
            Self::Install(_) => "install",
            Self::Cleared => "cleared",
            Self::Refused(_) => "refused",
            Self::Written => "written",
            Self::Leave { .. } => "leave",
            Self::Started { .. } => "started",
            Self::Healthy(_) => "healthy",
            Self::Unhealthy(_) => "unhealthy",
            Self::Settled => "settled",
        }
    }
}

/// What becomes of an update.
///
/// # Errors
/// The event makes no sense in the state; nothing is to be done.
pub fn step(state: &State, event: Event) -> Result<(State, Vec<Effect>), Illegal> {
    use State::{Available, Committed, Downloading, Failed, Idle, Installed, Preflight, Trial};
    let next = match (state, event) {
        (Failed { undo: Some(_), .. }, Event::Found(_)) => (state.clone(), vec![]),
        // Or it would be tried again every night.
        (
            Failed {
                release: left,
                during,
                ..
            },
            Event::Found(release),
        ) if during == "trial" && left.version == release.version => (state.clone(), vec![]),
        (Idle | Available { .. } | Committed { .. } | Failed { .. }, Event::Found(release)) => {
            (Available { release }, vec![])
        }
        (Idle | Available { .. }, Event::NothingNew) => (Idle, vec![]),
        (Committed { .. } | Failed { .. }, Event::NothingNew) => (state.clone(), vec![]),
        (
            Idle | Available { .. } | Committed { .. } | Failed { undo: None, .. },
            Event::Install(release),
        ) => (Preflight { release }, vec![Effect::Preflight]),
        (Preflight { release }, Event::Cleared) => match release.source {
            Some(_) => (
                Downloading {
                    release: release.clone(),
                },
                vec![Effect::Write],
            ),
            // The other slot has it already.
            None => (
                Installed {
                    release: release.clone(),
                },
                vec![Effect::BeginTrial],
            ),
        },
        (Downloading { release }, Event::Written) => (
            Installed {
                release: release.clone(),
            },
            vec![Effect::BeginTrial],
        ),
        (Preflight { .. } | Downloading { .. } | Installed { .. }, Event::Refused(reason)) => {
            (state.failed(reason, None), vec![])
        }
        (Installed { release }, Event::Leave { from }) => (
            Trial {
                release: release.clone(),
                from,
                boots: Vec::new(),
                verdict: None,
            },
            vec![Effect::KeepDatabase, Effect::Activate, Effect::Restart],
        ),
        (Trial { from, .. }, Event::Healthy(version)) => (
            Committed {
                version,
                slot: from.other(),
                settled: false,
            },
            COMMIT.to_vec(),
        ),
        (Trial { .. }, Event::Unhealthy(reason)) => (
            with_verdict(state, reason),
            vec![Effect::Distrust, Effect::Restart],
        ),
        // The server has been stopped by then: it is started again by the restart, after which the rest is undone.
        (Trial { from, .. }, Event::Refused(reason)) => (
            state.failed(reason, Some(*from)),
            vec![Effect::Return, Effect::DropDatabase, Effect::Restart],
        ),
        (Committed { .. } | Failed { .. }, Event::Settled) => (settled(state), vec![]),
        (state, Event::Started { slot, first, boot }) => start::started(state, slot, first, &boot),
        (state, event) => {
            return Err(Illegal {
                state: state.name(),
                event: event.name(),
            });
        }
    };
    Ok(next)
}

fn with_verdict(state: &State, reason: String) -> State {
    let mut state = state.clone();
    if let State::Trial { verdict, .. } = &mut state {
        verdict.get_or_insert(reason);
    }
    state
}

fn settled(state: &State) -> State {
    let mut state = state.clone();
    match &mut state {
        State::Committed { settled, .. } => *settled = true,
        State::Failed { undo, .. } => *undo = None,
        _ => {}
    }
    state
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
