//! How many instructions `imd` takes for a login, for a message and for each further recipient of a room's message: counts
//! by valgrind, which vary far less with the machine and its load than times do. More than a ceiling and 5 % fails, when the
//! least of three counts says so.
//! There are ceilings for the build that all tests use, and for that of cargo's profile `measured`, whose program is in `PERCH_IMD`
//! then: the first are a cheap guard, the second say what a released server takes.
//!
//! Runs of the daemon differ in one thing each: no clients, clients that log in and go, the same with messages; people who
//! enter a room, the same with more said in it.

mod crowd;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use perch_tests::host_imd::HostImd;
use perch_tests::lab::Lab;

use crowd::Doings;

/// What one of each takes, or may take at the most.
struct Each {
    /// A login with a full handshake of TLS 1.3, SCRAM-SHA-256-PLUS, stream management, carbons, roster and presence, and its end.
    login: u64,
    /// A message of 100 bytes between two clients that are online, archived on both sides.
    message: u64,
    /// One more recipient of a room's message, and the acknowledgement of each sixteenth.
    recipient: u64,
}

/// Of cargo's profile `measured`.
const MEASURED: Each = Each {
    login: 1_830_000,
    message: 78_000,
    recipient: 12_200,
};
/// Of the build that is not optimised. The same program's counts of a login are 4.68 to 4.86 million (`docs/instructions.md`).
const UNOPTIMISED: Each = Each {
    login: 4_750_000,
    message: 400_000,
    recipient: 67_000,
};
/// How far a count may be above its ceiling, in per cent.
const SLACK: u64 = 5;

/// How often everything is counted, at the most, before the test fails.
const TRIES: usize = 3;

/// Who logs in before a login is counted, so that the database has been opened for them, mostly.
const FIRST: Doings = Doings {
    people: 8,
    messages: 0,
    listeners: 0,
    said: 0,
};
const LOGINS: Doings = Doings {
    people: 32,
    ..FIRST
};
/// The same people.
const MESSAGES: Doings = Doings {
    messages: 20,
    ..LOGINS
};
const ROOM_QUIET: Doings = Doings {
    people: 0,
    listeners: 100,
    said: 1,
    ..FIRST
};
const ROOM_LOUD: Doings = Doings {
    said: 21,
    ..ROOM_QUIET
};

/// The least that was counted of each run.
#[derive(Debug, Clone, Copy)]
struct Counts {
    first: u64,
    logins: u64,
    messages: u64,
    room_quiet: u64,
    room_loud: u64,
}

impl Counts {
    fn count(lab: &Lab) -> Result<Self> {
        Ok(Self {
            first: count(lab, "first-logins", FIRST)?,
            logins: count(lab, "logins", LOGINS)?,
            messages: count(lab, "messages", MESSAGES)?,
            room_quiet: count(lab, "room-quiet", ROOM_QUIET)?,
            room_loud: count(lab, "room-loud", ROOM_LOUD)?,
        })
    }

    /// What runs by the clock, and connections to the database that are opened while others are busy, only ever add to a count.
    fn least(self, other: Self) -> Self {
        Self {
            first: self.first.min(other.first),
            logins: self.logins.min(other.logins),
            messages: self.messages.min(other.messages),
            room_quiet: self.room_quiet.min(other.room_quiet),
            room_loud: self.room_loud.min(other.room_loud),
        }
    }

    /// What one of each takes.
    fn each(self) -> Each {
        let each = |more: u64, less: u64, times: usize| more.saturating_sub(less) / times as u64;
        let message = each(
            self.messages,
            self.logins,
            MESSAGES.people * MESSAGES.messages,
        );
        let to_room = each(
            self.room_loud,
            self.room_quiet,
            ROOM_LOUD.said - ROOM_QUIET.said,
        );
        Each {
            login: each(self.logins, self.first, LOGINS.people - FIRST.people),
            message,
            recipient: each(to_room, message, ROOM_QUIET.listeners),
        }
    }
}

#[test]
#[ignore = "run `ci/test --only instructions`, or `measured-instructions`"]
fn a_login_a_message_and_a_recipient_take_no_more_instructions_than_before() -> Result<()> {
    let lab = Lab::new("instructions", "count")?;
    before_others(&lab)?;
    let ceilings = match std::env::var_os("PERCH_IMD") {
        Some(_) => MEASURED,
        None => UNOPTIMISED,
    };
    let mut least: Option<Counts> = None;
    let mut above = Vec::new();
    for _ in 0..TRIES {
        let counts = Counts::count(&lab)?;
        let counts = least.map_or(counts, |least| least.least(counts));
        least = Some(counts);
        let Each {
            login,
            message,
            recipient,
        } = counts.each();
        lab.note(&format!(
            "{login} instructions for each login, {message} for each message, {recipient} for each recipient in a room"
        ));
        above.clear();
        for (what, count, ceiling) in [
            ("login", login, ceilings.login),
            ("message", message, ceilings.message),
            ("recipient in a room", recipient, ceilings.recipient),
        ] {
            ensure!(count > 0, "nothing was counted for a {what}");
            if count > ceiling + ceiling * SLACK / 100 {
                above.push(format!(
                    "a {what} takes {count} instructions; the ceiling is {ceiling} and {SLACK} %"
                ));
            }
        }
        if above.is_empty() {
            break;
        }
    }
    ensure!(above.is_empty(), "{}", above.join("; "));
    lab.passed();
    Ok(())
}

/// Has this process and those it starts run before all others, if it may: on a busy machine the daemon goes to sleep and wakes
/// up more often, and commits fewer messages at once, which was up to 5 % of a login and of a message, and a fifth of a recipient.
fn before_others(lab: &Lab) -> Result<()> {
    let own = std::process::id().to_string();
    let mut chrt = Command::new("chrt");
    chrt.args(["--all-tasks", "--rr", "--pid", "1", &own]);
    let output = chrt.output().context("run chrt")?;
    if !output.status.success() {
        lab.note(&format!(
            "this runs no sooner than others: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        ));
    }
    Ok(())
}

/// The instructions of one run of the daemon, from its start to its end.
fn count(lab: &Lab, name: &str, doings: Doings) -> Result<u64> {
    let lab = Lab::at(lab.work.join(name))?;
    let counts = lab.logs.join("counts");
    let under = [
        "valgrind",
        "--tool=callgrind",
        &format!("--callgrind-out-file={}", counts.display()),
    ];
    let mut imd = HostImd::start_under(&lab, &under.map(str::to_owned))?;
    crowd::run(&imd, doings)?;
    imd.ask_to_stop()?;
    imd.wait_ended(Duration::from_secs(60))?;
    total(&counts)
}

/// What callgrind has counted in one run of the daemon.
fn total(counts: &Path) -> Result<u64> {
    let text = fs::read_to_string(counts).with_context(|| format!("read {}", counts.display()))?;
    text.lines()
        .find_map(|line| {
            line.strip_prefix("totals:")
                .or(line.strip_prefix("summary:"))
        })
        .context("valgrind has counted nothing")?
        .trim()
        .parse()
        .context("the count")
}
