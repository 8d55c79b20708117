use http_body_util::Full;
use hyper::Request;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::{DOMAIN, PASSWORD, Site, text};

#[tokio::test(flavor = "multi_thread")]
async fn two_people_talk_over_websocket() {
    let site = Site::start("").await;
    let (mut alice, mut bob) = (site.login("alice").await, site.login("bob").await);
    bob.send("<presence xmlns='jabber:client'/>").await;
    assert_eq!(bob.receive().await.name(), "presence");
    alice
        .send("<message xmlns='jabber:client' to='bob@perch.test' type='chat'><body>1 &lt; 2 你好</body></message>")
        .await;
    let message = bob.receive().await;
    assert_eq!(message.ns(), "jabber:client");
    assert_eq!(message.attr("from"), Some("alice@perch.test/r"));
    assert_eq!(message.child_text("body").unwrap(), "1 < 2 你好");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stream_is_framed_and_closed_as_rfc_7395_says() {
    let site = Site::start("").await;
    let mut ws = site.web_socket().await;
    let features = ws.open().await;
    assert!(features.is("features", "http://etherx.jabber.org/streams"));
    assert!(
        features
            .child_ns("urn:ietf:params:xml:ns:xmpp-tls")
            .is_none()
    );
    ws.send("<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>")
        .await;
    assert_eq!(ws.receive().await.name(), "close");
    assert_eq!(ws.frame().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_fails_and_may_be_tried_again() {
    let site = Site::start("").await;
    let mut ws = site.web_socket().await;
    ws.authenticate("alice", "wrong").await;
    assert_eq!(ws.receive().await.name(), "failure");
    let _alice = site.login_with("alice", PASSWORD).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_frame_of_xmpp_ends_with_its_stream_error() {
    let site =
        Site::start("[limits]\nlogin_stanza_bytes = \"4KiB\"\nstanza_bytes = \"10KiB\"\n").await;
    let long = format!("<a>{}</a>", "x".repeat(5000));
    let too_long = format!("<a>{}</a>", "x".repeat(20_000));
    let cases = [
        (Message::binary(b"<a/>".to_vec()), "bad-format"),
        (Message::text("<a><b></a>"), "not-well-formed"),
        (Message::text("<!DOCTYPE a><a/>"), "restricted-xml"),
        (Message::text(long), "policy-violation"),
        (Message::text(too_long), "policy-violation"),
    ];
    for (message, condition) in cases {
        let mut ws = site.web_socket().await;
        ws.open().await;
        ws.send_message(message).await;
        let error = ws.receive().await;
        assert!(error.is("error", "http://etherx.jabber.org/streams"));
        assert_eq!(error.first_child().unwrap().name(), condition);
        assert_eq!(ws.receive().await.name(), "close");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_without_the_subprotocol_is_told_which() {
    let site = Site::start("").await;
    let request = Request::get("/ws")
        .header("host", DOMAIN)
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .body(Full::default())
        .unwrap();
    let response = site.send(request).await;
    assert_eq!(response.status(), 400);
    assert!(text(&response).contains("xmpp"));
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_are_told_when_the_server_stops() {
    let mut site = Site::start("").await;
    let mut alice = site.login("alice").await;
    let told = async {
        let error = alice.receive().await;
        assert_eq!(error.first_child().unwrap().name(), "system-shutdown");
        assert_eq!(alice.receive().await.name(), "close");
    };
    tokio::join!(site.stop(), told);
}

#[tokio::test(flavor = "multi_thread")]
async fn people_log_in_again_after_a_restart() {
    let mut site = Site::start("").await;
    site.restart().await;
    let mut alice = site.login("alice").await;
    let pong = alice
        .ask("<iq xmlns='jabber:client' type='get' id='p' to='perch.test'><ping xmlns='urn:xmpp:ping'/></iq>")
        .await;
    assert_eq!(pong.attr("type"), Some("result"));
}

#[tokio::test(flavor = "multi_thread")]
async fn older_clients_that_establish_a_session_are_answered() {
    let site = Site::start("").await;
    let mut alice = site.login("alice").await;
    let answer = alice
        .ask("<iq xmlns='jabber:client' type='set' id='s'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>")
        .await;
    assert_eq!(answer.attr("type"), Some("result"));
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_server_is_full_browsers_are_told_when_to_come_again() {
    let site = Site::start("[limits]\nsessions = 1\n").await;
    let _alice = site.login("alice").await;
    let socket = Request::get("/ws")
        .header("host", DOMAIN)
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("sec-websocket-protocol", "xmpp")
        .body(Full::default())
        .unwrap();
    let bosh = Request::post("/bosh")
        .header("host", DOMAIN)
        .body(Full::from(
            "<body xmlns='http://jabber.org/protocol/httpbind' to='perch.test' rid='1' wait='60' hold='1'/>",
        ))
        .unwrap();
    for request in [socket, bosh] {
        let response = site.send(request).await;
        assert_eq!(response.status(), 503, "{}", text(&response));
        let after = response.headers()["retry-after"].to_str().unwrap();
        assert!((30..60).contains(&after.parse::<u64>().unwrap()), "{after}");
    }
}
