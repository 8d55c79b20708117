//! `imd room`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;
use serde_json::Value;

use super::api::{Api, Common, lines, part, text};
use crate::admin::rooms::{NewRoom, RoomAffiliation, RoomChange, RoomSettings};

/// What to do with rooms.
#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// List rooms: name, occupants, title.
    List {
        #[command(flatten)]
        common: Common,
    },
    /// Show a room with its settings and affiliations.
    Show {
        /// The part of its address before `@`.
        name: String,
        #[command(flatten)]
        common: Common,
    },
    /// Make a room. Exit code 3: there is one of that name.
    Add {
        /// The part of its address before `@`.
        name: String,
        #[command(flatten)]
        options: Options,
        #[command(flatten)]
        common: Common,
    },
    /// Change a room, at once for those who are in it.
    Set {
        /// The part of its address before `@`.
        name: String,
        #[command(flatten)]
        options: Options,
        #[command(flatten)]
        common: Common,
    },
    /// End a room with its archive. Exit code 3: there is none.
    Remove {
        /// The part of its address before `@`.
        name: String,
        /// Told to those who are in it.
        #[arg(long)]
        reason: Option<String>,
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// What people read.
    #[arg(long)]
    title: Option<String>,
    /// What it is about.
    #[arg(long)]
    description: Option<String>,
    /// Whether it is in the public list.
    #[arg(long)]
    public: Option<bool>,
    /// Whether only members enter.
    #[arg(long)]
    members_only: Option<bool>,
    /// Whether newcomers have no voice.
    #[arg(long)]
    moderated: Option<bool>,
    /// Whether everybody sees real addresses, which encryption needs.
    #[arg(long)]
    non_anonymous: Option<bool>,
    /// Whether messages are archived.
    #[arg(long)]
    archive: Option<bool>,
    /// Who has a part in it, as NAME=AFFILIATION (owner, admin, member, none, outcast); any number.
    #[arg(long = "affiliation", value_name = "NAME=AFFILIATION", value_parser = affiliation)]
    affiliations: Vec<RoomAffiliation>,
}

fn affiliation(text: &str) -> Result<RoomAffiliation, String> {
    match text.split_once('=') {
        Some((jid, affiliation)) => Ok(RoomAffiliation {
            jid: jid.to_owned(),
            affiliation: affiliation.to_owned(),
        }),
        None => Err("accepted: NAME=AFFILIATION, such as ann=owner".to_owned()),
    }
}

impl Options {
    fn settings(&self) -> RoomSettings {
        RoomSettings {
            title: self.title.clone(),
            description: self.description.clone(),
            public: self.public,
            members_only: self.members_only,
            moderated: self.moderated,
            non_anonymous: self.non_anonymous,
            archive: self.archive,
            ..RoomSettings::default()
        }
    }
}

fn shown(v: &Value) -> String {
    let settings = v.as_object().into_iter().flatten();
    let mut out: String = settings
        .filter(|(key, _)| *key != "affiliations")
        .map(|(key, value)| format!("{key:14} {}\n", value.to_string().trim_matches('"')))
        .collect();
    out.push_str(&lines(&v["affiliations"], |entry| {
        format!("{:14} {}", text(entry, "affiliation"), text(entry, "jid"))
    }));
    out
}

pub(super) fn command(action: Action) -> Result<ExitCode> {
    let common = match &action {
        Action::List { common }
        | Action::Show { common, .. }
        | Action::Add { common, .. }
        | Action::Set { common, .. }
        | Action::Remove { common, .. } => common,
    };
    let api = match Api::open(common)? {
        Ok(api) => api,
        Err(code) => return Ok(code),
    };
    match action {
        Action::List { .. } => {
            let line = |v: &Value| {
                let (name, title) = (text(v, "name"), text(v, "title"));
                format!("{name}\t{}\t{title}", v["occupants"])
            };
            api.print(&api.get("/rooms")?, |all| lines(all, line))?;
        }
        Action::Show { name, .. } => {
            api.print(&api.get(&format!("/rooms/{}", part(&name)))?, shown)?;
        }
        Action::Add { name, options, .. } => {
            let new = NewRoom {
                name,
                settings: options.settings(),
                affiliations: options.affiliations,
            };
            let made = api.send("POST", "/rooms", &new)?;
            api.print(&made, |v| format!("{} is there", text(v, "jid")))?;
        }
        Action::Set { name, options, .. } => {
            let change = RoomChange {
                settings: options.settings(),
                affiliations: options.affiliations,
            };
            let path = format!("/rooms/{}", part(&name));
            api.print(&api.send("PATCH", &path, &change)?, shown)?;
        }
        Action::Remove { name, reason, .. } => {
            let mut path = format!("/rooms/{}", part(&name));
            if let Some(reason) = reason {
                path.push_str(&format!("?reason={}", part(&reason)));
            }
            api.delete(&path)?;
            api.print(&Value::Null, |_| "the room is removed".to_owned())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
