use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Request, Response};
use imd_proto::Element;
use imd_proto::form::Form;
use imd_store::{Invite, InviteKind, InviteStore as _, RosterStore as _, Subscription};

use crate::harness::{DOMAIN, PASSWORD, Site, Ws, text};

const COMMANDS: &str = "http://jabber.org/protocol/commands";
const REGISTER: &str = "jabber:iq:register";

async fn command(ws: &mut Ws, node: &str, inner: &str) -> Element {
    ws.ask(&format!(
        "<iq xmlns='jabber:client' type='set' id='c' to='{DOMAIN}'><command xmlns='{COMMANDS}' node='{node}'>{inner}</command></iq>"
    ))
    .await
}

fn result(answer: &Element) -> Form {
    let command = answer
        .child("command", COMMANDS)
        .unwrap_or_else(|| panic!("{answer:?}"));
    assert_eq!(command.attr("status"), Some("completed"), "{command:?}");
    Form::find(command).unwrap()
}

/// An invitation of alice's, by the command.
async fn invited(alice: &mut Ws) -> (String, String) {
    let form = result(&command(alice, "urn:xmpp:invite#invite", "").await);
    let page = form.value("landing-url").unwrap();
    let token = page.strip_prefix("https://perch.test/invite/").unwrap();
    (token.to_owned(), form.value("uri").unwrap().to_owned())
}

async fn register(ws: &mut Ws, kind: &str, inner: &str) -> Element {
    ws.ask(&format!(
        "<iq xmlns='jabber:client' type='{kind}' id='r' to='{DOMAIN}'>{inner}</iq>"
    ))
    .await
}

fn condition(answer: &Element) -> String {
    let error = answer
        .child("error", "jabber:client")
        .unwrap_or_else(|| panic!("{answer:?}"));
    error.first_child().unwrap().name().to_owned()
}

async fn post(site: &Site, token: &str, form: &str) -> Response<Bytes> {
    let request = Request::post(format!("/invite/{token}"))
        .header("host", DOMAIN)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Full::from(form.to_owned()))
        .unwrap();
    site.send(request).await
}

async fn page(site: &Site, token: &str, language: &str) -> Response<Bytes> {
    let request = Request::get(format!("/invite/{token}"))
        .header("host", DOMAIN)
        .header("accept-language", language)
        .header("user-agent", "Mozilla/5.0 (Linux; Android 14)");
    site.send(request.body(Full::default()).unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_registers_in_an_app_and_both_are_contacts() {
    let site = Site::start("").await;
    let mut alice = site.login("alice").await;
    let (token, uri) = invited(&mut alice).await;
    assert_eq!(
        uri,
        format!("xmpp:alice@{DOMAIN}?roster;preauth={token};ibr=y")
    );
    let mut guest = site.web_socket().await;
    let features = guest.open().await;
    assert!(features.child("register", "urn:xmpp:invite").is_some());
    let show = format!("<preauth xmlns='urn:xmpp:pars:0' token='{token}'/>");
    assert_eq!(
        register(&mut guest, "set", &show).await.attr("type"),
        Some("result")
    );
    let form = register(&mut guest, "get", &format!("<query xmlns='{REGISTER}'/>")).await;
    let query = form.child("query", REGISTER).unwrap();
    assert!(query.child("username", REGISTER).is_some());
    let fill = |name: &str| {
        format!(
            "<query xmlns='{REGISTER}'><username>{name}</username><password>{PASSWORD}</password></query>"
        )
    };
    assert_eq!(
        condition(&register(&mut guest, "set", &fill("bob")).await),
        "conflict"
    );
    assert_eq!(
        register(&mut guest, "set", &fill("carol"))
            .await
            .attr("type"),
        Some("result")
    );
    let _carol = site.login("carol").await;
    for (user, contact) in [("alice", "carol@perch.test"), ("carol", "alice@perch.test")] {
        let item = site
            .store()
            .roster_item(user, contact)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(item.subscription, Subscription::Both, "{user}");
    }
    // The invitation was for one.
    let mut second = site.web_socket().await;
    second.open().await;
    assert_eq!(
        condition(&register(&mut second, "set", &show).await),
        "item-not-found"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_registers_without_an_invitation() {
    let site = Site::start("").await;
    let mut guest = site.web_socket().await;
    guest.open().await;
    let fill = format!(
        "<query xmlns='{REGISTER}'><username>eve</username><password>{PASSWORD}</password></query>"
    );
    assert_eq!(
        condition(&register(&mut guest, "set", &fill).await),
        "not-allowed"
    );
    let guess = "<preauth xmlns='urn:xmpp:pars:0' token='guess'/>";
    assert_eq!(
        condition(&register(&mut guest, "set", guess).await),
        "item-not-found"
    );
    for _ in 0..18 {
        register(&mut guest, "set", guess).await;
    }
    guest
        .send(&format!(
            "<iq xmlns='jabber:client' type='set' id='x'>{guess}</iq>"
        ))
        .await;
    let error = guest.receive().await;
    assert_eq!(error.first_child().unwrap().name(), "policy-violation");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_shows_the_app_one_qr_code_and_a_form_in_the_readers_language() {
    let site = Site::start("").await;
    let mut alice = site.login("alice").await;
    let (token, uri) = invited(&mut alice).await;
    let english = page(&site, &token, "en").await;
    let html = text(&english);
    assert!(html.contains("<b>alice</b> invites you"), "{html}");
    assert!(html.contains(&format!("href=\"{uri}\"")), "{html}");
    assert_eq!(html.matches("qr.svg").count(), 1);
    assert!(html.find("Conversations").unwrap() < html.find("Gajim").unwrap());
    assert!(!html.contains("<script") && !html.contains("style="));
    let policy = english.headers()["content-security-policy"]
        .to_str()
        .unwrap();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"));
    let chinese = page(&site, &token, "zh-CN,en;q=0.5").await;
    assert_eq!(chinese.headers()["content-language"], "zh");
    assert!(text(&chinese).contains("邀请您聊天"));
    let qr = site.get(&format!("/invite/{token}/qr.svg")).await;
    assert_eq!(qr.headers()["content-type"], "image/svg+xml");
    assert!(text(&qr).contains("<svg"));
    assert_eq!(site.get("/invite/assets/style.css").await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_made_on_the_page_without_scripts() {
    let site = Site::start("").await;
    let mut alice = site.login("alice").await;
    let (token, _) = invited(&mut alice).await;
    let bad = [
        (
            "name=dave&password=12345678&repeat=1234567",
            422,
            "not the same",
        ),
        (
            "name=dave&password=1234567&repeat=1234567",
            422,
            "8 characters",
        ),
        (
            "name=d%40ve&password=12345678&repeat=12345678",
            422,
            "cannot be a name",
        ),
        ("name=bob&password=12345678&repeat=12345678", 409, "taken"),
    ];
    for (form, status, words) in bad {
        let response = post(&site, &token, form).await;
        assert_eq!(response.status(), status, "{form}");
        assert!(
            text(&response).contains(words),
            "{form}: {}",
            text(&response)
        );
    }
    let made = post(&site, &token, "name=Dave&password=12345678&repeat=12345678").await;
    assert_eq!(made.status(), 303);
    let next = made.headers()["location"].to_str().unwrap().to_owned();
    let welcome = site.get(&next).await;
    assert!(text(&welcome).contains("dave@perch.test"));
    let _dave = site.login_with("dave", "12345678").await;
    assert_eq!(
        post(&site, &token, "name=x&password=12345678&repeat=12345678")
            .await
            .status(),
        404
    );
    assert_eq!(page(&site, &token, "en").await.status(), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_makes_an_account_on_the_page_can_chat_in_the_browser_with_the_password_alone() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_str().unwrap();
    let site = Site::start(&format!("[web]\nweb_root = {root:?}\n")).await;
    let mut alice = site.login("alice").await;
    let (token, _) = invited(&mut alice).await;
    let english = page(&site, &token, "en").await;
    assert!(text(&english).contains("href=\"/chat/\">Chat in the browser</a>"));
    assert!(text(&english).contains("Then chat in the browser at once"));
    let chinese = page(&site, &token, "zh").await;
    assert!(text(&chinese).contains("href=\"/chat/\">在浏览器中聊天</a>"));
    let made = post(
        &site,
        &token,
        "name=d%C3%A4ve&password=12345678&repeat=12345678",
    )
    .await;
    let next = made.headers()["location"].to_str().unwrap().to_owned();
    let welcome = site.get(&next).await;
    assert!(
        text(&welcome).contains("href=\"/chat/#name=d%C3%A4ve\""),
        "{}",
        text(&welcome)
    );
    let script = site.get("/chat/start.js").await;
    assert!(text(&script).contains("#name=") && text(&script).contains("jid: name"));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_administrators_invite_to_a_name() {
    let site = Site::start("").await;
    let mut alice = site.login("alice").await;
    let node = "urn:xmpp:invite#create-account";
    assert_eq!(condition(&command(&mut alice, node, "").await), "forbidden");
    let mut admin = site.login("admin").await;
    let shown = command(&mut admin, node, "").await;
    let shown = shown.child("command", COMMANDS).unwrap();
    assert_eq!(shown.attr("status"), Some("executing"));
    assert!(Form::find(shown).unwrap().values("username").is_some());
    let fill = |name: &str| {
        format!(
            "<x xmlns='jabber:x:data' type='submit'><field var='username'><value>{name}</value></field></x>"
        )
    };
    assert_eq!(
        condition(&command(&mut admin, node, &fill("alice")).await),
        "conflict"
    );
    assert_eq!(
        condition(&command(&mut admin, node, &fill("a b")).await),
        "bad-request"
    );
    let form = result(&command(&mut admin, node, &fill("erin")).await);
    let uri = form.value("uri").unwrap();
    assert!(
        uri.starts_with("xmpp:erin@perch.test?register;preauth="),
        "{uri}"
    );
    let token = uri.rsplit('=').next().unwrap();
    let other = post(&site, token, "name=x&password=12345678&repeat=12345678").await;
    assert_eq!(other.status(), 422);
    assert!(text(&other).contains("<b>erin</b>"));
    assert_eq!(
        post(&site, token, "name=erin&password=12345678&repeat=12345678")
            .await
            .status(),
        303
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_are_found_by_those_who_may_run_them() {
    let site = Site::start("").await;
    let ask = format!(
        "<iq xmlns='jabber:client' type='get' id='d' to='{DOMAIN}'><query xmlns='http://jabber.org/protocol/disco#items' node='{COMMANDS}'/></iq>"
    );
    for (user, least) in [("alice", 1), ("admin", 2)] {
        let mut ws = site.login(user).await;
        let items = ws.ask(&ask).await;
        let nodes: Vec<_> = items
            .first_child()
            .unwrap()
            .children()
            .filter_map(|i| i.attr("node"))
            .collect();
        assert!(nodes.len() >= least, "{user}: {nodes:?}");
        let may = nodes.contains(&"urn:xmpp:invite#create-account");
        assert_eq!(may, user == "admin");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_shows_an_invitation_is_a_contact_without_a_question() {
    let site = Site::start("").await;
    let (mut alice, mut bob) = (site.login("alice").await, site.login("bob").await);
    let (token, _) = invited(&mut alice).await;
    bob.send(&format!(
        "<presence xmlns='jabber:client' type='subscribe' to='alice@{DOMAIN}'><preauth xmlns='urn:xmpp:pars:0' token='{token}'/></presence>"
    ))
    .await;
    // A round trip after which the subscription has been dealt with.
    bob.ask(&format!("<iq xmlns='jabber:client' type='get' id='p' to='{DOMAIN}'><ping xmlns='urn:xmpp:ping'/></iq>")).await;
    for (user, contact) in [("alice", "bob@perch.test"), ("bob", "alice@perch.test")] {
        let item = site
            .store()
            .roster_item(user, contact)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (item.subscription, item.ask),
            (Subscription::Both, false),
            "{user}"
        );
    }
    assert!(
        site.store()
            .subscription_requests("alice")
            .await
            .unwrap()
            .is_empty()
    );
    // It was for one: the next one is asked about.
    let mut admin = site.login("admin").await;
    admin.send(&format!(
        "<presence xmlns='jabber:client' type='subscribe' to='alice@{DOMAIN}'><preauth xmlns='urn:xmpp:pars:0' token='{token}'/></presence>"
    ))
    .await;
    admin.ask(&format!("<iq xmlns='jabber:client' type='get' id='p' to='{DOMAIN}'><ping xmlns='urn:xmpp:ping'/></iq>")).await;
    assert_eq!(
        site.store()
            .subscription_requests("alice")
            .await
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn people_change_their_password_and_leave() {
    let site = Site::start("").await;
    let mut alice = site.login("alice").await;
    let change = |name: &str, password: &str| {
        format!(
            "<query xmlns='{REGISTER}'><username>{name}</username><password>{password}</password></query>"
        )
    };
    assert_eq!(
        condition(&register(&mut alice, "set", &change("bob", "new password")).await),
        "not-allowed"
    );
    assert_eq!(
        condition(&register(&mut alice, "set", &change("alice", "short")).await),
        "not-acceptable"
    );
    let changed = register(&mut alice, "set", &change("alice", "new password")).await;
    assert_eq!(changed.attr("type"), Some("result"));
    let mut again = site.login_with("alice", "new password").await;
    let gone = register(
        &mut again,
        "set",
        &format!("<query xmlns='{REGISTER}'><remove/></query>"),
    )
    .await;
    assert_eq!(gone.attr("type"), Some("result"));
    let error = again.receive().await;
    assert_eq!(error.first_child().unwrap().name(), "not-authorized");
    let mut ws = site.web_socket().await;
    ws.authenticate("alice", "new password").await;
    assert_eq!(ws.receive().await.name(), "failure");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_link_sets_a_new_password_once() {
    let site = Site::start("").await;
    let invite = Invite {
        token: "reset-token".to_owned(),
        kind: InviteKind::Reset,
        inviter: None,
        username: Some("bob".to_owned()),
        role: imd_store::Role::Member,
        groups: Vec::new(),
        created_at: imd_store::now_millis(),
        expires_at: None,
        uses_left: Some(1),
        note: None,
    };
    site.store().create_invite(invite).await.unwrap();
    let shown = page(&site, "reset-token", "en").await;
    assert!(text(&shown).contains("<b>bob</b>"));
    assert_eq!(
        post(&site, "reset-token", "password=brand new&repeat=brand new")
            .await
            .status(),
        303
    );
    let _bob = site.login_with("bob", "brand new").await;
    assert_eq!(page(&site, "reset-token", "en").await.status(), 404);
}
