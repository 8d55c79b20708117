//! The page of the certificate for the box's own domain.

use super::browser::Browser;
use super::site::Site;

const PATH: &str = "/admin/settings/certificate";
const STATE: &str = "/var/lib/perch/acme/state.json";
const NOW: i64 = 1_796_126_400;

async fn turn_on(anna: &mut Browser) {
    anna.open("/admin/settings").await;
    let fields = [
        ("domain", "chat.example.org"),
        ("acme.enabled", "true"),
        ("acme.agree_terms", "true"),
    ];
    let page = anna.send("/admin/settings", &fields).await;
    assert!(
        page.has("Order a certificate for the domain"),
        "{}",
        page.text
    );
    anna.send("/admin/settings/apply", &fields).await;
}

#[tokio::test]
async fn turning_it_on_begins_an_order_and_another_is_begun_by_a_button() {
    let site = Site::claimed().await;
    *site.told.clock.lock().unwrap() = Some(NOW);
    let mut anna = site.anna().await;
    let page = anna.open(PATH).await;
    assert!(
        page.has("No certificate from an authority is asked for"),
        "{}",
        page.text
    );
    assert!(!page.has("Try now"));
    let starts = |site: &Site| {
        let commands = site.told.commands.lock().unwrap();
        let begun = commands.iter();
        begun
            .filter(|c| c.ends_with("start perch-certificate.service"))
            .count()
    };
    turn_on(&mut anna).await;
    assert_eq!(starts(&site), 1);
    let page = anna.open(PATH).await;
    assert!(
        page.has("none was ordered yet") && page.has("chat.example.org"),
        "{}",
        page.text
    );
    let page = anna.send(PATH, &[]).await;
    assert_eq!(
        page.location,
        format!("{PATH}?done=ordered"),
        "{}",
        page.text
    );
    assert_eq!(starts(&site), 2);
    let page = anna.open(&format!("{PATH}?done=ordered")).await;
    assert!(
        page.has("The order has begun") && page.has("is being ordered"),
        "{}",
        page.text
    );
    // One at a time.
    let page = anna.send(PATH, &[]).await;
    assert!(page.has("an order is under way"), "{}", page.text);
    assert_eq!(starts(&site), 2);
    assert!(
        site.file("/var/lib/perch/audit.jsonl")
            .contains("certificate.renew")
    );
}

#[tokio::test]
async fn why_it_failed_and_what_to_do_is_said_in_the_visitors_language_and_on_the_overview() {
    let site = Site::claimed().await;
    *site.told.clock.lock().unwrap() = Some(NOW);
    let mut anna = site.anna().await;
    turn_on(&mut anna).await;
    let fault = r#"{"kind":"port-closed","detail":"<b>timeout</b>"}"#;
    let state = format!(
        r#"{{"state":{{"state":"failed","held":null,"fault":{fault},"at":{NOW},"failures":1,"next":{},"barred":{}}}}}"#,
        NOW + 7200,
        NOW + 3600
    );
    site.put(STATE, &state);
    let page = anna.open(PATH).await;
    for words in [
        "The order of 2026-12-01 12:00 UTC failed. The next one begins by itself at 2026-12-01 14:00 UTC",
        "Port 80 of chat.example.org cannot be reached from outside",
        "What was said: &#60;b&#62;timeout",
        "Chat goes on with the certificate of the box",
        "wants to be left alone until 2026-12-01 13:00 UTC",
    ] {
        assert!(page.has(words), "{words}: {}", page.text);
    }
    let page = anna.send(PATH, &[]).await;
    assert!(page.has("left alone for 61 minutes"), "{}", page.text);
    let page = anna.open("/admin").await;
    assert!(
        page.has("The certificate for your domain could not be had"),
        "{}",
        page.text
    );
    anna.language = "zh";
    let page = anna.open(PATH).await;
    assert!(page.has("80 端口"), "{}", page.text);
}

#[tokio::test]
async fn a_domain_that_nobody_can_certify_is_refused_by_the_form() {
    let site = Site::claimed().await;
    let mut anna = site.anna().await;
    anna.open("/admin/settings").await;
    let fields = [("acme.enabled", "true"), ("acme.agree_terms", "true")];
    let page = anna.send("/admin/settings", &fields).await;
    assert!(
        page.has("unless the domain of the box is a public name"),
        "{}",
        page.text
    );
    let page = anna.open(PATH).await;
    assert!(page.has("No certificate from an authority is asked for"));
}
