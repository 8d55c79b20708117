//! The admin API: over the socket, by token, what it answers and what it refuses.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Request, Response};
use serde_json::{Value, json};

use super::harness::{DOMAIN, PASSWORD, Site, json as read, over, text};

impl Site {
    /// Ask over the administrators' socket.
    pub async fn admin(&self, method: &str, path: &str, body: &str) -> Response<Bytes> {
        let socket = self.folder.path().join("admin.sock");
        let socket = tokio::net::UnixStream::connect(socket).await.unwrap();
        over(socket, request(method, path, body)).await
    }

    /// The answer to what is not refused.
    pub async fn done(&self, method: &str, path: &str, body: Value) -> Value {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let answer = self.admin(method, path, &body).await;
        assert!(answer.status().is_success(), "{path}: {}", text(&answer));
        if answer.body().is_empty() {
            Value::Null
        } else {
            read(&answer)
        }
    }

    /// The problem, of this status, with which something is refused.
    pub async fn refused(&self, method: &str, path: &str, body: &str, status: u16) -> Value {
        let answer = self.admin(method, path, body).await;
        assert_eq!(answer.status(), status, "{path}: {}", text(&answer));
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        let problem = read(&answer);
        assert_eq!(problem["status"], status);
        problem
    }
}

fn request(method: &str, path: &str, body: &str) -> Request<Full<Bytes>> {
    Request::builder()
        .method(method)
        .uri(format!("/api/v1{path}"))
        .header("host", DOMAIN)
        .body(Full::new(Bytes::from(body.to_owned())))
        .unwrap()
}

#[tokio::test]
async fn people_are_made_shown_changed_and_removed() {
    let site = Site::start("").await;
    let new = json!({"username": "Carol", "password": "long enough", "role": "limited", "display_name": "Carol C."});
    let made = site.done("POST", "/people", new).await;
    assert_eq!(made["jid"], "carol@perch.test");
    let shown = site.done("GET", "/people/carol", Value::Null).await;
    assert_eq!(shown, made);
    assert_eq!(
        (&shown["role"], &shown["enabled"]),
        (&json!("limited"), &json!(true))
    );
    let change = json!({"role": "member", "display_name": null, "password": PASSWORD});
    let changed = site.done("PATCH", "/people/carol", change).await;
    assert_eq!(
        (&changed["role"], &changed["display_name"]),
        (&json!("member"), &Value::Null)
    );
    let mut carol = site.login("carol").await;
    let page = site
        .done("GET", "/people?max=2&after=alice", Value::Null)
        .await;
    assert_eq!(page["people"][0]["username"], "bob");
    assert_eq!(page["people"][1]["sessions"], 1);
    assert_eq!((&page["total"], &page["next"]), (&json!(4), &Value::Null));
    site.done("PATCH", "/people/carol", json!({"enabled": false}))
        .await;
    let end = carol.receive().await;
    assert_eq!(end.name(), "error", "{end:?}");
    let removed = site.done("DELETE", "/people/carol", Value::Null).await;
    assert!(
        removed["remains"].as_array().unwrap().len() > 2,
        "{removed}"
    );
    site.refused("GET", "/people/carol", "", 404).await;
    let log = site.done("GET", "/log?action=account.", Value::Null).await;
    let actions: Vec<_> = log
        .as_array()
        .unwrap()
        .iter()
        .map(|l| l["action"].clone())
        .collect();
    assert_eq!(
        actions,
        [
            "account.remove",
            "account.disable",
            "account.role",
            "account.password",
            "account.name",
            "account.create"
        ]
    );
    assert!(
        log[0]["actor"].as_str().unwrap().starts_with("socket:"),
        "{log}"
    );
}

#[tokio::test]
async fn what_is_refused_says_what_was_wrong_where_and_what_is_accepted() {
    let site = Site::start("").await;
    let bad = r#"{"username": "a b", "password": "short", "role": "boss", "display_name": ""}"#;
    let problem = site.refused("POST", "/people", bad, 422).await;
    let at: Vec<_> = problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["at"].clone())
        .collect();
    assert_eq!(at, ["username", "role", "display_name", "password"]);
    assert_eq!(problem["errors"][1]["accepted"], "admin, member or limited");
    site.refused("POST", "/people", r#"{"username": "alice"}"#, 409)
        .await;
    let problem = site
        .refused("POST", "/people", r#"{"username": "x", "rule": 1}"#, 400)
        .await;
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.contains("rule") && detail.contains("display_name"),
        "{detail}"
    );
    let problem = site
        .refused("POST", "/groups", r#"{"name": "x", "members": [1]}"#, 400)
        .await;
    assert_eq!(problem["errors"][0]["at"], "members[0]");
    site.refused("POST", "/people", "{", 400).await;
    site.refused("GET", "/people?max=many", "", 400).await;
    site.refused("GET", "/nothing", "", 404).await;
    site.refused("PUT", "/people", "", 405).await;
    site.refused(
        "POST",
        "/groups",
        r#"{"name": "G", "members": ["nobody"]}"#,
        404,
    )
    .await;
    assert_eq!(site.done("GET", "/groups", Value::Null).await, json!([]));
    let problem = site
        .refused(
            "POST",
            "/rooms",
            r#"{"name": "x", "settings": {"history": 1000}}"#,
            422,
        )
        .await;
    assert_eq!(problem["errors"][0]["accepted"], "0 to 100 messages");
    site.refused("POST", "/invitations", r#"{"kind": "reset"}"#, 422)
        .await;
    site.refused("POST", "/announcements", r#"{"text": " "}"#, 422)
        .await;
    site.refused("PUT", "/retention/alice", r#"{"days": 0}"#, 422)
        .await;
    site.refused("PUT", "/retention/nobody", r#"{"days": 1}"#, 404)
        .await;
    site.refused("DELETE", "/sessions/alice@perch.test", "", 404)
        .await;
}

#[tokio::test]
async fn without_the_socket_a_token_is_needed() {
    let site = Site::start("").await;
    let ask = async |token: Option<&str>, path: &str| {
        let mut request = request("GET", path, "");
        if let Some(token) = token {
            let value = format!("Bearer {token}").parse().unwrap();
            request.headers_mut().insert("authorization", value);
        }
        site.send(request).await
    };
    let answer = ask(None, "/people").await;
    assert_eq!(answer.status(), 401);
    assert!(
        answer.headers()["www-authenticate"]
            .to_str()
            .unwrap()
            .starts_with("Bearer")
    );
    let made = site
        .done("POST", "/tokens", json!({"name": "monitor", "days": 1}))
        .await;
    let token = made["token"].as_str().unwrap();
    assert_eq!(ask(Some(token), "/people").await.status(), 200);
    assert_eq!(ask(Some("imd_wrong"), "/people").await.status(), 401);
    assert_eq!(
        ask(Some(token), "/tokens").await.status(),
        403,
        "a token makes no tokens"
    );
    let listed = site.done("GET", "/tokens", Value::Null).await;
    assert_eq!(
        (&listed[0]["name"], &listed[0]["token"]),
        (&json!("monitor"), &Value::Null)
    );
    let kept = std::fs::read(site.config.data_dir.join("imd.sqlite")).unwrap();
    let secret = token.as_bytes();
    assert!(
        !kept.windows(secret.len()).any(|w| w == secret),
        "only a hash is kept"
    );
    site.done(
        "DELETE",
        &format!("/tokens/{}", made["id"].as_str().unwrap()),
        Value::Null,
    )
    .await;
    assert_eq!(ask(Some(token), "/people").await.status(), 401);
}

#[tokio::test]
async fn rooms_invitations_sessions_and_figures_are_there() {
    let site = Site::start("").await;
    let mut alice = site.login("alice").await;
    let new = json!({"name": "tea", "settings": {"title": "Tea", "members_only": true}, "affiliations": [{"jid": "alice", "affiliation": "owner"}]});
    let room = site.done("POST", "/rooms", new).await;
    assert_eq!(
        (&room["title"], &room["members_only"], &room["public"]),
        (&json!("Tea"), &json!(true), &json!(true))
    );
    assert_eq!(
        room["affiliations"],
        json!([{"jid": "alice@perch.test", "affiliation": "owner"}])
    );
    let change = json!({"settings": {"title": "Coffee", "password": "x"}, "affiliations": [{"jid": "bob", "affiliation": "member"}]});
    let changed = site.done("PATCH", "/rooms/tea", change).await;
    assert_eq!(
        (&changed["title"], &changed["password"]),
        (&json!("Coffee"), &json!("x"))
    );
    assert_eq!(changed["affiliations"].as_array().unwrap().len(), 2);
    assert_eq!(
        site.done("GET", "/rooms", Value::Null).await[0]["title"],
        "Coffee"
    );
    site.done("DELETE", "/rooms/tea?reason=over", Value::Null)
        .await;
    site.refused("GET", "/rooms/tea", "", 404).await;
    site.refused("DELETE", "/rooms/tea", "", 404).await;

    let invitation = site
        .done(
            "POST",
            "/invitations",
            json!({"username": "dora", "role": "limited"}),
        )
        .await;
    let token = invitation["token"].as_str().unwrap().to_owned();
    assert_eq!(
        invitation["url"],
        format!("https://perch.test/invite/{token}")
    );
    assert_eq!(
        invitation["uri"],
        format!("xmpp:dora@perch.test?register;preauth={token}")
    );
    assert_eq!(
        site.done("GET", "/invitations", Value::Null).await[0]["usable"],
        true
    );
    site.done("DELETE", &format!("/invitations/{token}"), Value::Null)
        .await;
    site.refused("DELETE", &format!("/invitations/{token}"), "", 404)
        .await;

    let sessions = site
        .done("GET", "/sessions?username=alice", Value::Null)
        .await;
    assert_eq!(sessions[0]["jid"], "alice@perch.test/r");
    assert_eq!(sessions[0]["connected"], true);
    let figures = site.done("GET", "/statistics", Value::Null).await;
    assert_eq!(
        (&figures["people"], &figures["people_online"]),
        (&json!(3), &json!(1))
    );
    let pulse = site.done("GET", "/pulse", Value::Null).await;
    assert_eq!(
        (&pulse["people_online"], &pulse["messages"]),
        (&json!(1), &json!(0))
    );
    let closed = site
        .done("DELETE", "/sessions/alice@perch.test%2Fr", Value::Null)
        .await;
    assert_eq!(closed["closed"], 1);
    let end = alice.receive().await;
    assert_eq!(end.name(), "error", "{end:?}");
}

#[tokio::test]
async fn an_announcement_reaches_those_who_are_online_and_waits_for_others() {
    let site = Site::start("").await;
    let mut alice = site.login("alice").await;
    alice.send("<presence xmlns='jabber:client'/>").await;
    assert_eq!(alice.receive().await.name(), "presence");
    let said = site
        .done(
            "POST",
            "/announcements",
            json!({"text": "Tea at five", "subject": "News"}),
        )
        .await;
    assert_eq!(said["people"], 3);
    let said = site
        .done(
            "POST",
            "/announcements",
            json!({"text": "Now!", "online": true}),
        )
        .await;
    assert_eq!(said["people"], 1);
    let message = alice.receive().await;
    assert_eq!(message.attr("from"), Some(DOMAIN));
    assert_eq!(message.child_text("body").as_deref(), Some("Tea at five"));
    assert_eq!(
        alice.receive().await.child_text("body").as_deref(),
        Some("Now!")
    );
    let mut bob = site.login("bob").await;
    bob.send("<presence xmlns='jabber:client'/>").await;
    let mut got = Vec::new();
    while got.len() < 2 {
        got.push(bob.receive().await);
    }
    let late = got.iter().find(|e| e.name() == "message").unwrap();
    assert_eq!(late.child_text("body").as_deref(), Some("Tea at five"));
}

#[tokio::test]
async fn an_import_makes_all_rows_or_none() {
    let site = Site::start("").await;
    let bad = "username,groups,role\nfine,Tea,\nalice,,\nx y,,\nbad,,boss\n";
    let problem = site.refused("POST", "/people/import", bad, 422).await;
    let at: Vec<_> = problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["at"].clone())
        .collect();
    assert_eq!(at, ["line 3", "line 4, username", "line 5, role"]);
    let problem = site
        .refused("POST", "/people/import", "username\nfine\nalice\n", 422)
        .await;
    assert_eq!(problem["errors"][0]["at"], "line 3");
    assert_eq!(site.done("GET", "/people", Value::Null).await["total"], 3);
    let good = format!(
        "username,password,display_name,groups\nann,{PASSWORD},Ann A.,Tea;Choir\ntom,{PASSWORD},,Tea\n"
    );
    let answer = site.admin("POST", "/people/import", &good).await;
    assert_eq!(
        read(&answer),
        json!({"accounts": 2, "groups": 2}),
        "{}",
        text(&answer)
    );
    let mut tom = site.login("tom").await;
    let roster = tom
        .ask("<iq xmlns='jabber:client' type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>")
        .await;
    let item = roster.first_child().unwrap().first_child().unwrap().clone();
    assert_eq!(
        (item.attr("jid"), item.attr("name")),
        (Some("ann@perch.test"), Some("Ann A."))
    );
    assert_eq!(item.attr("subscription"), Some("both"));
    let group = site.done("GET", "/groups/Tea", Value::Null).await;
    assert_eq!(
        (&group["members"], &group["room"]),
        (&json!(["ann", "tom"]), &json!("tea@rooms.perch.test"))
    );
}

#[tokio::test]
async fn every_documented_operation_is_served_and_none_is_served_undocumented() {
    let site = Site::start("").await;
    let document = site.done("GET", "/openapi.json", Value::Null).await;
    assert!(document["openapi"].as_str().unwrap().starts_with("3."));
    let mut operations = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        let concrete = path
            .split('/')
            .map(|part| {
                if part.starts_with('{') {
                    "nobody"
                } else {
                    part
                }
            })
            .collect::<Vec<_>>()
            .join("/");
        let known: Vec<_> = item.as_object().unwrap().keys().cloned().collect();
        for method in ["get", "post", "put", "patch", "delete"] {
            let answer = site.admin(&method.to_uppercase(), &concrete, "[").await;
            let absent = answer.status() == 405 || text(&answer).contains("there is no such route");
            assert_eq!(
                absent,
                !known.iter().any(|m| m == method),
                "{method} {path}: {}",
                text(&answer)
            );
        }
        for (method, operation) in item.as_object().unwrap() {
            operations += 1;
            assert!(
                operation["summary"].as_str().is_some_and(|s| !s.is_empty()),
                "{method} {path}"
            );
            assert!(
                operation["responses"]["default"].is_object(),
                "{method} {path}"
            );
        }
    }
    assert!(operations > 30, "only {operations} operations");
    // Routes come into being by `routes!` only, which documents them; the router is made from what it describes.
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web/api");
    for file in std::fs::read_dir(folder).unwrap() {
        let source = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let (all, described) = (".route(", ".route(&path, methods)");
        assert_eq!(
            source.matches(all).count(),
            source.matches(described).count(),
            "a route that is not documented"
        );
    }
}

#[tokio::test]
async fn people_are_found_by_a_part_of_either_name() {
    let site = Site::start("").await;
    for (name, display) in [("carol", "Müller"), ("carl", "Anna"), ("dora", "Anna Berg")] {
        let new = json!({"username": name, "display_name": display});
        site.done("POST", "/people", new).await;
    }
    let names = async |query: &str| {
        let found = site
            .done("GET", &format!("/people?{query}"), Value::Null)
            .await;
        let people = found["people"].as_array().unwrap();
        let names: Vec<_> = people
            .iter()
            .map(|p| p["username"].as_str().unwrap().to_owned())
            .collect();
        (
            names.join(" "),
            found["total"].as_u64().unwrap(),
            found["next"].clone(),
        )
    };
    assert_eq!(
        names("search=CAR").await,
        ("carl carol".to_owned(), 2, Value::Null)
    );
    assert_eq!(names("search=m%C3%BCl").await.0, "carol");
    assert_eq!(
        names("search=anna&max=1").await,
        ("carl".to_owned(), 2, json!("carl"))
    );
    assert_eq!(names("search=anna&max=1&after=carl").await.0, "dora");
    assert_eq!(
        names("search=nobody").await,
        (String::new(), 0, Value::Null)
    );
}

#[tokio::test]
async fn a_password_is_checked_for_whoever_administers() {
    let site = Site::start("").await;
    let new = json!({"username": "carol", "password": "long enough", "role": "admin"});
    site.done("POST", "/people", new).await;
    let right = json!({"password": "long enough"});
    let person = site
        .done("POST", "/people/carol/login", right.clone())
        .await;
    assert_eq!(person["role"], "admin");
    let wrong = r#"{"password":"wrong"}"#;
    site.refused("POST", "/people/carol/login", wrong, 403)
        .await;
    site.refused("POST", "/people/nobody/login", &right.to_string(), 403)
        .await;
    site.done("PATCH", "/people/carol", json!({"enabled": false}))
        .await;
    site.refused("POST", "/people/carol/login", &right.to_string(), 403)
        .await;
}
