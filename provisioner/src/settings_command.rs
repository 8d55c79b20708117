//! `provisioner settings`: the same functions as the page's, for a shell.

use std::io::Read;

use crate::noted::{noted, who};
use anyhow::{Context, Result};
use clap::Subcommand;
use provisioner::files::Files;
use provisioner::firstboot::state::BoxState;
use provisioner::settings::apply::Machine;
use provisioner::settings::change::{
    Request, change, confirm, preview, request_of_pairs, request_of_text, request_of_undo, time_out,
};
use provisioner::settings::keys::can_be_undone;
use provisioner::settings::trial::PATIENCE_SECONDS;
use provisioner::system::System;

#[derive(Subcommand)]
pub enum Action {
    /// Print all settings that are chosen, or the value of one.
    Get {
        /// Such as network.ipv4.
        key: Option<String>,
    },
    /// Change settings, together.
    Set {
        /// Such as hostname=office or 'network.dns=["192.168.1.1"]'; an empty value brings the default back.
        #[arg(required = true, value_parser = pair)]
        pairs: Vec<(String, String)>,
        #[command(flatten)]
        dry: DryRun,
    },
    /// Print what a file in the format of perch.toml would change; "-" reads the standard input.
    Diff {
        /// The file.
        file: String,
    },
    /// Apply a file in the format of perch.toml; "-" reads the standard input.
    Apply {
        /// The file.
        file: String,
        #[command(flatten)]
        dry: DryRun,
    },
    /// Print the last changes: number, time, who, what.
    History,
    /// Take a change back, the last one if no number is given.
    Undo {
        /// As in the history.
        number: Option<u32>,
        #[command(flatten)]
        dry: DryRun,
    },
    /// Say that the box can be reached over its new network, which goes back otherwise.
    Confirm,
    /// The time for confirming is over (run by a timer).
    #[command(hide = true)]
    TimedOut,
}

#[derive(clap::Args)]
pub struct DryRun {
    /// Print what would be done, and do nothing.
    #[arg(long)]
    dry_run: bool,
}

fn pair(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
        .ok_or_else(|| "a key and a value, such as hostname=office".to_owned())
}

/// Runs a command. Returns whether it found what was asked for.
pub fn run(action: Action, files: &Files, system: &dyn System) -> Result<bool> {
    let machine = Machine { files, system };
    match action {
        Action::Get { key } => return get(files, key.as_deref()),
        Action::Set { pairs, dry } => {
            let keys: Vec<&str> = pairs.iter().map(|(key, _)| key.as_str()).collect();
            let act = ("settings.change", keys.join(", "));
            let request = request_of_pairs(machine, &pairs);
            make(machine, request, act, dry.dry_run)?;
        }
        Action::Diff { file } => {
            let request = request_of_file(machine, &file);
            make(machine, request, ("settings.change", file), true)?;
        }
        Action::Apply { file, dry } => {
            let request = request_of_file(machine, &file);
            make(machine, request, ("settings.change", file), dry.dry_run)?;
        }
        Action::History => print_history(files)?,
        Action::Undo { number, dry } => {
            let shown = number.map_or_else(|| "last".to_owned(), |number| number.to_string());
            let request = request_of_undo(machine, number);
            make(machine, request, ("settings.undo", shown), dry.dry_run)?;
        }
        Action::Confirm => {
            noted(machine, "network.confirm", "", confirm(machine))?;
            println!("confirmed");
        }
        Action::TimedOut => {
            if time_out(machine)? {
                println!("nobody confirmed the network: it is what it was");
            }
        }
    }
    Ok(true)
}

fn get(files: &Files, key: Option<&str>) -> Result<bool> {
    let text = BoxState::load(files)?.settings.to_toml();
    let Some(key) = key else {
        print!("{text}");
        return Ok(true);
    };
    let value = text
        .lines()
        .filter_map(|line| line.split_once(" = "))
        .find_map(|(name, value)| (name == key).then_some(value));
    if let Some(value) = value {
        println!("{value}");
    }
    Ok(value.is_some())
}

fn request_of_file(machine: Machine<'_>, file: &str) -> Result<Request> {
    let text = if file == "-" {
        let mut text = String::new();
        std::io::stdin()
            .take(1 << 20)
            .read_to_string(&mut text)
            .context("reading the standard input")?;
        text
    } else {
        std::fs::read_to_string(file).with_context(|| format!("reading {file}"))?
    };
    request_of_text(machine, file, &text)
}

/// `act`: what it is, and to what, in the log of administration.
fn make(
    machine: Machine<'_>,
    request: Result<Request>,
    (action, subject): (&str, String),
    dry_run: bool,
) -> Result<()> {
    if dry_run {
        let would = preview(machine, &request?)?;
        print_lines("nothing would change", &would.plan.lines());
        return Ok(());
    }
    let done = request.and_then(|request| change(machine, &request, &who()));
    let done = noted(machine, action, subject, done)?;
    if let Some(warning) = &done.warning {
        eprintln!("{warning}");
    }
    print_lines("nothing changed", &done.plan.lines());
    if let Some(number) = done.number
        && can_be_undone(&done.plan.changes)
    {
        println!("done; `provisioner settings undo {number}` takes it back");
    }
    if done.on_trial {
        println!(
            "The network goes back in {PATIENCE_SECONDS} seconds. Connect to the box again and run `provisioner settings confirm`."
        );
    }
    Ok(())
}

fn print_lines(none: &str, lines: &[String]) {
    if lines.is_empty() {
        println!("{none}");
    }
    for line in lines {
        println!("{line}");
    }
}

fn print_history(files: &Files) -> Result<()> {
    for entry in BoxState::load(files)?.history {
        println!("{}  {}  {}", entry.number, entry.at, entry.who);
        for change in entry.changes {
            println!("    {}", change.line());
        }
    }
    Ok(())
}
