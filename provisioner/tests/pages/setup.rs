//! From a box that nobody has claimed to one with people on it.

use super::site::{PASSWORD, Site};

const AT_HOME: &str = "192.168.1.23";

#[tokio::test]
async fn the_wizard_leads_from_a_new_box_to_an_invitation() {
    let site = Site::start().await;
    let mut anna = site.browser(AT_HOME);
    let page = anna.follow("/").await;
    assert!(page.has("set up your box"), "{}", page.text);
    let page = anna.send("/setup", &[("language", "en")]).await;
    assert_eq!(page.location, "/setup/administrator", "{}", page.text);
    anna.open(&page.location).await;
    let form = [
        ("name", "anna"),
        ("password", PASSWORD),
        ("repeat", PASSWORD),
    ];
    let page = anna.send("/setup/administrator", &form).await;
    assert_eq!(page.location, "/setup/name", "{}", page.text);
    assert_eq!(site.imd.accounts.lock().unwrap()["anna"].role, "admin");
    anna.open("/setup/name").await;
    let page = anna
        .send("/setup/name", &[("host_name", "perch"), ("domain", "")])
        .await;
    assert_eq!(page.location, "/setup/time", "{}", page.text);
    anna.open("/setup/time").await;
    let page = anna.send("/setup/time", &[("zone", "Europe/Berlin")]).await;
    assert_eq!(page.location, "/setup/trust", "{}", page.text);
    let page = anna.open("/setup/trust").await;
    assert!(page.has("/perch-ca.crt"), "{}", page.text);
    anna.open("/setup/people").await;
    let page = anna.send("/setup/people", &[("number", "4")]).await;
    assert!(
        page.has("https://perch.local/invite/t") && page.has("<svg"),
        "{}",
        page.text
    );
    assert_eq!(site.imd.invitations.lock().unwrap()[0]["uses"], 4);
    let page = anna.send("/setup/done", &[]).await;
    assert_eq!(page.location, "/setup/done");
    assert!(anna.open("/setup/done").await.has("Your box is ready"));
    assert!(
        site.file("/var/lib/perch/box.json")
            .contains("Europe/Berlin")
    );
    let log = site.file("/var/lib/perch/audit.jsonl");
    for action in [
        "box.claim",
        "box.claimed",
        "settings.change",
        "invitation.add",
        "box.set-up",
    ] {
        assert!(log.contains(action), "{action} is not in {log}");
    }
}

#[tokio::test]
async fn a_second_claimer_is_told_who_and_when() {
    let site = Site::start().await;
    let (mut anna, mut ben) = (site.browser(AT_HOME), site.browser("192.168.1.99"));
    ben.open("/setup").await;
    anna.open("/setup").await;
    anna.send("/setup", &[("language", "en")]).await;
    let page = ben.send("/setup", &[("language", "en")]).await;
    assert!(
        page.has("A device at 192.168.1.23 has been setting it up since 20"),
        "{}",
        page.text
    );
    let page = ben.open("/setup/administrator").await;
    assert_eq!(page.location, "/setup");
    anna.open("/setup/administrator").await;
    let form = [
        ("name", "anna"),
        ("password", PASSWORD),
        ("repeat", PASSWORD),
    ];
    anna.send("/setup/administrator", &form).await;
    let page = ben.open("/setup").await;
    assert!(
        page.has("anna has claimed it from 192.168.1.23, on 20"),
        "{}",
        page.text
    );
}

#[tokio::test]
async fn nobody_claims_a_box_from_outside_or_after_an_hour() {
    let site = Site::start().await;
    let mut outside = site.browser("203.0.113.9");
    outside.open("/setup").await;
    let page = outside.send("/setup", &[("language", "en")]).await;
    assert!(page.has("not in the box’s local network"), "{}", page.text);

    let site = Site::start_with(&[("/proc/uptime", "3600.5 1.0\n")]).await;
    let mut late = site.browser(AT_HOME);
    late.open("/setup").await;
    let page = late.send("/setup", &[("language", "en")]).await;
    assert!(page.has("Switch it off and on again"), "{}", page.text);
    // As after a power-cycle.
    site.put("/proc/uptime", "30.0 1.0\n");
    let page = late.send("/setup", &[("language", "en")]).await;
    assert_eq!(page.location, "/setup/administrator");
}

#[tokio::test]
async fn a_phone_with_a_global_address_of_the_boxs_network_claims_it() {
    let route = "20010db8000000010000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000400 00000001 00000000 00000001     end0\n";
    let files = [
        ("/proc/uptime", "60.0 1.0\n"),
        ("/proc/net/ipv6_route", route),
    ];
    let site = Site::start_with(&files).await;
    let mut outside = site.browser("2001:db8:0:2::7");
    outside.open("/setup").await;
    let page = outside.send("/setup", &[("language", "en")]).await;
    assert!(page.has("not in the box’s local network"), "{}", page.text);
    let mut anna = site.browser("2001:db8:0:1::7");
    anna.open("/setup").await;
    let page = anna.send("/setup", &[("language", "en")]).await;
    assert_eq!(page.location, "/setup/administrator", "{}", page.text);
}

#[tokio::test]
async fn a_claim_belongs_to_the_browser_and_not_to_its_address() {
    let site = Site::start().await;
    let mut anna = site.browser(AT_HOME);
    anna.open("/setup").await;
    anna.send("/setup", &[("language", "en")]).await;
    // The browser comes by IPv6 from here on.
    anna.address = "fd00::23".to_owned();
    assert_eq!(anna.open("/setup").await.location, "/setup/administrator");
    anna.open("/setup/administrator").await;
    let form = [
        ("name", "anna"),
        ("password", PASSWORD),
        ("repeat", PASSWORD),
    ];
    let page = anna.send("/setup/administrator", &form).await;
    assert_eq!(page.location, "/setup/name", "{}", page.text);
    assert!(site.file("/var/lib/perch/claim.json").contains("fd00::23"));
}

#[tokio::test]
async fn who_has_been_overtaken_at_the_same_address_makes_no_account() {
    let site = Site::start().await;
    let (mut anna, mut ben) = (site.browser(AT_HOME), site.browser(AT_HOME));
    for browser in [&mut anna, &mut ben] {
        browser.open("/setup").await;
        browser.send("/setup", &[("language", "en")]).await;
        browser.open("/setup/administrator").await;
    }
    let form = [
        ("name", "anna"),
        ("password", PASSWORD),
        ("repeat", PASSWORD),
    ];
    let page = anna.send("/setup/administrator", &form).await;
    assert_eq!(page.status, 200, "{}", page.text);
    assert!(site.imd.accounts.lock().unwrap().is_empty());
    let page = ben.send("/setup/administrator", &form).await;
    assert_eq!(page.location, "/setup/name", "{}", page.text);
}

#[tokio::test]
async fn a_box_with_a_setup_code_is_claimed_with_it_alone() {
    let files = [
        ("/proc/uptime", "90000.0 1.0\n"),
        ("/boot/firmware/perch.toml", "setup_code = \"blue-heron\"\n"),
    ];
    let site = Site::start_with(&files).await;
    let mut outside = site.browser("203.0.113.9");
    assert!(outside.open("/setup").await.has("name=\"code\""));
    let page = outside
        .send("/setup", &[("language", "en"), ("code", "grey-heron")])
        .await;
    assert!(page.has("That is not the setup code."), "{}", page.text);
    for _ in 0..4 {
        outside.send("/setup", &[("code", "grey-heron")]).await;
    }
    let page = outside.send("/setup", &[("code", "blue-heron")]).await;
    assert!(page.has("too many attempts"), "{}", page.text);

    let site = Site::start_with(&files).await;
    let mut outside = site.browser("203.0.113.9");
    outside.open("/setup").await;
    let page = outside
        .send("/setup", &[("language", "en"), ("code", "blue-heron")])
        .await;
    assert_eq!(page.location, "/setup/administrator", "{}", page.text);
}

#[tokio::test]
async fn a_bad_account_is_explained_and_nothing_is_lost() {
    let site = Site::start().await;
    let mut anna = site.browser(AT_HOME);
    anna.open("/setup").await;
    anna.send("/setup", &[("language", "zh")]).await;
    anna.open("/setup/administrator").await;
    for (name, password, repeat, said) in [
        ("an na", PASSWORD, PASSWORD, "用户名由"),
        ("anna", "short", "short", "密码不足"),
        ("anna", "password1", "password1", "很快会被猜到"),
        ("anna", PASSWORD, "other", "两次输入"),
    ] {
        let form = [("name", name), ("password", password), ("repeat", repeat)];
        let page = anna.send("/setup/administrator", &form).await;
        assert!(page.has(said), "{}", page.text);
        assert!(page.has(&format!("value=\"{name}\"")), "{}", page.text);
    }
    assert!(site.imd.accounts.lock().unwrap().is_empty());
    assert!(!site.file("/var/lib/perch/claim.json").contains("anna"));
}

#[tokio::test]
async fn a_new_name_carries_the_session_to_its_address_once() {
    let site = Site::claimed().await;
    let mut anna = site.anna().await;
    anna.open("/setup/name").await;
    let page = anna
        .send("/setup/name", &[("host_name", "office"), ("domain", "")])
        .await;
    assert!(
        page.has("https://office.local/setup/resume?ticket="),
        "{}",
        page.text
    );
    let ticket = page.text.split("resume?ticket=").nth(1).unwrap();
    let ticket = ticket.split('"').next().unwrap();
    let mut there = site.browser(AT_HOME);
    there.host = "office.local".to_owned();
    let path = format!("/setup/resume?ticket={ticket}");
    assert_eq!(there.open(&path).await.location, "/setup/time");
    assert_eq!(there.open("/setup/time").await.status, 200);
    let mut thief = site.browser("192.168.1.99");
    assert!(thief.open(&path).await.location.starts_with("/sign-in"));
    assert!(site.file("/etc/perch/imd.toml").contains("office.local"));
    assert!(
        site.told
            .commands
            .lock()
            .unwrap()
            .iter()
            .any(|c| c.contains("imd.service"))
    );
}

#[tokio::test]
async fn the_clock_takes_a_later_time_and_no_earlier_one() {
    let site = Site::claimed().await;
    *site.told.clock.lock().unwrap() = Some(1_796_000_000);
    let mut anna = site.anna().await;
    let page = anna.open("/setup/time").await;
    assert!(page.has("cannot reach a time server"), "{}", page.text);
    let zone = ("zone", "Europe/Berlin");
    let page = anna
        .send("/setup/time", &[zone, ("unix", "1795000000")])
        .await;
    assert!(page.has("goes forward only"), "{}", page.text);
    // Typed by hand, in a browser without scripts.
    let page = anna
        .send("/setup/time", &[zone, ("clock", "2026-12-01T12:00")])
        .await;
    assert_eq!(page.location, "/setup/trust", "{}", page.text);
    assert_eq!(*site.told.clock.lock().unwrap(), Some(1_796_126_400));
    // Updates wait until the time was told.
    assert!(
        site.folder
            .path()
            .join("root/run/perch-agent/clock-set")
            .exists()
    );
    site.put("/run/systemd/timesync/synchronized", "");
    let page = anna.open("/setup/time").await;
    assert!(
        page.has("set by time servers") && !page.has("name=\"clock\""),
        "{}",
        page.text
    );
    anna.send("/setup/time", &[zone, ("unix", "1797000000")])
        .await;
    assert_eq!(*site.told.clock.lock().unwrap(), Some(1_796_126_400));
}

#[tokio::test]
async fn the_authority_is_handed_out_to_anybody() {
    let site = Site::start().await;
    let mut browser = site.browser("192.168.1.50");
    let page = browser.open("/perch-ca.crt").await;
    assert_eq!(page.headers["content-type"], "application/x-x509-ca-cert");
    let page = browser.open("/perch-ca.mobileconfig").await;
    assert_eq!(
        page.headers["content-type"],
        "application/x-apple-aspen-config"
    );
    assert!(page.has("com.apple.security.root"));
    let page = browser.open("/trust").await;
    let light = page.text.split("https://perch-").nth(1).unwrap();
    let name = format!("https://perch-{}", light.split("/trust").next().unwrap());
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(
        policy.contains(&format!("img-src 'self' {name};")),
        "{policy}"
    );
    // The certificate is for that name, too.
    let second = site.file("/var/lib/perch/tls/server.crt");
    let pem = x509_parser::pem::Pem::iter_from_buffer(second.as_bytes())
        .next()
        .unwrap()
        .unwrap();
    let names = format!("{:?}", pem.parse_x509().unwrap().subject_alternative_name());
    assert!(
        names.contains(name.trim_start_matches("https://")),
        "{names}"
    );
}
