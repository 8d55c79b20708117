//! `imd` with an archive of ten million messages: pages, logins, and a backup beside a load. Run by `ci/archive-trial`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command as Process;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Parser as _;
use imd_store::now_millis;
use perch_load::options::{Command, Options};
use perch_load::result::Outcome;
use perch_tests::fill::{self, Filling};
use perch_tests::host_imd::{DOMAIN, HostImd};
use perch_tests::lab::Lab;
use perch_tests::talkers::{self, PASSWORD};
use perch_tests::xmpp::{Client, Connector, Login};

/// The bar for a page of 50 messages, p99.
const PAGE: Duration = Duration::from_millis(10);
/// The bar for deliveries while a backup is made, p99 in milliseconds.
const BESIDE_BACKUP: f64 = 50.0;
const PEOPLE: usize = 40;
const TRIES: usize = 200;

struct Times(Vec<Duration>);

impl Times {
    fn at(&mut self, part: f64) -> Duration {
        self.0.sort();
        self.0[((self.0.len() - 1) as f64 * part) as usize]
    }

    fn words(&mut self) -> String {
        format!(
            "p50 {:.2} ms, p99 {:.2} ms",
            millis(self.at(0.5)),
            millis(self.at(0.99))
        )
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// A server with so many messages; the accounts are those of the talkers.
fn server(lab: &Lab, filling: Filling, now: i64) -> Result<(HostImd, PathBuf)> {
    let socket = lab.work.join("admin.sock");
    let listen = format!("admin = \"{}\"\n", socket.display());
    let mut imd = HostImd::start_with(lab, &listen)?;
    for person in 0..PEOPLE {
        imd.add_user(&talkers::name(person), PASSWORD)?;
    }
    imd.kill_hard()?;
    let began = Instant::now();
    let database = lab.work.join("data/imd.sqlite");
    fill::fill(&database, filling, now)?;
    lab.note(&format!(
        "{} messages written in {} s, {} MiB",
        filling.between + filling.alone,
        began.elapsed().as_secs(),
        fs::metadata(&database)?.len() >> 20
    ));
    imd.start_again()?;
    Ok((imd, database))
}

async fn logins(connector: &Connector) -> Result<Times> {
    let mut times = Vec::new();
    for n in 0..TRIES {
        let began = Instant::now();
        let name = talkers::name(n % PEOPLE);
        let client = connector
            .log_in(&name, PASSWORD, "phone", Login::Plain)
            .await?;
        times.push(began.elapsed());
        drop(client);
    }
    Ok(Times(times))
}

async fn page(client: &mut Client, n: usize, form: &str, set: &str) -> Result<Duration> {
    let query = format!(
        "<iq type='set' id='page{n}'><query xmlns='urn:xmpp:mam:2'><x xmlns='jabber:x:data' type='submit'>\
         <field var='FORM_TYPE' type='hidden'><value>urn:xmpp:mam:2</value></field>{form}</x>\
         <set xmlns='http://jabber.org/protocol/rsm'><max>50</max>{set}</set></query></iq>"
    );
    let began = Instant::now();
    client.send(&query).await?;
    let answer = client.read_past("</iq>").await?;
    let took = began.elapsed();
    ensure!(
        answer.matches("<forwarded").count() == 50,
        "not 50 messages: {answer}"
    );
    Ok(took)
}

async fn pages(connector: &Connector, filling: Filling, now: i64) -> Result<(Times, Times, Times)> {
    let mut client = connector
        .log_in("talker0", PASSWORD, "reader", Login::Plain)
        .await?;
    let (mut newest, mut since, mut until) = (Vec::new(), Vec::new(), Vec::new());
    let all = filling.between + filling.alone;
    for n in 0..TRIES {
        newest.push(page(&mut client, n, "", "<before/>").await?);
        // A date from all over the archive, but not so near its ends that there are no 50 messages.
        let number = all / 100 + (n * 7919) % TRIES * (all / 100 * 98) / TRIES;
        let date = imd_date(filling.time(number, now));
        let form = |name: &str| format!("<field var='{name}'><value>{date}</value></field>");
        since.push(page(&mut client, n, &form("start"), "").await?);
        until.push(page(&mut client, n, &form("end"), "<before/>").await?);
    }
    Ok((Times(newest), Times(since), Times(until)))
}

fn note_pages(lab: &Lab, from: &str, (newest, since, until): &mut (Times, Times, Times)) {
    lab.note(&format!("the newest 50, {from}: {}", newest.words()));
    lab.note(&format!("50 since a date, {from}: {}", since.words()));
    lab.note(&format!("50 until a date, {from}: {}", until.words()));
}

/// Reads a file whole, so that it is in memory as far as it has room there.
fn warm(file: &Path) -> Result<()> {
    let mut opened = fs::File::open(file).context("open the database")?;
    let read = std::io::copy(&mut opened, &mut std::io::sink());
    read.map(drop).context("read the database")
}

/// Lets the system forget what it has of a file in memory.
fn forget(file: &Path) -> Result<()> {
    let from = format!("if={}", file.display());
    let done = Process::new("dd")
        .args([&from, "iflag=nocache", "count=0", "status=none"])
        .status();
    ensure!(done.context("run dd")?.success(), "dd cannot forget {from}");
    Ok(())
}

/// A time as XEP-0082 writes it.
fn imd_date(millis: i64) -> String {
    let date = Process::new("date")
        .args([
            "--utc",
            "--date",
            &format!("@{}", millis / 1000),
            "+%Y-%m-%dT%H:%M:%SZ",
        ])
        .output();
    date.map_or_else(
        |_| String::new(),
        |out| String::from_utf8_lossy(&out.stdout).trim().to_owned(),
    )
}

fn load(imd: &HostImd, seconds: u32) -> Result<Outcome> {
    let arguments = format!(
        "perch-load run open --strict --users {PEOPLE} --prefix talker --password {PASSWORD} --domain {DOMAIN} --rate 400 \
         --seconds {seconds} --warm-up 2 --quiet 1 --address 127.0.0.1:{}",
        imd.server.starttls
    );
    let Command::Run(options) = Options::try_parse_from(arguments.split(' '))?.command else {
        bail!("not a run");
    };
    perch_load::scenario::run(*options)
}

fn backup(imd: &HostImd, to: &Path) -> Result<Duration> {
    let began = Instant::now();
    let run = |arguments: &[&str]| -> Result<()> {
        let out = Process::new(imd.program()).args(arguments).output()?;
        ensure!(
            out.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&out.stderr)
        );
        Ok(())
    };
    let (to, config) = (to.display().to_string(), imd.config().display().to_string());
    run(&["backup", "--config", &config, &to])?;
    let took = began.elapsed();
    run(&["backup", "verify", &to])?;
    Ok(took)
}

#[test]
#[ignore = "run `ci/archive-trial`"]
fn ten_million_messages_slow_nobody_down() -> Result<()> {
    let lab = Lab::new("archive_trial", "trial")?;
    let number = |name: &str, default: usize| {
        std::env::var(name).map_or(Ok(default), |text| text.parse().context("a number"))
    };
    let messages = number("PERCH_MESSAGES", 10_000_000)?;
    let filling = Filling {
        between: messages / 2,
        alone: messages - messages / 2,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let now = now_millis();
    let empty = Lab::at(lab.work.join("empty"))?;
    let nothing = Filling {
        between: 0,
        alone: 0,
    };
    let (imd, _) = server(&empty, nothing, now)?;
    let connector = Connector::new(&imd.server.ca, DOMAIN, imd.server.direct_tls)?;
    let mut before = runtime.block_on(logins(&connector))?;
    lab.note(&format!("logins without an archive: {}", before.words()));
    drop(imd);
    let (imd, database) = server(&lab, filling, now)?;
    let connector = Connector::new(&imd.server.ca, DOMAIN, imd.server.direct_tls)?;
    let mut with = runtime.block_on(logins(&connector))?;
    lab.note(&format!("logins with it: {}", with.words()));
    forget(&database)?;
    let mut cold = runtime.block_on(pages(&connector, filling, now))?;
    note_pages(&lab, "from the disk", &mut cold);
    warm(&database)?;
    let mut warm_pages = runtime.block_on(pages(&connector, filling, now))?;
    note_pages(&lab, "from memory", &mut warm_pages);
    let (mut newest, mut since, mut until) = warm_pages;
    let alone = load(&imd, 20)?;
    let delivered = |outcome: &Outcome| {
        (
            outcome.latencies["delivery"].p50,
            outcome.latencies["delivery"].p99,
        )
    };
    lab.note(&format!(
        "400 messages/s: delivery p50, p99 in ms: {:?}",
        delivered(&alone)
    ));
    let to = lab.work.join("backup");
    let (beside, took) = std::thread::scope(|scope| {
        let copying = scope.spawn(|| backup(&imd, &to));
        let beside = load(&imd, 40)?;
        let took = copying
            .join()
            .unwrap_or_else(|_| bail!("the backup panicked"))?;
        anyhow::Ok((beside, took))
    })?;
    lab.note(&format!(
        "the same beside a backup, which took {} s and is whole: {:?}",
        took.as_secs(),
        delivered(&beside)
    ));
    for (what, times) in [
        ("newest", &mut newest),
        ("since", &mut since),
        ("until", &mut until),
    ] {
        ensure!(times.at(0.99) <= PAGE, "{what}: p99 {:?}", times.at(0.99));
    }
    ensure!(with.at(0.5) <= before.at(0.5) * 2, "logins are slower");
    ensure!(
        delivered(&beside).1 <= BESIDE_BACKUP,
        "a backup is in the way"
    );
    drop(imd);
    lab.passed();
    Ok(())
}
