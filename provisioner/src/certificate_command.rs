//! `provisioner certificate`: the same functions as the page's, for a shell and for the timer.

use crate::noted::noted;
use anyhow::Result;
use clap::Subcommand;
use provisioner::acme::machine::State;
use provisioner::acme::{job, run};
use provisioner::files::Files;
use provisioner::settings::apply::Machine;
use provisioner::system::System;
use provisioner::web::certificate::lines;
use provisioner::web::texts::{Language, Texts};

#[derive(Subcommand)]
pub enum Action {
    /// Print where the certificate for the box's own domain stands, and what to do if it could not be had.
    Status,
    /// Order one now, whether it is time or not, and say what came of it.
    Renew,
    /// Order one if it is time, or if the page has asked for it (run by perch-certificate.service).
    #[command(hide = true)]
    Work,
}

/// Returns whether the certificate is as it is wanted.
pub fn run(action: Action, files: &Files, system: &dyn System) -> Result<bool> {
    let machine = Machine { files, system };
    match action {
        Action::Status => {}
        Action::Renew => {
            noted(machine, "certificate.renew", "", run::work(machine, true)).map(drop)?;
        }
        // A box that has none goes on: no unit fails for it.
        Action::Work => {
            if job::take_up(machine)? != State::Off {
                print(machine)?;
            }
            return Ok(true);
        }
    }
    print(machine)
}

fn print(machine: Machine<'_>) -> Result<bool> {
    let view = job::view(machine)?;
    for line in lines(Texts(Language::En), &view) {
        println!("{line}");
    }
    Ok(!matches!(view.state, State::Failed { .. }))
}
