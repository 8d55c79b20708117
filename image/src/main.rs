//! `image`: builds the disk image, refreshes its lock, shows its plan.

use std::{
    env,
    io::Write,
    path::PathBuf,
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use image::{
    build::{self, Options, say},
    config::Configs,
    cves,
    facts::Facts,
    keys::{self, Keys},
    lock::Lock,
    plan, publish,
    repack::Variant,
    reproduce,
};
use nix::sys::stat::{Mode, umask};

/// Builds Perch's disk image from configs/, overlays/ and the cross-built binaries.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Another board than configs/image.toml says: one of configs/boards.
    #[arg(long, global = true, value_name = "NAME")]
    board: Option<String>,
    /// Another base than configs/image.toml says: one of configs/bases.
    #[arg(long, global = true, value_name = "NAME")]
    base: Option<String>,
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
        /// The lock to hold packages to, instead of the board's.
        #[arg(long)]
        lock: Option<PathBuf>,
        /// Install the packages again even where an installed base is kept.
        #[arg(long)]
        fresh: bool,
        /// Fetch nothing: take the package lists and files that an earlier build kept.
        #[arg(long)]
        offline: bool,
        /// Where intermediate files go [default: target/image, or with --board or --base target/image-NAME].
        #[arg(long)]
        work: Option<PathBuf>,
        /// Where the result goes; an earlier one there is removed [default: dist, or dist-NAME].
        #[arg(long)]
        dist: Option<PathBuf>,
    },
    /// Build the image in dist/ once more and compare every partition, byte for byte.
    CheckReproducible {
        /// Only pack again what is installed: ci/reproduce does all of it.
        #[arg(long)]
        only_pack: bool,
    },
    /// Make another bundle from one that is there (files, version, keys), for trying updates.
    Repack {
        /// The bundle to start from.
        bundle: PathBuf,
        /// Where the new one goes.
        to: PathBuf,
        /// The new one's version.
        #[arg(long)]
        version: String,
        /// Files to lay over the root.
        #[arg(long)]
        root: Option<PathBuf>,
        /// Files to put into the boot partition.
        #[arg(long)]
        boot: Option<PathBuf>,
        /// Where intermediate files go.
        #[arg(long, default_value = "target/repack")]
        work: PathBuf,
    },
    /// Write a folder for a static HTTPS server: bundle, signed channel file, image, checksums, release notes, list for Raspberry Pi Imager.
    Publish {
        /// The folder, which may hold earlier releases.
        folder: PathBuf,
        /// What ci/build made [default: dist, or with --board or --base dist-NAME].
        #[arg(long)]
        dist: Option<PathBuf>,
        /// stable, beta, or a name of your own.
        #[arg(long, default_value = "stable")]
        channel: String,
        /// The folder's address, for Raspberry Pi Imager's list; without it that is not written.
        #[arg(long)]
        url: Option<String>,
    },
    /// What Debian's security tracker holds open against the locked packages. After ci/build, which fetches them.
    Cves {
        /// The lock, instead of the board's.
        #[arg(long)]
        lock: Option<PathBuf>,
        /// The tracker's data: an https:// address, or a file.
        #[arg(long, default_value = cves::TRACKER)]
        tracker: String,
    },
    /// The signing chain of updates: docs/operator/releases.md says how to keep it.
    #[command(subcommand)]
    Keys(KeyAction),
    /// Refresh the lock: the archives' newest packages, exact versions and hashes.
    Lock {
        /// The file to write, instead of the board's.
        #[arg(long)]
        lock: Option<PathBuf>,
    },
}

#[derive(Subcommand)]
enum KeyAction {
    /// Make a new chain in FOLDER: an offline root, a release key, and the keyring that images carry.
    Init {
        /// A folder outside the repository.
        folder: PathBuf,
    },
    /// Make another release key, signed by the root; the one before is kept as release-N.
    Release {
        /// The chain's folder.
        folder: PathBuf,
        /// Days that the certificate holds.
        #[arg(long, default_value_t = keys::RELEASE_DAYS)]
        days: u64,
        /// When it begins to hold, in days from today; less than nothing for the past.
        #[arg(long, default_value_t = 0, allow_hyphen_values = true)]
        from: i64,
    },
    /// Take a release certificate back: images built from now on refuse what it signed.
    Revoke {
        /// The chain's folder.
        folder: PathBuf,
        /// The certificate, for example FOLDER/release-1.pem.
        certificate: PathBuf,
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
    // Folders of the image get their modes from it.
    umask(Mode::S_IWGRP | Mode::S_IWOTH);
    let top = env::current_dir().context("cannot tell the current folder")?;
    let top = top
        .ancestors()
        .find(|folder| folder.join("configs/image.toml").exists())
        .context("found no configs/image.toml here or above: run it in the repository")?;
    let configs = Configs::load_for(top, arguments.board.as_deref(), arguments.base.as_deref())?;
    let own_lock = configs.on_base()?.lock.clone();
    let facts = Facts::from_environment()?;
    let kept = top.join("target/image");
    // The usual image keeps its places; others have theirs beside it.
    let chosen = [&arguments.board, &arguments.base];
    let suffix: String = chosen
        .into_iter()
        .flatten()
        .map(|name| format!("-{name}"))
        .collect();
    let own_work = PathBuf::from(format!("target/image{suffix}"));
    let own_dist = PathBuf::from(format!("dist{suffix}"));
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
            offline,
            work,
            dist,
        } => {
            let options = Options {
                lock: lock.unwrap_or(own_lock),
                locked,
                fresh,
                offline,
                archive: kept.join("archive"),
                bases: kept,
                work: top.join(work.unwrap_or(own_work)),
                dist: Some(top.join(dist.unwrap_or(own_dist))),
            };
            build::build(&configs, facts, &options).map(drop)
        }
        Command::CheckReproducible { only_pack } => reproduce::check(
            &configs,
            &kept,
            &top.join(own_work),
            &top.join(own_dist),
            only_pack,
        ),
        Command::Repack {
            bundle,
            to,
            version,
            root,
            boot,
            work,
        } => Variant {
            bundle: &bundle,
            version: &version,
            inside: true,
            epoch: facts.epoch,
            root: root.as_deref(),
            boot: boot.as_deref(),
            boot_unreadable: false,
            compatible: None,
            keys: &Keys::at(&facts.keys),
        }
        .make(&work, &to)
        .map(drop),
        Command::Publish {
            folder,
            dist,
            channel,
            url,
        } => publish::publish_dist(
            &configs,
            &facts,
            &dist.unwrap_or(own_dist),
            &folder,
            &channel,
            url.as_deref(),
        ),
        Command::Cves { lock, tracker } => {
            let packages = Lock::read(&lock.unwrap_or(own_lock))?.package;
            let (packages, others): (Vec<_>, Vec<_>) = packages
                .into_iter()
                .partition(|package| package.archive.is_none());
            let sources = cves::sources(&packages, &kept.join("archive/debs"))?;
            let tracker = cves::read(&tracker)?;
            let release = &configs.image.release;
            let found = cves::open(&tracker, &sources, release, cves::compare)?;
            let mut text: String = found.iter().map(|open| open.line() + "\n").collect();
            text += &format!(
                "{} open advisories in {} source packages of {release}\n",
                found.len(),
                sources.len()
            );
            for package in others {
                text += &format!(
                    "not looked at: {} {}, as the tracker does not follow {}\n",
                    package.name,
                    package.version,
                    package.archive.unwrap_or_default()
                );
            }
            std::io::stdout()
                .write_all(text.as_bytes())
                .context("cannot print them")
        }
        Command::Keys(action) => change_keys(&configs.image.name, &action),
        Command::Lock { lock } => {
            let date = match facts.epoch {
                0 => SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs(),
                epoch => epoch,
            };
            build::refresh_lock(&configs, &lock.unwrap_or(own_lock), &kept, date)
        }
    }
}

fn change_keys(name: &str, action: &KeyAction) -> Result<()> {
    match action {
        KeyAction::Init { folder } => {
            Keys::at(folder).init(name)?;
            say(&format!(
                "made {0}: keep root.key and root.pem off this computer, release.key where releases are built; give ci/build \
                 PERCH_KEYS={0}",
                folder.display()
            ));
            Ok(())
        }
        KeyAction::Release { folder, days, from } => Keys::at(folder).release(name, *from, *days),
        KeyAction::Revoke {
            folder,
            certificate,
        } => Keys::at(folder).revoke(certificate),
    }
}
