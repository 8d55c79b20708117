//! How many instructions `imd` takes for a login, for a message and for each further recipient of a room's message: counts
//! by valgrind, which are nearly the same on any machine and at any load, unlike times. More than a ceiling and 5 % fails.
//! There are ceilings for the build that all tests use, and for that of cargo's profile `measured`, whose program is in `PERCH_IMD`
//! then: the first are a cheap guard, the second say what a released server takes.
//!
//! Runs of the daemon differ in one thing each: no clients, clients that log in and go, the same with messages; people who
//! enter a room, the same with more said in it.

mod crowd;

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use perch_tests::host_imd::HostImd;
use perch_tests::lab::Lab;

use crowd::Doings;

/// What each may take at the most.
struct Ceilings {
    /// A login with a full handshake of TLS 1.3, SCRAM-SHA-256-PLUS, stream management, carbons, roster and presence, and its end.
    login: u64,
    /// A message of 100 bytes between two clients that are online, archived on both sides.
    message: u64,
    /// One more recipient of a room's message, and the acknowledgement of each sixteenth.
    recipient: u64,
}

/// Of cargo's profile `measured`.
const MEASURED: Ceilings = Ceilings {
    login: 2_150_000,
    message: 244_000,
    recipient: 12_500,
};
/// Of the build that is not optimised.
const UNOPTIMISED: Ceilings = Ceilings {
    login: 4_700_000,
    message: 410_000,
    recipient: 66_000,
};
/// How far a count may be above its ceiling, in per cent.
const SLACK: u64 = 5;

#[test]
#[ignore = "run `ci/test --only instructions`, or `measured-instructions`"]
fn a_login_a_message_and_a_recipient_take_no_more_instructions_than_before() -> Result<()> {
    let lab = Lab::new("instructions", "count")?;
    // The first to come make the server open the database for them.
    let first = Doings {
        people: 4,
        ..Doings::default()
    };
    let few = count(&lab, "first-logins", first)?;
    let people = Doings {
        people: 20,
        ..Doings::default()
    };
    let logins = count(&lab, "logins", people)?;
    let talk = Doings {
        messages: 50,
        ..people
    };
    let messages = count(&lab, "messages", talk)?;
    let entered = Doings {
        listeners: 100,
        said: 1,
        ..Doings::default()
    };
    let quiet = count(&lab, "room-quiet", entered)?;
    let loud = count(
        &lab,
        "room-loud",
        Doings {
            said: 21,
            ..entered
        },
    )?;

    let each = |more: u64, less: u64, times: usize| more.saturating_sub(less) / times as u64;
    let login = each(logins, few, people.people - first.people);
    let message = each(messages, logins, talk.people * talk.messages);
    let to_room = each(loud, quiet, 20);
    let recipient = each(to_room, message, entered.listeners);
    lab.note(&format!(
        "{login} instructions for each login, {message} for each message, {recipient} for each recipient in a room"
    ));
    let ceilings = match std::env::var_os("PERCH_IMD") {
        Some(_) => MEASURED,
        None => UNOPTIMISED,
    };
    for (what, count, ceiling) in [
        ("login", login, ceilings.login),
        ("message", message, ceilings.message),
        ("recipient in a room", recipient, ceilings.recipient),
    ] {
        ensure!(count > 0, "nothing was counted for a {what}");
        ensure!(
            count <= ceiling + ceiling * SLACK / 100,
            "a {what} takes {count} instructions; the ceiling is {ceiling} and {SLACK} %"
        );
    }
    lab.passed();
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
