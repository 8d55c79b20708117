//! `imd user`: accounts in the database, whether or not the daemon runs.

use std::io::{BufRead as _, IsTerminal as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow, bail};
use clap::Subcommand;
use imd_proto::jid::prepare_local;
use imd_store::{Account, AccountStore as _, Role, StoreError, now_millis};

use crate::sasl;

/// What to do with accounts.
#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// Create an account. Exit code 3: it exists already.
    Add {
        /// The name: what stands before `@`.
        name: String,
        /// Make it an administrator.
        #[arg(long)]
        admin: bool,
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
    /// Remove an account and all it owned. Exit code 3: there is no such account.
    Remove {
        /// The name.
        name: String,
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct Common {
    /// The settings file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(super) struct Password {
    /// Read the password from the first line of standard input, without asking.
    #[arg(long)]
    password_stdin: bool,
}

pub(super) fn command(action: Action) -> Result<ExitCode> {
    let config = match &action {
        Action::Add { common, .. }
        | Action::Passwd { common, .. }
        | Action::List { common }
        | Action::Remove { common, .. } => super::settings(&common.config),
    };
    let config = match config {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    let store = super::open_store(&config, false)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(act(&store, &config.domain, action));
    match outcome {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => match error.downcast_ref::<StoreError>() {
            Some(StoreError::Exists { .. } | StoreError::Absent { .. }) => {
                eprintln!("imd: {error:#}");
                Ok(ExitCode::from(3))
            }
            _ => Err(error),
        },
    }
}

async fn act(store: &imd_store::sqlite::SqliteStore, domain: &str, action: Action) -> Result<()> {
    match action {
        Action::Add {
            name,
            admin,
            password,
            ..
        } => {
            let user = username(&name)?;
            let credentials =
                sasl::derive(&read_password(&password, &user)?).map_err(|e| anyhow!(e))?;
            let role = if admin { Role::Admin } else { Role::Member };
            let account = Account {
                username: user.clone(),
                role,
                enabled: true,
                created_at: now_millis(),
            };
            store.create_account(account, credentials).await?;
            println!("{user}@{domain} created, role {}", role.as_str());
        }
        Action::Passwd { name, password, .. } => {
            let user = username(&name)?;
            let credentials =
                sasl::derive(&read_password(&password, &user)?).map_err(|e| anyhow!(e))?;
            store.set_credentials(&user, credentials).await?;
            println!("{user}@{domain} has a new password");
        }
        Action::List { .. } => list(store).await?,
        Action::Remove { name, .. } => {
            let user = username(&name)?;
            let removed = store
                .remove_account(&user, &format!("{user}@{domain}"))
                .await?;
            println!(
                "{user}@{domain} removed with {} contacts, {} archived and {} waiting messages; \
                 copies in the archives of others and in rooms remain",
                removed.contacts, removed.archived, removed.offline
            );
        }
    }
    Ok(())
}

async fn list(store: &imd_store::sqlite::SqliteStore) -> Result<()> {
    let mut after: Option<String> = None;
    loop {
        let accounts = store.accounts(after.as_deref(), 500).await?;
        for account in &accounts {
            let login = if account.enabled {
                "enabled"
            } else {
                "disabled"
            };
            println!("{}\t{}\t{login}", account.username, account.role.as_str());
        }
        match accounts.last() {
            Some(last) => after = Some(last.username.clone()),
            None => return Ok(()),
        }
    }
}

fn username(name: &str) -> Result<String> {
    let prepared = prepare_local(name).map_err(|error| {
        anyhow!("{name:?} cannot be a name: {error}; letters, digits and . _ - are accepted, without @ and what follows")
    })?;
    Ok(prepared.into_owned())
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
