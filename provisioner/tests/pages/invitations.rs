//! What the pages of invitations ask of the chat server, and what they show.

use serde_json::{Value, json};

use super::site::Site;

fn invitation(token: &str, note: Option<&str>) -> Value {
    json!({
        "token": token, "kind": "account", "url": format!("https://perch.local/invite/{token}"), "username": null,
        "role": "limited", "groups": ["class-1a"], "expires_at": "2026-12-31T10:00:00Z", "uses_left": 5,
        "usable": true, "note": note,
    })
}

async fn site() -> Site {
    let site = Site::claimed().await;
    let groups = json!([{ "id": "class-1a", "name": "Class 1a", "room": null, "members": [] }]);
    site.imd.answer("GET /groups", groups);
    site.imd.answer("GET /invitations", json!([]));
    site
}

#[tokio::test]
async fn an_invitation_for_a_group_has_a_link_a_code_and_an_end() {
    let site = site().await;
    let mut anna = site.anna().await;
    let page = anna.open("/admin/invitations").await;
    assert!(page.has("Class 1a"), "{}", page.text);
    let fields = [
        ("uses", "5"),
        ("days", "30"),
        ("note", "For the neighbours"),
        ("group", "class-1a"),
        ("role", "limited"),
    ];
    let page = anna.send("/admin/invitations", &fields).await;
    assert_eq!(page.location, "/admin/invitations/show/t", "{}", page.text);
    assert_eq!(
        site.imd.asked("POST /invitations"),
        [
            json!({ "role": "limited", "groups": ["class-1a"], "days": 30, "uses": 5, "note": "For the neighbours" })
        ]
    );
    site.imd.answer(
        "GET /invitations",
        json!([invitation("t", Some("For the neighbours"))]),
    );
    let page = anna.open(&page.location).await;
    for said in [
        "https://perch.local/invite/t",
        "<svg",
        "Class 1a",
        "2026-12-31 10:00",
        "5",
    ] {
        assert!(page.has(said), "{said}: {}", page.text);
    }
    let page = anna.open("/admin/invitations").await;
    assert!(
        page.has("For the neighbours") && page.has("Class 1a"),
        "{}",
        page.text
    );
}

#[tokio::test]
async fn an_invitation_is_taken_back() {
    let site = site().await;
    site.imd
        .answer("GET /invitations", json!([invitation("t", None)]));
    site.imd.answer("DELETE /invitations/t", json!({}));
    let mut anna = site.anna().await;
    anna.open("/admin/invitations").await;
    let page = anna
        .send("/admin/invitations/revoke", &[("revoke", "t")])
        .await;
    assert_eq!(
        page.location, "/admin/invitations?done=deleted",
        "{}",
        page.text
    );
    assert_eq!(site.imd.changes().last().unwrap(), "DELETE /invitations/t");
    site.imd.answer("GET /invitations", json!([]));
    let page = anna.open(&page.location).await;
    assert!(
        page.has("Gone.") && page.has("No invitation can be used"),
        "{}",
        page.text
    );
}

#[tokio::test]
async fn a_sheet_for_a_group_is_made_printed_and_taken_back() {
    let site = site().await;
    let mut anna = site.anna().await;
    anna.open("/admin/invitations").await;
    for number in ["0", "101", "many"] {
        let fields = [("title", "Class 1a"), ("number", number), ("days", "14")];
        let page = anna.send("/admin/invitations/sheet", &fields).await;
        assert!(
            page.has("A sheet has 1 to 100 codes"),
            "{number}: {}",
            page.text
        );
    }
    assert!(site.imd.asked("POST /invitations").is_empty());
    let fields = [
        ("title", "Class 1a"),
        ("number", "3"),
        ("days", "14"),
        ("group", "class-1a"),
        ("role", "limited"),
    ];
    let page = anna.send("/admin/invitations/sheet", &fields).await;
    assert_eq!(
        page.location, "/admin/invitations/sheet?title=Class%201a",
        "{}",
        page.text
    );
    let one = json!({ "role": "limited", "groups": ["class-1a"], "days": 14, "uses": 1, "note": "sheet: Class 1a" });
    assert_eq!(
        site.imd.asked("POST /invitations"),
        [one.clone(), one.clone(), one]
    );
    let on_it = ["a", "b", "c"].map(|token| invitation(token, Some("sheet: Class 1a")));
    let mut all = on_it.to_vec();
    all.push(invitation("other", Some("sheet: Class 2b")));
    site.imd.answer("GET /invitations", json!(all));
    let page = anna.open(&page.location).await;
    let codes = page.text.split("<ul class=\"codes\">").nth(1).unwrap();
    assert_eq!(codes.matches("<svg aria-hidden").count(), 3, "{codes}");
    assert!(page.has("https://perch.local/invite/c") && !page.has("invite/other"));
    // Whoever chooses another language comes back to this sheet.
    assert!(
        page.has(r#"name="back" value="/admin/invitations/sheet?title=Class%201a""#),
        "{}",
        page.text
    );
    for token in ["a", "b", "c"] {
        site.imd
            .answer(&format!("DELETE /invitations/{token}"), json!({}));
    }
    let page = anna
        .send("/admin/invitations/revoke", &[("sheet", "Class 1a")])
        .await;
    assert_eq!(
        page.location, "/admin/invitations?done=deleted",
        "{}",
        page.text
    );
    let gone: Vec<String> = site.imd.changes().split_off(site.imd.changes().len() - 3);
    assert_eq!(
        gone,
        ["a", "b", "c"].map(|t| format!("DELETE /invitations/{t}"))
    );
}
