//! The load tool against an `imd`, with so few users that only its accounts of what came are tested, not speed.

use anyhow::{Context, Result, bail, ensure};
use clap::Parser as _;
use perch_load::options::{Command, Options};
use perch_load::result::Outcome;
use perch_load::scenario;
use perch_tests::host_imd::{DOMAIN, HostImd};
use perch_tests::lab::Lab;

const USERS: u32 = 20;
const PASSWORD: &str = "load-secret";

/// A server with the accounts `u0` to `u19`.
fn server(lab: &Lab) -> Result<HostImd> {
    let imd = HostImd::start_with(
        lab,
        &format!("[rooms]\ndomain = \"rooms.{DOMAIN}\"\n[limits]\nloopback_exempt = false\n"),
    )?;
    for user in 0..USERS {
        imd.add_user(&format!("u{user}"), PASSWORD)?;
    }
    lab.note("20 accounts are there");
    Ok(imd)
}

/// Runs a scenario of so many users, for a second unless it says how long; fails when anything was lost, doubled, out of order or dropped.
fn run(lab: &Lab, imd: &HostImd, users: u32, arguments: &str) -> Result<Outcome> {
    let keys = lab.work.join("keys.json");
    let common = format!(
        "perch-load run --strict --users {users} --password {PASSWORD} --domain {DOMAIN} --rooms-domain rooms.{DOMAIN} \
         --pid {} --keys {} --warm-up 0.5 --quiet 0.2",
        imd.pid(),
        keys.display()
    );
    let seconds = match arguments.contains("--seconds") {
        true => "",
        false => "--seconds 1",
    };
    let words = [&common, seconds, arguments];
    let words = words.iter().flat_map(|part| part.split_whitespace());
    let Command::Run(options) = Options::try_parse_from(words)?.command else {
        bail!("not a scenario: {arguments}");
    };
    let outcome = scenario::run(*options).with_context(|| arguments.to_owned())?;
    lab.note(&format!("{arguments}: done"));
    Ok(outcome)
}

fn figure(outcome: &Outcome, name: &str) -> Result<f64> {
    let value = outcome.figures.get(name).copied();
    value.with_context(|| format!("no {name} in {:?}", outcome.figures))
}

#[test]
#[ignore = "run `ci/test --only load`"]
fn every_message_arrives_once_by_every_transport_and_login() -> Result<()> {
    let lab = Lab::new("load", "transports")?;
    let imd = server(&lab)?;
    let (starttls, tls, web) = (imd.server.starttls, imd.server.direct_tls, imd.https);
    for how in [
        format!("open --rate 40 --address 127.0.0.1:{starttls}"),
        format!("open --rate 40 --address 127.0.0.1:{tls} --transport direct-tls --way sasl2"),
        format!(
            "open --rate 40 --address 127.0.0.1:{tls} --transport direct-tls --way fast --tickets"
        ),
        format!("open --rate 40 --address 127.0.0.1:{web} --transport websocket"),
        format!("closed --in-flight 5 --address 127.0.0.1:{starttls}"),
    ] {
        let outcome = run(&lab, &imd, USERS, &how)?;
        ensure!(figure(&outcome, "sent")? >= 5.0, "nothing was sent: {how}");
        let waited = &outcome.latencies["ack"];
        ensure!(
            waited.count > 0 && waited.p50 > 0.0,
            "no acknowledgement was measured: {how}"
        );
        ensure!(
            figure(&outcome, "server_rss_mib")? > 1.0,
            "the server's memory was not read: {how}"
        );
    }
    lab.passed();
    Ok(())
}

#[test]
#[ignore = "run `ci/test --only load`"]
fn a_room_s_message_is_counted_at_every_occupant() -> Result<()> {
    let lab = Lab::new("load", "rooms")?;
    let imd = server(&lab)?;
    let address = format!("--address 127.0.0.1:{}", imd.server.starttls);
    let outcome = run(
        &lab,
        &imd,
        USERS,
        &format!("rooms --occupants 5 --rate 10 {address}"),
    )?;
    let counts = ["delivery", "reflection"].map(|what| outcome.latencies[what].count);
    ensure!(
        counts == [40, 10],
        "10 messages to 5 occupants each came to others and back: {counts:?}"
    );
    lab.passed();
    Ok(())
}

#[test]
#[ignore = "run `ci/test --only load`"]
fn a_user_who_is_not_let_in_fails_the_run() -> Result<()> {
    let lab = Lab::new("load", "stranger")?;
    let imd = server(&lab)?;
    let address = format!("--address 127.0.0.1:{}", imd.server.starttls);
    let Err(error) = run(&lab, &imd, USERS + 1, &format!("login {address}")) else {
        bail!("a user without an account logged in");
    };
    let said = format!("{error:#}");
    ensure!(said.contains("1 of 21 could not log in"), "{said}");
    lab.passed();
    Ok(())
}

#[test]
#[ignore = "run `ci/test --only load`"]
fn a_hostile_half_costs_the_other_half_nothing() -> Result<()> {
    let lab = Lab::new("load", "hostile")?;
    let imd = server(&lab)?;
    let address = format!("--address 127.0.0.1:{}", imd.server.starttls);
    // A debug build beside other tests: what is held here is order and memory, and `ci/bench` holds 100 ms.
    let outcome = run(
        &lab,
        &imd,
        USERS,
        &format!("hostile --rate 10 --bar 1000 --seconds 4 {address}"),
    )?;
    ensure!(
        figure(&outcome, "sent")? >= 30.0,
        "the polite half did not chat"
    );
    for done in ["connections", "logins", "messages"] {
        let count = figure(&outcome, &format!("hostile_{done}"))?;
        ensure!(count > 10.0, "only {count} hostile {done}");
    }
    let grown = figure(&outcome, "server_rss_growth_mib")?;
    ensure!(grown < 100.0, "the server's memory grew by {grown} MiB");
    lab.passed();
    Ok(())
}

#[test]
#[ignore = "run `ci/test --only load`"]
fn a_storm_of_logins_drops_nobody_who_is_online() -> Result<()> {
    let lab = Lab::new("load", "storm")?;
    let imd = server(&lab)?;
    let address = format!("--address 127.0.0.1:{}", imd.server.starttls);
    let outcome = run(&lab, &imd, USERS, &format!("storm --witnesses 4 {address}"))?;
    ensure!(figure(&outcome, "logins")? == 16.0, "not all others came");
    ensure!(
        figure(&outcome, "sent")? >= 2.0,
        "the witnesses wrote nothing"
    );
    lab.passed();
    Ok(())
}

#[test]
#[ignore = "run `ci/test --only load`"]
fn all_that_people_do_in_a_day_loses_nothing() -> Result<()> {
    let lab = Lab::new("load", "mixed")?;
    let imd = server(&lab)?;
    let address = format!("--address 127.0.0.1:{}", imd.server.starttls);
    let outcome = run(
        &lab,
        &imd,
        USERS,
        &format!("mixed --occupants 4 --rate 40 --seconds 5 {address}"),
    )?;
    ensure!(
        figure(&outcome, "archive_queries")? == 8.0,
        "the archive was not asked as often as it should"
    );
    ensure!(
        outcome.latencies["comers_login"].count > 0,
        "nobody came and went"
    );
    let measured = |(_, figures): &(f64, std::collections::BTreeMap<String, f64>)| {
        figures.get("p50_ms").is_some_and(|p50| *p50 > 0.0)
    };
    ensure!(
        outcome.series.iter().any(measured),
        "no latency was measured"
    );
    lab.passed();
    Ok(())
}
