//! `provisioner power`: the same functions as the page's, for a shell and for the timer of a plan.

use crate::noted::{noted, who};
use anyhow::{Context, Result};
use clap::Subcommand;
use provisioner::files::Files;
use provisioner::power::{self, LocalTime, Power};
use provisioner::settings::apply::Machine;
use provisioner::system::System;

#[derive(Subcommand)]
pub enum Action {
    /// Print what is planned.
    Status,
    /// Restart, now or at a chosen time.
    Restart {
        /// By the box's clock: 03:00 (the next time that it is so), or "2026-12-01 03:00". Absent: now.
        #[arg(long)]
        at: Option<LocalTime>,
    },
    /// Shut down, now or at a chosen time.
    ShutDown {
        /// As above.
        #[arg(long)]
        at: Option<LocalTime>,
    },
    /// Give up what is planned.
    Cancel,
    /// Do what is planned for now (run by a timer).
    #[command(hide = true)]
    Due,
}

pub fn run(action: Action, files: &Files, system: &dyn System) -> Result<bool> {
    let machine = Machine { files, system };
    match action {
        Action::Status => {
            let now = system.now().unix_timestamp();
            match power::planned(files, now)? {
                Some(plan) => println!("{}", sentence(system, &plan)),
                None => println!("nothing is planned"),
            }
        }
        Action::Restart { at } => begin(machine, Power::Restart, at)?,
        Action::ShutDown { at } => begin(machine, Power::ShutDown, at)?,
        Action::Cancel => noted(machine, "box.cancel-plan", "", power::cancel(machine))?,
        Action::Due => power::due(machine).map(drop)?,
    }
    Ok(true)
}

fn begin(machine: Machine<'_>, what: Power, at: Option<LocalTime>) -> Result<()> {
    let Some(at) = at else {
        // Before it is done: nothing may be written any more afterwards.
        noted(machine, &format!("box.{}", what.name()), "", Ok(()))?;
        return what.carry_out(machine.system);
    };
    let subject = format!("{} {at}", what.name());
    let plan = power::plan(machine, what, &at, &who())
        .with_context(|| format!("{} is not planned", what.name()));
    let plan = noted(machine, "box.plan", subject, plan)?;
    println!("{}", sentence(machine.system, &plan));
    Ok(())
}

fn sentence(system: &dyn System, plan: &power::Plan) -> String {
    let time = power::local(system, plan.at).unwrap_or_else(|| format!("@{}", plan.at));
    format!(
        "{}: {time} ({}); a start of the box before that ends the plan",
        plan.what.name(),
        plan.who
    )
}
