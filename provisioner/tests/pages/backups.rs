//! Backups, restores and the factory reset on the pages. What the jobs do is in `tests/backup.rs`.

use provisioner::backup::job::{Job, Source};

use super::site::Site;

const WORDS: &str =
    "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";

fn words_of(page: &str) -> Vec<String> {
    let list = page.split("<ol class=\"words panel\">").nth(1).unwrap();
    let list = list.split("</ol>").next().unwrap();
    let items = list.split("<li>").skip(1);
    items
        .map(|item| item.split('<').next().unwrap().to_owned())
        .collect()
}

fn asked_for(site: &Site) -> Job {
    serde_json::from_str(&site.file("/run/perch-agent/backup-job.json")).unwrap()
}

#[tokio::test]
async fn a_recovery_key_is_shown_once_and_used_when_its_words_are_typed() {
    let site = Site::claimed().await;
    let mut anna = site.anna().await;
    let page = anna.open("/admin/backups").await;
    assert!(page.has("First of all: a recovery key"), "{}", page.text);
    assert!(!page.has("Make a backup now"));
    let page = anna.send("/admin/backups/key", &[]).await;
    let words = words_of(&page.text);
    assert_eq!(words.len(), 12, "{}", page.text);
    assert!(page.has("<svg") && page.has("Word 7"));
    let wrong = [("word", "wrong"), ("word", "wrong"), ("word", "wrong")];
    let page = anna.send("/admin/backups/confirm", &wrong).await;
    assert!(
        page.has("not the words that are asked for"),
        "{}",
        page.text
    );
    assert_eq!(words_of(&page.text), words, "they wait");
    assert!(site.file("/var/lib/perch/backup/key.json").is_empty());
    let typed = [2, 7, 11].map(|number: usize| ("word", words[number - 1].as_str()));
    let page = anna.send("/admin/backups/confirm", &typed).await;
    assert_eq!(page.location, "/admin/backups?done=key");
    let page = anna.open("/admin/backups").await;
    assert!(page.has("Make a backup now"), "{}", page.text);
    let log = site.file("/var/lib/perch/audit.jsonl");
    // Some of them, such as "action" and "other", are in any log.
    let said = |text: &str| {
        words
            .iter()
            .filter(|word| text.contains(word.as_str()))
            .count()
    };
    assert!(!page.has("words panel"), "{}", page.text);
    assert!(said(&log) < 6, "{words:?}: {log}");
    let page = anna.send("/admin/backups/key", &[]).await;
    assert_ne!(
        words_of(&page.text),
        words,
        "another key, never the same again"
    );
}

#[tokio::test]
async fn two_words_of_the_key_are_asked_for_after_a_week_until_they_are_right() {
    const WEEK: i64 = 7 * 86_400;
    let site = Site::claimed().await;
    let now = time::OffsetDateTime::now_utc().unix_timestamp();
    let at = |time: i64| *site.told.clock.lock().unwrap() = Some(time);
    at(now);
    let mut anna = site.anna().await;
    anna.open("/admin/backups").await;
    let words = words_of(&anna.send("/admin/backups/key", &[]).await.text);
    let typed = [2, 7, 11].map(|number: usize| ("word", words[number - 1].as_str()));
    anna.send("/admin/backups/confirm", &typed).await;
    at(now + WEEK - 60);
    assert!(!anna.open("/admin").await.has("your recovery key?"));
    assert!(!anna.open("/admin/backups").await.has("check-key"));

    at(now + WEEK + 60);
    let page = anna.open("/admin").await;
    assert!(
        page.has("Can you still find your recovery key?"),
        "{}",
        page.text
    );
    let page = anna.open("/admin/backups").await;
    let form = page.text.split("check-key\"").nth(1).unwrap();
    let form = form.split("</form>").next().unwrap();
    let asked: Vec<usize> = (form.split("<span>Word ").skip(1))
        .map(|rest| rest.split('<').next().unwrap().parse().unwrap())
        .collect();
    assert_eq!(asked.len(), 2, "{form}");
    let page = anna
        .send(
            "/admin/backups/check-key",
            &[("word", "wrong"), ("word", "words")],
        )
        .await;
    assert!(
        page.has("not those two words") && page.has("make another key") && page.has("check-key"),
        "{}",
        page.text
    );
    anna.language = "zh";
    assert!(anna.open("/admin").await.has("还找得到恢复密钥吗"));
    anna.language = "en";
    anna.open("/admin/backups").await;
    let typed = [0, 1].map(|at| ("word", words[asked[at] - 1].as_str()));
    let page = anna.send("/admin/backups/check-key", &typed).await;
    assert_eq!(
        page.location, "/admin/backups?done=key-checked",
        "{}",
        page.text
    );
    let page = anna.follow("/admin/backups?done=key-checked").await;
    assert!(page.has("the words of your recovery key") && !page.has("check-key"));
    assert!(!anna.open("/admin").await.has("your recovery key?"));
    let log = site.file("/var/lib/perch/audit.jsonl");
    assert_eq!(log.matches("backup.check-key").count(), 2, "{log}");
}

#[tokio::test]
async fn a_backup_is_made_in_a_unit_of_its_own_while_the_page_waits() {
    let site = Site::claimed().await;
    let mut anna = site.anna().await;
    anna.open("/admin/backups").await;
    let page = anna.send("/admin/backups/make", &[]).await;
    assert_eq!(page.location, "/admin/backups");
    let started = "systemctl --no-block start perch-backup@work.service".to_owned();
    assert!(site.told.commands.lock().unwrap().contains(&started));
    assert_eq!(asked_for(&site), Job::Make);
    let page = anna.open("/admin/backups").await;
    assert!(page.has("A backup is being made"), "{}", page.text);
    assert_eq!(page.headers["refresh"], "4");
    let page = anna.send("/admin/backups/drill", &[]).await;
    assert!(
        page.has("cannot be done now"),
        "one at a time: {}",
        page.text
    );
}

#[tokio::test]
async fn a_backup_is_downloaded_by_administrators_alone() {
    let site = Site::claimed().await;
    site.put(
        "/var/lib/perch-backup/perch-perch-20261201-020000.age",
        "sealed",
    );
    site.put("/var/lib/perch-backup/in/uploaded.age", "another's");
    let path = "/admin/backups/file/perch-perch-20261201-020000.age";
    let mut anna = site.anna().await;
    let page = anna.open(path).await;
    assert_eq!((page.status, page.text.as_str()), (200, "sealed"));
    let disposition = page.headers["content-disposition"].to_str().unwrap();
    assert!(
        disposition.starts_with("attachment; filename="),
        "{disposition}"
    );
    for path in [
        "/admin/backups/file/in%2Fuploaded.age",
        "/admin/backups/file/..%2F..%2Fetc%2Fx.age",
    ] {
        assert_eq!(anna.open(path).await.status, 404, "{path}");
    }
    let mut stranger = site.browser("192.168.1.50");
    assert!(stranger.open(path).await.location.starts_with("/sign-in"));
}

#[tokio::test]
async fn a_stick_is_used_when_it_was_accepted() {
    let site = Site::claimed().await;
    let key = r#"{"identity":"AGE-SECRET-KEY-1","recipient":"age1","made":1}"#;
    site.put("/var/lib/perch/backup/key.json", key);
    site.put("/sys/class/block/sda1/dev", "8:1");
    let known = "E:ID_BUS=usb\nE:ID_MODEL=Rainbow\nE:ID_SERIAL_SHORT=A1\nE:ID_FS_LABEL=PERCH-BACKUP\nE:ID_FS_TYPE=vfat\n";
    site.put("/run/udev/data/b8:1", known);
    let mut anna = site.anna().await;
    let page = anna.open("/admin/backups").await;
    assert!(page.has("Plugged in: Rainbow (A1)"), "{}", page.text);
    let page = anna
        .send("/admin/backups/accept", &[("serial", "B2")])
        .await;
    assert!(page.has("no such stick"), "{}", page.text);
    let page = anna
        .send("/admin/backups/accept", &[("serial", "A1")])
        .await;
    assert_eq!(page.location, "/admin/backups?done=saved");
    let page = anna.open("/admin/backups").await;
    assert!(page.has("Back up to it now") && !page.has("Plugged in:"));
    anna.send("/admin/backups/forget", &[]).await;
    assert!(site.file("/var/lib/perch/backup/stick.json").is_empty());
}

#[tokio::test]
async fn a_new_box_takes_a_backup_in_the_wizard() {
    let site = Site::start().await;
    site.put("/var/lib/perch-backup/in/.keep", "");
    let mut anna = site.browser("192.168.1.23");
    anna.open("/setup").await;
    assert_eq!(
        anna.open("/setup/restore").await.location,
        "/setup",
        "claim it first"
    );
    anna.open("/setup").await;
    anna.send("/setup", &[("language", "en")]).await;
    assert!(
        anna.open("/setup/administrator")
            .await
            .has("/setup/restore")
    );
    anna.open("/setup/restore").await;
    for (words, said) in [
        ("abandon", "has 12 words; these are 1"),
        (&*WORDS.replace("about", "abaut"), "Word 12, “abaut”"),
        (&*WORDS.replace("about", "zoo"), "do not belong together"),
    ] {
        let fields = [("words", words)];
        let page = anna.send_file("/setup/restore", &fields, "sealed").await;
        assert!(page.has(said), "{}", page.text);
        assert!(
            site.file("/var/lib/perch-backup/in/uploaded.age")
                .is_empty()
        );
    }
    let fields = [("words", WORDS)];
    let page = anna.send_file("/setup/restore", &fields, "sealed").await;
    assert_eq!(page.location, "/setup/restore", "{}", page.text);
    assert_eq!(site.file("/var/lib/perch-backup/in/uploaded.age"), "sealed");
    let Job::Restore { from, words, .. } = asked_for(&site) else {
        panic!("another job")
    };
    assert_eq!((from, words.as_str()), (Source::Uploaded, WORDS));
    assert!(
        anna.open("/setup/restore")
            .await
            .has("Nothing has changed yet")
    );
    // The job is over, and refuses the backup.
    site.remove("/run/perch-agent/backup-job.json");
    let outcome = r#"{"restore":{"at":1796126400,"error":"no","fault":"wrong-key"}}"#;
    site.put("/var/lib/perch/backup/outcomes.json", outcome);
    assert!(
        anna.open("/setup/restore")
            .await
            .has("belongs to another backup")
    );
    // Or takes it.
    site.put("/var/lib/perch/restore/ready", "{}");
    assert!(anna.open("/setup/restore").await.has("data-comes-back"));
}

#[tokio::test]
async fn an_older_backup_of_the_stick_is_chosen_from_a_list() {
    let site = Site::claimed().await;
    site.put("/var/lib/perch-backup/in/.keep", "");
    let mut anna = site.anna().await;
    let page = anna.open("/admin/backups/restore").await;
    assert!(!page.has("all backups on the stick"), "there is none");
    site.put("/sys/class/block/sda1/dev", "8:1");
    let known =
        "E:ID_BUS=usb\nE:ID_SERIAL_SHORT=A1\nE:ID_FS_LABEL=PERCH-BACKUP\nE:ID_FS_TYPE=vfat\n";
    site.put("/run/udev/data/b8:1", known);
    let page = anna.open("/admin/backups/restore").await;
    assert!(
        page.has("Choose among all backups on the stick"),
        "{}",
        page.text
    );
    let page = anna.send("/admin/backups/restore/stick", &[]).await;
    assert_eq!(page.location, "/admin/backups/restore");
    assert_eq!(asked_for(&site), Job::LookAtStick);
    assert!(
        anna.open("/admin/backups/restore")
            .await
            .has("The stick is being read")
    );
    // The job is over.
    site.remove("/run/perch-agent/backup-job.json");
    let seen = r#"{"serial":"A1","backups":[{"name":"perch-perch-2.age","bytes":5},{"name":"perch-perch-1.age","bytes":4}]}"#;
    site.put("/run/perch-agent/stick-backups.json", seen);
    let page = anna.open("/admin/backups/restore").await;
    assert!(
        page.has("value=\"stick/perch-perch-1.age\""),
        "{}",
        page.text
    );
    let fields = [("words", WORDS), ("from", "stick/perch-perch-1.age")];
    let page = anna.send_file("/admin/backups/restore", &fields, "").await;
    assert_eq!(page.status, 303, "{}", page.text);
    let Job::Restore { from, .. } = asked_for(&site) else {
        panic!("another job")
    };
    let name = "perch-perch-1.age".to_owned();
    assert_eq!(from, Source::OnStick { name });
    // Another stick has other backups.
    site.remove("/run/perch-agent/backup-job.json");
    site.put("/run/udev/data/b8:1", &known.replace("A1", "B2"));
    assert!(
        !anna
            .open("/admin/backups/restore")
            .await
            .has("perch-perch-1.age")
    );
}

#[tokio::test]
async fn a_file_that_has_no_room_is_refused_before_it_is_sent() {
    let site = Site::claimed().await;
    site.put("/var/lib/perch-backup/in/.keep", "");
    let mut anna = site.anna().await;
    anna.open("/admin/backups/restore").await;
    let much = [("content-length", "4000000000000000")];
    let fields = [("words", WORDS)];
    let page = anna
        .send_file_with("/admin/backups/restore", &fields, "sealed", &much)
        .await;
    assert!(
        page.has("There is no room for this file") && page.has("are free"),
        "{}",
        page.text
    );
    assert!(
        site.file("/var/lib/perch-backup/in/uploaded.age")
            .is_empty()
    );
}

#[tokio::test]
async fn a_file_without_a_token_of_ours_is_not_even_read() {
    let site = Site::claimed().await;
    site.put("/var/lib/perch-backup/in/.keep", "");
    let mut anna = site.anna().await;
    let fields = [("token", "forged"), ("words", WORDS)];
    // Before a page with a form was opened there is no token.
    let mut other = site.browser("192.168.1.23");
    other.cookies.clone_from(&anna.cookies);
    let page = other
        .send_file("/admin/backups/restore", &fields, "x")
        .await;
    assert_eq!(page.status, 403, "{}", page.text);
    assert!(
        site.file("/var/lib/perch-backup/in/uploaded.age")
            .is_empty()
    );
    anna.open("/admin/backups/restore").await;
    let page = anna
        .send_file("/admin/backups/restore", &[("words", WORDS)], "x")
        .await;
    assert_eq!(page.status, 303, "{}", page.text);
}

#[tokio::test]
async fn a_factory_reset_wants_the_name_of_the_box() {
    let site = Site::claimed().await;
    let mut anna = site.anna().await;
    assert!(anna.open("/admin/power").await.has("/admin/reset"));
    anna.open("/admin/reset").await;
    let page = anna.send("/admin/reset", &[("name", "yes")]).await;
    assert!(page.has("Nothing was deleted"), "{}", page.text);
    assert!(site.file("/var/lib/perch/reset").is_empty());
    let page = anna
        .send("/admin/reset", &[("name", "Perch"), ("keep", "yes")])
        .await;
    assert!(page.has("The box is reset"), "{}", page.text);
    assert_eq!(site.file("/var/lib/perch/reset"), "keep-backups");
    let commands = site.told.commands.lock().unwrap().clone();
    assert!(
        commands.iter().any(|command| command.ends_with("reboot")),
        "{commands:?}"
    );
}
