//! What an owner does with a box that runs: another network, which goes back by itself; a stick for backups, and what looks like a version
//! on it; a restart at a chosen time; a factory reset by a file on the card, and the backup of the stick after it.

use std::process::Command as Program;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use perch_tests::agent::{ask, tell};
use perch_tests::box_settings::{ANNA, BEN, perch_toml};
use perch_tests::card::Card;
use perch_tests::chat::server_on;
use perch_tests::clients::converse;
use perch_tests::command::output_of;
use perch_tests::guest;
use perch_tests::lab::Lab;
use perch_tests::qemu::Board;
use perch_tests::vm::{SshKey, Vm};
use perch_tests::wait::wait_until;
use provisioner::agent::command::{Answer, Changed, Command};
use provisioner::backup::key::ASKED;
use provisioner::model::bundle::BundleName;
use provisioner::power::Power;
use provisioner::settings::trial::PATIENCE_SECONDS;
use provisioner::update::job::Job;
use provisioner::update::stick::Look;
use provisioner::update::stick_copy::Chosen;
use serde_json::{Value, json};

const STICK_BYTES: u64 = 512 << 20;
const SERIAL: &str = "4C530001";
/// A file on the stick that is called as a bundle and is none.
const NO_BUNDLE: &str = "perch-9.9.9.raucb";
const WIRED: &str = "/etc/systemd/network/40-perch-wired.network";

#[test]
#[ignore = "run `ci/test --only box-life`"]
fn an_owner_changes_the_network_backs_up_and_resets_the_box() -> Result<()> {
    let lab = Lab::new("box_life", "owner")?;
    let key = SshKey::new(&lab)?;
    let card = Card::flash(&lab, "card")?;
    card.write("perch.toml", perch_toml(&key).as_bytes())?;
    let stick = lab.work.join("stick.img");
    output_of(
        Program::new("truncate")
            .args(["-s", &STICK_BYTES.to_string()])
            .arg(&stick),
    )?;
    let on_it = lab.work.join("on-the-stick");
    std::fs::create_dir_all(&on_it).context("make a folder")?;
    std::fs::write(on_it.join(NO_BUNDLE), "holiday").context("write a file")?;
    output_of(
        Program::new("mkfs.ext4")
            .args(["-q", "-L", "PERCH-BACKUP", "-d"])
            .arg(&on_it)
            .arg(&stick),
    )?;
    let drive = format!("if=none,id=stick,format=raw,file={}", stick.display());
    let device = format!("usb-storage,drive=stick,serial={SERIAL}");
    let devices = ["-device", "qemu-xhci", "-drive", &drive, "-device", &device];
    let mut vm = Vm::start_with(&lab, Board::Virt, &card, &key, &devices)?;
    vm.wait_ready()?;
    guest::add_user(&vm, "ben", BEN)?;
    lab.note("booted");

    guest::assert_nothing_else_answers_from_outside(&vm)?;
    lab.note("looked at from outside");
    assert_a_network_goes_back(&vm)?;
    lab.note("a network that nobody confirmed went back");
    assert_a_network_stays(&vm)?;
    lab.note("one that was confirmed stays");
    assert_settings_count_at_once(&vm)?;
    let words = assert_backups_reach_the_stick(&vm)?;
    lab.note("a backup is on the stick");
    assert_a_stick_is_looked_through_for_versions(&vm)?;
    lab.note("what looked like a version on the stick was listed and refused");
    assert_it_restarts_when_planned(&mut vm)?;
    lab.note("restarted at the chosen time");
    let authority = vm.run("cat /var/lib/perch/tls/ca.crt")?;

    // By the card alone, as somebody does who cannot sign in any more.
    vm.power_off()?;
    card.write("perch-factory-reset-all", b"")?;
    let mut vm = Vm::start_with(&lab, Board::Virt, &card, &key, &devices)?;
    vm.wait_ready()?;
    ensure!(
        card.read("perch-factory-reset-all").is_err(),
        "the marker is still on the card: the next start would reset the box again"
    );
    let people = vm.run("imd user list --config /etc/perch/imd.toml")?;
    ensure!(!people.contains("ben"), "people are still there: {people}");
    ensure!(
        vm.run("cat /var/lib/perch/tls/ca.crt")? != authority,
        "the box has the authority that it had"
    );
    ensure!(
        vm.run("hostname")?.trim() == "perch",
        "the name is still there"
    );
    lab.note("reset by a file on the card");

    vm.run_with_input(
        "provisioner backup restore --stick --words-stdin --no-restart",
        words.as_bytes(),
    )?;
    let before = guest::boot_id(&vm)?;
    vm.run("systemctl --no-block reboot")?;
    guest::wait_for_another_boot(&vm, &before)?;
    vm.wait_ready()?;
    ensure!(
        vm.run("cat /var/lib/perch/tls/ca.crt")? == authority,
        "phones would have to trust the box anew"
    );
    ensure!(
        vm.run("hostname")?.trim() == "office",
        "the name did not come back"
    );
    let server = server_on(&vm, &card, &lab)?;
    let passwords = json!({ "anna": ANNA, "ben": BEN });
    converse(&lab, "box_chat.py", "meet", &server, &passwords)?;
    lab.note("restored from the stick; two clients talked");
    vm.passed();
    lab.passed();
    Ok(())
}

fn set(pairs: &[(&str, &str)]) -> Command {
    let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    Command::ChangeSettings {
        pairs: pairs.iter().map(own).collect(),
        dry_run: false,
    }
}

fn changed(answer: Answer) -> Result<Changed> {
    match answer {
        Answer::Changed(changed) => Ok(changed),
        other => bail!("not what was asked: {other:?}"),
    }
}

/// QEMU's network knows the guest at 10.0.2.15 alone: at another address it is out of reach, like a box with a mistyped one.
fn assert_a_network_goes_back(vm: &Vm) -> Result<()> {
    let mistyped = [
        ("network.ipv4", "10.0.2.77/24"),
        ("network.ipv4_gateway", "10.0.2.2"),
    ];
    tell(vm, set(&mistyped))?;
    // A login that the change cuts off in its middle goes on when the box is back: looking whether it is out of reach would tell nothing.
    let patience = Duration::from_secs(u64::from(PATIENCE_SECONDS) + 180);
    wait_until(patience, "the network to go back", || {
        let state: Value = serde_json::from_str(&vm.run("cat /var/lib/perch/box.json")?)
            .context("read the box's state")?;
        let last = state["history"].as_array().and_then(|all| all.last());
        ensure!(
            last.is_some_and(|entry| entry["who"] == "nobody confirmed the network"),
            "the history does not say that it went back: {state}"
        );
        Ok(Some(()))
    })?;
    let lost =
        vm.run("journalctl -b --no-pager -u systemd-networkd | grep -c 'DHCP lease lost'")?;
    ensure!(lost.trim() == "1", "the box had its address all the time");
    ensure!(
        vm.run(&format!("test ! -e {WIRED}")).is_ok(),
        "{WIRED} is still there"
    );
    vm.assert_healthy()
}

fn assert_a_network_stays(vm: &Vm) -> Result<()> {
    let right = [
        ("network.ipv4", "10.0.2.15/24"),
        ("network.ipv4_gateway", "10.0.2.2"),
        ("network.dns", "[\"10.0.2.3\"]"),
    ];
    tell(vm, set(&right))?;
    wait_until(Duration::from_secs(90), "the fixed address", || {
        let routes = vm.run("ip -4 route show default")?;
        Ok(routes.contains("proto static").then_some(()))
    })?;
    let confirm = |reached: [u8; 4]| Command::ConfirmNetwork {
        reached: Some(reached.into()),
    };
    ensure!(
        ask(vm, confirm([10, 0, 2, 77])).is_err(),
        "confirmed from where the box is not"
    );
    ask(vm, confirm([10, 0, 2, 15]))?;
    let timer = vm.run("systemctl list-timers --all --no-legend perch-network-trial.timer")?;
    ensure!(timer.trim().is_empty(), "it would still go back: {timer}");
    ensure!(ask(vm, confirm([10, 0, 2, 15])).is_err(), "confirmed twice");
    vm.assert_healthy()
}

fn assert_settings_count_at_once(vm: &Vm) -> Result<()> {
    let done = changed(ask(
        vm,
        set(&[("hostname", "office"), ("profile", "performance")]),
    )?)?;
    ensure!(!done.on_trial && done.warning.is_none(), "{done:?}");
    wait_until(Duration::from_secs(60), "the box's new name", || {
        let name = vm.run("hostname; avahi-resolve -4 -n office.local 2>&1 || true")?;
        Ok(name.starts_with("office\n").then_some(()))
    })?;
    let names = vm.run(
        "openssl s_client -connect 127.0.0.1:443 -servername office.local </dev/null 2>/dev/null | openssl x509 -noout -ext subjectAltName",
    )?;
    ensure!(
        names.contains("DNS:office.local"),
        "the pages' certificate has no new name: {names}"
    );
    vm.assert_healthy()
}

/// Returns the recovery key's words.
fn assert_backups_reach_the_stick(vm: &Vm) -> Result<String> {
    let Answer::RecoveryKey(words) = ask(vm, Command::NewRecoveryKey)? else {
        bail!("no words");
    };
    let asked = ASKED.map(|number| words[number - 1].clone());
    ask(
        vm,
        Command::ConfirmRecoveryKey {
            words: asked.to_vec(),
        },
    )?;
    let wrong = Command::AcceptStick {
        serial: "another".to_owned(),
    };
    ensure!(
        ask(vm, wrong).is_err(),
        "a stick that is not there was accepted"
    );
    wait_until(Duration::from_secs(60), "the stick", || {
        let serial = SERIAL.to_owned();
        ask(vm, Command::AcceptStick { serial }).map(Some)
    })?;
    // As the timers do.
    vm.run("systemctl start perch-backup@night.service")?;
    vm.run("systemctl start perch-backup@drill.service")?;
    let outcomes: Value = serde_json::from_str(&vm.run("cat /var/lib/perch/backup/outcomes.json")?)
        .context("read what came of the backups")?;
    ensure!(
        outcomes["stick"]["error"].is_null() && outcomes["stick"]["bytes"].as_u64() > Some(0),
        "no backup on the stick: {outcomes}"
    );
    let name = &outcomes["stick"]["name"];
    ensure!(
        outcomes["drill"]["name"] == *name && outcomes["drill"]["counts"]["people"] == 2,
        "the trial of that backup: {outcomes}"
    );
    ensure!(
        !vm.run("cat /proc/mounts")?.contains("perch-stick"),
        "the stick is still mounted"
    );
    vm.assert_healthy()?;
    Ok(words.join(" "))
}

/// With the units' own rights: the stick is mounted, its file is judged by RAUC, copied, refused, and removed.
fn assert_a_stick_is_looked_through_for_versions(vm: &Vm) -> Result<()> {
    let updates = || match ask(vm, Command::Updates)? {
        Answer::Updates(view) => Ok(view),
        other => bail!("not what was asked: {other:?}"),
    };
    ask(vm, Command::LookAtSticks)?;
    let patience = Duration::from_secs(60);
    let (stick, refusal) = wait_until(patience, "what is on the stick", || {
        let view = updates()?;
        let stick = view.sticks.first().context("no stick")?;
        Ok(match &stick.look {
            Look::Found(bundles) => bundles
                .iter()
                .find(|bundle| bundle.name.as_str() == NO_BUNDLE)
                .map(|bundle| (stick.id.clone(), bundle.refusal.clone())),
            _ => None,
        })
    })?;
    ensure!(refusal.is_some(), "RAUC takes {NO_BUNDLE} for a bundle");
    let name = BundleName::new(NO_BUNDLE).map_err(anyhow::Error::msg)?;
    let install = Command::InstallFromStick {
        chosen: Chosen { stick, name },
        without_backup: false,
    };
    ask(vm, install)?;
    let trouble = wait_until(patience, "the refusal", || {
        let view = updates()?;
        Ok(view.trouble.filter(|_| !view.is_under_way))
    })?;
    ensure!(
        trouble.job == Job::Upload && trouble.reason.contains("refused"),
        "not refused by RAUC, but: {trouble:?}"
    );
    vm.run("test ! -e /var/lib/perch-backup/in/uploaded.raucb")?;
    vm.assert_healthy()
}

fn assert_it_restarts_when_planned(vm: &mut Vm) -> Result<()> {
    let before = guest::boot_id(vm)?;
    // The next minute but one: times are typed in minutes.
    let at = vm.run("date -d '+2 minutes' '+%Y-%m-%d %H:%M'")?;
    let plan = Command::PlanPower {
        what: Power::Restart,
        at: at.trim().to_owned(),
    };
    ask(vm, plan)?;
    wait_until(vm.boot_deadline(), "the planned restart", || {
        Ok((guest::boot_id(vm)? != before).then_some(()))
    })?;
    vm.wait_ready()?;
    let said = vm.run("provisioner power status")?;
    ensure!(
        said.trim() == "nothing is planned",
        "the plan outlived the restart: {said}"
    );
    Ok(())
}
