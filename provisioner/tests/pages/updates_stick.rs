//! Versions on USB sticks, on the page of updates.

use provisioner::update::job::{self, Job};
use provisioner::update::stick;

use super::site::Site;
use super::updates::{NOW, UPLOADED, looks_again, site, started};

/// A stick with a FAT file system, plugged in.
fn plug_in(site: &Site) {
    site.put("/sys/class/block/sda1/dev", "8:1");
    site.put("/sys/class/block/sda1/size", "62500000");
    let known = "I:5\nE:ID_BUS=usb\nE:ID_MODEL=Rainbow\nE:ID_SERIAL_SHORT=A1\nE:ID_FS_LABEL=PHOTOS\nE:ID_FS_UUID=12-34\nE:ID_FS_TYPE=vfat\n";
    site.put("/run/udev/data/b8:1", known);
}

/// What is in its top folder; the test's system mounts nothing there.
const ON_STICK: &str = "/run/perch-stick";

fn looked_at(site: &Site) {
    site.with_machine(stick::look).unwrap();
}

#[tokio::test]
async fn a_box_without_a_stick_says_what_to_do_with_one() {
    let site = site().await;
    let mut anna = site.anna().await;
    let page = anna.open("/admin/updates").await;
    assert!(page.has("No stick is plugged in. Copy the file"));
    plug_in(&site);
    site.put(&format!("{ON_STICK}/holiday.jpg"), "");
    let page = anna.open("/admin/updates").await;
    assert!(
        page.has("Rainbow · PHOTOS · 32 GB · serial number A1"),
        "{}",
        page.text
    );
    assert!(page.has("The stick is being read") && looks_again(&page));
    let command = "systemctl --no-block start perch-update-stick@look.service";
    let times = || {
        let commands = site.told.commands.lock().unwrap();
        commands.iter().filter(|one| *one == command).count()
    };
    assert_eq!(times(), 1);
    assert!(looks_again(&anna.open("/admin/updates").await) && times() == 1);
    looked_at(&site);
    let page = anna.open("/admin/updates").await;
    assert!(page.has("There is no file whose name ends in .raucb"));
    assert!(!looks_again(&page) && times() == 1);
    anna.language = "zh";
    assert!(anna.open("/admin/updates").await.has("根目录中没有"));
    // Nobody has looked.
    site.remove("/run/perch-agent/update-sticks.json");
    *site.told.clock.lock().unwrap() = Some(NOW + 300);
    anna.language = "en";
    let page = anna.open("/admin/updates").await;
    assert!(page.has("could not read the stick") && !looks_again(&page));
}

#[tokio::test]
async fn a_version_on_a_stick_is_copied_and_installed_like_one_that_is_sent() {
    let site = site().await;
    site.put("/var/lib/perch-backup/in/.keep", "");
    site.told.answer("rauc info", r#"{"version":"2.0.0"}"#);
    plug_in(&site);
    site.put(&format!("{ON_STICK}/perch-2.0.0.raucb"), "bundle");
    site.put(&format!("{ON_STICK}/perch-1.9.0.raucb"), "older");
    looked_at(&site);
    let mut anna = site.anna().await;
    let page = anna.open("/admin/updates").await;
    let row = "perch-2.0.0.raucb · 0.1 kB · version 2.0.0";
    assert!(page.has(row), "{}", page.text);
    assert!(page.has("Copy, install and restart"));
    for (stick, name) in [
        ("A1/12-34", "../perch-2.0.0.raucb"),
        ("A1/12-34", "perch-3.0.0.raucb"),
        ("B2/12-34", "perch-2.0.0.raucb"),
    ] {
        let fields = [("stick", stick), ("name", name)];
        let page = anna.send("/admin/updates/stick", &fields).await;
        assert!(page.has("Something has changed"), "{}", page.text);
    }
    let take = "systemctl --no-block start perch-update-stick@take.service".to_owned();
    assert!(!site.told.commands.lock().unwrap().contains(&take));
    let fields = [("stick", "A1/12-34"), ("name", "perch-2.0.0.raucb")];
    let page = anna.send("/admin/updates/stick", &fields).await;
    assert_eq!(page.location, "/admin/updates", "{}", page.text);
    assert!(site.told.commands.lock().unwrap().contains(&take));
    let page = anna.open("/admin/updates").await;
    assert!(page.has("is being copied from the stick") && looks_again(&page));
    site.with_machine(|machine| job::work(machine, Job::Stick))
        .unwrap();
    assert_eq!(site.file(UPLOADED), "bundle");
    assert!(started(&site, "upload"));
    assert!(anna.open("/admin/updates").await.has("begins in a moment"));
    let log = site.file("/var/lib/perch/audit.jsonl");
    assert!(log.contains("update.install-from-stick") && log.contains("perch-2.0.0.raucb"));
}

#[tokio::test]
async fn a_stick_that_is_pulled_out_leaves_nothing_behind_and_is_named() {
    let site = site().await;
    site.put("/var/lib/perch-backup/in/.keep", "");
    plug_in(&site);
    site.put(&format!("{ON_STICK}/perch-2.0.0.raucb"), "bundle");
    looked_at(&site);
    let mut anna = site.anna().await;
    let page = anna.open("/admin/updates").await;
    assert!(page.has("does not accept this file"), "{}", page.text);
    let fields = [("stick", "A1/12-34"), ("name", "perch-2.0.0.raucb")];
    anna.send("/admin/updates/stick", &fields).await;
    site.remove("/run/udev/data/b8:1");
    site.with_machine(|machine| job::work(machine, Job::Stick))
        .unwrap();
    let page = anna.open("/admin/updates").await;
    assert!(page.has("the stick is not plugged in any more"));
    assert!(!looks_again(&page) && site.file(UPLOADED).is_empty());
    assert!(!started(&site, "upload"));
}
