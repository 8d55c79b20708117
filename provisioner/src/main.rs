//! The command line of the box's agent.

#[path = "backup_command.rs"]
mod backup;
#[path = "certificate_command.rs"]
mod certificate;
mod noted;
#[path = "power_command.rs"]
mod power;
#[path = "settings_command.rs"]
mod settings;
#[path = "target_command.rs"]
mod target;
#[path = "update_command.rs"]
mod update;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use clap::{Parser, Subcommand};
use provisioner::agent::WEB_USER;
use provisioner::agent::serve::{self, Bench, Callers};
use provisioner::announce;
use provisioner::disk::look;
use provisioner::files::Files;
use provisioner::firstboot;
use provisioner::firstboot::state::BoxState;
use provisioner::firstboot::{certificates, identity, status};
use provisioner::imd_config;
use provisioner::system::{Linux, NotRunning, System};
use provisioner::tuning::machine::Machine;
use provisioner::tuning::report::Report;
use provisioner::tuning::{self, apply};
use provisioner::web;

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
    /// Set the clock forward if it is before the image was made (run by perch-clock.service).
    #[command(hide = true)]
    Clock,
    /// Finish the box's identity: names, certificates, SSH, administrator. Does nothing that is done already.
    Firstboot,
    /// Show and change the box's settings.
    #[command(subcommand)]
    Settings(settings::Action),
    /// Make backups, look at them, restore one.
    #[command(subcommand)]
    Backup(backup::Action),
    /// Carry out a factory reset or a restore that waits for this start (run by perch-early.service).
    #[command(hide = true)]
    Early,
    /// Put the machine's addresses into its certificate and onto the card (run by perch-address.service).
    #[command(hide = true)]
    Addresses,
    /// Announce the box's second name on the network (run by perch-announce.service).
    Announce,
    /// Carry out the commands of the pages (run by perch-agent.service).
    Agent {
        /// Where to listen.
        #[arg(long, default_value = provisioner::agent::SOCKET)]
        socket: PathBuf,
        /// The group that may connect. Absent: root and this user alone.
        #[arg(long)]
        group: Option<String>,
    },
    /// Serve the pages, behind nginx (run by perch-web.service).
    Web {
        /// Where nginx connects to.
        #[arg(long, default_value = "/run/perch-web/web.sock")]
        socket: PathBuf,
        /// Where the agent listens.
        #[arg(long, default_value = provisioner::agent::SOCKET)]
        agent: PathBuf,
        /// Where imd's admin API listens.
        #[arg(long, default_value = "/run/imd/admin.sock")]
        imd: PathBuf,
        /// The folder of its database.
        #[arg(long, default_value = "/var/lib/perch-web")]
        state: PathBuf,
        /// The folder of backups.
        #[arg(long, default_value = provisioner::backup::FOLDER)]
        backups: PathBuf,
    },
    /// Look for another version, install it, go back.
    #[command(subcommand)]
    Update(update::Action),
    /// Ask the disk how it is, print that and keep it for the pages (run by perch-disk.service).
    Disk,
    /// The certificate for the box's own domain.
    #[command(subcommand)]
    Certificate(certificate::Action),
    /// Restart the box or shut it down, now or at a chosen time.
    #[command(subcommand)]
    Power(power::Action),
}

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
        Action::Clock => identity::set_forward(&files, system).map(|done| {
            println!("{done}");
            true
        }),
        Action::Firstboot => firstboot::run(&files, system, |line| println!("{line}")),
        Action::Backup(action) => backup::run(action, &files, system),
        Action::Early => backup::early(&files, system),
        Action::Update(action) => update::run(action, &files, system),
        Action::Certificate(action) => certificate::run(action, &files, system),
        Action::Power(action) => power::run(action, &files, system),
        Action::Settings(action) => settings::run(action, &files, system),
        Action::Disk => disk(&files, system),
        Action::Addresses => addresses(&files, system),
        Action::Announce => announce::run(&files).map(|()| true),
        Action::Agent { socket, group } => agent(&arguments.root, &socket, group.as_deref()),
        Action::Web {
            socket,
            agent,
            imd,
            state,
            backups,
        } => web::run(&web::Options {
            socket,
            agent,
            imd,
            state,
            backups,
            root: arguments.root.clone(),
        })
        .map(|()| true),
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

/// Each command has its own view of the machine below the root.
struct Machines(PathBuf);

impl Bench for Machines {
    fn files(&self) -> Files {
        Files::new(&self.0)
    }

    fn system(&self) -> Box<dyn System> {
        if self.files().is_running_system() {
            Box::new(Linux)
        } else {
            Box::new(NotRunning)
        }
    }
}

fn agent(root: &Path, socket: &Path, group: Option<&str>) -> Result<bool> {
    let callers = Callers::with_user(WEB_USER)?;
    let listener = serve::bind(socket, group)?;
    serve::serve(&listener, Arc::new(Machines(root.to_owned())), callers)?;
    Ok(true)
}

/// A card that cannot be written must not keep the certificate from following.
fn addresses(files: &Files, system: &dyn System) -> Result<bool> {
    let told = status::tell_addresses(files, system);
    certificates::follow_addresses(files, system)?;
    told.map(|_| true)
}

fn disk(files: &Files, system: &dyn System) -> Result<bool> {
    match look::look(provisioner::settings::apply::Machine { files, system })? {
        None => println!("there is nothing to ask: an SD card, or a disk that sleeps"),
        Some(health) => {
            let model = health.model.as_deref().unwrap_or("the disk");
            println!(
                "{model}: {} {}",
                health.state.name(),
                health.reasons.join(", ")
            );
        }
    }
    Ok(true)
}

fn apply_all(files: &Files, system: &dyn System) -> Result<bool> {
    let state = BoxState::load(files)?;
    let settings = tuning::wanted(files, &state.settings.profile())?;
    tuning::network_names::wait(files);
    let mut rows = apply::apply(&Machine { files, system }, &settings);
    rows.push(imd_config::apply(files, &state));
    rows.push(imd_config::certificate(files));
    let report = Report::new(rows);
    println!("{}", report.table());
    report.keep(files)?;
    Ok(report.ok)
}

fn plan(files: &Files, system: &dyn System) -> Result<bool> {
    let state = BoxState::load(files)?;
    let settings = tuning::wanted(files, &state.settings.profile())?;
    let mut rows = apply::preview(&Machine { files, system }, &settings);
    rows.push(imd_config::preview(files, &state));
    rows.push(imd_config::certificate(files));
    let report = Report::new(rows);
    println!("{}", report.table());
    Ok(report.ok)
}
