//! The command line of the box's agent.

#[path = "settings_command.rs"]
mod settings;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use provisioner::files::{Access, Files};
use provisioner::firstboot;
use provisioner::firstboot::state::BoxState;
use provisioner::imd_config;
use provisioner::system::{Linux, NotRunning, System};
use provisioner::tuning::machine::Machine;
use provisioner::tuning::report::Report;
use provisioner::tuning::{self, apply};

/// Sets up and looks after a Perch box.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Folder that stands for the box's root.
    #[arg(long, default_value = "/", global = true)]
    root: PathBuf,
    #[command(subcommand)]
    command: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Write the tuning settings and imd's configuration, read each back, and print what came of it.
    Apply,
    /// Print what apply would do, without changing anything.
    Plan,
    /// Finish the box's identity: names, certificates, SSH, administrator. Does nothing that is done already.
    Firstboot,
    /// Show and change the box's settings.
    #[command(subcommand)]
    Settings(settings::Action),
}

/// The outcome of the last apply since the boot, for programs.
const RESULT: &str = "/run/perch/apply.json";

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let files = Files::new(&arguments.root);
    let system: &dyn System = if files.is_running_system() {
        &Linux
    } else {
        &NotRunning
    };
    let done = match arguments.command {
        Action::Apply => apply_all(&files, system),
        Action::Plan => plan(&files, system),
        Action::Firstboot => firstboot::run(&files, system, |line| println!("{line}")),
        Action::Settings(action) => settings::run(action, &files, system),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("provisioner: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn apply_all(files: &Files, system: &dyn System) -> Result<bool> {
    let state = BoxState::load(files)?;
    let settings = tuning::wanted(files, &state.settings.profile())?;
    let mut rows = apply::apply(&Machine { files, system }, &settings);
    rows.push(imd_config::apply(files, &state.domain()));
    rows.push(imd_config::certificate(files));
    let report = Report::new(rows);
    println!("{}", report.table());
    let json = serde_json::to_vec_pretty(&report).context("writing the result as JSON")?;
    files.replace(RESULT, &json, Access::Everyone)?;
    Ok(report.ok)
}

fn plan(files: &Files, system: &dyn System) -> Result<bool> {
    let state = BoxState::load(files)?;
    let settings = tuning::wanted(files, &state.settings.profile())?;
    let mut rows = apply::preview(&Machine { files, system }, &settings);
    rows.push(imd_config::preview(files, &state.domain()));
    rows.push(imd_config::certificate(files));
    let report = Report::new(rows);
    println!("{}", report.table());
    Ok(report.ok)
}
