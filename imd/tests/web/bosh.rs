use http_body_util::Full;
use hyper::Request;
use imd_proto::Element;
use imd_proto::xml::{Limits, parse_document};

use crate::harness::{DOMAIN, PASSWORD, Site, text};

const NS: &str = "http://jabber.org/protocol/httpbind";
const CONVERSATION: &str =
    "to='perch.test' wait='60' hold='1' ver='1.6' xml:lang='en' xmpp:version='1.0'";

async fn post(site: &Site, body: &str) -> Element {
    let request = Request::post("/bosh")
        .header("host", DOMAIN)
        .header("content-type", "text/xml; charset=utf-8")
        .body(Full::from(body.to_owned()))
        .unwrap();
    let response = site.send(request).await;
    assert_eq!(response.status(), 200, "{}", text(&response));
    assert_eq!(response.headers()["access-control-allow-origin"], "*");
    parse_document(text(&response), Limits::default()).unwrap()
}

fn body(attributes: &str, inner: &str) -> String {
    format!("<body xmlns='{NS}' xmlns:xmpp='urn:xmpp:xbosh' {attributes}>{inner}</body>")
}

/// A client's session.
struct Bosh<'a> {
    site: &'a Site,
    sid: String,
    rid: u64,
}

impl<'a> Bosh<'a> {
    async fn begin(site: &'a Site, rid: u64) -> Self {
        let begun = post(site, &body(&format!("rid='{rid}' {CONVERSATION}"), "")).await;
        assert!(
            begun
                .child("features", "http://etherx.jabber.org/streams")
                .is_some(),
            "{begun:?}"
        );
        let sid = begun.attr("sid").unwrap().to_owned();
        Self { site, sid, rid }
    }

    fn next(&mut self, attributes: &str, inner: &str) -> String {
        self.rid += 1;
        body(
            &format!("rid='{}' sid='{}' {attributes}", self.rid, self.sid),
            inner,
        )
    }

    async fn send(&mut self, inner: &str) -> Element {
        let body = self.next("", inner);
        post(self.site, &body).await
    }

    async fn login(site: &'a Site, user: &str) -> Self {
        use base64::Engine as _;
        let mut bosh = Self::begin(site, 1000).await;
        let secret =
            base64::engine::general_purpose::STANDARD.encode(format!("\0{user}\0{PASSWORD}"));
        let done = bosh
            .send(&format!(
                "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{secret}</auth>"
            ))
            .await;
        assert_eq!(done.first_child().unwrap().name(), "success");
        let restart = bosh.next("to='perch.test' xmpp:restart='true'", "");
        let features = post(site, &restart).await;
        assert_eq!(features.first_child().unwrap().name(), "features");
        let bound = bosh
            .send("<iq xmlns='jabber:client' type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>r</resource></bind></iq>")
            .await;
        assert_eq!(bound.first_child().unwrap().attr("type"), Some("result"));
        bosh
    }
}

fn condition(element: &Element) -> (Option<&str>, Option<&str>) {
    (element.attr("type"), element.attr("condition"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_answers_the_request_that_waits_for_it() {
    let site = Site::start("").await;
    let mut bob = Bosh::login(&site, "bob").await;
    bob.send("<presence xmlns='jabber:client'/>").await;
    let waiting = bob.next("", "");
    let mut alice = site.login("alice").await;
    let arrives = post(&site, &waiting);
    let sends = alice.send(
        "<message xmlns='jabber:client' type='chat' to='bob@perch.test'><body>hi</body></message>",
    );
    let (arrived, ()) = tokio::join!(arrives, sends);
    let message = arrived.first_child().unwrap();
    assert_eq!(message.ns(), "jabber:client");
    assert_eq!(message.child_text("body").as_deref(), Some("hi"));
    let ending = bob.next(
        "type='terminate'",
        "<presence xmlns='jabber:client' type='unavailable'/>",
    );
    assert_eq!(
        condition(&post(&site, &ending).await),
        (Some("terminate"), None)
    );
    let gone = bob.send("").await;
    assert_eq!(
        condition(&gone),
        (Some("terminate"), Some("item-not-found"))
    );
    // The answer may have been lost on the way.
    assert_eq!(
        condition(&post(&site, &ending).await),
        (Some("terminate"), None)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_taken_in_their_order_and_answered_once_each() {
    let site = Site::start("").await;
    let mut bob = Bosh::login(&site, "bob").await;
    let ping = |id: &str| {
        format!(
            "<iq xmlns='jabber:client' type='get' id='{id}' to='{DOMAIN}'><ping xmlns='urn:xmpp:ping'/></iq>"
        )
    };
    let (first, second) = (bob.next("", &ping("1")), bob.next("", &ping("2")));
    // The second one overtakes the first one on the way.
    let (two, one) = tokio::join!(post(&site, &second), async {
        tokio::task::yield_now().await;
        post(&site, &first).await
    });
    let ids = |answers: &[Element]| -> Vec<_> {
        let iqs = answers.iter().flat_map(Element::children);
        iqs.map(|iq| iq.attr("id").unwrap().to_owned()).collect()
    };
    // Only one request is held: the first one may be answered before the stream has anything to say, and the second one
    // when it has said its first.
    let mut answers = vec![one, two];
    while ids(&answers).len() < 2 {
        answers.push(bob.send("").await);
    }
    assert_eq!(ids(&answers), ["1", "2"]);
    // A response that was lost is sent again.
    let last = bob.next("", &ping("3"));
    let answer = post(&site, &last).await;
    assert_eq!(post(&site, &last).await, answer);
    bob.rid += 5;
    let beyond = bob.send("").await;
    assert_eq!(
        condition(&beyond),
        (Some("terminate"), Some("item-not-found"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_answers_what_is_held() {
    let site = Site::start("").await;
    let mut bob = Bosh::login(&site, "bob").await;
    let held = bob.next("", "");
    let pause = bob.next("pause='60'", "");
    let (held, pause) = tokio::join!(post(&site, &held), async {
        tokio::task::yield_now().await;
        post(&site, &pause).await
    });
    assert_eq!((held.children().count(), pause.children().count()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_do_not_follow_from_one_another_end_the_session() {
    let site = Site::start("").await;
    // sha1("a") and sha1 of that.
    let (one, two) = (
        "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8",
        "3395856ce81f2b7382dee72602f798b642f14140",
    );
    let sequence = sha1_hex(one);
    for (key, ends) in [(one, false), (two, true)] {
        let begun = post(
            &site,
            &body(&format!("rid='5' newkey='{sequence}' {CONVERSATION}"), ""),
        )
        .await;
        let sid = begun.attr("sid").unwrap();
        let next = body(
            &format!("rid='6' sid='{sid}' key='{key}' type='terminate'"),
            "",
        );
        let answer = post(&site, &next).await;
        assert_eq!(
            answer.attr("condition") == Some("item-not-found"),
            ends,
            "{answer:?}"
        );
    }
}

fn sha1_hex(text: &str) -> String {
    let hash = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
    hash.as_ref().iter().map(|b| format!("{b:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_body_is_refused() {
    let site = Site::start("[limits]\nlogin_stanza_bytes = \"4KiB\"\n").await;
    for (bad, condition) in [
        ("", "bad-request"),
        ("<body/>", "bad-request"),
        ("<!DOCTYPE a><a/>", "bad-request"),
        (&body("to='perch.test'", ""), "bad-request"),
        (&body("rid='1'", ""), "improper-addressing"),
        (&body("rid='1' sid='guess'", ""), "item-not-found"),
        (
            &body(&format!("rid='1' {CONVERSATION}"), &"<a/>".repeat(2000)),
            "policy-violation",
        ),
    ] {
        let answer = post(&site, bad).await;
        assert_eq!(
            self::condition(&answer),
            (Some("terminate"), Some(condition)),
            "{bad:.100}"
        );
    }
    let elsewhere = post(
        &site,
        &body("rid='1' to='elsewhere.test' xmpp:version='1.0'", ""),
    )
    .await;
    assert_eq!(elsewhere.attr("condition"), Some("remote-stream-error"));
    let error = elsewhere.first_child().unwrap();
    assert_eq!(error.first_child().unwrap().name(), "host-unknown");
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_requests_hear_that_the_server_stops() {
    let mut site = Site::start("").await;
    let mut alice = site.login("alice").await;
    let waiting = {
        let mut bob = Bosh::login(&site, "bob").await;
        let message = "<message xmlns='jabber:client' type='chat' to='alice@perch.test/r'><body>here</body></message>";
        bob.next("", message)
    };
    let socket = site.socket().await;
    let request = Request::post("/bosh")
        .header("host", DOMAIN)
        .body(Full::from(waiting))
        .unwrap();
    let answer = crate::harness::over(socket, request);
    let (answer, ()) = tokio::join!(answer, async {
        // What it brings has come: the request is held.
        assert_eq!(alice.receive().await.name(), "message");
        site.stop().await;
    });
    assert!(
        text(&answer).contains("system-shutdown"),
        "{}",
        text(&answer)
    );
}
