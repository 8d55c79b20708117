//! The power is cut while a box is updated and people talk: it starts by itself into one of its two versions, has every message that
//! it had acknowledged, and can be updated then.

use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use perch_tests::box_settings::perch_toml;
use perch_tests::card::Card;
use perch_tests::chat::server_on;
use perch_tests::guest;
use perch_tests::lab::Lab;
use perch_tests::moments::{moments, number_from};
use perch_tests::publisher::Publisher;
use perch_tests::qemu::{Board, WATCHDOG};
use perch_tests::talkers::{self, Archives, Talkers};
use perch_tests::update_scene::{GOOD, copy_database};
use perch_tests::updates::{Change, keys, outcome, publish, release, status, subscribe};
use perch_tests::vm::{SshKey, Vm};
use perch_tests::wait::wait_until;
use perch_tests::xmpp::Connector;

/// People who talk as fast as they can.
const TALKERS: usize = 4;
/// How often the power is cut, unless `PERCH_CUTS` says otherwise.
const CUTS: u32 = 2;
/// How long a box may take from a cut until its update is over, one way or the other.
const AT_REST: Duration = Duration::from_secs(1800);
/// The page's button.
const INSTALL: &str = "systemctl --no-block start perch-update@install.service";

struct Place {
    lab: Lab,
    key: SshKey,
}

impl Place {
    fn start(&self, card: &Card) -> Result<Vm> {
        let mut vm = Vm::start_with(&self.lab, Board::Virt, card, &self.key, &WATCHDOG)?;
        vm.wait_ready()?;
        Ok(vm)
    }

    /// A box with people, which knows of a newer version.
    fn prepare(&self, publisher: &Publisher) -> Result<Card> {
        let card = Card::flash(&self.lab, "prepared")?;
        card.write("perch.toml", perch_toml(&self.key).as_bytes())?;
        let vm = self.start(&card)?;
        subscribe(&vm, publisher)?;
        for person in 0..TALKERS {
            guest::add_user(&vm, &talkers::name(person), talkers::PASSWORD)?;
        }
        vm.run("provisioner update check")?;
        vm.power_off()?;
        Ok(card)
    }

    /// How long an update takes with nothing in its way.
    fn whole(&self, prepared: &Card) -> Result<Duration> {
        let mut vm = self.start(&prepared.copy(&self.lab, "whole")?)?;
        let begun = Instant::now();
        vm.run(INSTALL)?;
        let status = outcome_of_that(&mut vm)?;
        ensure!(status == "committed", "the update without a cut: {status}");
        let whole = begun.elapsed();
        vm.passed();
        Ok(whole)
    }
}

/// [`outcome`], but not that of an update before.
fn outcome_of_that(vm: &mut Vm) -> Result<String> {
    wait_until(Duration::from_secs(60), "the update to begin", || {
        let status = status(vm)?;
        Ok((status["update"]["state"] != "available").then_some(()))
    })?;
    let status = outcome(vm)?;
    Ok(status["update"]["state"]
        .as_str()
        .unwrap_or_default()
        .to_owned())
}

/// Waits until nothing is under way any more.
fn at_rest(vm: &Vm) -> Result<String> {
    wait_until(AT_REST, "the update to be over", || {
        let status = status(vm)?;
        match status["update"]["state"].as_str().unwrap_or_default() {
            state @ ("idle" | "available" | "committed" | "failed") => Ok(Some(state.to_owned())),
            other => bail!("it is {other}: {status}"),
        }
    })
}

#[test]
#[ignore = "run `ci/powercut`"]
fn a_box_whose_power_is_cut_in_an_update_starts_with_all_that_was_acknowledged() -> Result<()> {
    let lab = Lab::new("update_cuts", "moments")?;
    let key = SshKey::new(&lab)?;
    let publisher = Publisher::start(&lab.work)?;
    let bundle = release(&lab, GOOD, &Change::default(), &keys())?;
    publish(&publisher, GOOD, &bundle, &keys())?;
    let place = Place { lab, key };
    let prepared = place.prepare(&publisher)?;
    let whole = place.whole(&prepared)?;
    let seed = number_from("PERCH_SEED", 2026)?;
    let cuts = u32::try_from(number_from("PERCH_CUTS", CUTS.into())?).context("PERCH_CUTS")?;
    place.lab.note(&format!(
        "an update takes {whole:?}; {cuts} cuts, seed {seed}"
    ));
    let runtime = tokio::runtime::Runtime::new().context("start tokio")?;
    let part = part(cuts)?;
    let all = moments(seed, cuts, Duration::ZERO, whole);
    for (number, moment) in all
        .into_iter()
        .enumerate()
        .filter(|(n, _)| part.contains(n))
    {
        let what = format!("cut {number}, {} s after the button", moment.as_secs());
        cut(&place, &prepared, &runtime, moment).with_context(|| what.clone())?;
        place.lab.note(&format!("{what}: passed"));
    }
    place.lab.passed();
    Ok(())
}

/// Which of the cuts: a run of all takes hours, and can be made in parts.
fn part(cuts: u32) -> Result<Range<usize>> {
    let from = usize::try_from(number_from("PERCH_CUTS_FROM", 0)?)?;
    let to = usize::try_from(number_from("PERCH_CUTS_TO", cuts.into())?)?;
    ensure!(
        from < to && to <= usize::try_from(cuts)?,
        "cuts {from} to {to} are none of {cuts}"
    );
    Ok(from..to)
}

fn cut(
    place: &Place,
    prepared: &Card,
    runtime: &tokio::runtime::Runtime,
    moment: Duration,
) -> Result<()> {
    let card = prepared.copy(&place.lab, "cut")?;
    let vm = place.start(&card)?;
    let server = server_on(&vm, &card, &place.lab)?;
    let connector = Connector::new(&server.ca, &server.domain, server.direct_tls)?;
    let talkers = runtime.block_on(Talkers::start(&connector, TALKERS, 0))?;
    vm.run(INSTALL)?;
    let begun = Instant::now();
    wait_until(moment + Duration::from_secs(60), "the moment", || {
        Ok((begun.elapsed() >= moment).then_some(()))
    })?;
    let before = status(&vm).map_or_else(|_| "restarting".to_owned(), |s| s["update"].to_string());
    vm.cut_power();
    let said = runtime.block_on(talkers.said());

    let mut vm = place.start(&card)?;
    let state = at_rest(&vm)?;
    vm.wait_ready()?;
    let database = copy_database(&vm, &place.lab)?;
    let found = runtime.block_on(Archives::default().check(&database, &server.domain, said))?;
    place
        .lab
        .note(&format!("cut in {before}: {state}; {found:?}"));
    let server = server_on(&vm, &card, &place.lab)?;
    let connector = Connector::new(&server.ca, &server.domain, server.direct_tls)?;
    drop(runtime.block_on(Talkers::start(&connector, TALKERS, 1))?);
    if state != "committed" {
        vm.run("provisioner update check")?;
        vm.run(INSTALL)?;
        let then = outcome_of_that(&mut vm)?;
        ensure!(then == "committed", "an update after the cut: {then}");
    }
    vm.passed();
    Ok(())
}
