//! The `imd` command.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    imd::cli::run(imd::cli::Arguments::parse())
}
