//! What holds for every page and every form.

use super::site::Site;

/// Every path that takes a form, read from the sources: a new one is in here by itself.
fn forms() -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![std::path::PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/src/web/pages"
    ))];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(path).unwrap();
            for route in text.split(".route(").skip(1) {
                let route = route.split(".route(").next().unwrap();
                let path = route.split('"').nth(1).unwrap();
                if route.split(';').next().unwrap().contains("post(") {
                    found.push(
                        path.replace("{name}", "ben")
                            .replace("{id}", "1")
                            .replace("{token}", "t"),
                    );
                }
            }
        }
    }
    found
}

#[tokio::test]
async fn no_form_is_taken_from_elsewhere() {
    let site = Site::claimed().await;
    let mut anna = site.anna().await;
    let forms = forms();
    assert!(forms.len() >= 25, "{forms:?}");
    for form in forms {
        anna.open("/trust").await;
        let page = anna.send_with(&form, "", &[], &[]).await;
        assert_eq!(page.status, 403, "{form} without a token: {}", page.text);
        // With a token that somebody else got.
        let other = site.browser("192.168.1.99").open("/sign-in").await;
        let token = other.text.split("name=\"token\" value=\"").nth(1).unwrap();
        let token = token.split('"').next().unwrap();
        let page = anna.send_with(&form, token, &[], &[]).await;
        assert_eq!(
            page.status, 403,
            "{form} with a foreign token: {}",
            page.text
        );
    }
    let commands = site.told.commands.lock().unwrap();
    assert!(
        !commands
            .iter()
            .any(|c| c.contains("reboot") || c.contains("poweroff")),
        "{commands:?}"
    );
}

#[tokio::test]
async fn a_form_that_another_site_sends_is_refused_even_with_the_token() {
    let site = Site::claimed().await;
    let mut anna = site.anna().await;
    let page = anna.open("/trust").await;
    let token = page.text.split("name=\"token\" value=\"").nth(1).unwrap();
    let token = token.split('"').next().unwrap().to_owned();
    let from = [("sec-fetch-site", "cross-site")];
    assert_eq!(
        anna.send_with("/sign-out", &token, &[], &from).await.status,
        403
    );
    assert_eq!(
        anna.send_with("/sign-out", &token, &[], &[]).await.status,
        303
    );
}

#[tokio::test]
async fn every_response_forbids_what_pages_do_not_need() {
    let site = Site::claimed().await;
    let mut anna = site.anna().await;
    for path in [
        "/",
        "/sign-in",
        "/trust",
        "/setup/name",
        "/nothing",
        "/static/perch.css",
    ] {
        let page = anna.open(path).await;
        let policy = page.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("default-src 'none'"), "{path}: {policy}");
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(page.headers["x-content-type-options"], "nosniff", "{path}");
    }
}

#[tokio::test]
async fn asking_for_what_only_takes_forms_leads_to_the_page_above() {
    let site = Site::claimed().await;
    let mut anna = site.anna().await;
    assert_eq!(
        anna.open("/admin/power/restart").await.location,
        "/admin/power"
    );
    assert_eq!(anna.open("/sign-out").await.location, "/");
    assert_eq!(anna.open("/admin/power").await.status, 200);
}

/// What pages load, read from their templates.
#[tokio::test]
async fn everything_that_pages_load_is_there() {
    let site = Site::claimed().await;
    let mut browser = site.browser("192.168.1.23");
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/templates");
    let mut found = std::collections::BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        for rest in text.split("/static/").skip(1) {
            let name = rest.split(['"', '#']).next().unwrap();
            found.insert(format!("/static/{name}"));
        }
    }
    assert!(found.len() >= 4, "{found:?}");
    // This box has a stand-in for what an image has of it.
    let script = include_str!("../../../ci/charts");
    let fetched = found
        .iter()
        .filter_map(|path| path.strip_prefix("/static/"));
    for name in fetched.filter(|name| script.contains(&format!("/dist/{name} "))) {
        site.put(&format!("/usr/share/perch/charts/{name}"), "");
    }
    for path in found {
        assert_eq!(browser.open(&path).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn a_missing_page_says_so_in_the_readers_language() {
    let site = Site::claimed().await;
    let mut browser = site.browser("192.168.1.23");
    browser.language = "zh-CN,zh;q=0.9";
    let page = browser.open("/nothing").await;
    assert_eq!(page.status, 404);
    assert!(
        page.has("这里什么都没有") && page.has("lang=\"zh\""),
        "{}",
        page.text
    );
    browser
        .send(
            "/language",
            &[("language", "en"), ("back", "//example.org")],
        )
        .await;
    assert!(browser.open("/nothing").await.has("There is nothing here"));
}
