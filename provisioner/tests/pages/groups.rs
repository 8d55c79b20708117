//! What the pages of groups ask of the chat server, and what they say of it.

use serde_json::{Value, json};

use super::site::Site;

fn class(members: &[&str]) -> Value {
    json!({ "id": "class-1a", "name": "Class 1a", "room": "class-1a@rooms.perch.local", "members": members })
}

#[tokio::test]
async fn a_group_is_made_and_a_fault_is_said_on_the_page() {
    let site = Site::claimed().await;
    site.imd.answer("POST /groups", class(&[]));
    site.imd.answer("GET /groups/class-1a", class(&[]));
    let mut anna = site.anna().await;
    let page = anna.open("/admin/groups").await;
    assert!(page.has("There are no groups yet"), "{}", page.text);
    let page = anna.send("/admin/groups", &[("name", "Class 1a")]).await;
    assert_eq!(page.location, "/admin/groups/class-1a", "{}", page.text);
    assert_eq!(
        site.imd.asked("POST /groups"),
        [json!({ "name": "Class 1a" })]
    );
    let page = anna.open(&page.location).await;
    assert!(
        page.has("Its room is class-1a@rooms.perch.local"),
        "{}",
        page.text
    );
    site.imd.answer(
        "POST /groups",
        json!({ "status": 409, "detail": "the group exists" }),
    );
    let page = anna.send("/admin/groups", &[("name", "Class 1a")]).await;
    assert!(
        page.has("That did not work") && page.has("the group exists"),
        "{}",
        page.text
    );
}

#[tokio::test]
async fn a_group_gets_another_name_and_members() {
    let site = Site::claimed().await;
    site.imd.answer("GET /groups/class-1a", class(&["ben"]));
    for request in [
        "PATCH /groups/class-1a",
        "POST /groups/class-1a/members",
        "DELETE /groups/class-1a/members/ben",
    ] {
        site.imd.answer(request, class(&["ben"]));
    }
    let mut anna = site.anna().await;
    let page = anna.open("/admin/groups/class-1a").await;
    assert!(page.has("/admin/people/ben"), "{}", page.text);
    let path = "/admin/groups/class-1a";
    let page = anna.send(path, &[("name", "Class 2a")]).await;
    assert_eq!(
        page.location, "/admin/groups/class-1a?done=saved",
        "{}",
        page.text
    );
    assert!(anna.open(&page.location).await.has("Saved."));
    assert_eq!(
        site.imd.asked("PATCH /groups/class-1a"),
        [json!({ "name": "Class 2a" })]
    );
    let members = "/admin/groups/class-1a/members";
    anna.send(members, &[("add", "eve, tom；小明\n lea")]).await;
    assert_eq!(
        site.imd.asked("POST /groups/class-1a/members"),
        [json!(["eve", "tom", "小明", "lea"])]
    );
    anna.send(members, &[("remove", "ben")]).await;
    assert_eq!(
        site.imd.asked("DELETE /groups/class-1a/members/ben").len(),
        1
    );
    site.imd.answer(
        "POST /groups/class-1a/members",
        json!({ "status": 404, "detail": "account \"nobody\" does not exist" }),
    );
    let page = anna.send(members, &[("add", "nobody")]).await;
    assert!(page.has("does not exist"), "{}", page.text);
}

#[tokio::test]
async fn a_group_is_deleted() {
    let site = Site::claimed().await;
    site.imd.answer("GET /groups/class-1a", class(&[]));
    site.imd.answer("DELETE /groups/class-1a", class(&[]));
    let mut anna = site.anna().await;
    anna.open("/admin/groups/class-1a").await;
    let page = anna.send("/admin/groups/class-1a/delete", &[]).await;
    assert_eq!(page.location, "/admin/groups?done=deleted", "{}", page.text);
    assert_eq!(site.imd.asked("DELETE /groups/class-1a").len(), 1);
    assert!(anna.open(&page.location).await.has("Gone."));
    let log = site.file("/var/lib/perch/audit.jsonl");
    assert!(log.contains("group.delete"), "{log}");
}
