//! Settings on the page: what is refused, made, taken back and confirmed, in the reader's language.

use super::browser::Browser;
use super::site::Site;

const PATH: &str = "/admin/settings";
const STOP_TIMER: &str = "systemctl stop perch-network-trial.timer";

/// Previews a change, and makes it.
async fn make(anna: &mut Browser, key: &str, value: &str) -> super::browser::Page {
    anna.open(PATH).await;
    let page = anna.send(PATH, &[(key, value)]).await;
    assert_eq!(page.status, 200, "{}", page.text);
    assert!(page.has("/admin/settings/apply"), "{}", page.text);
    anna.send("/admin/settings/apply", &[(key, value)]).await
}

fn ran(site: &Site, begin: &str) -> bool {
    let commands = site.told.commands.lock().unwrap();
    commands.iter().any(|command| command.starts_with(begin))
}

#[tokio::test]
async fn a_change_is_made_and_taken_back() {
    let site = Site::claimed().await;
    let mut anna = site.anna().await;
    let page = make(&mut anna, "timezone", "Europe/Berlin").await;
    assert!(
        page.has("Changed") && page.has("name=\"number\" value=\"1\""),
        "{}",
        page.text
    );
    assert!(
        site.file("/var/lib/perch/box.json")
            .contains("Europe/Berlin")
    );
    let page = anna.open(PATH).await;
    assert!(
        page.has("Last changes") && page.has("Europe/Berlin"),
        "{}",
        page.text
    );
    let page = anna.send("/admin/settings/undo", &[("number", "1")]).await;
    assert!(
        page.has("Changed") && page.has("<td>Europe/Berlin</td><td>–</td>"),
        "{}",
        page.text
    );
    let kept: serde_json::Value =
        serde_json::from_str(&site.file("/var/lib/perch/box.json")).unwrap();
    assert!(!kept["settings"].to_string().contains("Berlin"), "{kept}");
    let log = site.file("/var/lib/perch/audit.jsonl");
    assert!(
        log.contains("settings.change") && log.contains("settings.undo"),
        "{log}"
    );
    let page = anna.send("/admin/settings/undo", &[("number", "77")]).await;
    assert!(page.has("no such change"), "{}", page.text);
}

#[tokio::test]
async fn a_new_network_is_confirmed() {
    let site = Site::claimed().await;
    let mut anna = site.anna().await;
    let page = make(&mut anna, "network.ipv4", "192.168.1.50/24").await;
    assert!(page.has("The network goes back by itself"), "{}", page.text);
    assert!(ran(
        &site,
        "systemd-run --quiet --collect --unit=perch-network-trial "
    ));
    assert!(!ran(&site, STOP_TIMER));
    assert!(anna.open(PATH).await.has("Can you reach the box?"));
    let page = anna.send("/admin/settings/confirm", &[]).await;
    assert_eq!(
        page.location, "/admin/settings?done=confirmed",
        "{}",
        page.text
    );
    assert!(ran(&site, STOP_TIMER));
    let page = anna.open(&page.location).await;
    assert!(
        page.has("The network is confirmed and stays"),
        "{}",
        page.text
    );
    assert!(!page.has("Can you reach the box?"));
    let page = anna.send("/admin/settings/confirm", &[]).await;
    assert!(
        page.has("That did not work"),
        "nothing waits: {}",
        page.text
    );
}

#[tokio::test]
async fn what_is_refused_is_said_in_the_readers_language() {
    let site = Site::claimed().await;
    let mut anna = site.anna().await;
    let fields = [("hostname", "two words"), ("network.vlan", "ten")];
    for (language, said) in [
        (
            "en",
            [
                "Name on the network: two words is not accepted",
                "such as perch",
                "VLAN: ten is not",
            ],
        ),
        (
            "zh",
            [
                "不能接受“two words”",
                "1 到 40 个小写字母",
                "VLAN 编号，1 到 4094",
            ],
        ),
    ] {
        anna.language = language;
        anna.open(PATH).await;
        let page = anna.send(PATH, &fields).await;
        for said in said {
            assert!(page.has(said), "{language}: {said}: {}", page.text);
        }
        let alert = page.text.split("role=\"alert\">").nth(1).unwrap();
        let alert = alert.split("</p>").next().unwrap();
        for unsaid in ["command line", ":1:", "found"] {
            assert!(!alert.contains(unsaid), "{language}: {unsaid}: {alert}");
        }
        // What was typed is still there.
        assert!(page.has("value=\"two words\""), "{}", page.text);
    }
}

#[tokio::test]
async fn choices_and_steps_are_in_words() {
    let site = Site::claimed().await;
    let mut anna = site.anna().await;
    for (language, yes, quiet, steps) in [
        ("en", "yes", "quiet", "Write the values of the profile"),
        ("zh", "是", "安静", "写入方案中的值"),
    ] {
        anna.language = language;
        let page = anna.open(PATH).await;
        for option in [
            format!("<option value=\"true\">{yes}</option>"),
            format!("<option value=\"quiet\">{quiet}</option>"),
        ] {
            assert!(page.has(&option), "{option}: {}", page.text);
        }
        let page = anna.send(PATH, &[("profile", "quiet")]).await;
        assert!(page.has(&format!("<li>{steps}</li>")), "{}", page.text);
        assert!(page.has(&format!("<td>{quiet}</td>")), "{}", page.text);
    }
}

#[tokio::test]
async fn a_sign_in_is_ended_from_another() {
    let site = Site::claimed().await;
    let mut phone = site.anna().await;
    let mut anna = site.anna().await;
    assert_eq!(phone.open("/admin/people-import").await.status, 200);
    let page = anna.open("/admin/sessions").await;
    // The own one has a mark; the other is the phone's.
    let rows: Vec<&str> = page.text.split("<li>").skip(1).collect();
    let other = rows
        .iter()
        .find(|row| row.contains("name=\"number\"") && !row.contains("class=\"tag\""));
    let other = other.unwrap_or_else(|| panic!("{}", page.text));
    let number = other.split("name=\"number\" value=\"").nth(1).unwrap();
    let number = number.split('"').next().unwrap();
    let fields = [("number", number), ("name", "anna")];
    let page = anna.send("/admin/sessions", &fields).await;
    assert_eq!(page.location, "/admin/sessions", "{}", page.text);
    let page = phone.open("/admin/people-import").await;
    assert!(page.location.starts_with("/sign-in"), "{}", page.text);
    assert_eq!(anna.open("/admin/people-import").await.status, 200);
    let log = site.file("/var/lib/perch/audit.jsonl");
    assert!(log.contains("session.end"), "{log}");
}
