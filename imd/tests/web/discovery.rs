use crate::harness::{DOMAIN, Site, json, text};

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

#[tokio::test(flavor = "multi_thread")]
async fn servers_for_calls_are_told_with_passwords_that_run_out() {
    let site = Site::start(
        "[[external_service]]\ntype = \"stun\"\nhost = \"stun.test\"\n\
         [[external_service]]\ntype = \"turn\"\nhost = \"turn.test\"\nport = 3479\nsecret = \"north\"\n",
    )
    .await;
    let mut alice = site.login("alice").await;
    let mut ask = async |inner: &str| {
        let iq = format!("<iq xmlns='jabber:client' type='get' id='x' to='{DOMAIN}'>{inner}</iq>");
        alice.ask(&iq).await.first_child().unwrap().clone()
    };
    let all = ask("<services xmlns='urn:xmpp:extdisco:2'/>").await;
    let hosts: Vec<_> = all.children().map(|s| s.attr("host").unwrap()).collect();
    assert_eq!(hosts, ["stun.test", "turn.test"]);
    let turn = ask("<services xmlns='urn:xmpp:extdisco:2' type='turn'/>").await;
    let turn = turn.first_child().unwrap();
    assert!(turn.attr("username").unwrap().ends_with(":alice"));
    assert!(turn.attr("expires").is_some());
    let again = ask("<credentials xmlns='urn:xmpp:extdisco:2'><service host='turn.test' type='turn' port='3479'/></credentials>").await;
    assert!(again.first_child().unwrap().attr("password").is_some());
    let none = ask("<credentials xmlns='urn:xmpp:extdisco:2'><service host='no.test' type='turn'/></credentials>").await;
    assert_eq!(none.name(), "error");
}
