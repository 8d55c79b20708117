//! `imd` is killed again and again while everybody talks, and starts on a large database (of a million messages by `ci/kill`).

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use imd_store::now_millis;
use perch_tests::fill::{self, Filling};
use perch_tests::host_imd::{DOMAIN, HostImd};
use perch_tests::lab::Lab;
use perch_tests::talkers::{self, Archives, Found, Talkers};
use perch_tests::wait::wait_until;
use perch_tests::xmpp::{Connector, Login};

const PEOPLE: usize = 20;
/// How long the first login after a restart may take, from the start of the process.
const BACK: Duration = Duration::from_secs(2);

/// A number from the environment, which `ci/kill` sets.
fn number(name: &str, default: usize) -> Result<usize> {
    match std::env::var(name) {
        Ok(text) => text
            .parse()
            .with_context(|| format!("{name}: {text:?} is no number")),
        Err(_) => Ok(default),
    }
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("start tokio")
}

/// Starts the daemon again; how long it takes until somebody is logged in.
fn back(imd: &mut HostImd, runtime: &tokio::runtime::Runtime) -> Result<Duration> {
    let connector = Connector::new(&imd.server.ca, DOMAIN, imd.server.direct_tls)?;
    let began = Instant::now();
    imd.start_again()?;
    let login = connector.log_in("talker0", talkers::PASSWORD, "first", Login::Plain);
    runtime.block_on(login).context("the first login")?;
    Ok(began.elapsed())
}

#[test]
#[ignore = "run `ci/test --only kill`, or `ci/kill`"]
fn no_kill_loses_or_doubles_what_was_acknowledged() -> Result<()> {
    let lab = Lab::new("kill", "talk")?;
    let times = number("PERCH_KILLS", 5)?;
    let mut imd = HostImd::start(&lab)?;
    for person in 0..PEOPLE {
        imd.add_user(&talkers::name(person), talkers::PASSWORD)?;
    }
    let runtime = runtime()?;
    let connector = Connector::new(&imd.server.ca, DOMAIN, imd.server.direct_tls)?;
    let mut archives = Archives::default();
    let (mut all, mut slowest) = (Found::default(), Duration::ZERO);
    for run in 0..times {
        let talkers = runtime.block_on(Talkers::start(&connector, PEOPLE, run))?;
        // A different moment each time: of a batch, of a checkpoint, of a login's writes.
        let enough = 200 + run * 197 % 1500;
        wait_until(Duration::from_secs(60), "acknowledgements", || {
            Ok((talkers.acknowledged() >= enough).then_some(()))
        })?;
        imd.kill_hard()?;
        let said = runtime.block_on(talkers.said());
        slowest = slowest.max(back(&mut imd, &runtime)?);
        let database = lab.work.join("data/imd.sqlite");
        let found = runtime.block_on(archives.check(&database, DOMAIN, &said))?;
        ensure!(found.acknowledged >= enough, "kill {run}: {found:?}");
        all.acknowledged += found.acknowledged;
        all.more += found.more;
    }
    lab.note(&format!(
        "{times} kills: {} acknowledged messages, none missing, none twice; {} more were kept; back after {} ms at the most",
        all.acknowledged,
        all.more,
        slowest.as_millis()
    ));
    lab.passed();
    Ok(())
}

#[test]
#[ignore = "run `ci/test --only kill`, or `ci/kill`"]
fn with_many_messages_the_first_login_comes_soon_after_a_kill() -> Result<()> {
    let messages = number("PERCH_MESSAGES", 0)?;
    if messages == 0 {
        println!("skipped: a large database is written by `ci/kill` only");
        return Ok(());
    }
    let lab = Lab::new("kill", "million")?;
    let mut imd = HostImd::start(&lab)?;
    imd.add_user("talker0", talkers::PASSWORD)?;
    imd.kill_hard()?;
    let runtime = runtime()?;
    let database = lab.work.join("data/imd.sqlite");
    let filling = Filling {
        between: messages,
        alone: 0,
    };
    fill::fill(&database, filling, now_millis())?;
    lab.note(&format!("{messages} messages are there"));
    let mut slowest = Duration::ZERO;
    for _ in 0..3 {
        slowest = slowest.max(back(&mut imd, &runtime)?);
        imd.kill_hard()?;
    }
    lab.note(&format!(
        "logged in {} ms after the start at the most",
        slowest.as_millis()
    ));
    ensure!(slowest <= BACK, "the first login took {slowest:?}");
    lab.passed();
    Ok(())
}
