//! Restarting the box and shutting it down, at once or at a chosen time.
//!
//! A plan is in memory (`/run`) with a timer of systemd's, and ends with any start of the box: a Pi has no clock of its own, and a time
//! that has passed while it was off must not be taken for one that has just come.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::agent::audit;
use crate::files::{Access, Files};
use crate::settings::apply::Machine;
use crate::system::System;
use crate::update::window::minute;

/// What is planned.
const PLAN: &str = "/run/perch-agent/power.json";
/// The transient timer, and the unit of the image that it starts.
pub const TIMER: &str = "perch-power";
/// How far ahead a plan may be, in seconds.
const FARTHEST: i64 = 366 * 86_400;
/// A timer that goes off later than this (in seconds) was overtaken by a clock that was set.
const PUNCTUAL: i64 = 600;

/// What becomes of the box.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Power {
    /// It restarts.
    Restart,
    /// It goes off.
    ShutDown,
}

impl Power {
    /// Its name, in the log and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Restart => "restart",
            Self::ShutDown => "shut-down",
        }
    }

    /// Does it.
    ///
    /// # Errors
    /// systemd refused.
    pub fn carry_out(self, system: &dyn System) -> Result<()> {
        let verb = match self {
            Self::Restart => "reboot",
            Self::ShutDown => "poweroff",
        };
        system
            .run(&["systemctl", "--no-block", verb], None)
            .map(drop)
    }
}

/// What is to happen, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// What.
    pub what: Power,
    /// When, in seconds since 1970.
    pub at: i64,
    /// Who wants it.
    pub who: String,
}

/// A time by the box's own clock, as people type it: `03:00` is the next time that it is so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalTime {
    /// `2026-12-01`. Absent: today or tomorrow.
    day: Option<String>,
    /// `03:00`.
    clock: String,
}

/// Why a plan is not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoPlan {
    /// Not a time.
    #[error(
        "\"{0}\" is no time; accepted: a time of the day such as 03:00, or a day and a time such as 2026-12-01 03:00"
    )]
    NoTime(String),
    /// It has passed, or is more than a year ahead.
    #[error("{0} is not within the next year by the box's clock")]
    OutOfReach(String),
}

impl FromStr for LocalTime {
    type Err = NoPlan;

    fn from_str(text: &str) -> Result<Self, NoPlan> {
        let no_time = || NoPlan::NoTime(text.chars().take(40).collect());
        let (day, clock) = match text.trim().split_once([' ', 'T']) {
            Some((day, clock)) => (Some(day), clock),
            None => (None, text.trim()),
        };
        // What goes to date(1) is made of digits, and of signs that are put here.
        minute(clock).ok_or_else(no_time)?;
        if let Some(day) = day {
            let parts: Vec<&str> = day.split('-').collect();
            let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
            let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
            if lengths != [4, 2, 2] || !parts.iter().all(|part| digits(part)) {
                return Err(no_time());
            }
        }
        Ok(Self {
            day: day.map(str::to_owned),
            clock: clock.to_owned(),
        })
    }
}

impl LocalTime {
    /// Seconds since 1970, by the box's time zone; after `now` where no day is named.
    fn unix(&self, system: &dyn System, now: i64) -> Result<i64> {
        let ask = |day: &str| -> Result<i64> {
            let time = format!("{day} {}", self.clock);
            let said = system.run(&["date", "-d", &time, "+%s"], None)?;
            said.parse()
                .with_context(|| format!("date said \"{said}\" of {time}"))
        };
        match &self.day {
            // An hour that a change to summer time leaves out, or a 30th of February.
            Some(day) => ask(day).map_err(|_| NoPlan::NoTime(self.to_string()).into()),
            None => match ask("today")? {
                at if at > now => Ok(at),
                _ => ask("tomorrow"),
            },
        }
    }
}

impl fmt::Display for LocalTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.day {
            Some(day) => write!(f, "{day} {}", self.clock),
            None => f.write_str(&self.clock),
        }
    }
}

/// A moment by the box's own clock, such as `2026-12-01 03:00 CET`. `None`: no system runs that could tell.
#[must_use]
pub fn local(system: &dyn System, unix: i64) -> Option<String> {
    let (time, format) = (format!("@{unix}"), "+%Y-%m-%d %H:%M %Z");
    let said = system.run(&["date", "-d", &time, format], None).ok()?;
    (!said.is_empty()).then_some(said)
}

/// Makes a plan, in the place of another.
///
/// # Errors
/// [`NoPlan`], or the timer cannot be started.
pub fn plan(machine: Machine<'_>, what: Power, when: &LocalTime, who: &str) -> Result<Plan> {
    let Machine { files, system } = machine;
    let now = system.now().unix_timestamp();
    let at = when.unix(system, now)?;
    if at <= now || at - now > FARTHEST {
        return Err(NoPlan::OutOfReach(when.to_string()).into());
    }
    cancel(machine)?;
    let who = who.to_owned();
    let plan = Plan { what, at, who };
    let text = serde_json::to_vec(&plan).context("writing a plan as JSON")?;
    files.replace(PLAN, &text, Access::Root)?;
    let (unit, time) = (format!("--unit={TIMER}"), format!("--on-calendar=@{at}"));
    let command = [
        "systemd-run",
        "--quiet",
        "--collect",
        &unit,
        &time,
        "--timer-property=AccuracySec=1s",
    ];
    if let Err(error) = system.run(&command, None) {
        files.remove(PLAN)?;
        return Err(error.context("the timer for it"));
    }
    Ok(plan)
}

/// What is planned. `None`: nothing.
///
/// # Errors
/// It cannot be read.
pub fn planned(files: &Files, now: i64) -> Result<Option<Plan>> {
    let Some(text) = files.read(PLAN)? else {
        return Ok(None);
    };
    let plan: Plan = serde_json::from_str(&text).with_context(|| format!("reading {PLAN}"))?;
    // Its timer has not gone off, and will not.
    Ok(Some(plan).filter(|plan| now - plan.at <= PUNCTUAL))
}

/// Gives up what is planned, if anything is.
///
/// # Errors
/// The plan cannot be removed.
pub fn cancel(machine: Machine<'_>) -> Result<()> {
    let timer = format!("{TIMER}.timer");
    if machine.files.path(PLAN).exists() {
        machine.files.remove(PLAN)?;
        // One that went off meanwhile is gone, and finds no plan.
        let _ = machine.system.run(&["systemctl", "stop", &timer], None);
    }
    Ok(())
}

/// The timer has gone off. Returns whether the box goes down.
///
/// # Errors
/// systemd refused.
pub fn due(machine: Machine<'_>) -> Result<bool> {
    let Machine { files, system } = machine;
    let now = system.now();
    let found = planned(files, now.unix_timestamp());
    files.remove(PLAN)?;
    let Some(plan) = found? else {
        eprintln!("<4>nothing is planned for now: the plan was given up, or the clock was set");
        return Ok(false);
    };
    let entry = audit::Entry {
        at: String::new(),
        who: plan.who,
        action: format!("box.{}", plan.what.name()),
        subject: "as planned".to_owned(),
        error: None,
    };
    if let Err(error) = audit::add(files, now, entry) {
        // A full disk must not keep the box from doing it.
        eprintln!("<3>the log of administration: {error:#}");
    }
    plan.what.carry_out(system)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_clock_with_or_without_a_day() {
        let time = |day: Option<&str>| LocalTime {
            day: day.map(str::to_owned),
            clock: "03:00".to_owned(),
        };
        for (text, found) in [
            ("03:00", time(None)),
            (" 03:00 ", time(None)),
            ("2026-12-01 03:00", time(Some("2026-12-01"))),
            ("2026-12-01T03:00", time(Some("2026-12-01"))),
        ] {
            assert_eq!(text.parse(), Ok(found), "{text}");
        }
        for text in [
            "",
            "3:00",
            "25:00",
            "tomorrow 03:00",
            "2026-12-1 03:00",
            "2026-12-01 03:00 --set",
            "-01-01-01 03:00",
            "@0",
        ] {
            let refused: Result<LocalTime, NoPlan> = text.parse();
            assert_eq!(refused, Err(NoPlan::NoTime(text.to_owned())), "{text}");
        }
    }
}
