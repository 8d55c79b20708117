//! The sheet of invitations that the card asks for.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod common;

use common::boxes::{boot, booted, flashed};
use common::{FakeSystem, get, put};
use provisioner::files::{Files, PowerCut};
use provisioner::firstboot;
use provisioner::firstboot::invitations::SHEET;

const CARD: &str = "/boot/firmware/perch.toml";

/// The links on the sheet, each of which imd has to know.
fn links(sheet: &str, system: &FakeSystem) -> Vec<String> {
    let links: Vec<String> = sheet
        .split("<small>")
        .skip(1)
        .map(|rest| rest.split_once("</small>").unwrap().0.to_owned())
        .collect();
    for link in &links {
        assert!(system.invitations.borrow().contains(link), "{link}");
    }
    links
}

#[test]
fn a_sheet_has_one_code_and_link_for_each_person_and_is_made_once() {
    let (folder, system) = booted(Some("invitations = 3\n"));
    let sheet = get(folder.path(), SHEET);
    assert_eq!(links(&sheet, &system).len(), 3);
    assert_eq!(sheet.matches("<svg").count(), 3);
    assert!(
        !sheet.contains("<?xml") && sheet.contains("Scan this"),
        "{sheet}"
    );
    let status = get(folder.path(), "/boot/firmware/perch-status.txt");
    assert!(
        status.contains("Invitations:         3, in perch-invitations.html"),
        "{status}"
    );
    boot(folder.path(), &system);
    assert_eq!(system.invitations.borrow().len(), 3);
    assert_eq!(get(folder.path(), SHEET), sheet);
}

#[test]
fn another_number_makes_a_new_sheet_in_the_boxs_language_and_none_takes_it_away() {
    let (folder, system) = booted(Some("invitations = 3\n"));
    put(folder.path(), CARD, "invitations = 5\nlanguage = \"zh\"\n");
    boot(folder.path(), &system);
    let sheet = get(folder.path(), SHEET);
    assert_eq!(links(&sheet, &system).len(), 5);
    assert!(
        sheet.contains("lang=\"zh\"")
            && sheet.contains("聊天邀请")
            && sheet.contains("30 天内有效")
            && !sheet.contains("camera"),
        "{sheet}"
    );
    put(folder.path(), CARD, "invitations = 0\n");
    boot(folder.path(), &system);
    assert!(!folder.path().join(&SHEET[1..]).exists());
}

#[test]
fn when_imd_cannot_make_them_the_owner_is_told_and_the_next_start_tries_again() {
    let folder = flashed(Some("invitations = 2\n"));
    let system = FakeSystem::new(folder.path());
    system.imd_works.set(false);
    let said = boot(folder.path(), &system).join("\n");
    assert!(
        said.contains("<3>invitations: imd could not make an invitation: the database is damaged"),
        "{said}"
    );
    system.imd_works.set(true);
    boot(folder.path(), &system);
    assert_eq!(links(&get(folder.path(), SHEET), &system).len(), 2);
}

#[test]
fn after_a_power_cut_at_any_moment_the_sheet_is_whole_and_counts() {
    for cuts in 0.. {
        let folder = flashed(Some("invitations = 2\n"));
        let system = FakeSystem::new(folder.path());
        let cut = firstboot::run(
            &Files::new(folder.path()).with_power_for(cuts),
            &system,
            |_| {},
        );
        assert!(
            cut.as_ref()
                .err()
                .is_none_or(|error| error.is::<PowerCut>())
        );
        boot(folder.path(), &system);
        assert_eq!(
            links(&get(folder.path(), SHEET), &system).len(),
            2,
            "cut after {cuts} changes"
        );
        if cut.is_ok() {
            assert!(cuts >= 30, "only {cuts} changes were cut off");
            return;
        }
    }
}
