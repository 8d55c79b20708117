use crate::harness::{Site, json, text};

#[tokio::test(flavor = "multi_thread")]
async fn host_meta_names_websocket_and_bosh_for_everybody() {
    let site = Site::start("").await;
    let xml = site.get("/.well-known/host-meta").await;
    assert_eq!(xml.headers()["access-control-allow-origin"], "*");
    assert!(
        text(&xml).contains("rel='urn:xmpp:alt-connections:websocket' href='wss://perch.test/ws'")
    );
    let links = json(&site.get("/.well-known/host-meta.json").await)["links"].clone();
    assert_eq!(links[1]["href"], "https://perch.test/bosh");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_public_address_is_what_clients_are_told() {
    let site = Site::start("[web]\npublic_url = \"https://chat.example:8443\"\n").await;
    let links = json(&site.get("/.well-known/host-meta.json").await)["links"].clone();
    assert_eq!(links[0]["href"], "wss://chat.example:8443/ws");
}

#[tokio::test(flavor = "multi_thread")]
async fn health_counts_the_sessions() {
    let site = Site::start("").await;
    let _alice = site.login("alice").await;
    let health = site.get("/health").await;
    assert_eq!(health.status(), 200);
    assert_eq!(json(&health)["status"], "ok");
    assert_eq!(json(&health)["sessions"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_says_what_browsers_must_not_do_with_it() {
    let site = Site::start("").await;
    for path in ["/health", "/nowhere", "/.well-known/host-meta"] {
        let response = site.get(path).await;
        let policy = response.headers()["content-security-policy"]
            .to_str()
            .unwrap();
        assert!(policy.starts_with("default-src 'none'"), "{path}: {policy}");
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    }
    assert_eq!(site.get("/nowhere").await.status(), 404);
}
