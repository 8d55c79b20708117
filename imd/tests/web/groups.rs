//! Groups by the admin API, as their people see it.

use http_body_util::Full;
use hyper::Request;
use serde_json::{Value, json};

use super::harness::{DOMAIN, PASSWORD, Site, text};

#[tokio::test]
async fn a_new_display_name_is_seen_by_those_of_the_same_group_at_once() {
    let site = Site::start("").await;
    let group = json!({"name": "Tea", "members": ["alice", "bob"]});
    site.done("POST", "/groups", group).await;
    let mut bob = site.login("bob").await;
    bob.ask("<iq xmlns='jabber:client' type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>")
        .await;
    let named = json!({"display_name": "Alice L."});
    site.done("PATCH", "/people/alice", named).await;
    let push = bob.receive().await;
    let item = push.first_child().unwrap().first_child().unwrap();
    assert_eq!(
        (item.attr("jid"), item.attr("name")),
        (Some("alice@perch.test"), Some("Alice L."))
    );
}

#[tokio::test]
async fn nobody_is_created_into_a_group_that_is_full() {
    let site = Site::start("[limits]\ngroup_members = 2\n").await;
    let group = json!({"name": "Tea", "members": ["alice", "bob"]});
    site.done("POST", "/groups", group).await;
    let new = json!({"username": "carl", "groups": ["tea"]});
    let answer = site.admin("POST", "/people", &new.to_string()).await;
    assert_eq!(answer.status(), 422, "{}", text(&answer));
    assert!(
        text(&answer).contains("limits.group_members"),
        "{}",
        text(&answer)
    );
    let answer = site.admin("GET", "/people/carl", "").await;
    assert_eq!(answer.status(), 404, "{}", text(&answer));
}

#[tokio::test]
async fn a_limited_guest_comes_into_the_group_of_the_invitation_and_to_nobody_else() {
    let site = Site::start("").await;
    let group = json!({"name": "Tea", "members": ["bob"]});
    site.done("POST", "/groups", group).await;
    let new = json!({"role": "limited", "groups": ["tea"], "inviter": "alice"});
    let invitation = site.done("POST", "/invitations", new).await;
    let mut bob = site.login("bob").await;
    bob.ask("<iq xmlns='jabber:client' type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>")
        .await;
    let secret = PASSWORD.replace(' ', "+");
    let page = Request::post(format!("/invite/{}", invitation["token"].as_str().unwrap()))
        .header("host", DOMAIN)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Full::from(format!(
            "name=kid&password={secret}&repeat={secret}"
        )))
        .unwrap();
    let made = site.send(page).await;
    assert!(made.status().as_u16() < 400, "{}", text(&made));
    // Bob, who is online, has the guest at once.
    let push = bob.receive().await;
    let item = push.first_child().unwrap().first_child().unwrap();
    assert_eq!(
        (item.attr("jid"), item.attr("subscription")),
        (Some("kid@perch.test"), Some("both"))
    );
    let mut kid = site.login("kid").await;
    let roster = kid
        .ask("<iq xmlns='jabber:client' type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>")
        .await;
    let query = roster.first_child().unwrap();
    let contacts: Vec<_> = query.children().filter_map(|i| i.attr("jid")).collect();
    assert_eq!(contacts, ["bob@perch.test"]);
    let shown = site.done("GET", "/people/kid", Value::Null).await;
    assert_eq!(
        (&shown["role"], &shown["groups"]),
        (&json!("limited"), &json!(["tea"]))
    );
}
