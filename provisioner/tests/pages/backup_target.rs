//! The target for backups on another computer, on the page. What is sent there is in `tests/scenarios/offsite.rs`.

use provisioner::backup::job::{self, Job, Source};

use super::site::Site;

const KEY: &str = r#"{"identity":"AGE-SECRET-KEY-1","recipient":"age1","made":1}"#;
const TARGET: &str = "sftp://perch@nas/backups";
const HOST_KEY: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";
const FINGERPRINT: &str = "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU";

fn asked_for(site: &Site) -> Job {
    serde_json::from_str(&site.file("/run/perch-agent/backup-job.json")).unwrap()
}

/// The job that waits is over.
fn finish(site: &Site) {
    let waiting = "root/run/perch-agent/backup-job.json";
    std::fs::remove_file(site.folder.path().join(waiting)).unwrap();
}

/// What the job has found.
fn known(site: &Site, offered: bool, lying: &str) {
    let offered = if offered {
        format!(r#"{{"host":"nas","kind":"ssh-ed25519","key":"{HOST_KEY}"}}"#)
    } else {
        "null".to_owned()
    };
    let text = format!(
        r#"{{"target":"{TARGET}","looked":1796126400,"offered":{offered},"lying":[{lying}]}}"#
    );
    site.put("/var/lib/perch/backup/target.json", &text);
}

#[tokio::test]
async fn a_server_gets_backups_when_its_key_was_compared_and_accepted() {
    let site = Site::claimed().await;
    site.put("/var/lib/perch/backup/key.json", KEY);
    let mut anna = site.anna().await;
    let page = anna.open("/admin/backups").await;
    assert!(
        page.has("Set one up") && !page.has("Try the connection"),
        "{}",
        page.text
    );
    let page = anna
        .send("/admin/backups/target", &[("backup.target", "nas")])
        .await;
    assert!(
        page.has("sftp://user@host/folder"),
        "what is accepted: {}",
        page.text
    );
    let page = anna
        .send("/admin/backups/target", &[("backup.target", TARGET)])
        .await;
    assert_eq!(page.location, "/admin/backups?done=saved", "{}", page.text);
    assert_eq!(asked_for(&site), Job::Look);
    let started = "systemctl --no-block start perch-offsite@work.service".to_owned();
    assert!(site.told.commands.lock().unwrap().contains(&started));
    assert!(
        anna.open("/admin/backups")
            .await
            .has("The target is being tried")
    );
    finish(&site);
    site.put(
        "/var/lib/perch/backup/sftp_key.pub",
        "ssh-ed25519 AAAA perch-backup\n",
    );
    known(&site, true, "");
    let outcome = r#"{"look":{"at":1796126400,"error":"x","target":"host-key-unknown"}}"#;
    site.put("/var/lib/perch/backup/outcomes.json", outcome);
    let page = anna.open("/admin/backups").await;
    for text in [
        FINGERPRINT,
        "ssh-ed25519 AAAA perch-backup",
        "have not accepted the server’s key",
    ] {
        assert!(page.has(text), "{text}: {}", page.text);
    }
    let other = [("fingerprint", "SHA256:x")];
    let page = anna.send("/admin/backups/target/accept", &other).await;
    assert!(page.has("no such host key waits"), "{}", page.text);
    assert!(site.file("/var/lib/perch/backup/known_hosts").is_empty());
    let same = [("fingerprint", FINGERPRINT)];
    let page = anna.send("/admin/backups/target/accept", &same).await;
    assert_eq!(page.location, "/admin/backups?done=saved", "{}", page.text);
    let accepted = site.file("/var/lib/perch/backup/known_hosts");
    assert_eq!(accepted, format!("nas ssh-ed25519 {HOST_KEY}\n"));
    assert!(
        site.file("/var/lib/perch/audit.jsonl")
            .contains("backup.accept-host-key")
    );
    finish(&site);
    anna.send("/admin/backups/target/forget-key", &[]).await;
    assert!(site.file("/var/lib/perch/backup/known_hosts").is_empty());
    let page = anna.send("/admin/backups/target/forget", &[]).await;
    assert_eq!(page.location, "/admin/backups?done=saved", "{}", page.text);
    assert!(anna.open("/admin/backups").await.has("Set one up"));
}

#[tokio::test]
async fn a_backup_is_made_and_sent_and_one_of_the_target_restored() {
    let site = Site::claimed().await;
    site.put("/var/lib/perch/backup/key.json", KEY);
    let mut anna = site.anna().await;
    anna.open("/admin/backups").await;
    anna.send("/admin/backups/target", &[("backup.target", TARGET)])
        .await;
    finish(&site);
    anna.send("/admin/backups/target/send", &[]).await;
    assert_eq!(asked_for(&site), Job::MakeAndSend);
    finish(&site);
    let name = "perch-perch-20261201-020000.age";
    known(
        &site,
        false,
        &format!(r#"{{"name":"{name}","bytes":5242880}}"#),
    );
    let page = anna.open("/admin/backups/restore").await;
    assert!(page.has(&format!("target:{name}")), "{}", page.text);
    let words = "abandon ".repeat(11) + "about";
    let from = format!("target:{name}");
    let fields = [("words", words.as_str()), ("from", from.as_str())];
    let page = anna.send_file("/admin/backups/restore", &fields, "").await;
    assert_eq!(page.location, "/admin/backups/restore", "{}", page.text);
    let Job::Restore { from, .. } = asked_for(&site) else {
        panic!("another job");
    };
    assert_eq!(
        from,
        Source::Target {
            name: name.to_owned()
        }
    );
}

#[tokio::test]
async fn the_newest_backup_of_the_target_is_fetched_and_tried_after_the_one_here() {
    let site = Site::claimed().await;
    site.put("/var/lib/perch/backup/key.json", KEY);
    let mut anna = site.anna().await;
    anna.open("/admin/backups").await;
    let drill = || site.with_machine(|machine| job::run_and_go_on(machine, Job::Drill));
    let waits = || site.file("/run/perch-agent/backup-job.json");
    assert!(drill().unwrap() && waits().is_empty(), "no target");
    anna.send("/admin/backups/target", &[("backup.target", TARGET)])
        .await;
    finish(&site);
    known(&site, false, "");
    assert!(drill().unwrap() && waits().is_empty(), "nothing lies there");
    let of = |name: &str| format!(r#"{{"name":"{name}","bytes":1}}"#);
    let name = "perch-perch-20261201-020000.age";
    let lying = [
        of("perch-office-20261202-020000.age"),
        of(name),
        of("perch-perch-20261130-020000.age"),
    ];
    known(&site, false, &lying.join(","));
    assert!(drill().unwrap());
    let name = name.to_owned();
    assert_eq!(asked_for(&site), Job::FetchForDrill { name }, "this box's");
    let page = anna.open("/admin/backups").await;
    assert!(
        page.has("on the other computer is fetched"),
        "{}",
        page.text
    );
    finish(&site);

    // What was fetched is no backup, and does not stay.
    site.put("/var/lib/perch/restore/fetched.age", "rubbish");
    let name = "perch-perch-20261201-020000.age".to_owned();
    let fetched = site.with_machine(|machine| job::run(machine, &Job::DrillFetched { name }));
    assert!(!fetched.unwrap());
    assert!(site.file("/var/lib/perch/restore/fetched.age").is_empty());
    let outcomes = site.file("/var/lib/perch/backup/outcomes.json");
    assert!(outcomes.contains("target-drill"), "{outcomes}");
}

#[tokio::test]
async fn what_became_of_a_backup_is_said_in_the_readers_language() {
    let site = Site::claimed().await;
    site.put("/var/lib/perch/backup/key.json", KEY);
    site.put(
        "/var/lib/perch/backup/stick.json",
        r#"{"serial":"A1","model":"Intenso"}"#,
    );
    let outcomes = r#"{"stick":{"at":1796126400,"error":"the accepted stick is not plugged in"},
        "drill":{"at":1796126400,"error":"5 MiB are free and 9 are needed to unpack the backup"}}"#;
    site.put("/var/lib/perch/backup/outcomes.json", outcomes);
    let mut anna = site.anna().await;
    let page = anna.open("/admin/backups").await;
    assert!(page.has("the accepted stick is not plugged in"));
    anna.language = "zh";
    let page = anna.open("/admin/backups").await;
    for text in ["确认过的 U 盘没有插入", "解开备份需要 9 MiB"] {
        assert!(page.has(text), "{text}: {}", page.text);
    }
    assert!(!page.has("plugged in") && !page.has("are needed"));
}

#[tokio::test]
async fn the_wizard_of_a_new_box_looks_at_the_target_of_its_card() {
    let site = Site::start().await;
    let state = site.file("/var/lib/perch/box.json");
    let mut state: serde_json::Value = serde_json::from_str(&state).unwrap_or_default();
    state["settings"]["backup"] = serde_json::json!({ "url": TARGET });
    site.put("/var/lib/perch/box.json", &state.to_string());
    let mut anna = site.browser("192.168.1.23");
    anna.open("/setup").await;
    anna.send("/setup", &[("language", "en")]).await;
    assert!(
        anna.open("/setup/restore")
            .await
            .has("The target is being tried")
    );
    assert_eq!(asked_for(&site), Job::Look);
    finish(&site);
    let outcome = r#"{"look":{"at":1796126400,"error":"x","target":"no-answer"}}"#;
    site.put("/var/lib/perch/backup/outcomes.json", outcome);
    let page = anna.open("/setup/restore").await;
    assert!(page.has("The server does not answer"), "{}", page.text);
    known(
        &site,
        false,
        r#"{"name":"perch-perch-20261201-020000.age","bytes":1}"#,
    );
    assert!(
        anna.open("/setup/restore")
            .await
            .has("target:perch-perch-20261201")
    );
}

#[tokio::test]
async fn a_secret_key_is_neither_shown_nor_logged_and_stays_if_its_field_is_empty() {
    let site = Site::claimed().await;
    site.put("/var/lib/perch/backup/key.json", KEY);
    let mut anna = site.anna().await;
    anna.open("/admin/backups").await;
    let mut fields = [
        ("backup.target", "s3://perch/box"),
        ("backup.endpoint", "https://s3.example.org"),
        ("backup.access_key", "AKIA1"),
        ("backup.secret_key", "very/secret"),
    ];
    let page = anna.send("/admin/backups/target", &fields).await;
    assert_eq!(page.location, "/admin/backups?done=saved", "{}", page.text);
    finish(&site);
    fields[0].1 = "s3://perch/other";
    fields[3].1 = "";
    let page = anna.send("/admin/backups/target", &fields).await;
    assert_eq!(page.location, "/admin/backups?done=saved", "{}", page.text);
    finish(&site);
    assert!(
        site.file("/var/lib/perch/secrets.json")
            .contains("very/secret")
    );
    let page = anna.open("/admin/backups").await;
    assert!(
        page.has("s3://perch/other") && !page.has("very/secret"),
        "{}",
        page.text
    );
    for file in ["audit.jsonl", "box.json"] {
        assert!(
            !site
                .file(&format!("/var/lib/perch/{file}"))
                .contains("very/secret"),
            "{file}"
        );
    }
    fields[2].1 = "AKIA2";
    let page = anna.send("/admin/backups/target", &fields).await;
    assert!(
        page.has("backup.secret_key is missing") && page.has("the box has none for this one"),
        "{}",
        page.text
    );
}
