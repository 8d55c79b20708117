//! Restarting and shutting down at a chosen time.

use super::site::Site;

const NOW: i64 = 1_796_126_400;

async fn site() -> Site {
    let site = Site::claimed().await;
    *site.told.clock.lock().unwrap() = Some(NOW);
    let at = NOW + 3600;
    site.told
        .answer("date -d 2026-12-01 14:00 +%s", &at.to_string());
    site.told
        .answer(&format!("date -d @{at} "), "2026-12-01 14:00 CET");
    site.told
        .answer(&format!("date -d @{NOW} "), "2026-12-01 13:00 CET");
    site
}

#[tokio::test]
async fn a_shut_down_is_planned_by_the_boxs_own_clock_and_given_up() {
    let site = site().await;
    let mut anna = site.anna().await;
    let page = anna.open("/admin/power").await;
    assert!(
        page.has("Its clock says 2026-12-01 13:00 CET"),
        "{}",
        page.text
    );
    let fields = [("what", "shut-down"), ("at", "2026-12-01T14:00")];
    let page = anna.send("/admin/power/plan", &fields).await;
    assert_eq!(page.location, "/admin/power", "{}", page.text);
    let page = anna.open("/admin/power").await;
    assert!(
        page.has("The box shuts down 2026-12-01 14:00 CET, as anna"),
        "{}",
        page.text
    );
    let log = site.file("/var/lib/perch/audit.jsonl");
    assert!(
        log.contains("box.plan") && log.contains("shut-down 2026-12-01T14:00"),
        "{log}"
    );
    let page = anna.send("/admin/power/cancel", &[]).await;
    assert_eq!(page.location, "/admin/power");
    assert!(!anna.open("/admin/power").await.has("The box shuts down"));
    let commands = site.told.commands.lock().unwrap();
    assert!(
        !commands.iter().any(|c| c.contains("poweroff")),
        "{commands:?}"
    );
}

#[tokio::test]
async fn the_buttons_restart_the_box_or_shut_it_down_and_say_what_to_do_meanwhile() {
    for (button, verb, action, said, said_in_chinese) in [
        (
            "restart",
            "reboot",
            "box.restart",
            "The box restarts",
            "盒子正在重启",
        ),
        (
            "shut-down",
            "poweroff",
            "box.shut-down",
            "The box shuts down",
            "盒子正在关机",
        ),
    ] {
        for (language, said) in [("en", said), ("zh", said_in_chinese)] {
            let site = site().await;
            let mut anna = site.anna().await;
            anna.language = language;
            anna.open("/admin/power").await;
            let page = anna.send(&format!("/admin/power/{button}"), &[]).await;
            assert_eq!(page.status, 200, "{}", page.text);
            assert!(page.has(&format!("<h1>{said}")), "{}", page.text);
            let comes_back = page.has("data-comes-back");
            assert_eq!(comes_back, button == "restart", "{}", page.text);
            let command = format!("systemctl --no-block {verb}");
            let commands = site.told.commands.lock().unwrap();
            assert_eq!(
                commands.iter().filter(|c| **c == command).count(),
                1,
                "{commands:?}"
            );
            let log = site.file("/var/lib/perch/audit.jsonl");
            assert!(log.contains(action) && log.contains("anna"), "{log}");
        }
    }
}

#[tokio::test]
async fn what_is_planned_is_done_when_its_time_has_come() {
    let site = site().await;
    let mut anna = site.anna().await;
    anna.open("/admin/power").await;
    let fields = [("what", "restart"), ("at", "2026-12-01T14:00")];
    anna.send("/admin/power/plan", &fields).await;
    let at = NOW + 3600;
    let timer = format!("systemd-run --quiet --collect --unit=perch-power --on-calendar=@{at} ");
    let ran = |begin: &str| {
        let commands = site.told.commands.lock().unwrap();
        commands.iter().any(|command| command.starts_with(begin))
    };
    assert!(ran(&timer));
    assert!(!ran("systemctl --no-block reboot"));
    *site.told.clock.lock().unwrap() = Some(at);
    // As the unit perch-power.service does it.
    assert!(site.with_machine(|machine| provisioner::power::due(machine).unwrap()));
    assert!(ran("systemctl --no-block reboot"));
    let log = site.file("/var/lib/perch/audit.jsonl");
    assert!(log.contains("as planned"), "{log}");
    let page = anna.open("/admin/power").await;
    assert!(!page.has("The box restarts 2026"), "{}", page.text);
}

#[tokio::test]
async fn a_time_that_is_none_is_refused_in_the_visitors_language() {
    let site = site().await;
    let mut anna = site.anna().await;
    anna.open("/admin/power").await;
    for at in ["", "soon", "2026-12-01T14:00; reboot"] {
        let page = anna
            .send("/admin/power/plan", &[("what", "restart"), ("at", at)])
            .await;
        assert!(page.has("Choose a day and time"), "{at}: {}", page.text);
    }
    anna.language = "zh";
    let page = anna.send("/admin/power/plan", &[("at", "soon")]).await;
    assert!(page.has("请选择"), "{}", page.text);
    let commands = site.told.commands.lock().unwrap();
    assert!(
        !commands.iter().any(|c| c.starts_with("systemd-run")),
        "{commands:?}"
    );
}
