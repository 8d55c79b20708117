//! Looks where the certificate stands, orders one if it is time, and keeps what came of it.

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::fault::{Fault, Kind};
use super::machine::{Event, Held, State, step};
use super::order::{Failure, order};
use super::{STATE, service};
use crate::files::{Access, Files};
use crate::firstboot::state::BoxState;
use crate::model::Domain;
use crate::settings::acme::Acme;
use crate::settings::apply::Machine;
use crate::settings::change::LOCK as CHANGES;

/// Whoever is at work holds it. In memory: a look each hour writes nothing to the card.
pub(super) const LOCK: &str = "/run/perch-agent/certificate.lock";

/// What is kept. Unknown fields are passed over: after a roll-back they may be a newer version's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Kept {
    /// The settings that the state belongs to.
    pub acme: Acme,
    /// The domain that it belongs to.
    pub domain: Option<Domain>,
    /// Where the certificate stands.
    pub state: State,
}

impl Kept {
    /// Reads it. A file that cannot be read is as good as none: what is in service is looked at anyway.
    pub fn load(files: &Files) -> Self {
        let text = files.read(STATE).ok().flatten();
        text.and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default()
    }

    fn save(&self, files: &Files) -> Result<()> {
        let mut text = serde_json::to_vec_pretty(self).context("writing a state as JSON")?;
        text.push(b'\n');
        files.replace(STATE, &text, Access::Everyone).map(drop)
    }
}

/// Looks, and orders if it is time, or if somebody has asked for it. A failed order is a state and no error.
///
/// # Errors
/// Somebody else is at work, or what came of it cannot be kept or taken up.
pub fn work(machine: Machine<'_>, asked: bool) -> Result<State> {
    let Machine { files, system } = machine;
    // Most boxes want none: their hourly look writes nothing at all.
    let is_on = BoxState::load(files)?.settings.acme.is_on();
    if !is_on && Kept::load(files).state == State::Off {
        return Ok(State::Off);
    }
    let _lock = lock(files)?;
    let now = || system.now().unix_timestamp();
    let (mut kept, acme) = look(machine, now())?;
    if !kept.state.is_due(now(), asked) {
        return Ok(kept.state);
    }
    go(files, &mut kept, Event::Begun, now())?;
    let event = match kept.domain.clone().filter(Domain::is_public) {
        None => refused(Fault::new(Kind::NoPublicDomain, "")),
        Some(domain) => match order(machine, domain.as_str(), &acme) {
            Ok(text) => put(machine, &domain, &text)?,
            Err(Failure { fault, barred }) => Event::Refused { fault, barred },
        },
    };
    let taken_up = match event {
        Event::Issued(_) => take_up(machine),
        _ => Ok(()),
    };
    go(files, &mut kept, event, now())?;
    taken_up.map(|()| kept.state)
}

fn refused(fault: Fault) -> Event {
    Event::Refused {
        fault,
        barred: None,
    }
}

/// One order at a time: two would spoil each other's proofs.
fn lock(files: &Files) -> Result<std::fs::File> {
    let place = files.path(LOCK);
    if super::job::is_locked(files) {
        bail!("an order is under way");
    }
    files
        .lock(LOCK)
        .with_context(|| format!("waiting for {}", place.display()))
}

fn go(files: &Files, kept: &mut Kept, event: Event, now: i64) -> Result<()> {
    kept.state = step(&kept.state, event, now)?;
    kept.save(files)
}

/// Brings the state up to what is set and in service.
fn look(machine: Machine<'_>, now: i64) -> Result<(Kept, Acme)> {
    let Machine { files, .. } = machine;
    let (state, settled, held) = {
        let _changes = files.lock(CHANGES)?;
        let state = BoxState::load(files)?;
        let settled = service::settle(files, &state, now)?;
        let held = service::held(files, &state, now)?;
        (state, settled, held)
    };
    if settled {
        take_up(machine)?;
    }
    let before = Kept::load(files);
    let BoxState { settings, .. } = state;
    let is_elsewhere = before.acme.directory() != settings.acme.directory();
    let looked = Event::Looked {
        wanted: settings.acme.is_on(),
        changed: before.acme != settings.acme || before.domain != settings.domain,
        // Another authority is wanted: its certificate, too, as soon as it can be had.
        held: held.filter(|_| !is_elsewhere || before.state == State::Off),
    };
    let kept = Kept {
        state: step(&before.state, looked, now)?,
        acme: settings.acme.clone(),
        domain: settings.domain,
    };
    if kept != before {
        kept.save(files)?;
    }
    Ok((kept, settings.acme))
}

/// Puts a new certificate into service, unless it is no good, or the settings have changed meanwhile.
fn put(machine: Machine<'_>, domain: &Domain, text: &str) -> Result<Event> {
    let Machine { files, system } = machine;
    let now = system.now().unix_timestamp();
    let held: Option<Held> = service::check(text, domain, now);
    let Some(held) = held else {
        let words = "its certificate is for another name or key, or is over";
        return Ok(refused(Fault::new(Kind::Trouble, words)));
    };
    let _changes = files.lock(CHANGES)?;
    let state = BoxState::load(files)?;
    if service::wanted(&state) != Some(domain) {
        let words = "the settings were changed meanwhile";
        return Ok(refused(Fault::new(Kind::Trouble, words)));
    }
    service::install(files, domain, text)?;
    Ok(Event::Issued(held))
}

fn take_up(machine: Machine<'_>) -> Result<()> {
    for action in service::TAKE_UP {
        let Machine { files, system } = machine;
        action.run(files, system, &BoxState::default())?;
    }
    Ok(())
}
