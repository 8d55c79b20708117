//! slixmpp against an `imd` on this computer: the everyday features, and nothing acknowledged lost.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use perch_tests::clients::converse;
use perch_tests::host_imd::HostImd;
use perch_tests::lab::Lab;
use perch_tests::qemu::free_port;
use perch_tests::wait::wait_until;
use perch_tests::xmpp::{Connector, Login};
use serde_json::{Value, json};

const ANNA: &str = "anna's password, ünïcode";
const BEN: &str = "ben's password";
const CARLA: &str = "carla's password";

fn server_with_two_accounts(lab: &Lab) -> Result<HostImd> {
    let imd = HostImd::start(lab)?;
    imd.add_user("anna", ANNA)?;
    imd.add_user("ben", BEN)?;
    Ok(imd)
}

fn passwords() -> Value {
    json!({ "anna": ANNA, "ben": BEN })
}

/// One conversation of `tests/clients/conversations.py` on a fresh server.
fn conversation(name: &str, more: &Value) -> Result<()> {
    let lab = Lab::new("clients", name)?;
    let imd = server_with_two_accounts(&lab)?;
    let mut settings = passwords();
    if let (Some(all), Some(more)) = (settings.as_object_mut(), more.as_object()) {
        all.extend(more.clone());
    }
    converse(&lab, "conversations.py", name, &imd.server, &settings)?;
    drop(imd);
    lab.passed();
    Ok(())
}

#[test]
#[ignore = "run `ci/test --only clients`"]
fn every_mechanism_logs_in_on_both_ports() -> Result<()> {
    conversation("every_mechanism_on_both_ports", &json!({}))
}

#[test]
#[ignore = "run `ci/test --only clients`"]
fn a_wrong_password_is_refused() -> Result<()> {
    conversation("wrong_password_is_refused", &json!({}))
}

#[test]
#[ignore = "run `ci/test --only clients`"]
fn clients_see_when_the_certificate_is_another_authoritys() -> Result<()> {
    let lab = Lab::new("clients", "another_authority")?;
    let imd = server_with_two_accounts(&lab)?;
    let other_ca = another_authority(&lab.work)?;
    let mut settings = passwords();
    settings["other_ca"] = json!(other_ca);
    converse(
        &lab,
        "conversations.py",
        "another_authority_is_not_trusted",
        &imd.server,
        &settings,
    )?;
    lab.passed();
    Ok(())
}

fn another_authority(folder: &Path) -> Result<std::path::PathBuf> {
    let made = rcgen::generate_simple_self_signed(vec![String::from("elsewhere.test")])
        .context("make an authority")?;
    let file = folder.join("other-ca.crt");
    std::fs::write(&file, made.cert.pem()).context("write the other authority")?;
    Ok(file)
}

#[test]
#[ignore = "run `ci/test --only clients`"]
fn contacts_see_each_other_come_and_go() -> Result<()> {
    conversation("contacts_and_presence", &json!({}))
}

#[test]
#[ignore = "run `ci/test --only clients`"]
fn a_refused_contact_sees_nothing() -> Result<()> {
    conversation("a_refused_contact_sees_nothing", &json!({}))
}

#[test]
#[ignore = "run `ci/test --only clients`"]
fn every_device_has_the_whole_talk() -> Result<()> {
    conversation("every_device_has_the_talk", &json!({}))
}

#[test]
#[ignore = "run `ci/test --only clients`"]
fn the_archive_pages_in_order() -> Result<()> {
    conversation("the_archive_pages_in_order", &json!({}))
}

#[test]
#[ignore = "run `ci/test --only clients`"]
fn a_resumed_session_loses_and_doubles_nothing() -> Result<()> {
    conversation(
        "a_resumed_session_loses_and_doubles_nothing",
        &json!({ "cuts": 200 }),
    )
}

#[test]
#[ignore = "run `ci/test --only clients`"]
fn a_blocked_person_does_not_get_through() -> Result<()> {
    conversation("a_blocked_person_does_not_get_through", &json!({}))
}

#[test]
#[ignore = "run `ci/test --only clients`"]
fn a_card_is_seen_by_contacts() -> Result<()> {
    conversation("a_card_is_seen_by_contacts", &json!({}))
}

#[test]
#[ignore = "run `ci/test --only clients`"]
fn messages_wait_for_the_absent() -> Result<()> {
    conversation("messages_wait_for_the_absent", &json!({}))
}

#[test]
#[ignore = "run `ci/test --only clients`"]
fn people_meet_in_a_room() -> Result<()> {
    let lab = Lab::new("clients", "rooms")?;
    let imd = server_with_two_accounts(&lab)?;
    converse(
        &lab,
        "rooms.py",
        "join_talk_history_configure",
        &imd.server,
        &passwords(),
    )?;
    drop(imd);
    lab.passed();
    Ok(())
}

/// slixmpp as an external component (XEP-0114).
#[test]
#[ignore = "run `ci/test --only clients`"]
fn a_component_talks_with_a_client() -> Result<()> {
    let lab = Lab::new("clients", "component")?;
    let port = free_port()?.1;
    let imd = HostImd::start_with(
        &lab,
        &format!(
            "component = [\"127.0.0.1:{port}\"]\n[[component]]\ndomain = \"echo.perch.test\"\n\
             secret = \"the secret of the echo\"\nname = \"Echo\"\n"
        ),
    )?;
    imd.add_user("anna", ANNA)?;
    let settings = json!({ "anna": ANNA, "component": port });
    converse(
        &lab,
        "component.py",
        "a_component_talks_with_a_client",
        &imd.server,
        &settings,
    )?;
    lab.passed();
    Ok(())
}

#[test]
#[ignore = "run `ci/test --only clients`"]
fn a_login_can_be_bound_to_its_tls_channel() -> Result<()> {
    let lab = Lab::new("clients", "channel_binding")?;
    let imd = server_with_two_accounts(&lab)?;
    let connector = Connector::new(&imd.server.ca, &imd.server.domain, imd.server.direct_tls)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start tokio")?;
    runtime.block_on(async {
        connector
            .log_in("ben", BEN, "bound", Login::ScramSha256Plus)
            .await?;
        let forged = connector
            .log_in("ben", BEN, "forged", Login::ScramSha256PlusForged)
            .await;
        ensure!(
            forged.is_err(),
            "a login bound to another channel was let in"
        );
        Ok(())
    })?;
    lab.passed();
    Ok(())
}

/// The daemon is killed in the middle of a burst; every message it had acknowledged is in the archive, none twice.
#[test]
#[ignore = "run `ci/test --only clients`"]
fn nothing_acknowledged_is_lost_when_the_daemon_is_killed() -> Result<()> {
    let lab = Lab::new("clients", "killed_in_a_burst")?;
    let mut imd = server_with_two_accounts(&lab)?;
    let acknowledged = lab.work.join("acknowledged.txt");
    for round in 1..=3 {
        std::fs::remove_file(&acknowledged).ok();
        let mut settings = passwords();
        settings["acknowledged"] = json!(acknowledged);
        settings["at_least"] = json!(100 * round);
        let server = imd.server.clone();
        let (lab_ref, settings_ref) = (&lab, &settings);
        std::thread::scope(|scope| {
            let sender = scope.spawn(move || {
                converse(lab_ref, "conversations.py", "burst", &server, settings_ref)
            });
            wait_until(
                Duration::from_secs(60),
                "enough acknowledged messages",
                || {
                    let lines = std::fs::read_to_string(&acknowledged)
                        .unwrap_or_default()
                        .lines()
                        .count();
                    Ok((lines >= 100 * round).then_some(()))
                },
            )?;
            imd.kill_hard()?;
            sender
                .join()
                .map_err(|_| anyhow::anyhow!("the sending client's thread failed"))?
        })?;
        imd.start_again()?;
        let said = converse(
            &lab,
            "conversations.py",
            "burst_is_in_the_archive",
            &imd.server,
            &settings,
        )?;
        lab.note(&format!("round {round}: {}", said.replace('\n', "; ")));
        imd = server_after(imd, &lab)?;
    }
    lab.passed();
    Ok(())
}

/// A new server in the same folder would find the old burst: each round gets an empty one.
fn server_after(old: HostImd, lab: &Lab) -> Result<HostImd> {
    drop(old);
    std::fs::remove_dir_all(lab.work.join("data")).context("empty the data folder")?;
    server_with_two_accounts(lab)
}

#[test]
#[ignore = "run `ci/test --only clients`"]
fn clients_are_told_when_the_daemon_is_asked_to_stop() -> Result<()> {
    let lab = Lab::new("clients", "told_of_shutdown")?;
    let mut imd = server_with_two_accounts(&lab)?;
    let ready = lab.work.join("ready");
    let mut settings = passwords();
    settings["ready"] = json!(ready);
    let server = imd.server.clone();
    let (lab_ref, settings_ref) = (&lab, &settings);
    std::thread::scope(|scope| {
        let client = scope.spawn(move || {
            converse(
                lab_ref,
                "conversations.py",
                "told_of_shutdown",
                &server,
                settings_ref,
            )
        });
        wait_until(
            Duration::from_secs(120),
            "the client to be logged in",
            || Ok(ready.exists().then_some(())),
        )?;
        let asked = Instant::now();
        imd.ask_to_stop()?;
        let status = imd.wait_ended(Duration::from_secs(15))?;
        let took = asked.elapsed();
        ensure!(status.success(), "imd ended with {status}");
        ensure!(
            took <= Duration::from_secs(10),
            "imd took {took:?} to stop; 10 s are allowed"
        );
        client
            .join()
            .map_err(|_| anyhow::anyhow!("the client's thread failed"))??;
        Ok(())
    })?;
    lab.passed();
    Ok(())
}

/// One conversation of `tests/clients/pep.py`, with a third account, on a fresh server.
fn pep(name: &str) -> Result<()> {
    let lab = Lab::new("clients", name)?;
    let imd = server_with_two_accounts(&lab)?;
    imd.add_user("carla", CARLA)?;
    let mut settings = passwords();
    settings["carla"] = json!(CARLA);
    converse(&lab, "pep.py", name, &imd.server, &settings)?;
    drop(imd);
    lab.passed();
    Ok(())
}

#[test]
#[ignore = "run `ci/test --only clients`"]
fn a_picture_and_devices_are_shown_to_contacts() -> Result<()> {
    pep("a_picture_and_devices_are_shown_to_contacts")
}

#[test]
#[ignore = "run `ci/test --only clients`"]
fn only_who_asked_for_it_is_notified() -> Result<()> {
    pep("only_who_asked_for_it_is_notified")
}

#[test]
#[ignore = "run `ci/test --only clients`"]
fn many_items_are_kept_and_retracted() -> Result<()> {
    pep("many_items_are_kept_and_retracted")
}

#[test]
#[ignore = "run `ci/test --only clients`"]
fn bookmarks_of_clients_of_every_age_agree() -> Result<()> {
    pep("bookmarks_of_clients_of_every_age_agree")
}

#[test]
#[ignore = "run `ci/test --only clients`"]
fn a_picture_is_one_in_vcard_and_nodes() -> Result<()> {
    pep("a_picture_is_one_in_vcard_and_nodes")
}

#[test]
#[ignore = "run `ci/test --only clients`"]
fn a_channel_has_followers() -> Result<()> {
    pep("a_channel_has_followers")
}

#[test]
#[ignore = "run `ci/test --only clients`"]
fn a_file_is_uploaded_and_fetched_by_a_contact() -> Result<()> {
    let lab = Lab::new("clients", "a_file_is_uploaded_and_fetched_by_a_contact")?;
    let imd = server_with_two_accounts(&lab)?;
    let mut settings = passwords();
    settings["https"] = json!(imd.https);
    converse(
        &lab,
        "uploads.py",
        "a_file_is_shared",
        &imd.server,
        &settings,
    )?;
    drop(imd);
    lab.passed();
    Ok(())
}
