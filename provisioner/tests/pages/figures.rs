//! The overview and the page for help.

use super::site::Site;

#[tokio::test]
async fn the_overview_has_one_sentence_and_the_figures_that_the_machine_gives() {
    let site = Site::claimed().await;
    site.put("/sys/class/thermal/thermal_zone0/temp", "61341\n");
    site.put(
        "/proc/meminfo",
        "MemTotal: 3884000 kB\nMemAvailable: 3000000 kB\n",
    );
    site.put("/run/systemd/timesync/synchronized", "");
    let mut anna = site.anna().await;
    let page = anna.open("/admin").await;
    for has in [
        "61.3 °C",
        "People online",
        "of 12",
        "3.0 GB",
        "has no backup of the last month",
    ] {
        assert!(page.has(has), "{has} is not in {}", page.text);
    }
    assert!(page.has("class=\"verdict soon\""), "{}", page.text);
    site.put("/sys/fs/ext4/mmcblk0p6/errors_count", "2\n");
    let page = anna.open("/admin").await;
    assert!(page.has("The card or disk reports errors"), "{}", page.text);
    assert!(page.has("class=\"verdict unwell\""), "{}", page.text);
}

#[tokio::test]
async fn the_overview_has_what_the_disk_says_of_itself() {
    let site = Site::claimed().await;
    let mut anna = site.anna().await;
    let seen = |state: &str, more: &str| {
        let text = format!(r#"{{"state":"{state}","model":"Example","temperature":38{more}}}"#);
        site.put("/run/perch-disk/health.json", &text);
    };
    assert!(
        !anna.open("/admin").await.has("Health of the disk"),
        "an SD card"
    );
    seen("good", r#","worn":9,"reallocated":1,"unreadable":0"#);
    let page = anna.open("/admin").await;
    assert!(
        page.has("Health of the disk") && page.has("good"),
        "{}",
        page.text
    );
    assert!(
        page.has("9 % of its life are over · one sector was replaced · 38 °C"),
        "{}",
        page.text
    );
    seen(
        "failing",
        r#","reasons":["8 sectors cannot be read"],"unreadable":8"#,
    );
    let page = anna.open("/admin").await;
    assert!(
        page.has("The disk says that it is failing"),
        "{}",
        page.text
    );
    assert!(page.has("failing: replace it, backup now") && page.has("8 sectors cannot be read"));
    seen("not-told", "");
    anna.language = "zh";
    let page = anna.open("/admin").await;
    assert!(page.has("转接器不提供"), "{}", page.text);
}

#[tokio::test]
async fn help_says_what_does_not_work_and_what_to_do() {
    let site = Site::claimed().await;
    let mut anna = site.anna().await;
    let page = anna.open("/admin/support").await;
    assert!(page.has("does not listen on all ports"), "{}", page.text);
    assert!(page.has("There was none since the box was started"));
    let listens = "  sl  local_address rem_address st\n 0: 00000000:1466 00000000:0000 0A\n 1: 00000000:1467 00000000:0000 0A\n 2: 00000000:01BB 00000000:0000 0A\n";
    site.put("/proc/net/tcp6", listens);
    let page = anna.open("/admin/support").await;
    assert!(page.has("(80, 443, 5222, 5223)"), "port 80: {}", page.text);
    let listens = format!("{listens} 3: 00000000:0050 00000000:0000 0A\n");
    site.put("/proc/net/tcp6", &listens);
    let error = r#"{"__REALTIME_TIMESTAMP":"1796126400000000","_SYSTEMD_UNIT":"imd.service","MESSAGE":"anna@perch.local: database or disk is full"}"#;
    site.told.answer("journalctl --boot --priority=err", error);
    let page = anna.open("/admin/support").await;
    assert!(page.has("The box listens for apps"), "{}", page.text);
    assert!(page.has("The disk is full."), "{}", page.text);
    assert!(page.has("imd.service: someone@(domain)"), "{}", page.text);
}

#[tokio::test]
async fn the_support_file_names_nobody() {
    let site = Site::claimed().await;
    let mut anna = site.anna().await;
    anna.open("/admin/support").await;
    site.told.answer(
        "journalctl --boot --priority=warning",
        "ben@perch.local from 192.168.1.77 failed",
    );
    site.told.answer(
        "systemctl --failed",
        "perch-backup@night.service loaded failed failed",
    );
    let page = anna.send("/admin/support/file", &[]).await;
    let disposition = page.headers["content-disposition"].to_str().unwrap();
    assert!(disposition.contains("perch-support.txt"), "{disposition}");
    assert!(
        page.has("someone@(domain) from (IPv4) failed"),
        "{}",
        page.text
    );
    assert!(page.has("perch-backup@night.service"), "{}", page.text);
    for absent in ["anna", "ben@", "192.168."] {
        assert!(!page.has(absent), "{absent} is in {}", page.text);
    }
    assert!(
        site.file("/var/lib/perch/audit.jsonl")
            .contains("box.support-file")
    );
}
