//! What the pages of rooms ask of the chat server, and what they say of it.

use serde_json::json;

use super::browser::Browser;
use super::site::Site;

const ROOM: &str = "/admin/rooms/tea";

async fn site() -> (Site, Browser) {
    let site = Site::claimed().await;
    let room = json!({
        "name": "tea", "jid": "tea@rooms.perch.local", "title": "Tea", "description": "", "public": true,
        "members_only": false, "moderated": false, "archive": true,
        "affiliations": [{ "jid": "anna@perch.local", "affiliation": "owner" }],
    });
    site.imd.answer("GET /rooms/tea", room.clone());
    site.imd.answer("PATCH /rooms/tea", room);
    let rules = json!([{ "owner": "tea@rooms.perch.local", "days": 90 }]);
    site.imd
        .answer("GET /retention", json!({ "days": 365, "rules": rules }));
    let list = json!([{ "name": "tea", "title": "Tea", "public": true, "occupants": 2 }]);
    site.imd.answer("GET /rooms", list);
    let mut anna = site.anna().await;
    let page = anna.open(ROOM).await;
    assert!(page.has("tea@rooms.perch.local"), "{}", page.text);
    assert!(page.has("<option value=\"90\" selected>"), "{}", page.text);
    (site, anna)
}

#[tokio::test]
async fn a_room_is_made_with_its_maker_as_owner() {
    let (site, mut anna) = site().await;
    site.imd.answer("POST /rooms", json!({}));
    let page = anna.open("/admin/rooms").await;
    assert!(page.has("2 people are in it"), "{}", page.text);
    let fields = [("title", "Tea"), ("name", "Tea"), ("members_only", "yes")];
    let page = anna.send("/admin/rooms", &fields).await;
    assert_eq!(
        page.location, "/admin/rooms/tea?done=added",
        "{}",
        page.text
    );
    assert_eq!(
        site.imd.asked("POST /rooms"),
        [json!({
            "name": "tea", "settings": { "title": "Tea", "members_only": true, "public": false },
            "affiliations": [{ "jid": "anna", "affiliation": "owner" }],
        })]
    );
}

#[tokio::test]
async fn settings_of_a_room_are_changed_and_a_fault_is_said() {
    let (site, mut anna) = site().await;
    let fields = [
        ("title", "Coffee"),
        ("description", "At four"),
        ("moderated", "yes"),
    ];
    let page = anna.send(ROOM, &fields).await;
    assert_eq!(
        page.location, "/admin/rooms/tea?done=saved",
        "{}",
        page.text
    );
    assert!(anna.open(&page.location).await.has("Saved."));
    assert_eq!(
        site.imd.asked("PATCH /rooms/tea"),
        [json!({ "settings": {
            "title": "Coffee", "description": "At four", "public": false, "members_only": false, "moderated": true,
            "archive": false,
        } })]
    );
    let fault = json!({ "status": 422, "detail": "the title is too long" });
    site.imd.answer("PATCH /rooms/tea", fault);
    let page = anna.send(ROOM, &fields).await;
    assert!(page.has("the title is too long"), "{}", page.text);
}

#[tokio::test]
async fn people_get_a_part_in_a_room_and_lose_it() {
    let (site, mut anna) = site().await;
    let path = format!("{ROOM}/part");
    for affiliation in ["outcast", "none"] {
        let fields = [("jid", "eve"), ("affiliation", affiliation)];
        let page = anna.send(&path, &fields).await;
        assert_eq!(
            page.location, "/admin/rooms/tea?done=saved",
            "{}",
            page.text
        );
    }
    let part = |affiliation: &str| json!({ "affiliations": [{ "jid": "eve", "affiliation": affiliation }] });
    assert_eq!(
        site.imd.asked("PATCH /rooms/tea"),
        [part("outcast"), part("none")]
    );
}

#[tokio::test]
async fn a_room_keeps_its_messages_as_long_as_is_chosen() {
    let (site, mut anna) = site().await;
    let request = "PUT /retention/tea%40rooms.perch.local";
    site.imd.answer(request, json!({}));
    let path = format!("{ROOM}/keep");
    // The last has no rule of its own any more, which is no fault.
    for days in ["30", "forever", ""] {
        let page = anna.send(&path, &[("days", days)]).await;
        assert_eq!(
            page.location, "/admin/rooms/tea?done=saved",
            "{days}: {}",
            page.text
        );
    }
    assert_eq!(
        site.imd.asked(request),
        [json!({ "days": 30 }), json!({ "days": null })]
    );
    assert_eq!(
        site.imd.changes().last().unwrap(),
        "DELETE /retention/tea%40rooms.perch.local"
    );
}

#[tokio::test]
async fn a_room_is_deleted_once_its_name_was_typed() {
    let (site, mut anna) = site().await;
    site.imd.answer("DELETE /rooms/tea", json!({}));
    let path = format!("{ROOM}/delete");
    let page = anna.send(&path, &[("confirm", "te")]).await;
    assert!(page.has("typed"), "{}", page.text);
    assert!(site.imd.asked("DELETE /rooms/tea").is_empty());
    let page = anna.send(&path, &[("confirm", "tea")]).await;
    assert_eq!(page.location, "/admin/rooms?done=deleted", "{}", page.text);
    assert_eq!(site.imd.asked("DELETE /rooms/tea").len(), 1);
    assert!(anna.open(&page.location).await.has("Gone."));
}
