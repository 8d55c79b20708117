//! `image`: builds the disk image, refreshes its lock, shows its plan.

use std::{env, io::Write, path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use image::{
    build::{self, Options, say},
    config::Configs,
    facts::Facts,
    plan, reproduce,
};

/// Builds Perch's disk image from configs/, overlays/ and the cross-built binaries.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print the stages, and the owner of every file laid into the image, without building.
    Plan,
    /// Build the image into dist/ (in the build root: ci/build does all of it).
    Build {
        /// Refuse when a locked version has left the archive.
        #[arg(long)]
        locked: bool,
        /// The lock to hold packages to.
        #[arg(long, default_value = "configs/lock.toml")]
        lock: PathBuf,
        /// Install the packages again even where an installed base is kept.
        #[arg(long)]
        fresh: bool,
        /// Where intermediate files go.
        #[arg(long, default_value = "target/image")]
        work: PathBuf,
        /// Where the result goes; an earlier one there is removed.
        #[arg(long, default_value = "dist")]
        dist: PathBuf,
    },
    /// Build the image in dist/ once more and compare every partition, byte for byte.
    CheckReproducible,
    /// Refresh configs/lock.toml: the archive's newest packages, exact versions and hashes.
    Lock {
        /// The file to write.
        #[arg(long, default_value = "configs/lock.toml")]
        lock: PathBuf,
    },
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("image: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let arguments = Arguments::parse();
    let top = env::current_dir().context("cannot tell the current folder")?;
    let top = top
        .ancestors()
        .find(|folder| folder.join("configs/image.toml").exists())
        .context("found no configs/image.toml here or above: run it in the repository")?;
    let configs = Configs::load(top)?;
    let facts = Facts::from_environment()?;
    let kept = top.join("target/image");
    match arguments.command {
        Command::Plan => {
            let text = plan::show(&configs, &plan::plan(&configs, &facts)?);
            std::io::stdout()
                .write_all(text.as_bytes())
                .context("cannot print the plan")
        }
        Command::Build {
            locked,
            lock,
            fresh,
            work,
            dist,
        } => {
            let options = Options {
                lock,
                locked,
                fresh,
                archive: kept.join("archive"),
                bases: kept,
                work: top.join(work),
                dist: Some(top.join(dist)),
            };
            build::build(&configs, facts, &options).map(drop)
        }
        Command::CheckReproducible => reproduce::check(&configs, &kept, &top.join("dist")),
        Command::Lock { lock } => build::refresh_lock(&configs, &lock, &kept, facts.epoch),
    }
}
