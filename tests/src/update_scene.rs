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
use crate::publisher::Publisher;
use crate::qemu::{Board, WATCHDOG};
use crate::updates::{Change, keys, outcome, publish, release, subscribe};
use crate::vm::{SshKey, Vm};

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
        let lab = Lab::new("update", name)?;
        let key = SshKey::new(&lab)?;
        let card = Card::flash(&lab, "card")?;
        card.write("perch.toml", perch_toml(&key).as_bytes())?;
        let mut vm = Vm::start_with(&lab, Board::Virt, &card, &key, &WATCHDOG)?;
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
    pub fn update(&self, action: &str) -> Result<Value> {
        let before = guest::boot_id(&self.vm)?;
        // The connection may break before the answer.
        let said = self.vm.run(&format!("provisioner update {action} 2>&1"));
        self.lab.note(&format!("{action}: {said:?}"));
        let status = outcome(&self.vm)?;
        self.lab.note(&format!("{}", status["update"]));
        ensure!(
            guest::boot_id(&self.vm)? != before,
            "the box did not restart: {said:?}"
        );
        Ok(status)
    }

    /// A bad version is offered, tried and left: the old slot runs, the chat works, and the reason is said.
    ///
    /// # Errors
    ///
    /// What is otherwise.
    pub fn assert_left(&mut self, version: &str, change: &Change<'_>, reason: &str) -> Result<()> {
        let bundle = release(&self.lab, version, change, &keys())?;
        publish(&self.publisher, version, &bundle, &keys())?;
        fs::remove_file(&bundle).context("remove the bundle")?;
        let status = self.update("install")?;
        ensure!(
            status["running"]["slot"] == "A" && status["update"]["state"] == "failed",
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
