//! Four thousand people on the emulated Raspberry Pi 4B: all log in, nobody is dropped, nothing is lost, and a session costs
//! no more memory than on other machines.
//!
//! Emulation makes everything some thirty times slower, so the rate is scaled down and no time is measured.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser as _;
use perch_load::options::{Command as LoadCommand, Options};
use perch_load::process::raise_open_files;
use perch_load::result::Outcome;
use perch_load::scenario;
use perch_tests::authority::Authority;
use perch_tests::box_settings::perch_toml;
use perch_tests::card::Card;
use perch_tests::command::output_of;
use perch_tests::guest;
use perch_tests::host_imd::program;
use perch_tests::lab::Lab;
use perch_tests::qemu::Board;
use perch_tests::vm::{SshKey, Vm};
use perch_tests::wait::wait_until;

const PASSWORD: &str = "load-secret";
/// What a logged-in session may add to the server's resident memory.
const SESSION_BAR_KIB: f64 = 12.0;
/// With fewer people, what the server takes once for all of them is more than what each takes.
const FEW: u32 = 2000;
/// How long the emulated box may take to let everybody in.
const LOGINS_DEADLINE: Duration = Duration::from_secs(3600);

/// How many log in, unless `PERCH_USERS` says otherwise.
fn users() -> Result<u32> {
    match std::env::var("PERCH_USERS") {
        Ok(text) => text
            .parse()
            .with_context(|| format!("PERCH_USERS is {text:?}; accepted: a whole number")),
        Err(_) => Ok(4000),
    }
}

/// `virt` where `PERCH_BOARD` says so: the same in a tenth of the time.
fn board() -> Board {
    match std::env::var("PERCH_BOARD").as_deref() {
        Ok("virt") => Board::Virt,
        _ => Board::Raspi4b,
    }
}

/// A database with everybody's account, made on this computer: an emulated processor would compute their passwords for an hour.
fn accounts(lab: &Lab, domain: &str, users: u32) -> Result<Vec<u8>> {
    let folder = lab.work.join("accounts");
    fs::create_dir(&folder).context("make a folder for the accounts")?;
    let config = folder.join("imd.toml");
    // It serves nobody, but no server is set up without a certificate.
    let files = Authority::new(&folder, "accounts")?.certificate(&folder, "server", domain)?;
    fs::write(
        &config,
        format!(
            "domain = \"{domain}\"\ndata_dir = \"{}\"\n[tls]\ncertificate = \"{}\"\nkey = \"{}\"\n",
            folder.join("data").display(),
            files.chain.display(),
            files.key.display(),
        ),
    )
    .context("write imd.toml")?;
    let mut people = String::from("username,password\n");
    for user in 0..users {
        people.push_str(&format!("u{user},{PASSWORD}\n"));
    }
    let list = folder.join("people.csv");
    fs::write(&list, people).context("write people.csv")?;
    output_of(
        Command::new(program()?)
            .args(["people", "import", "--config"])
            .args([&config, &list]),
    )?;
    let database = folder.join("data/imd.sqlite");
    output_of(
        Command::new("sqlite3")
            .arg(&database)
            .arg("PRAGMA wal_checkpoint(TRUNCATE)"),
    )?;
    fs::read(&database).with_context(|| format!("read {}", database.display()))
}

/// Puts the accounts in the place of the box's own, and lets one address (QEMU's, for all) have all the connections.
fn take_in(vm: &Vm, database: &[u8]) -> Result<()> {
    vm.run("systemctl stop imd.service && rm -f /var/lib/imd/imd.sqlite*")?;
    vm.run_with_input(
        "cat > /var/lib/imd/imd.sqlite && chown imd:imd /var/lib/imd/imd.sqlite && chmod 600 /var/lib/imd/imd.sqlite",
        database,
    )?;
    vm.run_with_input(
        "cat >> /etc/perch/imd.toml",
        b"\n[limits]\nconnections_per_address = 20000\nlogin_timeout = \"5m\"\n",
    )?;
    vm.run("systemctl start imd.service")?;
    Ok(())
}

/// Resident memory of the guest's `imd`, in KiB, and the streams that are open to it.
fn measure(vm: &Vm) -> Result<(u64, u32)> {
    let said = vm.run(
        "awk '/^Rss:/ { print $2 }' /proc/$(systemctl show -P MainPID imd.service)/smaps_rollup; \
         ss -Htn state established sport = :5222 | wc -l",
    )?;
    let mut numbers = said.split_whitespace();
    let mut next = || {
        numbers
            .next()
            .with_context(|| format!("two numbers: {said:?}"))
    };
    let rss = next()?.parse().context("resident memory")?;
    let streams = next()?.parse().context("open streams")?;
    Ok((rss, streams))
}

fn load(lab: &Lab, vm: &Vm, domain: &str, users: u32) -> Result<Outcome> {
    let line = format!(
        "perch-load run open --strict --one-address --users {users} --at-once 40 --rate 10 --seconds 120 --warm-up 10 --quiet 120 \
         --password {PASSWORD} --domain {domain} --rooms-domain rooms.{domain} --address 127.0.0.1:{} --keys {} --out {}",
        vm.ports.starttls,
        lab.work.join("keys.json").display(),
        lab.logs.join("load.json").display(),
    );
    let LoadCommand::Run(options) = Options::try_parse_from(line.split_whitespace())?.command
    else {
        bail!("not a scenario: {line}");
    };
    scenario::run(*options)
}

#[test]
#[ignore = "run `ci/test --only box-load`"]
fn four_thousand_people_are_online_on_the_emulated_pi_and_lose_nothing() -> Result<()> {
    let users = users()?;
    // QEMU needs one for each connection, and inherits the limit.
    raise_open_files();
    let lab = Lab::new("box-load", "people")?;
    let card = Card::flash(&lab, "card")?;
    let key = SshKey::new(&lab)?;
    card.write("perch.toml", perch_toml(&key).as_bytes())?;
    let mut vm = Vm::start(&lab, board(), &card, &key)?;
    vm.wait_ready()?;
    let domain = guest::domain(&vm)?;
    take_in(&vm, &accounts(&lab, &domain, users)?)?;
    wait_until(vm.boot_deadline(), "the server to offer a stream", || {
        Ok(vm.offers_a_stream().then_some(()))
    })?;
    let starts = restarts(&vm)?;
    let (empty, _) = measure(&vm)?;
    lab.note(&format!("{users} accounts; imd has {empty} KiB resident"));

    let (outcome, full) = std::thread::scope(|scope| {
        let loading = scope.spawn(|| load(&lab, &vm, &domain, users));
        let full = wait_until(LOGINS_DEADLINE, "everybody to be logged in", || {
            if loading.is_finished() {
                return Ok(Some(None));
            }
            let (rss, streams) = measure(&vm)?;
            if streams < users {
                bail!("{streams} are connected; imd has {rss} KiB");
            }
            Ok(Some(Some(rss)))
        });
        let outcome = loading
            .join()
            .map_err(|_| anyhow::anyhow!("the load's thread failed"))?;
        anyhow::Ok((outcome?, full?))
    })?;
    let full = full.context("the load ended before everybody was seen online")?;
    let each = full.saturating_sub(empty) as f64 / f64::from(users);
    let figure = |name: &str| outcome.figures.get(name).copied().unwrap_or(0.0);
    lab.note(&format!(
        "{users} online: imd has {full} KiB resident, {each:.2} KiB for each session; {} messages sent, {} lost, {} dropped",
        figure("sent"),
        figure("lost"),
        figure("dropped"),
    ));
    // 4,000 connections have just ended at once, which an emulated network takes a while for.
    wait_until(vm.boot_deadline(), "the guest to answer again", || {
        Ok(vm.run("true").ok())
    })?;
    kept_memory(&vm, &lab.logs.join("memory.txt"))?;
    ensure!(figure("sent") > 0.0, "nothing was sent");
    ensure!(
        users < FEW || each <= SESSION_BAR_KIB,
        "a session takes {each:.2} KiB; the bar is {SESSION_BAR_KIB} KiB"
    );
    ensure!(restarts(&vm)? == starts, "imd was started again");
    vm.assert_healthy()?;
    vm.passed();
    lab.passed();
    Ok(())
}

/// The process that is `imd` now: another after a restart.
fn restarts(vm: &Vm) -> Result<String> {
    vm.run("systemctl show -P MainPID -P NRestarts imd.service")
}

/// Keeps what the kernel says of the guest's memory.
fn kept_memory(vm: &Vm, to: &Path) -> Result<()> {
    let said = vm.run("cat /proc/net/sockstat /proc/meminfo; cat /run/perch/apply.json")?;
    fs::write(to, said).context("keep the guest's memory figures")
}
