//! The web chat (Converse.js as `ci/web-chat` gets it) and the box's own pages (with uPlot, as `ci/charts` gets it) in Chromium,
//! against programs on this computer.
//! Screenshots are kept in the test's logs.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};
use perch_tests::command::output_of;
use perch_tests::host_box::HostBox;
use perch_tests::host_imd::{DOMAIN, HostImd};
use perch_tests::lab::{Lab, repository};
use perch_tests::node::Project;
use serde_json::json;

const ANNA: &str = "anna's password, ünïcode";
const BEN: &str = "ben's password";

/// One talks in English, the other in Chinese: one to one, in a room, with a picture, and after a reload.
#[test]
#[ignore = "run `ci/test --only browser`"]
fn two_people_chat_in_their_browsers() -> Result<()> {
    let lab = Lab::new("browser", "web_chat")?;
    let project = Project::install("browser")?;
    let chat = repository().join("target/web-chat");
    output_of(Command::new(repository().join("ci/web-chat")).arg(&chat))?;
    lab.note("Chromium's driver and the web chat are there");
    let imd = HostImd::start_public(&lab, None, Some(&chat))?;
    imd.add_user("anna", ANNA)?;
    imd.add_user("ben", BEN)?;
    let screens = lab.logs.join("screens");
    fs::create_dir_all(&screens).context("make a folder for screenshots")?;
    let settings = json!({
        "domain": DOMAIN, "https": imd.https, "anna": ANNA, "ben": BEN, "screens": screens,
    });
    project.run(&lab, "chat.mjs", &settings, |_| {})?;
    drop(imd);
    lab.passed();
    Ok(())
}

/// From a box that nobody has claimed to one that is run from its pages, backed up, reset and restored: every page at two widths, in both languages, looked
/// at by axe-core.
#[test]
#[ignore = "run `ci/test --only browser`"]
fn a_box_is_set_up_and_run_from_its_pages() -> Result<()> {
    let lab = Lab::new("browser", "pages")?;
    let project = Project::install("browser")?;
    let chat = repository().join("target/web-chat");
    output_of(Command::new(repository().join("ci/web-chat")).arg(&chat))?;
    let host = HostBox::start(&lab, &chat)?;
    let charts = host.file("root/usr/share/perch/charts");
    output_of(Command::new(repository().join("ci/charts")).arg(charts))?;
    host.make_history()?;
    let screens = lab.logs.join("screens");
    fs::create_dir_all(&screens).context("make a folder for screenshots")?;
    project.run(&lab, "pages.mjs", &host.settings(&screens), |_| {})?;
    drop(host);
    lab.passed();
    Ok(())
}
