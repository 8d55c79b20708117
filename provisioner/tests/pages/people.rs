//! What the pages of people ask of the chat server, and what they say of it.

use serde_json::{Value, json};

use super::imd::member;
use super::site::Site;

fn groups() -> Value {
    json!([
        { "id": "class-1a", "name": "Class 1a", "room": null, "members": [] },
        { "id": "choir", "name": "Choir", "room": null, "members": ["ben"] },
    ])
}

#[tokio::test]
async fn a_person_is_added_with_a_name_a_role_and_groups() {
    let site = Site::claimed().await;
    site.imd.answer("GET /groups", groups());
    let mut anna = site.anna().await;
    let page = anna.open("/admin/people-new").await;
    assert!(page.has("Class 1a") && page.has("Limited"), "{}", page.text);
    let fields = [
        ("name", "Eve"),
        ("display_name", "Eve E."),
        ("role", "limited"),
        ("group", "class-1a"),
        ("password", ""),
    ];
    let page = anna.send("/admin/people-new", &fields).await;
    assert_eq!(
        page.location, "/admin/people/eve?done=added",
        "{}",
        page.text
    );
    assert_eq!(
        site.imd.asked("POST /people"),
        [
            json!({ "username": "eve", "role": "limited", "groups": ["class-1a"], "display_name": "Eve E." })
        ]
    );
    let page = anna.open(&page.location).await;
    assert!(
        page.has("Added.") && page.has("eve@perch.local"),
        "{}",
        page.text
    );

    anna.open("/admin/people-new").await;
    let page = anna
        .send("/admin/people-new", &[("name", "ben"), ("role", "member")])
        .await;
    assert!(page.has("Somebody has this name already"), "{}", page.text);
    let weak = [
        ("name", "tom"),
        ("role", "member"),
        ("password", "12345678"),
    ];
    let page = anna.send("/admin/people-new", &weak).await;
    assert!(page.has("would be guessed soon"), "{}", page.text);
    assert_eq!(site.imd.asked("POST /people").len(), 2, "not the weak one");
    let log = site.file("/var/lib/perch/audit.jsonl");
    assert!(
        log.contains("person.add") && !log.contains("12345678"),
        "{log}"
    );
}

#[tokio::test]
async fn role_and_name_of_a_person_are_changed_and_nobody_changes_the_own_role() {
    let site = Site::claimed().await;
    site.imd.answer("PATCH /people/ben", member("ben"));
    site.imd.answer("PATCH /people/anna", member("anna"));
    let mut anna = site.anna().await;
    anna.open("/admin/people/ben").await;
    let fields = [("display_name", "Ben B."), ("role", "limited")];
    let page = anna.send("/admin/people/ben/change", &fields).await;
    assert_eq!(
        page.location, "/admin/people/ben?done=saved",
        "{}",
        page.text
    );
    assert!(anna.open(&page.location).await.has("Saved."));
    assert_eq!(
        site.imd.asked("PATCH /people/ben"),
        [json!({ "display_name": "Ben B.", "role": "limited" })]
    );
    let page = anna.open("/admin/people/anna").await;
    assert!(
        !page.has("name=\"role\"") && !page.has("/freeze"),
        "{}",
        page.text
    );
    let fields = [("display_name", ""), ("role", "member")];
    anna.send("/admin/people/anna/change", &fields).await;
    assert_eq!(
        site.imd.asked("PATCH /people/anna"),
        [json!({ "display_name": null })]
    );
}

#[tokio::test]
async fn a_person_is_frozen_and_thawed() {
    let site = Site::claimed().await;
    site.imd.answer("PATCH /people/ben", member("ben"));
    let mut anna = site.anna().await;
    anna.open("/admin/people/ben").await;
    for (frozen, word, said) in [
        ("yes", "frozen", "nobody can sign in"),
        ("no", "thawed", "works again"),
    ] {
        let page = anna
            .send("/admin/people/ben/freeze", &[("frozen", frozen)])
            .await;
        assert_eq!(page.location, format!("/admin/people/ben?done={word}"));
        assert!(anna.open(&page.location).await.has(said));
    }
    assert_eq!(
        site.imd.asked("PATCH /people/ben"),
        [json!({ "enabled": false }), json!({ "enabled": true })]
    );
}

#[tokio::test]
async fn a_person_gets_groups_and_leaves_others() {
    let site = Site::claimed().await;
    let mut ben = member("ben");
    ben["groups"] = json!(["choir"]);
    site.imd.answer("GET /people/ben", ben);
    site.imd.answer("GET /groups", groups());
    site.imd.answer("POST /groups/class-1a/members", json!({}));
    site.imd
        .answer("DELETE /groups/choir/members/ben", json!({}));
    let mut anna = site.anna().await;
    let page = anna.open("/admin/people/ben").await;
    assert!(page.has("value=\"choir\" checked") && page.has("value=\"class-1a\">"));
    let page = anna
        .send("/admin/people/ben/groups", &[("group", "class-1a")])
        .await;
    assert_eq!(
        page.location, "/admin/people/ben?done=saved",
        "{}",
        page.text
    );
    assert_eq!(
        site.imd.asked("POST /groups/class-1a/members"),
        [json!(["ben"])]
    );
    assert_eq!(site.imd.asked("DELETE /groups/choir/members/ben").len(), 1);
    assert_eq!(site.imd.changes().len(), 3, "{:?}", site.imd.changes());
}

#[tokio::test]
async fn a_link_for_a_new_password_is_shown_with_its_code() {
    let site = Site::claimed().await;
    let mut anna = site.anna().await;
    anna.open("/admin/people/ben").await;
    let page = anna.send("/admin/people/ben/password", &[]).await;
    assert!(
        page.has("https://perch.local/invite/t") && page.has("<svg"),
        "{}",
        page.text
    );
    let asked = site.imd.asked("POST /invitations");
    assert_eq!(
        asked,
        [json!({ "kind": "reset", "username": "ben", "groups": [], "days": 2 })]
    );
}

#[tokio::test]
async fn a_device_is_signed_out_and_the_page_says_what_that_means() {
    let site = Site::claimed().await;
    let devices = json!([
        { "id": "p1", "jid": "ben@perch.local/phone", "connected": true, "software": "Conversations", "device": "Phone",
          "token_since": "2026-11-01T10:00:00Z", "token_until": "2026-12-20T10:00:00Z" },
        { "id": "w1", "jid": "ben@perch.local/web", "connected": true, "software": null, "device": null,
          "token_since": null, "token_until": null },
        { "id": "t1", "jid": null, "connected": false, "software": null, "device": null,
          "token_since": "2026-10-05T10:00:00Z", "token_until": "2026-12-20T10:00:00Z" },
    ]);
    site.imd.answer("GET /people/ben/devices", devices);
    site.imd.answer(
        "DELETE /people/ben/devices/t1",
        json!({ "sessions": 0, "tokens": 1 }),
    );
    let mut anna = site.anna().await;
    let page = anna.open("/admin/people/ben").await;
    for said in [
        "Conversations Phone",
        "since 2026-11-01",
        "<span>web",
        "An app that is not connected",
        "since 2026-10-05",
    ] {
        assert!(page.has(said), "{said}: {}", page.text);
    }
    let page = anna
        .send("/admin/people/ben/close", &[("device", "t1")])
        .await;
    assert_eq!(
        page.location, "/admin/people/ben?done=closed",
        "{}",
        page.text
    );
    assert_eq!(
        site.imd.changes().last().unwrap(),
        "DELETE /people/ben/devices/t1"
    );
    let page = anna.open(&page.location).await;
    assert!(
        page.has("it needs the password to come back"),
        "{}",
        page.text
    );
    let page = anna
        .send("/admin/people/ben/close", &[("device", "../../anna")])
        .await;
    assert!(page.has("That did not work"), "{}", page.text);
    let last = site.imd.changes().pop().unwrap();
    assert_eq!(last, "DELETE /people/ben/devices/..%2F..%2Fanna");
}

#[tokio::test]
async fn a_person_is_deleted_once_the_name_was_typed() {
    let site = Site::claimed().await;
    site.imd
        .answer("DELETE /people/ben", json!({ "remains": [] }));
    site.imd.answer(
        "GET /people",
        json!({ "people": [], "total": 0, "next": null }),
    );
    let mut anna = site.anna().await;
    anna.open("/admin/people/ben").await;
    let page = anna
        .send("/admin/people/ben/delete", &[("confirm", "bem")])
        .await;
    assert!(page.has("typed"), "{}", page.text);
    assert!(site.imd.asked("DELETE /people/ben").is_empty());
    let page = anna
        .send("/admin/people/ben/delete", &[("confirm", "ben")])
        .await;
    assert_eq!(page.location, "/admin/people?done=deleted", "{}", page.text);
    assert_eq!(site.imd.asked("DELETE /people/ben").len(), 1);
    assert!(anna.open(&page.location).await.has("Gone."));
    anna.open("/admin/people/anna").await;
    let page = anna
        .send("/admin/people/anna/delete", &[("confirm", "anna")])
        .await;
    assert_eq!(
        page.status, 403,
        "nobody deletes the own account: {}",
        page.text
    );
}

#[tokio::test]
async fn all_people_are_in_the_table_and_those_of_a_table_are_added() {
    let site = Site::claimed().await;
    let mut ben = member("ben");
    ben["display_name"] = json!("=Ben, B.");
    ben["groups"] = json!(["choir", "class-1a"]);
    let one = json!({ "people": [member("anna")], "total": 2, "next": "anna" });
    let other = json!({ "people": [ben], "total": 2, "next": null });
    site.imd.answer("GET /people?max=1000&after=", one);
    site.imd.answer("GET /people?max=1000&after=anna", other);
    let mut anna = site.anna().await;
    let page = anna.open("/admin/people.csv").await;
    assert_eq!(
        page.text,
        "username,display_name,groups,role\r\nanna,,,member\r\nben,\"'=Ben, B.\",\"choir;class-1a\",member\r\n"
    );
    let kind = page.headers["content-disposition"].to_str().unwrap();
    assert!(kind.contains("people.csv"), "{kind}");

    site.imd
        .answer("POST /people/import", json!({ "accounts": 1, "groups": 0 }));
    anna.open("/admin/people-import").await;
    let table = "username\r\ntom";
    let page = anna.send("/admin/people-import", &[("table", table)]).await;
    assert!(page.has("One person was added."), "{}", page.text);
    assert_eq!(site.imd.asked("POST /people/import"), [json!(table)]);
    let fault = json!({ "status": 422, "detail": "the table has mistakes",
        "errors": [{ "at": "line 2", "found": "\"t m\"", "accepted": "a name" }] });
    site.imd.answer("POST /people/import", fault);
    let page = anna
        .send("/admin/people-import", &[("table", "username\nt m")])
        .await;
    assert!(
        page.has("Nothing was added") && page.has("line 2: &#34;t m&#34;; a name"),
        "{}",
        page.text
    );
}
