//! The command `perch-load`; see the library.

use std::process::ExitCode;

use clap::Parser as _;
use perch_load::options::{Command, Options};
use perch_load::{process, report, scenario};

fn main() -> ExitCode {
    let done = match Options::parse().command {
        Command::Run(run) => {
            process::raise_open_files();
            scenario::run(*run).map(|_| ())
        }
        Command::Report { results, out } => report::write(&results, &out),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("perch-load: {error:#}");
            ExitCode::FAILURE
        }
    }
}
