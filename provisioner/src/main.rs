//! The command line of the box's agent.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use provisioner::files::{Access, Files};
use provisioner::system::{Linux, NotRunning, System};
use provisioner::tuning::machine::Machine;
use provisioner::tuning::report::Report;
use provisioner::tuning::{apply, file};

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
    /// Write the tuning settings, read each back, and print what came of it.
    Apply,
    /// Print what apply would do, without changing anything.
    Plan,
}

/// Where the image keeps configs/tuning.
const TUNING: &str = "/usr/share/perch/tuning";
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
    let settings = file::read_folder(&files.path(TUNING))?;
    let report = Report::new(apply::apply(&Machine { files, system }, &settings));
    println!("{}", report.table());
    let json = serde_json::to_vec_pretty(&report).context("writing the result as JSON")?;
    files.replace(RESULT, &json, Access::Everyone)?;
    Ok(report.ok)
}

fn plan(files: &Files, system: &dyn System) -> Result<bool> {
    let settings = file::read_folder(&files.path(TUNING))?;
    let report = Report::new(apply::preview(&Machine { files, system }, &settings));
    println!("{}", report.table());
    Ok(report.ok)
}
