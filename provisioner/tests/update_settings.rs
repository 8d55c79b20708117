//! Where new versions come from: the settings, and a file that somebody has written by hand.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod common;

use common::boxes::{Running, boot};
use common::{get, put};
use provisioner::update::channel::Source;

const FILE: &str = "/etc/perch/update.toml";
const BY_HAND: &str =
    "# From Ben\nurl = \"https://u.example\"\nauthority = \"/etc/perch/ca.crt\"\n";

fn with_file(text: &str) -> Running {
    let perch = Running::new();
    put(perch.folder.path(), FILE, text);
    perch
}

impl Running {
    fn restart(&self) {
        boot(self.folder.path(), &self.system);
    }

    fn file(&self) -> String {
        get(self.folder.path(), FILE)
    }
}

#[test]
fn a_publisher_is_set_and_taken_away_without_a_shell() {
    let perch = Running::new();
    perch
        .set(&[("updates.url", "https://updates.example/perch/")])
        .unwrap();
    perch.set(&[("updates.automatic", "true")]).unwrap();
    let source = Source::read(&perch.files).unwrap();
    assert_eq!(source.folder().unwrap(), "https://updates.example/perch");
    assert!(source.automatic);
    perch.restart();
    assert_eq!(Source::read(&perch.files).unwrap(), source);
    perch.set(&[("updates.url", "")]).unwrap();
    perch.set(&[("updates.automatic", "")]).unwrap();
    assert!(!perch.files.path(FILE).exists());
}

#[test]
fn a_file_by_hand_goes_on_as_it_is_through_starts_and_other_changes() {
    let perch = with_file(BY_HAND);
    let shown = "updates.url = \"https://u.example\"\nupdates.authority = \"/etc/perch/ca.crt\"\n";
    assert_eq!(perch.settings(), shown);
    perch.set(&[("language", "zh")]).unwrap();
    perch.restart();
    assert_eq!(perch.file(), BY_HAND);
    // And is followed when it is changed by hand, or taken away.
    put(perch.folder.path(), FILE, "channel = \"beta\"\n");
    assert_eq!(
        perch.settings(),
        "language = \"zh\"\nupdates.channel = \"beta\"\n"
    );
    perch.files.remove(FILE).unwrap();
    perch.restart();
    assert!(!perch.files.path(FILE).exists());
    assert_eq!(perch.settings(), "language = \"zh\"\n");
}

#[test]
fn the_first_change_of_updates_takes_a_file_by_hand_over_with_all_that_it_says() {
    let perch = with_file(BY_HAND);
    perch.set(&[("updates.window", "01:00-02:00")]).unwrap();
    assert_eq!(
        perch.file(),
        "# Written by the provisioner; change the box's settings instead.\nurl = \"https://u.example\"\n\
         window = \"01:00-02:00\"\nauthority = \"/etc/perch/ca.crt\"\n"
    );
    perch.undo(None).unwrap();
    perch.restart();
    let source = Source::read(&perch.files).unwrap();
    assert_eq!(
        (source.folder().unwrap(), source.window),
        ("https://u.example", None)
    );
    // From here on it is the settings': what is written into it by hand is gone at the next start.
    put(perch.folder.path(), FILE, "channel = \"beta\"\n");
    perch.restart();
    assert_eq!(Source::read(&perch.files).unwrap(), source);
}

#[test]
fn a_file_that_settings_cannot_express_is_left_alone_until_they_say_something() {
    for text in [
        "urll = \"x\"\n",
        "url = \"https://u.example/?key=1\"\n",
        "# nothing yet\n",
    ] {
        let perch = with_file(text);
        perch.set(&[("language", "zh")]).unwrap();
        perch.restart();
        assert_eq!(
            (perch.file().as_str(), perch.settings().as_str()),
            (text, "language = \"zh\"\n")
        );
        perch
            .set(&[("updates.url", "https://updates.example")])
            .unwrap();
        let source = Source::read(&perch.files).unwrap();
        assert_eq!(source.folder().unwrap(), "https://updates.example");
    }
}
