//! How many instructions `imd` takes for a login and for a message: counts by valgrind, which are nearly the same on any
//! machine and at any load, unlike times. A ceiling that is passed by more than 5 % fails. The ceilings are for the build
//! of cargo's profile `measured`, whose program is to be in `PERCH_IMD`.
//!
//! Three runs of the daemon differ in one thing each: no clients, clients that log in and go, and the same with messages.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use perch_tests::host_imd::HostImd;
use perch_tests::lab::Lab;
use perch_tests::xmpp::{Client, Connector, Login};

/// Pairs of people who talk with each other.
const PAIRS: usize = 10;
/// Messages that each of them sends.
const MESSAGES: usize = 50;
/// Messages on their way at once from one client, before it waits for the server to have taken them.
const WINDOW: usize = 10;

/// A login with a full handshake of TLS 1.3, SCRAM-SHA-256-PLUS, stream management, carbons, roster and presence, and its end.
const LOGIN: u64 = 2_250_000;
/// A message of 100 bytes between two clients that are online, archived on both sides.
const MESSAGE: u64 = 320_000;
/// How far a count may be above its ceiling, in per cent.
const SLACK: u64 = 5;

#[test]
#[ignore = "run `ci/test --only instructions`"]
fn a_login_and_a_message_take_no_more_instructions_than_before() -> Result<()> {
    let lab = Lab::new("instructions", "count")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start tokio")?;
    let count = |name: &str, clients: bool, messages: usize| -> Result<u64> {
        let lab = Lab::at(lab.work.join(name))?;
        let counts = lab.logs.join("counts");
        let under = [
            "valgrind",
            "--tool=callgrind",
            &format!("--callgrind-out-file={}", counts.display()),
        ];
        let mut imd = HostImd::start_under(&lab, &under.map(str::to_owned))?;
        for number in 0..2 * PAIRS {
            imd.add_user(&format!("user{number}"), "password")?;
        }
        if clients {
            runtime.block_on(talk(&imd, messages))?;
        }
        imd.ask_to_stop()?;
        imd.wait_ended(Duration::from_secs(60))?;
        total(&counts)
    };
    let idle = count("idle", false, 0)?;
    let logins = count("logins", true, 0)?;
    let messages = count("messages", true, MESSAGES)?;
    let people = 2 * PAIRS as u64;
    let login = logins.saturating_sub(idle) / people;
    let message = messages.saturating_sub(logins) / (people * MESSAGES as u64);
    lab.note(&format!(
        "{login} instructions for each login, {message} for each message"
    ));
    for (what, count, ceiling) in [("login", login, LOGIN), ("message", message, MESSAGE)] {
        ensure!(
            count <= ceiling + ceiling * SLACK / 100,
            "a {what} takes {count} instructions; the ceiling is {ceiling} and {SLACK} %"
        );
    }
    lab.passed();
    Ok(())
}

/// Everybody logs in, sends messages to their partner, and goes.
async fn talk(imd: &HostImd, messages: usize) -> Result<()> {
    let connector = Connector::new(&imd.server.ca, &imd.server.domain, imd.server.direct_tls)?;
    for pair in 0..PAIRS {
        let names = [format!("user{}", 2 * pair), format!("user{}", 2 * pair + 1)];
        let mut one = Person::log_in(&connector, &names[0]).await?;
        let mut other = Person::log_in(&connector, &names[1]).await?;
        for _ in 0..messages / WINDOW {
            exchange(&mut one, &mut other, &names[1], &imd.server.domain).await?;
            exchange(&mut other, &mut one, &names[0], &imd.server.domain).await?;
        }
        for person in [&mut one, &mut other] {
            person.client.send("</stream:stream>").await?;
            person.client.read_past("</stream:stream>").await?;
        }
    }
    Ok(())
}

/// Somebody who is online.
struct Person {
    client: Client,
    /// Stanzas received since stream management began.
    heard: u32,
}

impl Person {
    async fn log_in(connector: &Connector, user: &str) -> Result<Self> {
        let mut client = connector
            .log_in(user, "password", "phone", Login::ScramSha256Plus)
            .await?;
        client
            .send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
            .await?;
        client.read_past("<enabled").await?;
        for (said, answer) in [
            (
                "<iq type='set' id='copies'><enable xmlns='urn:xmpp:carbons:2'/></iq>",
                "id='copies'",
            ),
            (
                "<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>",
                "id='roster'",
            ),
            ("<presence/>", "<presence"),
        ] {
            client.send(said).await?;
            client.read_past(answer).await?;
        }
        Ok(Self { client, heard: 3 })
    }
}

/// A window of messages from one client to another, until the other and the server have acknowledged them.
async fn exchange(from: &mut Person, to: &mut Person, name: &str, domain: &str) -> Result<()> {
    let body = "A message of about one hundred bytes, as people write them when they have something to say today.";
    for number in 0..WINDOW {
        from.client
            .send(&format!(
                "<message to='{name}@{domain}' type='chat' id='m{number}'><body>{body}</body>\
                 <active xmlns='http://jabber.org/protocol/chatstates'/><request xmlns='urn:xmpp:receipts'/></message>"
            ))
            .await?;
    }
    from.client.send("<r xmlns='urn:xmpp:sm:3'/>").await?;
    for _ in 0..WINDOW {
        to.client.read_past("</message>").await?;
        to.heard += 1;
    }
    let ack = format!("<a xmlns='urn:xmpp:sm:3' h='{}'/>", to.heard);
    to.client.send(&ack).await?;
    from.client.read_past("<a ").await?;
    Ok(())
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
