//! Updates on the page; those from a stick are in `updates_stick.rs`. What an update does is in `src/update/machine_tests.rs` and in `tests/scenarios/update.rs`.

use std::fs::File;

use super::browser::Page;
use super::site::Site;

pub const UPLOADED: &str = "/var/lib/perch-backup/in/uploaded.raucb";
const STATE: &str = "/var/lib/perch/update/state.json";
pub const NOW: i64 = 1_796_126_400;
const RELEASE: &str =
    r#""release":{"version":"2.0.0","source":"https://updates.example/b","bytes":100000000}"#;

/// A box with version 1.0.0 in slot A and a publisher.
pub async fn site() -> Site {
    let site = Site::claimed().await;
    *site.told.clock.lock().unwrap() = Some(NOW);
    site.put("/proc/cmdline", "quiet rauc.slot=A\n");
    site.put("/usr/lib/os-release", "VERSION_ID=1.0.0\n");
    site.put(
        "/etc/perch/update.toml",
        "url = \"https://updates.example\"\n",
    );
    // All else is well.
    site.put("/run/systemd/timesync/synchronized", "");
    let key = r#"{"identity":"AGE-SECRET-KEY-1","recipient":"age1","made":1}"#;
    site.put("/var/lib/perch/backup/key.json", key);
    let made = format!(r#"{{"make":{{"at":{}}}}}"#, i64::MAX);
    site.put("/var/lib/perch/backup/outcomes.json", &made);
    site
}

/// What RAUC knows of the other slot.
fn other_slot(site: &Site, version: &str, boot_status: &str) {
    let said = format!(
        r#"{{"slots":[{{"system.0":{{"bootname":"A","boot_status":"good"}}}},
        {{"system.1":{{"bootname":"B","boot_status":"{boot_status}","slot_status":{{"bundle":{{"version":"{version}"}}}}}}}}]}}"#
    );
    site.told.answer("rauc status", &said);
}

fn put_state(site: &Site, state: &str) {
    site.put(STATE, &format!(r#"{{"update":{{{state}}}}}"#));
}

pub fn started(site: &Site, instance: &str) -> bool {
    let command = format!("systemctl --no-block start perch-update@{instance}.service");
    site.told.commands.lock().unwrap().contains(&command)
}

/// Somebody is at work, as long as it is held.
fn at_work(site: &Site) -> File {
    let place = site.folder.path().join("root/var/lib/perch/update/lock");
    std::fs::create_dir_all(place.parent().unwrap()).unwrap();
    let file = File::create(place).unwrap();
    file.lock().unwrap();
    file
}

pub fn looks_again(page: &Page) -> bool {
    page.headers.contains_key("refresh")
}

#[tokio::test]
async fn a_box_without_a_publisher_says_how_to_set_one() {
    let site = Site::claimed().await;
    let mut anna = site.anna().await;
    let page = anna.open("/admin/updates").await;
    assert!(page.has("No publisher is set"), "{}", page.text);
    assert!(page.has("/admin/settings#settings-group-updates"));
    let settings = anna.open("/admin/settings").await;
    assert!(settings.has("id=\"settings-group-updates\"") && settings.has("name=\"updates.url\""));
    assert!(!page.has("Look now") && !page.has("Go back to"));
    let page = anna.send("/admin/updates/check", &[]).await;
    assert!(page.has("cannot be done now"), "{}", page.text);
    site.put("/etc/perch/update.toml", "urll = \"x\"\n");
    let page = anna.open("/admin/updates").await;
    assert!(
        page.has("cannot be used") && page.has("urll"),
        "{}",
        page.text
    );
}

#[tokio::test]
async fn the_publisher_is_asked_by_a_unit_while_the_page_waits() {
    let site = site().await;
    let mut anna = site.anna().await;
    let page = anna.open("/admin/updates").await;
    assert!(
        page.has("No newer version is known") && !looks_again(&page),
        "{}",
        page.text
    );
    assert!(page.has("Slot A runs version 1.0.0"), "{}", page.text);
    assert!(page.has("Versions come from https://updates.example (channel stable)"));
    let page = anna.send("/admin/updates/check", &[]).await;
    assert_eq!(page.location, "/admin/updates");
    assert!(started(&site, "check"));
    let page = anna.open("/admin/updates").await;
    assert!(
        page.has("The publisher is being asked") && looks_again(&page),
        "{}",
        page.text
    );
    let page = anna.send("/admin/updates/check", &[]).await;
    assert!(page.has("an update is under way"), "{}", page.text);
    // The unit could not be started.
    *site.told.clock.lock().unwrap() = Some(NOW + 300);
    let page = anna.open("/admin/updates").await;
    assert!(!looks_again(&page), "{}", page.text);
    let log = site.file("/var/lib/perch/audit.jsonl");
    assert!(log.contains("update.check"), "{log}");
}

#[tokio::test]
async fn a_publisher_who_does_not_answer_is_named_with_the_time() {
    let site = site().await;
    let trouble = format!(r#"{{"job":"check","at":{NOW},"reason":"https://u: timeout"}}"#);
    site.put(
        STATE,
        &format!(
            r#"{{"update":{{"state":"idle"}},"checked":{},"trouble":{trouble}}}"#,
            NOW - 86_400
        ),
    );
    let mut anna = site.anna().await;
    let page = anna.open("/admin/updates").await;
    assert!(
        page.has("The publisher was last asked 2026-11-30"),
        "{}",
        page.text
    );
    assert!(
        page.has("2026-12-01 12:00 UTC: the publisher could not be asked"),
        "{}",
        page.text
    );
    assert!(page.has("https://u: timeout"));
}

#[tokio::test]
async fn the_version_on_the_page_is_installed_and_no_other() {
    let site = site().await;
    put_state(&site, &format!(r#""state":"available",{RELEASE}"#));
    let mut anna = site.anna().await;
    assert!(
        anna.open("/admin")
            .await
            .has("a newer version is available")
    );
    let page = anna.open("/admin/updates").await;
    assert!(
        page.has("Install version 2.0.0 and restart"),
        "{}",
        page.text
    );
    let page = anna
        .send("/admin/updates/install", &[("version", "1.9.0")])
        .await;
    assert!(page.has("Something has changed"), "{}", page.text);
    assert!(!started(&site, "install"));
    let page = anna
        .send("/admin/updates/install", &[("version", "2.0.0")])
        .await;
    assert_eq!(page.location, "/admin/updates", "{}", page.text);
    assert!(started(&site, "install"));
    let page = anna.open("/admin/updates").await;
    assert!(
        page.has("It begins in a moment") && looks_again(&page),
        "{}",
        page.text
    );
    let log = site.file("/var/lib/perch/audit.jsonl");
    assert!(
        log.contains("update.install") && log.contains("2.0.0"),
        "{log}"
    );
}

#[tokio::test]
async fn an_old_backup_is_said_with_the_way_round_it() {
    let site = site().await;
    put_state(&site, &format!(r#""state":"available",{RELEASE}"#));
    let mut anna = site.anna().await;
    let page = anna.open("/admin/updates").await;
    assert!(page.has("The newest backup was made") && !page.has("Install all the same"));
    let old = format!(r#"{{"make":{{"at":{}}}}}"#, NOW - 30 * 86_400);
    site.put("/var/lib/perch/backup/outcomes.json", &old);
    let page = anna.open("/admin/updates").await;
    assert!(page.has("2026-11-01 12:00 UTC, more than a week ago"));
    assert!(page.has("Install all the same"), "{}", page.text);
    let fields = [("version", "2.0.0"), ("without-backup", "yes")];
    let page = anna.send("/admin/updates/install", &fields).await;
    assert_eq!(page.location, "/admin/updates", "{}", page.text);
    let asked = site.file("/run/perch-agent/update-asked.json");
    assert!(asked.contains("anna"), "{asked}");
}

#[tokio::test]
async fn a_box_without_any_backup_says_so_and_can_be_updated() {
    let site = site().await;
    put_state(&site, &format!(r#""state":"available",{RELEASE}"#));
    site.put("/var/lib/perch/backup/outcomes.json", "{}");
    let mut anna = site.anna().await;
    let page = anna.open("/admin/updates").await;
    assert!(page.has("No backup of this box has ever been made"));
    assert!(page.has("Install version 2.0.0") && !page.has("Install all the same"));
}

#[tokio::test]
async fn a_download_is_shown_with_its_pace_and_refuses_everything_else() {
    let site = site().await;
    let began = NOW - 60;
    site.put(
        STATE,
        &format!(r#"{{"update":{{"state":"downloading",{RELEASE}}},"began":{began}}}"#),
    );
    site.told
        .answer("busctl", r#"{"type":"(isi)","data":[25,"Copying",2]}"#);
    let work = at_work(&site);
    let mut anna = site.anna().await;
    let page = anna.open("/admin/updates").await;
    assert!(
        page.has("Version 2.0.0 is being downloaded") && looks_again(&page),
        "{}",
        page.text
    );
    for said in [
        "25 % done",
        "416 kB a second",
        "about 3 minutes left",
        "Slot B is being written",
    ] {
        assert!(page.has(said), "{said}: {}", page.text);
    }
    for path in ["check", "install", "back"] {
        let page = anna.send(&format!("/admin/updates/{path}"), &[]).await;
        assert!(page.has("Wait until it is over"), "{path}: {}", page.text);
    }
    // Whoever was at work is gone.
    drop(work);
    let page = anna.open("/admin/updates").await;
    assert!(
        page.has("was interrupted") && !looks_again(&page),
        "{}",
        page.text
    );
}

#[tokio::test]
async fn the_page_stays_while_the_box_restarts_and_watches_the_trial() {
    let site = site().await;
    let trial = format!(r#""state":"trial",{RELEASE},"from":"A","boots":[],"verdict":null"#);
    put_state(&site, &trial);
    let mut anna = site.anna().await;
    let page = anna.open("/admin/updates").await;
    assert!(
        page.has("The box restarts into version 2.0.0"),
        "{}",
        page.text
    );
    assert!(page.has("data-comes-back") && !looks_again(&page));
    site.put("/proc/cmdline", "quiet rauc.slot=B\n");
    site.put("/usr/lib/os-release", "VERSION_ID=2.0.0\n");
    let page = anna.open("/admin/updates").await;
    assert!(
        page.has("Version 2.0.0 runs on trial") && looks_again(&page),
        "{}",
        page.text
    );
    put_state(&site, r#""state":"committed","version":"2.0.0","slot":"B""#);
    let page = anna.open("/admin/updates").await;
    assert!(
        page.has("Version 2.0.0 works, and is kept") && !looks_again(&page),
        "{}",
        page.text
    );
}

#[tokio::test]
async fn an_update_that_failed_says_why_and_has_its_journal() {
    let site = site().await;
    let failed =
        r#""during":"trial","reason":"the chat server stopped <by itself>","boots":["abc"]"#;
    put_state(&site, &format!(r#""state":"failed",{RELEASE},{failed}"#));
    site.put(
        "/var/lib/perch/update/failed-journal.txt",
        "imd: cannot start\n",
    );
    let mut anna = site.anna().await;
    assert!(
        anna.open("/admin")
            .await
            .has("The last update did not work")
    );
    let page = anna.open("/admin/updates").await;
    assert!(
        page.has("Version 2.0.0 was not kept") && page.has("runs on with version 1.0.0"),
        "{}",
        page.text
    );
    assert!(page.has("the chat server stopped &#60;by itself&#62;"));
    assert!(page.has("/admin/updates/journal"));
    let page = anna.open("/admin/updates/journal").await;
    assert_eq!(
        (page.status, page.text.as_str()),
        (200, "imd: cannot start\n")
    );
    let mut stranger = site.browser("192.168.1.50");
    let page = stranger.open("/admin/updates/journal").await;
    assert!(page.location.starts_with("/sign-in"));
}

#[tokio::test]
async fn the_box_goes_back_to_what_the_other_slot_has() {
    let site = site().await;
    other_slot(&site, "0.9.0", "good");
    let mut anna = site.anna().await;
    let page = anna.open("/admin/updates").await;
    assert!(page.has("Slot B has version 0.9.0"), "{}", page.text);
    assert!(page.has("Go back to version 0.9.0") && page.has("people reconnect by themselves"));
    let page = anna.send("/admin/updates/back", &[]).await;
    assert_eq!(page.location, "/admin/updates", "{}", page.text);
    assert!(started(&site, "rollback"));
    anna.language = "zh";
    let page = anna.open("/admin/updates").await;
    assert!(page.has("马上开始"), "{}", page.text);
}

#[tokio::test]
async fn after_going_back_the_newer_version_is_not_called_a_way_back() {
    let site = site().await;
    other_slot(&site, "2.0.0", "good");
    let mut anna = site.anna().await;
    let page = anna.open("/admin/updates").await;
    assert!(
        page.has("Change to version 2.0.0") && !page.has("Go back to"),
        "{}",
        page.text
    );
}

#[tokio::test]
async fn nobody_goes_back_to_a_version_that_was_tried_and_left() {
    let site = site().await;
    other_slot(&site, "0.9.0", "bad");
    let mut anna = site.anna().await;
    let page = anna.open("/admin/updates").await;
    assert!(
        page.has("Slot B has version 0.9.0") && !page.has("Go back to"),
        "{}",
        page.text
    );
    let page = anna.send("/admin/updates/back", &[]).await;
    assert!(page.has("Something has changed"), "{}", page.text);
    assert!(!started(&site, "rollback"));
}

#[tokio::test]
async fn a_version_that_cannot_read_the_database_any_more_is_named_and_not_offered() {
    let site = site().await;
    other_slot(&site, "0.9.0", "good");
    let committed = r#"{"update":{"state":"committed","version":"1.0.0","slot":"A"},"left":"0.9.0","left_schema":2,"schema":3}"#;
    site.put(STATE, committed);
    let mut anna = site.anna().await;
    let page = anna.open("/admin/updates").await;
    assert!(
        page.has("no way back to version 0.9.0") && !page.has("Go back to"),
        "{}",
        page.text
    );
    anna.send("/admin/updates/back", &[]).await;
    assert!(!started(&site, "rollback"));
}

#[tokio::test]
async fn what_a_failed_update_has_left_is_said() {
    let site = site().await;
    let failed = r#""during":"trial","reason":"no login","boots":[]"#;
    put_state(&site, &format!(r#""state":"failed",{RELEASE},{failed}"#));
    let mut anna = site.anna().await;
    let page = anna.open("/admin/updates").await;
    assert!(!page.has("undone yet") && !page.has("update/after"));
    site.put(
        STATE,
        &format!(
            r#"{{"update":{{"state":"failed",{RELEASE},{failed},"undo":"A"}},"left_over":"the disk is full"}}"#
        ),
    );
    site.put("/var/lib/perch/update/after/imd.sqlite", "");
    let page = anna.open("/admin/updates").await;
    assert!(
        page.has("undone yet") && page.has("the disk is full"),
        "{}",
        page.text
    );
    assert!(page.has("/var/lib/perch/update/after"));
    anna.language = "zh";
    let page = anna.open("/admin/updates").await;
    assert!(page.has("尚未全部撤销") && page.has("写入的内容不在聊天中"));
}

#[tokio::test]
async fn damaged_blocks_are_a_warning() {
    let site = site().await;
    let mut anna = site.anna().await;
    for path in ["/admin", "/admin/updates"] {
        assert!(!anna.open(path).await.has("system are damaged"), "{path}");
    }
    let said = "Linux version 6.12\ndevice-mapper: verity: 254:0: data block 7 is corrupted";
    site.told.answer("journalctl -k", said);
    for path in ["/admin", "/admin/updates"] {
        let page = anna.open(path).await;
        assert!(page.has("system are damaged"), "{}", page.text);
    }
}

#[tokio::test]
async fn a_form_that_is_not_ours_starts_nothing() {
    let site = site().await;
    put_state(&site, &format!(r#""state":"available",{RELEASE}"#));
    let mut anna = site.anna().await;
    anna.open("/admin/updates").await;
    let fields = [("version", "2.0.0")];
    let page = anna
        .send_with("/admin/updates/install", "forged", &fields, &[])
        .await;
    assert_eq!(page.status, 403);
    assert!(!started(&site, "install"));
}

#[tokio::test]
async fn a_version_is_sent_as_a_file_unless_an_update_is_under_way() {
    let site = site().await;
    site.put("/var/lib/perch-backup/in/.keep", "");
    let mut anna = site.anna().await;
    anna.open("/admin/updates").await;
    let work = at_work(&site);
    let page = anna.send_file("/admin/updates/file", &[], "bundle").await;
    assert!(page.has("Wait until it is over"), "{}", page.text);
    assert!(site.file(UPLOADED).is_empty());
    drop(work);
    let page = anna.send_file("/admin/updates/file", &[], "bundle").await;
    assert_eq!(page.location, "/admin/updates", "{}", page.text);
    assert_eq!(site.file(UPLOADED), "bundle");
    assert!(started(&site, "upload"));
    let log = site.file("/var/lib/perch/audit.jsonl");
    assert!(log.contains("update.install-file"), "{log}");
    // Without a token of ours it is not even read.
    let mut other = site.browser("192.168.1.23");
    other.cookies.clone_from(&anna.cookies);
    let page = other.send_file("/admin/updates/file", &[], "x").await;
    assert_eq!(page.status, 403, "{}", page.text);
    assert_eq!(site.file(UPLOADED), "bundle");
}
