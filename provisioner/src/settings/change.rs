//! Changes of the settings on a running box: what the command line and the page do.

use std::net::IpAddr;

use anyhow::{Context, Result, bail};
use settings_file::{Document, Problems};

use super::Settings;
use super::apply::{Machine, apply};
use super::history::{self, Entry};
use super::keys::{KEYS, SECRET_KEYS, can_be_undone, diff_with_secrets, quoted};
use super::plan::{Plan, When, plan};
use super::read::{Known, Wishes, read};
use super::secrets::Secrets;
use super::trial::{self, Effect, Event, Links, PATIENCE_SECONDS, TIMER, Trial, step};
use crate::files::PowerCut;
use crate::firstboot::state::BoxState;
use crate::model::Domain;

/// One change at a time: whoever comes second waits.
pub const LOCK: &str = "/var/lib/perch/settings.lock";

/// What somebody wants to change, checked.
#[derive(Debug)]
pub struct Request {
    /// The settings that it was made from.
    pub base: Settings,
    /// All settings as they are to be.
    pub settings: Settings,
    /// With secrets among them.
    pub wishes: Wishes,
}

/// What came of a change.
#[derive(Debug)]
pub struct Done {
    /// What was done, or would be.
    pub plan: Plan,
    /// Its number in the history. Absent: nothing was changed.
    pub number: Option<u32>,
    /// Whether it goes back unless it is confirmed within [`PATIENCE_SECONDS`].
    pub on_trial: bool,
    /// What did not work, and does not keep the change from counting.
    pub warning: Option<String>,
}

/// Reads a text in the format of `perch.toml`; what it does not name stays as it is.
///
/// # Errors
/// All its problems, or the box's state cannot be read.
pub fn request_of_text(machine: Machine<'_>, name: &str, text: &str) -> Result<Request> {
    let state = BoxState::load(machine.files)?;
    let domain = state.settings.domain.as_ref();
    let wishes = read_wishes(machine, Document::parse(name, text), domain)?;
    Ok(Request {
        settings: state.settings.with(&wishes.settings),
        base: state.settings,
        wishes,
    })
}

/// Reads pairs of keys and values. A value is TOML, or a text that is taken as it stands; an empty one brings the
/// default back.
///
/// # Errors
/// All problems, or the box's state cannot be read.
pub fn request_of_pairs(machine: Machine<'_>, pairs: &[(String, String)]) -> Result<Request> {
    let state = BoxState::load(machine.files)?;
    let given: Vec<(&str, Option<String>)> = pairs
        .iter()
        .map(|(key, value)| (key.as_str(), (!value.is_empty()).then(|| as_toml(value))))
        .collect();
    request_of_values(machine, &state.settings, &given, "command line")
}

/// `settings` with these values, read as a whole so that they are checked together.
fn request_of_values(
    machine: Machine<'_>,
    settings: &Settings,
    given: &[(&str, Option<String>)],
    name: &str,
) -> Result<Request> {
    for (key, _) in given {
        let known = KEYS.iter().any(|known| known.name == *key) || SECRET_KEYS.contains(key);
        if !known || key.starts_with("admin.") {
            let names: Vec<&str> = KEYS.iter().map(|key| key.name).collect();
            bail!(
                "{name}: {key}: found an unknown key; accepted: one of {}, setup_code",
                names.join(", ")
            );
        }
    }
    // The given ones first: their lines are what somebody wrote.
    let mut text = String::new();
    for (key, value) in given {
        if let Some(value) = value {
            text.push_str(&format!("{key} = {value}\n"));
        } else {
            text.push('\n');
        }
    }
    // Without its name there is no Wi-Fi network, and nothing to say of it.
    let no_wifi = given.contains(&("wifi.ssid", None));
    let is_said = |key: &str| {
        given.iter().any(|(name, _)| *name == key) || (no_wifi && key.starts_with("wifi."))
    };
    for key in KEYS {
        if !is_said(key.name)
            && let Some(value) = (key.show)(settings)
        {
            text.push_str(&format!("{} = {value}\n", key.name));
        }
    }
    // All that stays is in the text: a domain that is not has been taken away.
    let wishes = read_wishes(machine, Document::parse(name, text), None)?;
    Ok(Request {
        base: settings.clone(),
        settings: wishes.settings.clone(),
        wishes,
    })
}

fn read_wishes(
    machine: Machine<'_>,
    document: Document,
    domain: Option<&Domain>,
) -> Result<Wishes> {
    let secrets = Secrets::load(machine.files)?;
    let known = Known {
        files: machine.files,
        wifi: secrets.known_wifi(),
        domain,
        s3: secrets.known_s3(),
    };
    let wishes = read(&document, known);
    let wishes: Result<Wishes, Problems> = document.into_result(Some(wishes));
    let wishes = wishes?;
    if wishes.restore.as_ref().is_some_and(|r| r.key.is_some()) {
        bail!(
            "restore_words is for perch.toml on a new box's card: use the page, or `provisioner backup restore`"
        );
    }
    if wishes.admin.is_some() {
        bail!("accounts are no settings: use `imd user add`, or perch.toml on the card");
    }
    Ok(wishes)
}

fn as_toml(value: &str) -> String {
    let is_toml = format!("value = {value}").parse::<toml::Table>().is_ok();
    if is_toml && !value.contains('\n') {
        value.to_owned()
    } else {
        quoted(value)
    }
}

/// What a request would do.
///
/// # Errors
/// The box's state cannot be read.
pub fn preview(machine: Machine<'_>, request: &Request) -> Result<Done> {
    let Prepared {
        old,
        new,
        secrets,
        warning,
        on_trial,
    } = prepare(machine, request)?;
    Ok(Done {
        plan: plan(machine.files, &old, &new, &secrets, When::Running)?,
        number: None,
        on_trial,
        warning,
    })
}

/// Makes a change, whole or not at all, and writes it into the history. A change of the network is on trial afterwards.
///
/// # Errors
/// It could not be applied; the error says whether everything is as it was.
pub fn change(machine: Machine<'_>, request: &Request, who: &str) -> Result<Done> {
    let _lock = machine.files.lock(LOCK)?;
    let Prepared {
        old,
        mut new,
        secrets,
        warning,
        on_trial,
    } = prepare(machine, request)?;
    let planned = plan(machine.files, &old, &new, &secrets, When::Running)?;
    if planned.is_empty() {
        return Ok(Done {
            plan: planned,
            number: None,
            on_trial: false,
            warning,
        });
    }
    let number = history::add(
        &mut new.history,
        machine.system.now(),
        who,
        planned.changes.clone(),
    );
    if on_trial {
        let before = Links::of(&old.settings);
        let (trial, effects) = step(&old.trial, Event::Changed { before })?;
        new.trial = trial;
        // Before anything changes: a change that ends this program's connection must go back all the same.
        run_timer(machine, &effects)?;
    }
    // A power cut from here on: the next start goes on with the new settings, or back if they do not work.
    let begun = BoxState {
        previous: Some(old.as_previous(who)),
        history: old.history.clone(),
        ..new.clone()
    };
    begun.save(machine.files)?;
    match apply(machine, &old, &new, &secrets, When::Running) {
        Ok(plan) => Ok(Done {
            plan,
            number: Some(number),
            on_trial,
            warning,
        }),
        Err(error) if error.is::<PowerCut>() => Err(error),
        Err(error) => {
            old.save(machine.files)
                .with_context(|| format!("{error:#}"))?;
            // A trial from before this change goes on waiting; its timer was started anew.
            if on_trial && old.trial == Trial::Settled {
                let stopped = run_timer(machine, &[Effect::StopTimer]);
                stopped.with_context(|| format!("{error:#}"))?;
            }
            Err(error)
        }
    }
}

/// A change, before it is made.
struct Prepared {
    old: BoxState,
    new: BoxState,
    /// As they are to be.
    secrets: Secrets,
    /// As in [`Done`].
    warning: Option<String>,
    /// As in [`Done`].
    on_trial: bool,
}

fn prepare(machine: Machine<'_>, request: &Request) -> Result<Prepared> {
    let old = BoxState::load(machine.files)?;
    if old.settings != request.base {
        bail!("somebody else has changed the settings in the meantime; look at them and try again");
    }
    let mut new = old.clone();
    new.settings = request.settings.clone();
    let warning = new.choose_name(machine.system)?;
    let known = Secrets::load(machine.files)?;
    let mut secrets = known.with(&new.settings, &request.wishes)?;
    // A box that gets its first Wi-Fi network is reached as before.
    let wifi = old.settings.wifi.is_some()
        && (old.settings.wifi != new.settings.wifi || known.wifi != secrets.wifi);
    let on_trial = wifi || old.settings.network != new.settings.network;
    if on_trial {
        secrets.keep_former_wifi(&known, old.trial != Trial::Settled);
    }
    Ok(Prepared {
        old,
        new,
        secrets,
        warning,
        on_trial,
    })
}

/// The request that takes a change back. What has been changed since stays, as far as it goes together.
///
/// # Errors
/// The history has no such change, or what it would bring back does not go with the other settings any more.
pub fn request_of_undo(machine: Machine<'_>, number: Option<u32>) -> Result<Request> {
    let state = BoxState::load(machine.files)?;
    let entry = match number {
        Some(number) => state.history.iter().find(|entry| entry.number == number),
        None => state.history.last(),
    };
    let Some(Entry {
        number, changes, ..
    }) = entry
    else {
        bail!("the history has no such change");
    };
    if !can_be_undone(changes) {
        bail!("change {number} was one of secrets, and earlier ones are not kept: set them again");
    }
    let given: Vec<(&str, Option<String>)> = changes
        .iter()
        .filter(|change| !change.is_secret)
        .map(|change| (change.key.as_str(), change.before.clone()))
        .collect();
    request_of_values(machine, &state.settings, &given, &format!("undo {number}"))
}

/// Whether a request that came to the box at `reached` shows that the network on trial works.
///
/// # Errors
/// The box's state cannot be read.
pub fn is_shown_by(machine: Machine<'_>, reached: IpAddr) -> Result<bool> {
    let state = BoxState::load(machine.files)?;
    let Trial::Trying { before } = &state.trial else {
        return Ok(true);
    };
    let (network, links) = (state.settings.network.as_ref(), machine.system.links());
    Ok(trial::is_shown_by(before, network, &links, reached))
}

/// Says that the network on trial works.
///
/// # Errors
/// Nothing waits, or it cannot be kept.
pub fn confirm(machine: Machine<'_>) -> Result<()> {
    let _lock = machine.files.lock(LOCK)?;
    let mut state = BoxState::load(machine.files)?;
    let (trial, effects) = step(&state.trial, Event::Confirmed)?;
    state.trial = trial;
    state.save(machine.files)?;
    let mut secrets = Secrets::load(machine.files)?;
    if secrets.former_wifi.take().is_some() {
        secrets.piece()?.put(machine.files)?;
    }
    // A timer that goes off after this finds nothing to do.
    run_timer(machine, &effects)
}

/// The time of a trial is over. Returns whether the network went back.
///
/// # Errors
/// The former network cannot be applied.
pub fn time_out(machine: Machine<'_>) -> Result<bool> {
    let _lock = machine.files.lock(LOCK)?;
    let old = BoxState::load(machine.files)?;
    let (trial, effects) = step(&old.trial, Event::TimedOut)?;
    let Some(Effect::GoBack(before)) = effects.into_iter().next() else {
        return Ok(false);
    };
    let mut new = old.clone();
    new.trial = trial;
    before.put_back(&mut new.settings);
    let tried = Secrets::load(machine.files)?;
    let mut secrets = tried.clone();
    secrets.go_back_to_former_wifi();
    let changes = diff_with_secrets((&old.settings, &tried), (&new.settings, &secrets));
    history::add(
        &mut new.history,
        machine.system.now(),
        "nobody confirmed the network",
        changes,
    );
    apply(machine, &old, &new, &secrets, When::Running)?;
    Ok(true)
}

fn run_timer(machine: Machine<'_>, effects: &[Effect]) -> Result<()> {
    let after = format!("--on-active={PATIENCE_SECONDS}s");
    let unit = format!("--unit={TIMER}");
    let timer = format!("{TIMER}.timer");
    for effect in effects {
        machine.files.change()?;
        let command: &[&str] = match effect {
            Effect::StartTimer => &[
                "systemd-run",
                "--quiet",
                "--collect",
                &unit,
                &after,
                "--timer-property=AccuracySec=1s",
            ],
            Effect::StopTimer => &["systemctl", "stop", &timer],
            Effect::GoBack(_) => continue,
        };
        machine
            .system
            .run(command, None)
            .context("the timer that takes an unconfirmed network back")?;
    }
    Ok(())
}
