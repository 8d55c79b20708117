//! The pages of settings (what is refused, made, taken back and confirmed, in the reader's language), of tuning, of the time, and the doctor of federation.

use super::browser::{Browser, Page};
use super::site::Site;

/// Sends the settings' form, and the one that makes the change, with what it brings.
async fn change(browser: &mut Browser, fields: &[(&str, &str)]) -> Page {
    browser.open("/admin/settings").await;
    let page = browser.send("/admin/settings", fields).await;
    assert!(page.has("/admin/settings/apply"), "{}", page.text);
    let hidden = hidden(&page.text);
    let hidden: Vec<(&str, &str)> = hidden
        .iter()
        .map(|(k, v)| (k.as_str(), v.as_str()))
        .collect();
    let made = browser.send("/admin/settings/apply", &hidden).await;
    assert!(made.has("Changed"), "{}", made.text);
    made
}

/// The hidden fields of the form that makes a change, but for the token.
fn hidden(text: &str) -> Vec<(String, String)> {
    let form = text.split("/admin/settings/apply").nth(1).unwrap();
    let form = form.split("</form>").next().unwrap();
    let fields = form.split("type=\"hidden\" name=\"").skip(1);
    let fields = fields.map(|field| {
        let (name, rest) = field.split_once("\" value=\"").unwrap();
        let value = rest.split('"').next().unwrap();
        (
            name.to_owned(),
            value.replace("&#34;", "\"").replace("&quot;", "\""),
        )
    });
    fields.filter(|(name, _)| name != "token").collect()
}

#[tokio::test]
async fn a_wifi_password_is_typed_and_never_shown() {
    let site = Site::claimed().await;
    let mut anna = site.anna().await;
    let network = [
        ("wifi.ssid", "1984"),
        ("wifi.password", "correct horse"),
        ("wifi.country", "DE"),
    ];
    anna.open("/admin/settings").await;
    let preview = anna.send("/admin/settings", &network).await;
    assert!(preview.has(">Password</th>"), "{}", preview.text);
    assert!(!preview.has("correct horse"), "{}", preview.text);
    change(&mut anna, &network).await;
    assert!(
        site.file("/etc/perch/wpa_supplicant.conf")
            .contains("country=DE")
    );
    let page = anna.open("/admin/settings").await;
    assert!(page.has("value=\"1984\""), "{}", page.text);
    assert!(!page.has("correct horse"), "{}", page.text);
    let secrets = site.file("/var/lib/perch/secrets.json");
    // An empty field keeps it.
    change(&mut anna, &[("wifi.password", ""), ("wifi.hidden", "true")]).await;
    assert_eq!(key(&site), key_of(&secrets));
    assert!(
        site.file("/etc/perch/wpa_supplicant.conf")
            .contains("scan_ssid=1")
    );
    // One that is not accepted is not shown either.
    let page = anna
        .send("/admin/settings", &[("wifi.password", "horse")])
        .await;
    assert!(
        page.has("8 to 63 characters") && !page.has("value=\"horse\""),
        "{}",
        page.text
    );
    // A tick takes it away, and a network without a name is none.
    change(&mut anna, &[("wifi.open", "yes"), ("wifi.password", "")]).await;
    assert!(
        site.file("/etc/perch/wpa_supplicant.conf")
            .contains("key_mgmt=NONE")
    );
    change(&mut anna, &[("wifi.ssid", "")]).await;
    assert_eq!(site.file("/etc/perch/wpa_supplicant.conf"), "");
}

fn key(site: &Site) -> String {
    key_of(&site.file("/var/lib/perch/secrets.json"))
}

fn key_of(secrets: &str) -> String {
    let secrets: serde_json::Value = serde_json::from_str(secrets).unwrap();
    secrets["wifi"]["key"].to_string()
}

#[tokio::test]
async fn a_new_wifi_password_alone_is_said_to_have_changed_and_cannot_be_taken_back() {
    let site = Site::claimed().await;
    let mut anna = site.anna().await;
    change(
        &mut anna,
        &[("wifi.ssid", "Home"), ("wifi.password", "correct horse")],
    )
    .await;
    let made = change(&mut anna, &[("wifi.password", "another horse")]).await;
    assert!(
        made.has(">Password</th>") && made.has("(changed)"),
        "{}",
        made.text
    );
    assert!(!made.has("Take it back"), "{}", made.text);
    let page = anna.open("/admin/settings").await;
    let history = page.text.split("Last changes").nth(1).unwrap();
    let newest = history.split("<li>").nth(1).unwrap();
    assert!(newest.contains("(changed)"), "{newest}");
    assert!(!newest.contains("Take it back"), "{newest}");
    let first = history.split("<li>").nth(2).unwrap();
    assert!(first.contains("Take it back"), "{first}");
    // Without a page's button, too.
    let page = anna.send("/admin/settings/undo", &[("number", "2")]).await;
    assert!(page.has("earlier ones are not kept"), "{}", page.text);
}

#[tokio::test]
async fn a_secret_that_has_waited_for_too_long_is_typed_again() {
    let site = Site::claimed().await;
    let mut anna = site.anna().await;
    anna.open("/admin/settings").await;
    let page = anna
        .send(
            "/admin/settings/apply",
            &[("wifi.ssid", "\"Home\""), ("held", "yes")],
        )
        .await;
    assert!(page.has("Type it again"), "{}", page.text);
    assert_eq!(site.file("/etc/perch/wpa_supplicant.conf"), "");
}

#[tokio::test]
async fn the_page_of_tuning_shows_what_is_not_as_wanted_first() {
    let site = Site::claimed().await;
    let mut anna = site.anna().await;
    let page = anna.open("/admin/settings/tuning").await;
    assert!(page.has("left no report"), "{}", page.text);
    site.put(
        "/run/perch/apply.json",
        r#"{"ok":false,"settings":[
            {"name":"CPU governor","place":"/sys/policy0","wanted":"schedutil","before":"x","now":"schedutil","outcome":"applied","note":"","reason":"Idle most of the day.","source":"Linux"},
            {"name":"zram swap","place":"/dev/zram0","wanted":"zstd","before":null,"now":null,"outcome":"not-available","note":"no zram","reason":"r","source":"s"},
            {"name":"fan control","place":"/sys/pwm1_enable","wanted":"2","before":"1","now":"1","outcome":"failed","note":"wrote 2, but it does not read back","reason":"r","source":"s"}]}"#,
    );
    let page = anna.open("/admin/settings/tuning").await;
    for has in [
        "Wanted: 2 · Actual: 1",
        "wrote 2, but it does not read back",
        "not as wanted",
        "Wanted: schedutil · Actual: schedutil",
        "as wanted",
        "not on this machine",
        "Idle most of the day.",
    ] {
        assert!(page.has(has), "{has} is not in {}", page.text);
    }
    let at = |name: &str| page.text.find(name).unwrap();
    assert!(at("fan control") < at("CPU governor"));
}

/// `/proc/net/tcp6` of a box whose chat server listens for other servers.
const LISTENING: &str = "  sl  local_address remote_address st\n   0: 00000000000000000000000000000000:1495 00000000000000000000000000000000:0000 0A\n";

#[tokio::test]
async fn federation_is_turned_on_on_the_page_and_the_doctor_says_how_far_it_is() {
    let site = Site::claimed().await;
    let mut anna = site.anna().await;
    let page = anna.open("/admin/support").await;
    assert!(
        page.has("Off: people here write to each other only"),
        "{}",
        page.text
    );
    assert!(page.has("Apps that sleep are not woken"), "{}", page.text);
    let on = [
        ("federation.enabled", "true"),
        ("federation.allow", "school.example, club.example"),
    ];
    change(&mut anna, &on).await;
    let config: toml::Table = site.file("/etc/perch/imd.toml").parse().unwrap();
    assert_eq!(config["listen"]["s2s"][0].as_str(), Some("[::]:5269"));
    assert_eq!(config["federation"]["enabled"].as_bool(), Some(true));
    assert_eq!(config["federation"]["allow"].as_array().unwrap().len(), 2);
    let commands = site.told.commands.lock().unwrap().join("\n");
    assert!(commands.contains("try-restart imd.service"), "{commands}");
    let page = anna.open("/admin/support").await;
    assert!(
        page.has("perch.local is known in your local network only"),
        "{}",
        page.text
    );
    assert!(page.has("cannot ask the servers"), "{}", page.text);
    change(&mut anna, &[("domain", "chat.example.org")]).await;
    let page = anna.open("/admin/support").await;
    assert!(
        page.has("does not listen for other servers"),
        "{}",
        page.text
    );
    site.put("/proc/net/tcp6", LISTENING);
    let page = anna.open("/admin/support").await;
    assert!(
        page.has("has no certificate that other servers trust"),
        "{}",
        page.text
    );
    site.put("/var/lib/perch/tls/domain.pem", "a certificate");
    let page = anna.open("/admin/support").await;
    assert!(
        page.has("port 5269 is open from outside it cannot see"),
        "{}",
        page.text
    );
    assert!(
        page.has("asks the servers of the apps’ makers to wake"),
        "{}",
        page.text
    );
    change(&mut anna, &[("federation.enabled", "false")]).await;
    assert!(!site.file("/etc/perch/imd.toml").contains("s2s"));
}

#[tokio::test]
async fn an_administrator_sets_the_time_of_a_box_that_no_server_tells_it() {
    let site = Site::claimed().await;
    *site.told.clock.lock().unwrap() = Some(1_796_000_000);
    let mut anna = site.anna().await;
    assert!(anna.open("/admin").await.has("href=\"/admin/time\""));
    let page = anna.open("/admin/time").await;
    assert!(page.has("name=\"clock\""), "{}", page.text);
    let page = anna.send("/admin/time", &[("unix", "1795000000")]).await;
    assert!(page.has("goes forward only"), "{}", page.text);
    let page = anna
        .send("/admin/time", &[("clock", "2026-12-01T12:00")])
        .await;
    assert_eq!(page.location, "/admin/time?done=clock", "{}", page.text);
    assert_eq!(*site.told.clock.lock().unwrap(), Some(1_796_126_400));
    assert!(anna.open(&page.location).await.has("The clock is set."));
    let log = site.file("/var/lib/perch/audit.jsonl");
    assert!(
        log.contains("clock.set") && log.contains("1796126400"),
        "{log}"
    );
    site.put("/run/systemd/timesync/synchronized", "");
    assert!(!anna.open("/admin").await.has("href=\"/admin/time\""));
    assert!(!anna.open("/admin/time").await.has("name=\"clock\""));
}

#[tokio::test]
async fn who_has_chosen_a_domain_is_told_of_its_certificate() {
    let site = Site::claimed().await;
    let mut anna = site.anna().await;
    let link = "href=\"/admin/settings/certificate\"";
    assert!(!anna.open("/setup/done").await.has(link));
    change(&mut anna, &[("domain", "chat.example.org")]).await;
    let page = anna.open("/setup/done").await;
    assert!(
        page.has(link) && page.has("chat.example.org"),
        "{}",
        page.text
    );
}

#[tokio::test]
async fn a_new_fixed_address_is_confirmed_by_who_has_come_over_it() {
    let site = Site::claimed().await;
    let mut anna = site.anna().await;
    change(&mut anna, &[("network.ipv4", "192.168.1.50/24")]).await;
    let token = anna.token.clone();
    let old = [("x-real-server", "192.168.1.20")];
    let page = anna
        .send_with("/admin/settings/confirm", &token, &[], &old)
        .await;
    assert!(
        page.has("Open https://192.168.1.50 and confirm there"),
        "{}",
        page.text
    );
    assert!(page.has("Can you reach the box?"), "{}", page.text);
    let log = site.file("/var/lib/perch/audit.jsonl");
    assert!(log.contains("came to 192.168.1.20"), "{log}");
    let new = [("x-real-server", "192.168.1.50")];
    let page = anna
        .send_with("/admin/settings/confirm", &token, &[], &new)
        .await;
    assert_eq!(
        page.location, "/admin/settings?done=confirmed",
        "{}",
        page.text
    );
}

const PATH: &str = "/admin/settings";
const STOP_TIMER: &str = "systemctl stop perch-network-trial.timer";

/// Previews a change, and makes it.
async fn make(anna: &mut Browser, key: &str, value: &str) -> Page {
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
