//! A person's devices in the admin API.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use imd_store::{LoginToken, TokenStore as _, now_millis};
use serde_json::{Value, json};

use super::harness::{PASSWORD, Site};

#[tokio::test]
async fn a_device_that_is_signed_out_cannot_come_back_without_the_password() {
    let site = Site::start("").await;
    let store = site.store();
    for (client, secret) in [("a phone's id", 1), ("a lost tablet's id", 2)] {
        let token = LoginToken {
            user: "alice".to_owned(),
            client: client.to_owned(),
            mechanism: "HT-SHA-256-NONE".to_owned(),
            secret: vec![secret; 32],
            created_at: now_millis(),
            expires_at: now_millis() + 60_000,
            counter: None,
            used: true,
        };
        store.add_login_token(token).await.unwrap();
    }
    let mut phone = site.web_socket().await;
    phone.open().await;
    let secret = STANDARD.encode(format!("\0alice\0{PASSWORD}"));
    phone
        .send(&format!(
            "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'><initial-response>{secret}</initial-response>\
             <user-agent id='a phone&apos;s id'><software>Test</software><device>Phone</device></user-agent>\
             <bind xmlns='urn:xmpp:bind:0'/></authenticate>"
        ))
        .await;
    assert_eq!(phone.receive().await.name(), "success");
    assert_eq!(phone.receive().await.name(), "features");
    let _laptop = site.login("alice").await;

    let list = async || site.done("GET", "/people/alice/devices", Value::Null).await;
    let devices = list().await;
    let find = |what: &dyn Fn(&Value) -> bool| {
        let found = devices.as_array().unwrap().iter().find(|d| what(d));
        found.unwrap_or_else(|| panic!("{devices}")).clone()
    };
    assert_eq!(devices.as_array().unwrap().len(), 3, "{devices}");
    let shown = find(&|d| d["device"] == "Phone");
    assert_eq!(
        (&shown["connected"], &shown["software"]),
        (&json!(true), &json!("Test"))
    );
    assert!(shown["token_since"].is_string() && shown["token_until"].is_string());
    assert_eq!(
        find(&|d| d["jid"] == "alice@perch.test/r")["token_since"],
        Value::Null
    );
    let tablet = find(&|d| d["jid"].is_null());
    assert_eq!(
        (&tablet["connected"], &tablet["device"]),
        (&json!(false), &Value::Null)
    );
    assert!(
        !devices.to_string().contains("'s id"),
        "ids are the clients' own: {devices}"
    );

    let path = |device: &Value| format!("/people/alice/devices/{}", device["id"].as_str().unwrap());
    let ended = site.done("DELETE", &path(&shown), Value::Null).await;
    assert_eq!(ended, json!({ "sessions": 1, "tokens": 1 }));
    let end = phone.receive().await;
    assert_eq!(end.name(), "error", "{end:?}");
    let tokens = async |client: &str| {
        let found = store.login_tokens("alice", client).await.unwrap();
        found.unwrap().1.len()
    };
    assert_eq!(
        (
            tokens("a phone's id").await,
            tokens("a lost tablet's id").await
        ),
        (0, 1)
    );
    let ended = site.done("DELETE", &path(&tablet), Value::Null).await;
    assert_eq!(ended, json!({ "sessions": 0, "tokens": 1 }));
    assert_eq!(tokens("a lost tablet's id").await, 0);
    site.refused("DELETE", &path(&tablet), "", 404).await;
    site.refused("DELETE", "/people/nobody/devices/x", "", 404)
        .await;
    let log = site.done("GET", "/log?action=device.", Value::Null).await;
    assert_eq!(log.as_array().unwrap().len(), 2, "{log}");
}
