//! `imd invite` and `imd token`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;
use serde_json::{Value, json};

use super::api::{Api, Common, lines, part, text};
use crate::admin::invitations::NewInvitation;
use crate::admin::tokens::NewToken;

/// What to do with invitations.
#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// List invitations: token, kind, whether it can be used, until when, for whom.
    List {
        #[command(flatten)]
        common: Common,
    },
    /// Make an invitation and print its address.
    Add {
        /// The name it is for; the guest chooses where it is not given.
        name: Option<String>,
        /// Make a link by which NAME sets a new password.
        #[arg(long, requires = "name", conflicts_with_all = ["role", "groups", "uses"])]
        reset: bool,
        /// Whose contact the guest becomes.
        #[arg(long, value_name = "NAME")]
        inviter: Option<String>,
        /// admin, member or limited; `member` where it is not given.
        #[arg(long)]
        role: Option<String>,
        /// A group the guest is put into, by its id; any number.
        #[arg(long = "group", value_name = "ID")]
        groups: Vec<String>,
        /// Days until it runs out.
        #[arg(long)]
        days: Option<u32>,
        /// How often it can be used: once where it is not given, 0 without limit.
        #[arg(long)]
        uses: Option<u32>,
        /// A note for those who manage invitations.
        #[arg(long)]
        note: Option<String>,
        #[command(flatten)]
        common: Common,
    },
    /// Take an invitation back.
    Remove {
        /// Its token.
        token: String,
        #[command(flatten)]
        common: Common,
    },
}

/// What to do with tokens for programs that use the admin API over HTTPS.
#[derive(Debug, Subcommand)]
pub(super) enum TokenAction {
    /// List tokens: id, until when, what for.
    List {
        #[command(flatten)]
        common: Common,
    },
    /// Make a token and print it; it is not shown again.
    Add {
        /// What it is for.
        name: String,
        /// Days until it runs out; never where it is not given.
        #[arg(long)]
        days: Option<u32>,
        #[command(flatten)]
        common: Common,
    },
    /// Take a token out of force.
    Remove {
        /// Its id.
        id: String,
        #[command(flatten)]
        common: Common,
    },
}

pub(super) fn command(action: Action) -> Result<ExitCode> {
    let (Action::List { common } | Action::Add { common, .. } | Action::Remove { common, .. }) =
        &action;
    let api = match Api::open(common)? {
        Ok(api) => api,
        Err(code) => return Ok(code),
    };
    match action {
        Action::List { .. } => {
            let line = |v: &Value| {
                let state = match v["usable"] == json!(true) {
                    true => "usable",
                    false => "spent",
                };
                let (token, kind) = (text(v, "token"), text(v, "kind"));
                let (end, name) = (text(v, "expires_at"), text(v, "username"));
                format!("{token}\t{kind}\t{state}\t{end}\t{name}")
            };
            api.print(&api.get("/invitations")?, |all| lines(all, line))?;
        }
        Action::Add {
            name,
            reset,
            inviter,
            role,
            groups,
            days,
            uses,
            note,
            ..
        } => {
            let new = NewInvitation {
                kind: reset.then(|| "reset".to_owned()),
                username: name,
                inviter,
                role,
                groups,
                days,
                uses,
                note,
            };
            let made = api.send("POST", "/invitations", &new)?;
            api.print(&made, |v| format!("{}\n{}", text(v, "url"), text(v, "uri")))?;
        }
        Action::Remove { token, .. } => {
            api.delete(&format!("/invitations/{}", part(&token)))?;
            api.print(&Value::Null, |_| "the invitation is taken back".to_owned())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn token(action: TokenAction) -> Result<ExitCode> {
    let (TokenAction::List { common }
    | TokenAction::Add { common, .. }
    | TokenAction::Remove { common, .. }) = &action;
    let api = match Api::open(common)? {
        Ok(api) => api,
        Err(code) => return Ok(code),
    };
    match action {
        TokenAction::List { .. } => {
            let line = |v: &Value| {
                let (id, end, name) = (text(v, "id"), text(v, "expires_at"), text(v, "name"));
                format!("{id}\t{end}\t{name}")
            };
            api.print(&api.get("/tokens")?, |all| lines(all, line))?;
        }
        TokenAction::Add { name, days, .. } => {
            let made = api.send("POST", "/tokens", &NewToken { name, days })?;
            api.print(&made, |v| text(v, "token").to_owned())?;
        }
        TokenAction::Remove { id, .. } => {
            api.delete(&format!("/tokens/{}", part(&id)))?;
            api.print(&Value::Null, |_| "the token is removed".to_owned())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
