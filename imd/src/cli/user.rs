//! `imd user`: people.

use std::io::{BufRead as _, IsTerminal as _};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::Subcommand;
use serde_json::{Value, json};

use super::api::{Api, Common, part, text, words};
use crate::admin::accounts::{NewPerson, PersonChange};

/// What to do with people.
#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// Create an account. Exit code 3: it exists already.
    Add {
        /// The name: what stands before `@`.
        name: String,
        /// Make it an administrator: short for `--role admin`.
        #[arg(long, conflicts_with = "role")]
        admin: bool,
        /// admin, member or limited; `member` where it is not given.
        #[arg(long)]
        role: Option<String>,
        /// The name that others see.
        #[arg(long, value_name = "TEXT")]
        display_name: Option<String>,
        /// A group to put it into, by its id; any number.
        #[arg(long = "group", value_name = "ID")]
        groups: Vec<String>,
        /// Without a password: nobody can log in until one is set, as by `imd invite add --reset NAME`.
        #[arg(long, conflicts_with = "password_stdin")]
        no_password: bool,
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        password: Password,
    },
    /// Set a new password. Exit code 3: there is no such account.
    Passwd {
        /// The name.
        name: String,
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        password: Password,
    },
    /// List accounts: name, role, whether it may log in.
    List {
        #[command(flatten)]
        common: Common,
    },
    /// Show an account.
    Show {
        /// The name.
        name: String,
        #[command(flatten)]
        common: Common,
    },
    /// Change an account, at once for those who are online.
    Set {
        /// The name.
        name: String,
        /// admin, member or limited.
        #[arg(long)]
        role: Option<String>,
        /// The name that others see; an empty one takes it away.
        #[arg(long, value_name = "TEXT")]
        display_name: Option<String>,
        #[command(flatten)]
        common: Common,
    },
    /// Let an account log in again.
    Enable {
        /// The name.
        name: String,
        #[command(flatten)]
        common: Common,
    },
    /// End an account's sessions and let nobody in; its data stays.
    Disable {
        /// The name.
        name: String,
        #[command(flatten)]
        common: Common,
    },
    /// Remove an account and all it owned. Exit code 3: there is no such account.
    Remove {
        /// The name.
        name: String,
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct Password {
    /// Read the password from the first line of standard input, without asking.
    #[arg(long)]
    password_stdin: bool,
}

impl Action {
    fn common(&self) -> &Common {
        match self {
            Self::Add { common, .. }
            | Self::Passwd { common, .. }
            | Self::List { common }
            | Self::Show { common, .. }
            | Self::Set { common, .. }
            | Self::Enable { common, .. }
            | Self::Disable { common, .. }
            | Self::Remove { common, .. } => common,
        }
    }
}

pub(super) fn command(action: Action) -> Result<ExitCode> {
    let api = match Api::open(action.common())? {
        Ok(api) => api,
        Err(code) => return Ok(code),
    };
    match action {
        Action::List { .. } => list(&api)?,
        Action::Add {
            name,
            admin,
            role,
            display_name,
            groups,
            no_password,
            password,
            ..
        } => {
            let password = match no_password {
                true => None,
                false => Some(read_password(&password, &name)?),
            };
            let new = NewPerson {
                username: name,
                password,
                role: if admin {
                    Some("admin".to_owned())
                } else {
                    role
                },
                display_name,
                groups,
            };
            let made = api.send("POST", "/people", &new)?;
            let said = |v: &Value| format!("{} created, role {}", text(v, "jid"), text(v, "role"));
            api.print(&made, said)?;
        }
        Action::Passwd { name, password, .. } => {
            let change = PersonChange {
                password: Some(read_password(&password, &name)?),
                ..PersonChange::default()
            };
            let done = change_person(&api, &name, &change)?;
            api.print(&done, |v| format!("{} has a new password", text(v, "jid")))?;
        }
        Action::Show { name, .. } => {
            let person = api.get(&format!("/people/{}", part(&name)))?;
            api.print(&person, shown)?;
        }
        Action::Set {
            name,
            role,
            display_name,
            ..
        } => {
            let change = PersonChange {
                role,
                display_name: display_name.map(|name| Some(name).filter(|n| !n.is_empty())),
                ..PersonChange::default()
            };
            let done = change_person(&api, &name, &change)?;
            api.print(&done, shown)?;
        }
        Action::Enable { name, .. } => enable(&api, &name, true)?,
        Action::Disable { name, .. } => enable(&api, &name, false)?,
        Action::Remove { name, .. } => {
            let removed = api.delete(&format!("/people/{}", part(&name)))?;
            api.print(&removed, removed_words)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn change_person(api: &Api, name: &str, change: &PersonChange) -> Result<Value> {
    api.send("PATCH", &format!("/people/{}", part(name)), change)
}

fn enable(api: &Api, name: &str, enabled: bool) -> Result<()> {
    let change = PersonChange {
        enabled: Some(enabled),
        ..PersonChange::default()
    };
    let done = change_person(api, name, &change)?;
    api.print(&done, |v| {
        let state = if enabled { "may log in" } else { "is disabled" };
        format!("{} {state}", text(v, "jid"))
    })
}

fn removed_words(v: &Value) -> String {
    format!(
        "{} removed with {} contacts, {} archived and {} waiting messages, {} nodes and {} files; what remains: {}",
        text(v, "jid"),
        v["contacts"],
        v["archived"],
        v["offline"],
        v["nodes"],
        v["uploads"],
        v["remains"]
            .as_array()
            .map(|all| all
                .iter()
                .filter_map(Value::as_str)
                .collect::<Vec<_>>()
                .join("; "))
            .unwrap_or_default()
    )
}

fn shown(v: &Value) -> String {
    let login = if v["enabled"] == json!(true) {
        "enabled"
    } else {
        "disabled"
    };
    format!(
        "address   {}\nname      {}\nrole      {}\nlogin     {login}\ncreated   {}\ngroups    {}\nsessions  {}",
        text(v, "jid"),
        text(v, "display_name"),
        text(v, "role"),
        text(v, "created_at"),
        words(v, "groups"),
        v["sessions"],
    )
}

fn list(api: &Api) -> Result<()> {
    let mut all = Vec::new();
    let mut path = "/people?max=1000".to_owned();
    loop {
        let page = api.get(&path)?;
        all.extend(page["people"].as_array().cloned().unwrap_or_default());
        match page["next"].as_str() {
            Some(next) => path = format!("/people?max=1000&after={}", part(next)),
            None => break,
        }
    }
    let line = |v: &Value| {
        let login = match v["enabled"] == json!(true) {
            true => "enabled",
            false => "disabled",
        };
        format!("{}\t{}\t{login}", text(v, "username"), text(v, "role"))
    };
    api.print(&Value::Array(all), |all| super::api::lines(all, line))
}

fn read_password(options: &Password, user: &str) -> Result<String> {
    let stdin = std::io::stdin();
    if !options.password_stdin {
        if !stdin.is_terminal() {
            bail!(
                "no password: use --password-stdin and write it to standard input, or run this in a terminal"
            );
        }
        eprint!("Password for {user} (visible while you type): ");
    }
    let mut line = String::new();
    stdin
        .lock()
        .read_line(&mut line)
        .context("cannot read the password from standard input")?;
    let password = line.trim_end_matches(['\n', '\r']);
    if password.is_empty() {
        bail!("the password is empty: write it as the first line of standard input");
    }
    Ok(password.to_owned())
}
