//! What the box has been set to, kept on the data partition so that it outlives `perch.toml`.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::{FirstBoot, card};
use crate::backup;
use crate::files::{Access, Files};
use crate::model::{AccountName, Domain, HostName};
use crate::settings::Settings;
use crate::settings::history::Entry;
use crate::settings::trial::{Effect, Event, Trial, step};
use crate::settings::updates::{ByHand, Updates};
use crate::system::System;

/// Where it is kept.
pub const PATH: &str = "/var/lib/perch/box.json";
/// The name of a box whose owner gave none.
const DEFAULT_HOST_NAME: &str = "perch";
/// How many boxes of one name a network may have.
const MOST_NAMESAKES: u32 = 99;

/// The box's settings and what is known of it. Unknown fields are passed over: after a roll-back the file may be a newer
/// version's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BoxState {
    /// The name in use. Absent: not chosen yet.
    pub host_name: Option<HostName>,
    /// The name that was asked for; the one in use has a number when another machine had it.
    pub wanted_host_name: Option<HostName>,
    /// What the owner has chosen.
    pub settings: Settings,
    /// What it was before, while new settings are not applied yet.
    pub previous: Option<Previous>,
    /// The administrator made from the card. Absent: none yet.
    pub admin: Option<AccountName>,
    /// How many invitations the sheet on the card has.
    pub invitations_printed: u16,
    /// The files of the card that have been applied, each with its digest.
    pub card: BTreeMap<String, String>,
    /// The last changes, oldest first.
    pub history: Vec<Entry>,
    /// Whether a change of the network waits for its confirmation.
    pub trial: Trial,
    /// `update.toml`, where somebody has written it by hand. Its values are in `settings` as long as these say nothing else.
    #[serde(skip)]
    pub update_file: Option<ByHand>,
}

/// The names and settings that a box goes back to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Previous {
    /// As in [`BoxState`].
    pub host_name: Option<HostName>,
    /// As in [`BoxState`].
    pub wanted_host_name: Option<HostName>,
    /// As in [`BoxState`].
    pub settings: Settings,
    /// Who changes them, for the history.
    pub who: String,
}

impl BoxState {
    /// Reads it; the default if there is none yet.
    ///
    /// # Errors
    /// It is there but not readable.
    pub fn load(files: &Files) -> Result<Self> {
        let mut state = match files.read(PATH)? {
            Some(text) => serde_json::from_str(&text).with_context(|| format!("reading {PATH}"))?,
            None => Self::default(),
        };
        state.update_file = ByHand::look(files);
        if let Some(ByHand::Understood(updates)) = &state.update_file
            && state.settings.updates == Updates::default()
        {
            state.settings.updates = updates.clone();
        }
        Ok(state)
    }

    /// Keeps it. What a file by hand says stays in that file alone, or it could not be changed there any more.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn save(&self, files: &Files) -> Result<bool> {
        let mut kept = self.clone();
        if self
            .update_file
            .as_ref()
            .is_some_and(|file| file.says(&self.settings.updates))
        {
            kept.settings.updates = Updates::default();
        }
        let mut text =
            serde_json::to_vec_pretty(&kept).context("writing the box's settings as JSON")?;
        text.push(b'\n');
        files.replace(PATH, &text, Access::Everyone)
    }

    /// The name on the network, without `.local`.
    pub fn host_name(&self) -> &str {
        self.host_name
            .as_ref()
            .map_or(DEFAULT_HOST_NAME, HostName::as_str)
    }

    /// The domain of the box's addresses.
    pub fn domain(&self) -> Domain {
        let fallback = || Domain::new(&format!("{}.local", self.host_name())).ok();
        self.settings
            .domain
            .clone()
            .or_else(fallback)
            .unwrap_or_else(Domain::of_any_box)
    }

    /// What it would go back to while `who` changes it.
    pub fn as_previous(&self, who: &str) -> Previous {
        Previous {
            who: who.to_owned(),
            host_name: self.host_name.clone(),
            wanted_host_name: self.wanted_host_name.clone(),
            settings: self.settings.clone(),
        }
    }

    /// This box with the names and settings of `previous`. A box that had no name keeps the one it has been given.
    #[must_use]
    pub fn back_at(&self, previous: &Previous) -> Self {
        let mut state = Self {
            previous: None,
            settings: previous.settings.clone(),
            ..self.clone()
        };
        if previous.host_name.is_some() {
            state.host_name.clone_from(&previous.host_name);
            state
                .wanted_host_name
                .clone_from(&previous.wanted_host_name);
        }
        state
    }

    /// Chooses the name in use if it has not been chosen, or another one is wanted now. Returns a problem that does not
    /// keep the box from working.
    ///
    /// # Errors
    /// The network has too many machines of this name.
    pub fn choose_name(&mut self, system: &dyn System) -> Result<Option<String>> {
        let wanted = match &self.settings.host_name {
            Some(name) => name.clone(),
            None => HostName::new(DEFAULT_HOST_NAME).map_err(anyhow::Error::msg)?,
        };
        if self.host_name.is_some() && self.wanted_host_name.as_ref() == Some(&wanted) {
            return Ok(None);
        }
        let (chosen, problem) = free_name(system, self.host_name.as_ref(), &wanted)?;
        self.host_name = Some(chosen);
        self.wanted_host_name = Some(wanted);
        Ok(problem)
    }
}

/// Step: takes the wishes of the card over, chooses the host name, and keeps both. A bad file changes nothing.
///
/// # Errors
/// The settings cannot be kept.
pub fn settle(boot: &mut FirstBoot<'_>) -> Result<String> {
    let mut before = boot.state.as_previous("start of the box");
    let (trial, effects) = step(&boot.state.trial, Event::Started)?;
    boot.state.trial = trial;
    for effect in effects {
        if let Effect::GoBack(network) = effect {
            network.put_back(&mut boot.state.settings);
            boot.secrets.go_back_to_former_wifi();
            boot.problems.push(
                "a change of the network was not confirmed before the box was started again; it went back"
                    .to_owned(),
            );
        }
    }
    let (applied, domain) = (&boot.state.card, boot.state.settings.domain.as_ref());
    boot.card = card::read(boot.files, &boot.secrets, applied, domain);
    boot.problems.append(&mut boot.card.problems);
    let wishes = &boot.card.wishes;
    let restore = wishes.restore.as_ref();
    boot.problems
        .extend(restore.and_then(|_| backup::card::problem(boot.files)));
    let settings = boot.state.settings.with(&wishes.settings);
    boot.new_secrets = boot.secrets.with(&settings, wishes)?;
    if settings != before.settings {
        if !boot.card.sources.is_empty() {
            before.who = boot.card.sources.join(" and ");
        }
        // An earlier start may have been cut off on the way: then that is what the box was.
        boot.state.previous.get_or_insert(before);
        boot.state.settings = settings;
    }
    boot.problems.extend(boot.state.choose_name(boot.system)?);
    boot.state.save(boot.files)?;
    let read = if boot.card.good.is_empty() {
        "no usable settings file".to_owned()
    } else if boot.card.sources.is_empty() {
        "the settings files are as they were".to_owned()
    } else {
        format!("from {}", boot.card.sources.join(" and "))
    };
    Ok(format!(
        "{read}; host name {}, domain {}",
        boot.state.host_name(),
        boot.state.domain().as_str()
    ))
}

/// The wanted name, or the first of `name-2`, `name-3`, … that no other machine has. It is asked for once only:
/// a name that renumbers itself would change the box's addresses.
fn free_name(
    system: &dyn System,
    own: Option<&HostName>,
    wanted: &HostName,
) -> Result<(HostName, Option<String>)> {
    for number in 1..=MOST_NAMESAKES {
        let candidate = match number {
            1 => wanted.clone(),
            _ => HostName::new(&format!("{}-{number}", wanted.as_str()))
                .map_err(anyhow::Error::msg)?,
        };
        if own == Some(&candidate) {
            return Ok((candidate, None));
        }
        match system.is_name_taken(candidate.as_str()) {
            Ok(true) => {}
            Ok(false) => return Ok((candidate, None)),
            Err(error) => {
                let problem = format!(
                    "could not ask whether another machine is named {}: {error:#}",
                    candidate.as_str()
                );
                return Ok((candidate, Some(problem)));
            }
        }
    }
    bail!(
        "the network has {MOST_NAMESAKES} machines named {}",
        wanted.as_str()
    )
}
