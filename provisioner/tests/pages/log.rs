//! The log of administration: the agent's and the chat server's as one.

use serde_json::json;

use super::site::Site;

#[tokio::test]
async fn what_was_done_without_the_pages_is_in_the_log_by_its_time() {
    let site = Site::claimed().await;
    let own = format!("socket:{}", nix::unistd::getuid());
    let line = |time: &str, actor: &str, action: &str| json!({ "id": 1, "time": time, "actor": actor, "action": action, "target": "ben", "detail": "<b>more</b>" });
    let lines = json!([
        line("2027-01-01T10:00:00Z", "api:school", "account.create"),
        line("2026-06-01T10:00:00Z", &own, "account.disable"),
        line("2020-01-01T10:00:00Z", "eve@perch.local", "report.spam"),
    ]);
    let mut anna = site.anna().await;
    let page = anna.open("/admin/log").await;
    assert!(page.has("The chat server does not answer"), "{}", page.text);
    site.imd.answer("GET /log", lines);
    anna.open("/admin/people/ben").await;
    anna.send("/admin/people/ben/freeze", &[("frozen", "yes")])
        .await;
    let page = anna.open("/admin/log").await;
    assert!(
        !page.has("The chat server does not answer"),
        "{}",
        page.text
    );
    let at = |text: &str| {
        page.text
            .find(text)
            .unwrap_or_else(|| panic!("{text}: {}", page.text))
    };
    let (token, own, report) = (at("api:school"), at("person.freeze"), at("report.spam"));
    assert!(own < report && token < report, "{}", page.text);
    assert!(
        !page.has("account.disable"),
        "once, with the name of who did it"
    );
    assert!(
        page.has("&#60;b&#62;more") && page.has("anna (192.168.1.23)"),
        "{}",
        page.text
    );
}
