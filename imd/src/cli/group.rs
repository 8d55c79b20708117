//! `imd group` and `imd people`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Subcommand;
use serde_json::Value;

use super::api::{Api, Common, lines, part, text, words};
use crate::admin::groups::{GroupChange, NewGroup};

/// What to do with groups: people who are each other's contacts and share a room.
#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// List groups: id, name, members.
    List {
        #[command(flatten)]
        common: Common,
    },
    /// Make a group. Exit code 3: the id is taken, or a member has no account.
    Add {
        /// The name that people see.
        name: String,
        /// Its first members.
        members: Vec<String>,
        /// Its id; made of the name where it is not given.
        #[arg(long)]
        id: Option<String>,
        #[command(flatten)]
        common: Common,
    },
    /// Give a group another name.
    Rename {
        /// The group's id.
        id: String,
        /// The new name.
        name: String,
        #[command(flatten)]
        common: Common,
    },
    /// End a group and its room.
    Remove {
        /// The group's id.
        id: String,
        #[command(flatten)]
        common: Common,
    },
    /// Put people into a group, all or none.
    Join {
        /// The group's id.
        id: String,
        /// Their names.
        #[arg(required = true)]
        members: Vec<String>,
        #[command(flatten)]
        common: Common,
    },
    /// Take somebody out of a group.
    Leave {
        /// The group's id.
        id: String,
        /// The name.
        member: String,
        #[command(flatten)]
        common: Common,
    },
}

/// What to do with many people.
#[derive(Debug, Subcommand)]
pub(super) enum PeopleAction {
    /// Create people and groups from a CSV file: all rows, or none and every bad row named by its line.
    ///
    /// The first line names the columns: username (needed), password, display_name, groups (separated by ;) and role
    /// (admin, member or limited). Groups that do not exist are made.
    Import {
        /// The file, in UTF-8.
        file: PathBuf,
        #[command(flatten)]
        common: Common,
    },
}

fn line(v: &Value) -> String {
    let (id, name) = (text(v, "id"), text(v, "name"));
    format!("{id}\t{name}\t{}", words(v, "members"))
}

pub(super) fn command(action: Action) -> Result<ExitCode> {
    let common = match &action {
        Action::List { common }
        | Action::Add { common, .. }
        | Action::Rename { common, .. }
        | Action::Remove { common, .. }
        | Action::Join { common, .. }
        | Action::Leave { common, .. } => common,
    };
    let api = match Api::open(common)? {
        Ok(api) => api,
        Err(code) => return Ok(code),
    };
    match action {
        Action::List { .. } => {
            let groups = api.get("/groups")?;
            api.print(&groups, |all| lines(all, line))?;
        }
        Action::Add {
            name, members, id, ..
        } => {
            let new = NewGroup { name, id, members };
            api.print(&api.send("POST", "/groups", &new)?, line)?;
        }
        Action::Rename { id, name, .. } => {
            let path = format!("/groups/{}", part(&id));
            api.print(&api.send("PATCH", &path, &GroupChange { name })?, line)?;
        }
        Action::Remove { id, .. } => {
            let gone = api.delete(&format!("/groups/{}", part(&id)))?;
            api.print(&gone, |v| format!("{} is removed", text(v, "id")))?;
        }
        Action::Join { id, members, .. } => {
            let path = format!("/groups/{}/members", part(&id));
            api.print(&api.send("POST", &path, &members)?, line)?;
        }
        Action::Leave { id, member, .. } => {
            let path = format!("/groups/{}/members/{}", part(&id), part(&member));
            api.print(&api.delete(&path)?, line)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn people(action: PeopleAction) -> Result<ExitCode> {
    let PeopleAction::Import { file, common } = action;
    let csv =
        std::fs::read(&file).with_context(|| format!("cannot read the file {}", file.display()))?;
    let csv = String::from_utf8(csv).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        anyhow::anyhow!(
            "{}: byte {at} is not UTF-8; save the file as UTF-8",
            file.display()
        )
    })?;
    let api = match Api::open(&common)? {
        Ok(api) => api,
        Err(code) => return Ok(code),
    };
    let done = api
        .ask("POST", "/people/import", csv)
        .with_context(|| format!("nobody is imported from {}", file.display()))?;
    let words = |v: &Value| {
        format!(
            "{} people and {} groups created",
            v["accounts"], v["groups"]
        )
    };
    api.print(&done, words)?;
    Ok(ExitCode::SUCCESS)
}
