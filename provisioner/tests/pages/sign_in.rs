//! Signing in, and what a session is good for.

use super::site::{PASSWORD, Site};

#[tokio::test]
async fn administrators_come_in_and_nobody_else() {
    let site = Site::claimed().await;
    let mut browser = site.browser("192.168.1.23");
    assert!(browser.follow("/").await.has("Open the web chat"));
    browser.open("/sign-in").await;
    let page = browser
        .send("/sign-in", &[("name", "anna"), ("password", "wrong")])
        .await;
    assert_eq!(page.status, 403);
    assert!(page.has("do not go together"), "{}", page.text);
    let page = browser
        .send("/sign-in", &[("name", "ben"), ("password", PASSWORD)])
        .await;
    assert!(page.has("not an administrator"), "{}", page.text);
    let form = [
        ("name", "Anna@perch.local"),
        ("password", PASSWORD),
        ("next", "/setup/trust"),
    ];
    let page = browser.send("/sign-in", &form).await;
    assert_eq!(page.location, "/setup/trust");
    assert_eq!(browser.open("/setup/trust").await.status, 200);
}

#[tokio::test]
async fn a_session_ends_with_the_role_and_with_signing_out() {
    let site = Site::claimed().await;
    let mut anna = site.anna().await;
    assert_eq!(anna.open("/setup/trust").await.status, 200);
    site.imd.add("anna", PASSWORD, "member");
    assert!(
        anna.open("/setup/trust")
            .await
            .location
            .starts_with("/sign-in")
    );
    site.imd.add("anna", PASSWORD, "admin");
    assert!(
        anna.open("/setup/trust")
            .await
            .location
            .starts_with("/sign-in")
    );

    let mut anna = site.anna().await;
    anna.open("/setup/trust").await;
    anna.send("/sign-out", &[]).await;
    assert!(
        anna.open("/setup/trust")
            .await
            .location
            .starts_with("/sign-in")
    );
}

#[tokio::test]
async fn guessing_is_slowed_down_and_a_file_on_the_card_ends_the_wait() {
    let site = Site::claimed().await;
    // A browser that has signed in before, elsewhere.
    let mut owner = site.anna().await;
    owner.open("/setup/trust").await;
    owner.send("/sign-out", &[]).await;
    let mut thief = site.browser("192.168.1.99");
    thief.open("/sign-in").await;
    for _ in 0..5 {
        thief
            .send("/sign-in", &[("name", "anna"), ("password", "wrong")])
            .await;
    }
    let right = [("name", "anna"), ("password", PASSWORD)];
    let page = thief.send("/sign-in", &right).await;
    assert_eq!(page.status, 429, "{}", page.text);
    owner.open("/sign-in").await;
    assert_eq!(owner.send("/sign-in", &right).await.status, 303);
    // The owner's success takes the account's failures away; the thief's address keeps its own.
    assert_eq!(thief.send("/sign-in", &right).await.status, 429);
    site.put("/boot/firmware/perch-unlock", "");
    assert_eq!(thief.send("/sign-in", &right).await.status, 303);
    assert!(
        !site
            .folder
            .path()
            .join("root/boot/firmware/perch-unlock")
            .exists()
    );
}

#[tokio::test]
async fn cookies_are_for_this_box_alone() {
    let site = Site::claimed().await;
    let mut browser = site.browser("192.168.1.23");
    browser.open("/sign-in").await;
    let visit = browser.cookies["__Host-perch"].clone();
    let page = browser
        .send("/sign-in", &[("name", "anna"), ("password", PASSWORD)])
        .await;
    let set: Vec<&str> = page
        .headers
        .get_all("set-cookie")
        .iter()
        .map(|v| v.to_str().unwrap())
        .collect();
    assert_eq!(set.len(), 2);
    for cookie in set {
        for word in ["__Host-", "Secure", "HttpOnly", "SameSite=Strict", "Path=/"] {
            assert!(cookie.contains(word), "{cookie}");
        }
        assert!(!cookie.contains("Domain"), "{cookie}");
    }
    // What was known before signing in is worth nothing afterwards.
    assert_ne!(browser.cookies["__Host-perch"], visit);
}

#[tokio::test]
async fn without_the_chat_server_its_administrators_still_come_to_their_pages() {
    let site = Site::claimed().await;
    let mut anna = site.anna().await;
    std::fs::remove_file(site.folder.path().join("imd.sock")).unwrap();
    assert_eq!(anna.open("/setup/trust").await.status, 200);
    let mut other = site.browser("192.168.1.24");
    other.open("/sign-in").await;
    let page = other
        .send("/sign-in", &[("name", "anna"), ("password", PASSWORD)])
        .await;
    assert_eq!(page.status, 503);
    assert!(page.has("The chat server does not answer"), "{}", page.text);
}
