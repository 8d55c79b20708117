//! A box on which an update is tried, from its first start to what became of it.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::box_settings::{ANNA, BEN, perch_toml};
use crate::card::Card;
use crate::chat::server_on;
use crate::clients::converse;
use crate::guest;
use crate::lab::Lab;
use crate::node::Project;
use crate::publisher::Publisher;
use crate::qemu::{Board, WATCHDOG};
use crate::residents::Residents;
use crate::talkers::{self, Archives};
use crate::updates::{Change, keys, outcome, publish, release, status, subscribe, tell_the_time};
use crate::vm::{SshKey, Vm};
use crate::wait::wait_until;
use crate::xmpp::Connector;

/// Versions that are newer than any in `dist/`, in their order.
pub const GOOD: &str = "97.0.0";
/// See [`GOOD`].
pub const BAD: &str = "98.0.0";

/// A box with two people who know each other, and a publisher that it listens to.
pub struct Scene {
    /// The test's folders.
    pub lab: Lab,
    /// What the box runs from.
    pub card: Card,
    /// The box.
    pub vm: Vm,
    /// Where its updates come from.
    pub publisher: Publisher,
}

impl Scene {
    /// Boots the box, and has the two meet.
    ///
    /// # Errors
    ///
    /// The box does not come up, or the chat does not work.
    pub fn begin(name: &str) -> Result<Self> {
        Self::begin_on(Board::Virt, name)
    }

    /// [`Scene::begin`] on another machine.
    ///
    /// # Errors
    ///
    /// As [`Scene::begin`].
    pub fn begin_on(board: Board, name: &str) -> Result<Self> {
        Self::begin_with(board, name, |_| Ok(Vec::new()))
    }

    /// [`Scene::begin_on`], with what `plugged_in` says in QEMU's words.
    ///
    /// # Errors
    ///
    /// As [`Scene::begin`].
    pub fn begin_with(
        board: Board,
        name: &str,
        plugged_in: impl FnOnce(&Lab) -> Result<Vec<String>>,
    ) -> Result<Self> {
        let lab = Lab::new("update", name)?;
        let key = SshKey::new(&lab)?;
        let card = Card::flash(&lab, "card")?;
        card.write("perch.toml", perch_toml(&key).as_bytes())?;
        // QEMU's copy of the Pi's restarts the machine the moment it is armed.
        let watchdog: &[&str] = match board {
            Board::Raspi4b => &[],
            Board::Virt | Board::VirtUsb => &WATCHDOG,
        };
        let plugged_in = plugged_in(&lab)?;
        let devices: Vec<&str> = watchdog
            .iter()
            .copied()
            .chain(plugged_in.iter().map(String::as_str))
            .collect();
        let mut vm = Vm::start_with(&lab, board, &card, &key, &devices)?;
        vm.wait_ready()?;
        lab.note("booted");
        let publisher = Publisher::start(&lab.work)?;
        subscribe(&vm, &publisher)?;
        guest::add_user(&vm, "ben", BEN)?;
        let scene = Self {
            lab,
            card,
            vm,
            publisher,
        };
        scene.chat("meet")?;
        Ok(scene)
    }

    /// The two talk: a conversation of `box_chat.py`.
    ///
    /// # Errors
    ///
    /// What they did not find as it should be.
    pub fn chat(&self, conversation: &str) -> Result<()> {
        let server = server_on(&self.vm, &self.card, &self.lab)?;
        let passwords = json!({ "anna": ANNA, "ben": BEN });
        converse(&self.lab, "box_chat.py", conversation, &server, &passwords)?;
        self.lab.note("two clients talked");
        Ok(())
    }

    /// Has the box restart into its other slot and waits for what becomes of it.
    ///
    /// # Errors
    ///
    /// It did not restart, or came to no end.
    pub fn update(&mut self, action: &str) -> Result<Value> {
        self.outcome_of(action, |scene| {
            // The connection may break before the answer.
            let said = scene.vm.run(&format!("provisioner update {action} 2>&1"));
            scene.lab.note(&format!("{action}: {said:?}"));
            Ok(())
        })
    }

    /// Presses the page's buttons: steps of `updates.mjs`.
    ///
    /// # Errors
    ///
    /// What the page did otherwise.
    pub fn press(&self, steps: &Value) -> Result<()> {
        let screens = self.lab.logs.join("screens");
        fs::create_dir_all(&screens).context("make a folder for screenshots")?;
        let port = self.vm.ports.https;
        let settings =
            json!({ "port": port, "screens": screens, "password": ANNA, "steps": steps });
        Project::install("browser")?.run(&self.lab, "updates.mjs", &settings, |_| {})?;
        self.lab.note(&format!("pressed: {steps}"));
        Ok(())
    }

    /// Has `begin` make the box restart into its other slot, and waits for what becomes of it.
    ///
    /// # Errors
    ///
    /// It did not restart, or came to no end.
    pub fn outcome_of(
        &mut self,
        what: &str,
        begin: impl FnOnce(&Self) -> Result<()>,
    ) -> Result<Value> {
        let before = guest::boot_id(&self.vm)?;
        let last = status(&self.vm)?["update"].clone();
        tell_the_time(&self.vm)?;
        begin(self)?;
        let vm = &mut self.vm;
        wait_until(vm.boot_deadline(), "the update to begin", || {
            vm.keep_on()?;
            Ok((status(vm)?["update"] != last).then_some(()))
        })?;
        let status = outcome(&mut self.vm)?;
        self.lab.note(&format!("{what}: {}", status["update"]));
        ensure!(
            guest::boot_id(&self.vm)? != before,
            "the box did not restart"
        );
        Ok(status)
    }

    /// [`Scene::outcome_of`] for a version that is to be kept.
    ///
    /// # Errors
    ///
    /// It was not.
    pub fn assert_kept(
        &mut self,
        version: &str,
        begin: impl FnOnce(&Self) -> Result<()>,
    ) -> Result<()> {
        let status = self.outcome_of(version, begin)?;
        ensure!(
            status["update"]["state"] == "committed" && status["running"]["version"] == version,
            "version {version} was not kept: {status}"
        );
        self.vm.wait_ready()?;
        guest::assert_slot_is_good(&self.vm)
    }

    /// [`Scene::assert_kept`] while so many people are online: each comes back once and resumes, and nothing of what they say is lost.
    ///
    /// # Errors
    ///
    /// What is otherwise.
    pub fn assert_people_stay(
        &mut self,
        version: &str,
        people: usize,
        begin: impl FnOnce(&Self) -> Result<()>,
    ) -> Result<()> {
        let mut list = String::from("username,password\n");
        for person in 0..people {
            list += &format!("{},{}\n", talkers::name(person), talkers::PASSWORD);
        }
        self.vm.run_with_input(
            "cat >/run/people.csv && imd people import --config /etc/perch/imd.toml /run/people.csv",
            list.as_bytes(),
        )?;
        let server = server_on(&self.vm, &self.card, &self.lab)?;
        let connector = Connector::new(&server.ca, &server.domain, server.direct_tls)?;
        let runtime = tokio::runtime::Runtime::new().context("start tokio")?;
        let residents = runtime.block_on(Residents::start(&connector, people, 0))?;
        self.lab.note(&format!("{people} people are online"));
        self.assert_kept(version, begin)?;
        let (stays, said) = runtime.block_on(residents.leave())?;
        self.lab.note(&format!("{stays:?}"));
        ensure!(
            stays.most_returns == 1 && stays.returns == people && stays.resumed == people,
            "not everybody came back once: {stays:?}"
        );
        let database = copy_database(&self.vm, &self.lab)?;
        let found =
            runtime.block_on(Archives::default().check(&database, &server.domain, &said))?;
        self.lab.note(&format!("in the archives: {found:?}"));
        ensure!(
            found.acknowledged == stays.messages && stays.messages > people,
            "{found:?} of {stays:?}"
        );
        Ok(())
    }

    /// A bad version is offered, tried and left: slot A runs, the chat works, and the reason is said.
    ///
    /// # Errors
    ///
    /// What is otherwise.
    pub fn assert_left(&mut self, version: &str, change: &Change<'_>, reason: &str) -> Result<()> {
        self.assert_left_for("A", version, change, reason)
    }

    /// [`Scene::assert_left`] for the slot that ran before.
    ///
    /// # Errors
    ///
    /// What is otherwise.
    pub fn assert_left_for(
        &mut self,
        slot: &str,
        version: &str,
        change: &Change<'_>,
        reason: &str,
    ) -> Result<()> {
        let bundle = release(&self.lab, version, change, &keys())?;
        publish(&self.publisher, version, &bundle, &keys())?;
        fs::remove_file(&bundle).context("remove the bundle")?;
        let status = self.update("install")?;
        ensure!(
            status["running"]["slot"] == slot && status["update"]["state"] == "failed",
            "version {version} was not left: {status}"
        );
        let said = status["update"]["reason"].as_str().unwrap_or_default();
        ensure!(
            said.contains(reason),
            "the reason is {said:?}, not {reason:?}"
        );
        self.vm.wait_ready()?;
        self.chat("again")?;
        guest::assert_slot_is_good(&self.vm)
    }

    /// The test has passed.
    pub fn end(self) {
        self.vm.passed();
        self.lab.passed();
    }
}

/// A copy of a box's database, whose server is stopped for it.
///
/// # Errors
///
/// The server does not stop or start, or the file is not there.
pub fn copy_database(vm: &Vm, lab: &Lab) -> Result<PathBuf> {
    let text =
        vm.run("systemctl stop imd && base64 -w0 /var/lib/imd/imd.sqlite && systemctl start imd")?;
    let place = lab.work.join("imd.sqlite");
    let content = STANDARD
        .decode(text.trim())
        .context("the database's text")?;
    fs::write(&place, content).context("keep the box's database")?;
    Ok(place)
}
