//! A new box in a browser's hands: the same on both boards.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::box_settings::ssh_toml;
use crate::card::Card;
use crate::chat::server_on;
use crate::clients::conversation_command;
use crate::lab::Lab;
use crate::node::Project;
use crate::qemu::Board;
use crate::vm::{SshKey, Vm};

/// Of everybody who gets one there: the page takes no easy one.
const PASSWORD: &str = "kaffee im garten um sieben";

/// A box that nobody has claimed, from its first page to an invited person who talks with a slixmpp client from the web chat, a changed
/// setting and a backup, by a browser alone; on `virt` also a factory reset and a restore, as the emulated Pi cannot restart itself.
///
/// # Errors
///
/// What the browser or the client did not find, or the box does not have after that.
pub fn assert_set_up_from_a_browser(lab: &Lab, board: Board) -> Result<()> {
    let project = Project::install("browser")?;
    let key = SshKey::new(lab)?;
    let card = Card::flash(lab, "card")?;
    card.write("perch.toml", ssh_toml(&key).as_bytes())?;
    let mut vm = Vm::start(lab, board, &card, &key)?;
    vm.wait_ready()?;
    let screens = lab.logs.join("screens");
    fs::create_dir_all(&screens).context("make a folder for screenshots")?;
    let server = server_on(&vm, &card, lab)?;
    let partner = json!({ "anna": PASSWORD });
    let partner = conversation_command(lab, "box_chat.py", "welcome", &server, &partner)?;
    let restarts = board == Board::Virt;
    let settings = json!({
        "port": vm.ports.https, "screens": screens, "brief": !restarts, "password": PASSWORD, "partner": words(&partner),
        "restarts": restarts, "patience": if restarts { 1 } else { 10 },
    });
    project.run(lab, "pages.mjs", &settings, |_| {})?;
    let zone = vm.run("readlink /data/etc/localtime")?;
    ensure!(zone.contains("Europe/Berlin"), "the time zone is {zone}");
    let log = vm.run("cat /var/lib/perch/audit.jsonl")?;
    let restored = restarts.then_some("box.restored");
    for action in [
        "box.claim",
        "box.claimed",
        "person.freeze",
        "settings.change",
    ]
    .into_iter()
    .chain(restored)
    {
        ensure!(log.contains(action), "{action} is not in the log: {log}");
    }
    vm.passed();
    Ok(())
}

fn words(command: &Command) -> Vec<String> {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect()
}
