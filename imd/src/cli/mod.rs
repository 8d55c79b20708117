//! The command line.

mod api;
mod backup;
mod check;
mod demo;
mod group;
mod invite;
mod room;
pub mod serve;
mod server;
mod user;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// An XMPP server for one box.
#[derive(Debug, Parser)]
#[command(name = "imd", version)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve until SIGTERM.
    Serve {
        /// The settings file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Check a settings file and the certificate it names; print every problem.
    CheckConfig {
        /// The settings file.
        file: PathBuf,
    },
    /// Manage accounts. This and the commands below work whether or not the server runs; while it does, at once.
    User {
        #[command(subcommand)]
        action: user::Action,
    },
    /// Import many people.
    People {
        #[command(subcommand)]
        action: group::PeopleAction,
    },
    /// Manage groups: people who are each other's contacts and share a room.
    Group {
        #[command(subcommand)]
        action: group::Action,
    },
    /// Manage invitations and password resets.
    Invite {
        #[command(subcommand)]
        action: invite::Action,
    },
    /// Manage rooms.
    Room {
        #[command(subcommand)]
        action: room::Action,
    },
    /// See who is online, and send clients away.
    Session {
        #[command(subcommand)]
        action: server::SessionAction,
    },
    /// Print figures about the server.
    Stats {
        #[command(flatten)]
        common: api::Common,
    },
    /// Send a message from the server to everybody.
    Announce {
        /// What is said.
        text: String,
        /// A headline above it.
        #[arg(long)]
        subject: Option<String>,
        /// Only to those who are online now.
        #[arg(long)]
        online: bool,
        #[command(flatten)]
        common: api::Common,
    },
    /// Manage how long messages are kept.
    Retention {
        #[command(subcommand)]
        action: server::RetentionAction,
    },
    /// Back up everything while the server runs, or look whether a backup is whole.
    Backup(backup::Backup),
    /// Manage tokens for programs that use the admin API over HTTPS.
    Token {
        #[command(subcommand)]
        action: invite::TokenAction,
    },
    /// Show what administrators did and people reported, newest first.
    Log {
        /// Only actions that begin with this, such as `account.` or `report.`.
        #[arg(default_value = "")]
        action: String,
        /// How many lines at the most.
        #[arg(long, default_value_t = 100)]
        max: u32,
        #[command(flatten)]
        common: api::Common,
    },
    /// Try the server on this computer: a temporary folder, a certificate of its own, two accounts.
    Demo {
        /// The port for clients, on 127.0.0.1 and [::1]; the next one is for direct TLS, the one after it for HTTPS.
        #[arg(long, default_value_t = 5222)]
        port: u16,
        /// The folder that `ci/web-chat` has filled: then there is a web chat, too.
        #[arg(long, value_name = "FOLDER")]
        web_root: Option<PathBuf>,
    },
}

/// Run a command. Exit code 0: done; 1: it failed; 2: wrong arguments or settings; 3: see the command.
#[must_use]
pub fn run(arguments: Arguments) -> ExitCode {
    let outcome = match arguments.command {
        Command::Serve { config } => serve::command(&config),
        Command::CheckConfig { file } => check::command(&file),
        Command::User { action } => user::command(action),
        Command::People { action } => group::people(action),
        Command::Group { action } => group::command(action),
        Command::Invite { action } => invite::command(action),
        Command::Room { action } => room::command(action),
        Command::Session { action } => server::session(action),
        Command::Stats { common } => server::stats(&common),
        Command::Announce {
            text,
            subject,
            online,
            common,
        } => {
            let new = crate::admin::announce::Announcement {
                text,
                subject,
                online,
            };
            server::announce(&new, &common)
        }
        Command::Retention { action } => server::retention(action),
        Command::Backup(arguments) => backup::command(arguments),
        Command::Token { action } => invite::token(action),
        Command::Log {
            action,
            max,
            common,
        } => server::log(&action, max, &common),
        Command::Demo { port, web_root } => demo::command(port, web_root),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("imd: {error:#}");
            match error.downcast_ref::<api::Refused>() {
                Some(refused) => ExitCode::from(refused.code()),
                None => ExitCode::FAILURE,
            }
        }
    }
}

/// Read settings, or print every problem and say which exit code that makes.
fn settings(file: &std::path::Path) -> Result<crate::config::Config, ExitCode> {
    crate::config::read(file).map_err(|problems| {
        eprintln!("{problems}");
        ExitCode::from(2)
    })
}

/// Open the store of a configuration.
fn open_store(
    config: &crate::config::Config,
    check: bool,
) -> anyhow::Result<imd_store::sqlite::SqliteStore> {
    use anyhow::Context as _;
    std::fs::create_dir_all(&config.data_dir)
        .with_context(|| format!("cannot make the folder {}", config.data_dir.display()))?;
    let options = imd_store::sqlite::SqliteOptions {
        full_text: config.archive.search,
        check,
    };
    Ok(imd_store::sqlite::SqliteStore::open(
        &config.data_dir.join("imd.sqlite"),
        options,
    )?)
}
