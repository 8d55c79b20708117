//! The power is cut while boxes are updated and people talk: each starts by itself into one of its two versions, has every message that
//! it had acknowledged, and can be updated then.
//!
//! A box goes on after a cut: its next update, whose power is cut too, is that later one. A box that has come through two versions is
//! left for a new one. All of them have been updated before, so that RAUC knows what is in both slots and does not look for minutes.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
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
use perch_tests::talkers::{self, Archives, PAUSE_ON_A_BOX, Said, Talkers};
use perch_tests::update_scene::copy_database;
use perch_tests::updates::{
    Change, keys, outcome, publish, release, status, subscribe, tell_the_time,
};
use perch_tests::vm::{SshKey, Vm};
use perch_tests::wait::wait_until;
use perch_tests::xmpp::Connector;
use tokio::runtime::Runtime;

/// People who talk.
const TALKERS: usize = 4;
/// How often the power is cut, unless `PERCH_CUTS` says otherwise.
const CUTS: u64 = 2;
/// Boxes beside each other, unless `PERCH_CUTS_BOXES` says otherwise: much of an update is waiting.
const BOXES: u64 = 1;
/// What a box has at first. Newer than any in `dist/`.
const FIRST: &str = "96.0.0";
/// The versions that a box comes through.
const VERSIONS: [&str; 2] = ["97.0.0", "98.0.0"];
/// How long a box may take from a cut until its update is over, one way or the other.
const AT_REST: Duration = Duration::from_secs(1800);
/// The page's button.
const INSTALL: &str = "systemctl --no-block start perch-update@install.service";

#[test]
#[ignore = "run `ci/powercut`"]
fn a_box_whose_power_is_cut_in_an_update_starts_with_all_that_was_acknowledged() -> Result<()> {
    let lab = Lab::new("update_cuts", "moments")?;
    let release = |version| release(&lab, version, &Change::default(), &keys());
    let bundles = VERSIONS.map(release);
    let bundles = bundles.into_iter().collect::<Result<Vec<_>>>()?;
    let cuts = number_from("PERCH_CUTS", CUTS)?;
    let from = number_from("PERCH_CUTS_FROM", 0)?;
    let to = number_from("PERCH_CUTS_TO", cuts)?;
    ensure!(
        from < to && to <= cuts,
        "cuts {from} to {to} are none of {cuts}"
    );
    let boxes = number_from("PERCH_CUTS_BOXES", BOXES)?.clamp(1, to - from);
    let cuts = u32::try_from(cuts).context("PERCH_CUTS")?;
    let seed = number_from("PERCH_SEED", 2026)?;
    lab.note(&format!(
        "cuts {from} to {to} of {cuts}, seed {seed}, on {boxes} boxes"
    ));
    let prepared = Prepared::new(&release(FIRST)?)?;
    let failures: Vec<String> = std::thread::scope(|scope| {
        let (lab, bundles, prepared) = (&lab, &bundles, &prepared);
        let threads: Vec<_> = (0..boxes)
            .map(|number| {
                let numbers = (from..to).filter(move |cut| cut % boxes == number);
                scope.spawn(move || {
                    let cuts = Cuts {
                        seed,
                        all: cuts,
                        numbers: numbers.collect(),
                    };
                    cuts.make(number, bundles, prepared, lab)
                        .unwrap_or_else(|error| {
                            lab.note(&format!("box {number} has ended: {error:?}"));
                            vec![format!("box {number}: {error:?}")]
                        })
                })
            })
            .collect();
        // All of them run before the first is waited for.
        let ended = threads.into_iter().map(|thread| {
            thread
                .join()
                .unwrap_or_else(|_| vec!["a thread panicked".to_owned()])
        });
        ended.flatten().collect()
    });
    ensure!(failures.is_empty(), "{failures:#?}");
    prepared.lab.passed();
    lab.passed();
    Ok(())
}

/// The cuts of one box after the other.
struct Cuts {
    seed: u64,
    /// How many there are together.
    all: u32,
    /// Those of these boxes.
    numbers: Vec<u64>,
}

impl Cuts {
    /// Makes them, and returns those that failed.
    fn make(
        self,
        number: u64,
        bundles: &[PathBuf],
        prepared: &Prepared,
        lab: &Lab,
    ) -> Result<Vec<String>> {
        let mut bench = Bench::new(number, bundles, prepared)?;
        let all = moments(self.seed, self.all, Duration::ZERO, bench.whole()?);
        let mut failures = Vec::new();
        for cut in early_and_late_by_turns(self.numbers) {
            let moment = all[usize::try_from(cut)?];
            let what = format!("cut {cut}, {} s after the button", moment.as_secs());
            match bench.cut(moment) {
                Ok(how) => lab.note(&format!("{what}: {how}")),
                Err(error) => {
                    lab.note(&format!("{what}: FAILED: {error:?}"));
                    failures.push(what);
                    bench.end_box();
                }
            }
        }
        bench.finish()?;
        Ok(failures)
    }
}

/// A late cut ends in the new version, so that an early one is followed by an update that succeeds.
fn early_and_late_by_turns(numbers: Vec<u64>) -> Vec<u64> {
    let mut left = VecDeque::from(numbers);
    let mut order = Vec::new();
    while let Some(early) = left.pop_front() {
        order.push(early);
        order.extend(left.pop_back());
    }
    order
}

/// A box with people, which has been updated once.
struct Prepared {
    lab: Lab,
    key: SshKey,
    card: Card,
}

impl Prepared {
    fn new(first: &Path) -> Result<Self> {
        let lab = Lab::new("update_cuts", "prepared")?;
        let key = SshKey::new(&lab)?;
        let card = Card::flash(&lab, "prepared")?;
        card.write("perch.toml", perch_toml(&key).as_bytes())?;
        let prepared = Self { lab, key, card };
        let mut vm = start(&prepared.lab, &prepared.card, &prepared.key)?;
        for person in 0..TALKERS {
            guest::add_user(&vm, &talkers::name(person), talkers::PASSWORD)?;
        }
        let publisher = Publisher::start(&prepared.lab.work)?;
        publish(&publisher, FIRST, first, &keys())?;
        subscribe(&vm, &publisher)?;
        vm.run("provisioner update check")?;
        update(&mut vm)?;
        vm.wait_ready()?;
        vm.power_off()?;
        prepared.lab.note("updated once");
        Ok(prepared)
    }
}

/// Where one box after the other has its power cut.
struct Bench<'a> {
    lab: Lab,
    prepared: &'a Prepared,
    publisher: Publisher,
    bundles: Vec<PathBuf>,
    runtime: Runtime,
    current: Option<Current>,
}

/// The box whose turn it is.
struct Current {
    vm: Vm,
    card: Card,
    /// Which of the versions is offered to it.
    offered: usize,
    /// What was said before each cut.
    said: Vec<(usize, Vec<Said>)>,
    /// Who talks now.
    talkers: Talkers,
}

impl<'a> Bench<'a> {
    fn new(number: u64, bundles: &[PathBuf], prepared: &'a Prepared) -> Result<Self> {
        let lab = Lab::new("update_cuts", &format!("box-{number}"))?;
        Ok(Self {
            publisher: Publisher::start(&lab.work)?,
            lab,
            prepared,
            bundles: bundles.to_vec(),
            runtime: Runtime::new().context("start tokio")?,
            current: None,
        })
    }

    fn start(&self, card: &Card) -> Result<Vm> {
        start(&self.lab, card, &self.prepared.key)
    }

    /// The box, or a new one.
    fn take(&mut self) -> Result<Current> {
        if let Some(current) = self.current.take() {
            return Ok(current);
        }
        publish(&self.publisher, VERSIONS[0], &self.bundles[0], &keys())?;
        let card = self.prepared.card.copy(&self.lab, "cut")?;
        let vm = self.start(&card)?;
        subscribe(&vm, &self.publisher)?;
        vm.run("provisioner update check")?;
        Ok(Current {
            talkers: self.talk(&vm, &card, 0)?,
            vm,
            card,
            offered: 0,
            said: Vec::new(),
        })
    }

    /// People log in and talk, and are answered.
    fn talk(&self, vm: &Vm, card: &Card, run: usize) -> Result<Talkers> {
        let server = server_on(vm, card, &self.lab)?;
        let connector = Connector::new(&server.ca, &server.domain, server.direct_tls)?;
        let talkers = self.runtime.block_on(Talkers::start_with_pauses(
            &connector,
            TALKERS,
            run,
            PAUSE_ON_A_BOX,
        ))?;
        wait_until(vm.boot_deadline(), "an acknowledgement", || {
            Ok((talkers.acknowledged() > 0).then_some(()))
        })?;
        Ok(talkers)
    }

    /// How long an update takes with nothing in its way.
    fn whole(&mut self) -> Result<Duration> {
        let mut current = self.take()?;
        let begun = Instant::now();
        update(&mut current.vm)?;
        let whole = begun.elapsed();
        self.lab.note(&format!("an update takes {whole:?}"));
        current.vm.passed();
        Ok(whole)
    }

    /// Has the box updated, with its power cut after `moment`. Returns what came of it.
    fn cut(&mut self, moment: Duration) -> Result<String> {
        let Current {
            vm,
            card,
            offered,
            mut said,
            talkers,
        } = self.take()?;
        vm.run(INSTALL)?;
        let begun = Instant::now();
        wait_until(moment + Duration::from_secs(60), "the moment", || {
            Ok((begun.elapsed() >= moment).then_some(()))
        })?;
        let before =
            status(&vm).map_or_else(|_| "restarting".to_owned(), |s| s["update"].to_string());
        vm.cut_power();
        said.push(self.runtime.block_on(talkers.said()));

        let mut vm = self.start(&card)?;
        let state = at_rest(&vm)?;
        vm.wait_ready()?;
        let found = self.check(&vm, said.iter().rev().take(1))?;
        let mut current = Current {
            talkers: self.talk(&vm, &card, said.len())?,
            vm,
            card,
            offered,
            said,
        };
        if state == "committed" {
            current.offered += 1;
        }
        if let Some(version) = VERSIONS.get(current.offered) {
            publish(
                &self.publisher,
                version,
                &self.bundles[current.offered],
                &keys(),
            )?;
            let check = current.vm.run("provisioner update check")?;
            ensure!(check.contains(version), "the check says {check}");
            self.current = Some(current);
        } else {
            self.check(&current.vm, current.said.iter())?;
            current.vm.passed();
        }
        Ok(format!("cut in {before}: {state}; {found}"))
    }

    /// Looks for all that was said.
    fn check<'said>(
        &self,
        vm: &Vm,
        said: impl Iterator<Item = &'said (usize, Vec<Said>)>,
    ) -> Result<String> {
        let database = copy_database(vm, &self.lab)?;
        let domain = guest::domain(vm)?;
        let mut all = Vec::new();
        for said in said {
            let check = async { Archives::default().check(&database, &domain, said).await };
            all.push(self.runtime.block_on(check)?);
        }
        Ok(format!("{all:?}"))
    }

    /// The box that is left takes the update that is offered to it, and has all that was ever said.
    fn finish(mut self) -> Result<()> {
        if let Some(mut current) = self.current.take() {
            update(&mut current.vm)?;
            self.check(&current.vm, current.said.iter())?;
            drop(self.talk(&current.vm, &current.card, current.said.len() + 1)?);
            current.vm.passed();
        }
        self.lab.passed();
        Ok(())
    }

    /// The next cut has a new box.
    fn end_box(&mut self) {
        self.current = None;
    }
}

fn start(lab: &Lab, card: &Card, key: &SshKey) -> Result<Vm> {
    let mut vm = Vm::start_with(lab, Board::Virt, card, key, &WATCHDOG)?;
    vm.wait_ready()?;
    tell_the_time(&vm)?;
    Ok(vm)
}

/// Updates with nothing in the way.
fn update(vm: &mut Vm) -> Result<()> {
    vm.run(INSTALL)?;
    wait_until(Duration::from_secs(60), "the update to begin", || {
        let status = status(vm)?;
        Ok((status["update"]["state"] != "available").then_some(()))
    })?;
    let status = outcome(vm)?;
    ensure!(
        status["update"]["state"] == "committed",
        "an update without a cut: {status}"
    );
    Ok(())
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
