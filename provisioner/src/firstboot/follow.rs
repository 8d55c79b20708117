//! Step: the box follows its settings.

use anyhow::{Context, Result};

use super::{FirstBoot, certificates, ssh};
use crate::acme::service;
use crate::files::PowerCut;
use crate::settings::apply::{Machine, apply};
use crate::settings::history;
use crate::settings::keys::diff;
use crate::settings::outputs::{ALL, Output};
use crate::settings::plan::{When, of_output};

/// Applies new settings whole; if that fails, the box goes on with the ones it had. Then mends what is not as the
/// settings say, each output for itself.
///
/// # Errors
/// Something without which the server is of no use cannot be made.
pub fn follow(boot: &mut FirstBoot<'_>) -> Result<String> {
    let applied = apply_new(boot)?;
    let mended = mend(boot)?;
    if applied {
        boot.state.card = std::mem::take(&mut boot.card.digests);
        boot.card.digests.clone_from(&boot.state.card);
        boot.state.save(boot.files)?;
    }
    let made = if mended.is_empty() {
        "all as it was".to_owned()
    } else {
        format!("new: {}", mended.join(", "))
    };
    Ok(match (&boot.applied[..], applied) {
        (_, false) => format!("the new settings were not applied; {made}"),
        ([], true) => made,
        (changes, true) => format!("applied {}", changes.join(", ")),
    })
}

/// Returns whether the settings are the ones that were asked for.
fn apply_new(boot: &mut FirstBoot<'_>) -> Result<bool> {
    let previous = boot.state.previous.take();
    if previous.is_none() && boot.new_secrets == boot.secrets {
        return Ok(true);
    }
    let (old, who) = match &previous {
        Some(previous) => (boot.state.back_at(previous), previous.who.as_str()),
        None => (boot.state.clone(), ""),
    };
    let machine = Machine {
        files: boot.files,
        system: boot.system,
    };
    let mut new = boot.state.clone();
    let changes = diff(&old.settings, &new.settings);
    if !changes.is_empty() {
        history::add(&mut new.history, boot.system.now(), who, changes);
    }
    match apply(machine, &old, &new, &boot.new_secrets, When::Boot) {
        Ok(plan) => {
            boot.state = new;
            boot.applied = plan.changes.into_iter().map(|change| change.key).collect();
            boot.secrets.clone_from(&boot.new_secrets);
            Ok(true)
        }
        Err(error) if error.is::<PowerCut>() => Err(error),
        Err(error) => {
            let who = if who.is_empty() {
                "secrets of the card"
            } else {
                who
            };
            boot.problems.push(format!("{who}: {error:#}"));
            old.save(boot.files)?;
            boot.state = old;
            boot.card = super::card::Card::default();
            Ok(false)
        }
    }
}

/// Makes each output as the settings say; returns those that were not. What the server can do without is a problem,
/// and no more.
fn mend(boot: &mut FirstBoot<'_>) -> Result<Vec<&'static str>> {
    let mut mended = Vec::new();
    let mut essential = Ok(());
    for output in ALL {
        match mend_one(boot, output).with_context(|| output.name()) {
            Ok(true) => mended.push(output.name()),
            Ok(false) => {}
            Err(error) if error.is::<PowerCut>() => return Err(error),
            Err(error) if output.is_essential() => essential = essential.and(Err(error)),
            Err(error) => boot.problems.push(format!("{error:#}")),
        }
    }
    essential.map(|()| mended)
}

fn mend_one(boot: &FirstBoot<'_>, output: Output) -> Result<bool> {
    let (files, system, state) = (boot.files, boot.system, &boot.state);
    if output == Output::Certificate {
        certificates::authority(files, system, state)?;
        return Ok(certificates::server(files, system, state)?.0);
    }
    if output == Output::Acme {
        return service::settle(files, state, system.now().unix_timestamp());
    }
    if output == Output::Ssh && state.settings.ssh_enabled == Some(true) {
        ssh::make_host_key_if_missing(files, system)?;
    }
    let (pieces, actions) = of_output(files, output, state, state, &boot.secrets, When::Boot);
    for piece in &pieces {
        piece.put(files)?;
    }
    for action in actions {
        action.run(files, system, state)?;
    }
    Ok(!pieces.is_empty())
}
