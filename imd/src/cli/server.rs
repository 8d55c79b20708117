//! `imd session`, `imd stats`, `imd announce`, `imd retention`, `imd log`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;
use serde_json::{Value, json};

use super::api::{Api, Common, lines, part, text};
use crate::admin::announce::Announcement;
use crate::admin::retention::NewRetention;

/// What to do with sessions.
#[derive(Debug, Subcommand)]
pub(super) enum SessionAction {
    /// List sessions: address, whether connected, program.
    List {
        /// Only those of this person.
        name: Option<String>,
        #[command(flatten)]
        common: Common,
    },
    /// End a session (full address) or all of a person's (bare address). Exit code 3: nobody is there.
    Close {
        /// The address, such as ann@example.org/phone.
        address: String,
        #[command(flatten)]
        common: Common,
    },
}

/// What to do with how long messages are kept.
#[derive(Debug, Subcommand)]
pub(super) enum RetentionAction {
    /// List the rules: the server's, and those of single people and rooms.
    List {
        #[command(flatten)]
        common: Common,
    },
    /// Give a person or a room its own rule.
    Set {
        /// A username, or the address of a room.
        owner: String,
        /// Days, or `forever`.
        days: Days,
        #[command(flatten)]
        common: Common,
    },
    /// Let the server's rule hold again.
    Unset {
        /// A username, or the address of a room.
        owner: String,
        #[command(flatten)]
        common: Common,
    },
}

/// A number of days, or for ever.
#[derive(Debug, Clone, Copy)]
pub(super) struct Days(Option<u32>);

impl std::str::FromStr for Days {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "forever" {
            return Ok(Self(None));
        }
        text.parse()
            .map(|days| Self(Some(days)))
            .map_err(|_| "accepted: a number of days, or forever".to_owned())
    }
}

fn opened(common: &Common, act: impl FnOnce(&Api) -> Result<()>) -> Result<ExitCode> {
    match Api::open(common)? {
        Ok(api) => act(&api).map(|()| ExitCode::SUCCESS),
        Err(code) => Ok(code),
    }
}

pub(super) fn session(action: SessionAction) -> Result<ExitCode> {
    match action {
        SessionAction::List { name, common } => opened(&common, |api| {
            let path = match name {
                Some(name) => format!("/sessions?username={}", part(&name)),
                None => "/sessions".to_owned(),
            };
            let line = |v: &Value| {
                let state = match v["connected"] == json!(true) {
                    true => "connected",
                    false => "away",
                };
                format!("{}\t{state}\t{}", text(v, "jid"), text(v, "software"))
            };
            api.print(&api.get(&path)?, |all| lines(all, line))
        }),
        SessionAction::Close { address, common } => opened(&common, |api| {
            let done = api.delete(&format!("/sessions/{}", part(&address)))?;
            api.print(&done, |v| format!("{} sessions ended", v["closed"]))
        }),
    }
}

pub(super) fn retention(action: RetentionAction) -> Result<ExitCode> {
    let in_words = |days: &Value| match days.as_u64() {
        Some(days) => format!("{days} days"),
        None => "for ever".to_owned(),
    };
    match action {
        RetentionAction::List { common } => opened(&common, |api| {
            let words = |v: &Value| {
                let rule =
                    |rule: &Value| format!("{}\t{}", text(rule, "owner"), in_words(&rule["days"]));
                format!(
                    "all others\t{}\n{}",
                    in_words(&v["days"]),
                    lines(&v["rules"], rule)
                )
            };
            api.print(&api.get("/retention")?, words)
        }),
        RetentionAction::Set {
            owner,
            days,
            common,
        } => opened(&common, |api| {
            let path = format!("/retention/{}", part(&owner));
            let done = api.send("PUT", &path, &NewRetention { days: days.0 })?;
            api.print(&done, |v| {
                format!("{}\t{}", text(v, "owner"), in_words(&v["days"]))
            })
        }),
        RetentionAction::Unset { owner, common } => opened(&common, |api| {
            api.delete(&format!("/retention/{}", part(&owner)))?;
            api.print(&Value::Null, |_| "the server's rule holds".to_owned())
        }),
    }
}

pub(super) fn stats(common: &Common) -> Result<ExitCode> {
    opened(common, |api| {
        let words = |v: &Value| {
            let each = v.as_object().into_iter().flatten();
            each.map(|(key, value)| format!("{key:20} {}\n", value.to_string().trim_matches('"')))
                .collect()
        };
        api.print(&api.get("/statistics")?, words)
    })
}

pub(super) fn announce(new: &Announcement, common: &Common) -> Result<ExitCode> {
    opened(common, |api| {
        let done = api.send("POST", "/announcements", new)?;
        api.print(&done, |v| format!("sent to {} people", v["people"]))
    })
}

pub(super) fn log(action: &str, max: u32, common: &Common) -> Result<ExitCode> {
    opened(common, |api| {
        let path = format!("/log?max={max}&action={}", part(action));
        let line = |v: &Value| {
            let (time, actor, action) = (text(v, "time"), text(v, "actor"), text(v, "action"));
            let (target, detail) = (text(v, "target"), text(v, "detail"));
            format!("{time}\t{actor}\t{action}\t{target}\t{detail}")
        };
        api.print(&api.get(&path)?, |all| lines(all, line))
    })
}
