//! The command line.

mod check;
mod demo;
pub mod serve;
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
    /// Manage accounts, also while the server runs.
    User {
        #[command(subcommand)]
        action: user::Action,
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
        Command::Demo { port, web_root } => demo::command(port, web_root),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("imd: {error:#}");
            ExitCode::FAILURE
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
