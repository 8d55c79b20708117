//! Two servers that talk with each other, and one that is lied to.

use std::net::SocketAddr;

use imd_proto::xml::StreamEvent;
use imd_proto::{Element, ns};
use tokio::net::TcpListener;

use crate::components::free_port;
use crate::peer::{Authority, Peer, Place};
use crate::support::{Client, Identity, Login, TestServer};

/// Servers `a.test` and `b.test`, each with an `alice`, who know each other's place.
struct Two {
    a: TestServer,
    b: TestServer,
    place_of_b: SocketAddr,
    authority: Authority,
    _folder: tempfile::TempDir,
}

impl Two {
    /// `more`: settings of `b.test`.
    async fn start(more: &str) -> Self {
        let authority = Authority::new().unwrap();
        let a = authority.identity("a.test").unwrap();
        let b = authority.identity("b.test").unwrap();
        Self::start_as(authority, a, b, "", more).await
    }

    async fn start_as(
        authority: Authority,
        a: Identity,
        b: Identity,
        more_a: &str,
        more_b: &str,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut a = Place::new(a).await.unwrap();
        let mut b = Place::new(b).await.unwrap();
        a.more = more_a.to_owned();
        b.more = more_b.to_owned();
        let hosts = [
            ("a.test", a.address),
            ("rooms.a.test", a.address),
            ("b.test", b.address),
            ("rooms.b.test", b.address),
        ];
        let place_of_b = b.address;
        Self {
            a: a.start(folder.path(), &authority, &hosts).await.unwrap(),
            b: b.start(folder.path(), &authority, &hosts).await.unwrap(),
            place_of_b,
            authority,
            _folder: folder,
        }
    }

    async fn clients(&self) -> (Client, Client) {
        let login = Login::new("alice");
        (
            Client::connect(&self.a, &login).await.unwrap(),
            Client::connect(&self.b, &login).await.unwrap(),
        )
    }
}

async fn talk(a: &mut Client, b: &mut Client) {
    a.send("<message to='alice@b.test/main' type='chat' id='1'><body>over</body></message>")
        .await
        .unwrap();
    b.expect("<message from='alice@a.test/main' type='chat' id='1'><body>over</body></message>")
        .await
        .unwrap();
    b.send("<message to='alice@a.test/main' type='chat' id='2'><body>back</body></message>")
        .await
        .unwrap();
    a.expect("<message from='alice@b.test/main' type='chat' id='2'><body>back</body></message>")
        .await
        .unwrap();
}

async fn refused_message(client: &mut Client, condition: &str) {
    client
        .send("<message to='alice@b.test' type='chat' id='m'><body>?</body></message>")
        .await
        .unwrap();
    client
        .expect(&format!(
            "<message type='error' id='m' from='alice@b.test'><error><{condition} xmlns='{}'/></error></message>",
            ns::STANZA_ERRORS
        ))
        .await
        .unwrap();
}

#[tokio::test]
async fn people_of_two_servers_talk() {
    let two = Two::start("").await;
    let (mut a, mut b) = two.clients().await;
    talk(&mut a, &mut b).await;
    a.send("<iq to='b.test' type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>")
        .await
        .unwrap();
    a.expect("<iq from='b.test' type='result' id='p'/>")
        .await
        .unwrap();
}

#[tokio::test]
async fn many_messages_arrive_in_the_order_in_which_they_were_sent() {
    let two = Two::start("").await;
    let (mut a, mut b) = two.clients().await;
    for number in 0..200 {
        a.send(&format!(
            "<message to='alice@b.test/main' type='chat'><body>{number}</body></message>"
        ))
        .await
        .unwrap();
    }
    for number in 0..200 {
        b.expect(&format!("<message><body>{number}</body></message>"))
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn one_stream_carries_both_ways_where_both_servers_can() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new().unwrap();
    let a = Place::new(authority.identity("a.test").unwrap())
        .await
        .unwrap();
    let b = Place::new(authority.identity("b.test").unwrap())
        .await
        .unwrap();
    let (to_b, nowhere) = (b.address, free_port().await.unwrap());
    // B could not connect to A by itself.
    let b = b
        .start(folder.path(), &authority, &[("a.test", nowhere)])
        .await
        .unwrap();
    let a = a
        .start(folder.path(), &authority, &[("b.test", to_b)])
        .await
        .unwrap();
    let mut at_a = Client::connect(&a, &Login::new("alice")).await.unwrap();
    let mut at_b = Client::connect(&b, &Login::new("alice")).await.unwrap();
    talk(&mut at_a, &mut at_b).await;
}

#[tokio::test]
async fn contacts_on_two_servers_see_each_other_come_and_go() {
    let mut two = Two::start("").await;
    let (mut a, mut b) = two.clients().await;
    for client in [&mut a, &mut b] {
        client.send("<presence/>").await.unwrap();
        client.sync().await.unwrap();
        client.forget().await.unwrap();
    }
    a.send("<presence to='alice@b.test' type='subscribe'/>")
        .await
        .unwrap();
    b.expect("<presence from='alice@a.test' type='subscribe'/>")
        .await
        .unwrap();
    b.send("<presence to='alice@a.test' type='subscribed'/>")
        .await
        .unwrap();
    a.expect("<presence from='alice@b.test' type='subscribed'/>")
        .await
        .unwrap();
    a.expect("<presence from='alice@b.test/main' type='{none}'/>")
        .await
        .unwrap();
    b.send("<presence><show>away</show></presence>")
        .await
        .unwrap();
    a.expect("<presence from='alice@b.test/main'><show>away</show></presence>")
        .await
        .unwrap();
    // The other server still hears that its contact went when the whole server stops.
    two.b.stop().await.unwrap();
    a.expect("<presence from='alice@b.test/main' type='unavailable'/>")
        .await
        .unwrap();
}

#[tokio::test]
async fn a_room_takes_people_of_another_server() {
    let two = Two::start("").await;
    let (mut a, mut b) = two.clients().await;
    let join = "<presence to='tea@rooms.b.test/{nick}'><x xmlns='http://jabber.org/protocol/muc'/></presence>";
    b.send(&join.replace("{nick}", "bea")).await.unwrap();
    b.expect("<presence from='tea@rooms.b.test/bea'/>")
        .await
        .unwrap();
    b.send("<iq type='set' id='c' to='tea@rooms.b.test'><query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'/></query></iq>").await.unwrap();
    b.sync().await.unwrap();
    b.forget().await.unwrap();
    a.send(&join.replace("{nick}", "ann")).await.unwrap();
    a.expect("<presence from='tea@rooms.b.test/bea'/>")
        .await
        .unwrap();
    a.expect("<presence from='tea@rooms.b.test/ann'/>")
        .await
        .unwrap();
    b.expect("<presence from='tea@rooms.b.test/ann'/>")
        .await
        .unwrap();
    a.forget().await.unwrap();
    a.send("<message to='tea@rooms.b.test' type='groupchat' id='g'><body>hello</body></message>")
        .await
        .unwrap();
    b.expect("<message from='tea@rooms.b.test/ann' type='groupchat'><body>hello</body></message>")
        .await
        .unwrap();
}

#[tokio::test]
async fn dialback_proves_a_domain_without_a_trusted_certificate_where_that_is_allowed() {
    let untrusted = || {
        (
            Identity::self_signed("a.test").unwrap(),
            Identity::self_signed("b.test").unwrap(),
        )
    };
    let allowed = "accept_untrusted = true";
    let (a, b) = untrusted();
    let two = Two::start_as(Authority::new().unwrap(), a, b, allowed, allowed).await;
    let (mut a, mut b) = two.clients().await;
    talk(&mut a, &mut b).await;

    let (a, b) = untrusted();
    let two = Two::start_as(Authority::new().unwrap(), a, b, allowed, "").await;
    let (mut a, _b) = two.clients().await;
    refused_message(&mut a, "remote-server-timeout").await;
}

#[tokio::test]
async fn servers_that_are_not_there_or_do_not_answer_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new().unwrap();
    let mut place = Place::new(authority.identity("a.test").unwrap())
        .await
        .unwrap();
    place.more = "connect_timeout = \"1s\"".to_owned();
    // It accepts connections in the kernel and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hosts = [
        ("b.test", silent.local_addr().unwrap()),
        ("c.test", free_port().await.unwrap()),
    ];
    let server = place
        .start(folder.path(), &authority, &hosts)
        .await
        .unwrap();
    let mut alice = Client::connect(&server, &Login::new("alice"))
        .await
        .unwrap();
    refused_message(&mut alice, "remote-server-timeout").await;
    alice
        .send("<iq to='c.test' type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>")
        .await
        .unwrap();
    alice
        .expect(&format!(
            "<iq type='error' id='p'><error><remote-server-not-found xmlns='{}'/></error></iq>",
            ns::STANZA_ERRORS
        ))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_denied_domain_is_talked_with_in_no_direction() {
    let two = Two::start("deny = [\"a.test\"]").await;
    let (mut a, mut b) = two.clients().await;
    refused_message(&mut a, "remote-server-timeout").await;
    b.send("<message to='alice@a.test' id='m'><body>?</body></message>")
        .await
        .unwrap();
    b.expect(&format!(
        "<message type='error' id='m'><error><not-allowed xmlns='{}'/></error></message>",
        ns::STANZA_ERRORS
    ))
    .await
    .unwrap();
}

#[tokio::test]
async fn a_server_speaks_only_for_the_domain_that_it_has_proved() {
    let two = Two::start("").await;
    let evil = two.authority.identity("evil.test").unwrap();
    let connect = |from: &'static str| Peer::connect(two.place_of_b, &evil, from, "b.test", false);

    let mut peer = connect("evil.test").await.unwrap();
    let refused = peer.refused("x@evil.test", "alice@b.test").await.unwrap();
    assert_eq!(refused, "not-authorized");

    // A certificate for another domain gets no SASL EXTERNAL, and no success when it is tried all the same.
    let mut peer = connect("a.test").await.unwrap();
    assert!(peer.features.child("mechanisms", ns::SASL).is_none());
    let answer = peer.external().await.unwrap();
    assert!(answer.is("failure", ns::SASL), "{answer:?}");

    // A key that the real server did not make.
    let mut peer = connect("a.test").await.unwrap();
    let result = Element::new("result", ns::DIALBACK)
        .with_attr("from", "a.test")
        .with_attr("to", "b.test")
        .with_text("a guess");
    peer.wire.send(&result).await.unwrap();
    let answer = peer.element().await.unwrap();
    assert_eq!(answer.attr("type"), Some("invalid"), "{answer:?}");

    for (from, to, condition) in [
        ("x@a.test", "alice@b.test", "invalid-from"),
        ("x@evil.test", "alice@a.test", "host-unknown"),
    ] {
        let mut peer = connect("evil.test").await.unwrap();
        let answer = peer.external().await.unwrap();
        assert!(answer.is("success", ns::SASL), "{answer:?}");
        assert_eq!(peer.refused(from, to).await.unwrap(), condition);
    }
}

#[tokio::test]
async fn direct_tls_is_taken_and_an_idle_stream_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new().unwrap();
    let mut place = Place::new(authority.identity("b.test").unwrap())
        .await
        .unwrap();
    let direct = free_port().await.unwrap();
    place.more = "idle_timeout = \"1s\"".to_owned();
    place.direct = Some(direct);
    let server = place.start(folder.path(), &authority, &[]).await.unwrap();
    let other = authority.identity("c.test").unwrap();
    let mut peer = Peer::connect(direct, &other, "c.test", "b.test", true)
        .await
        .unwrap();
    peer.external().await.unwrap();
    let mut alice = Client::connect(&server, &Login::new("alice"))
        .await
        .unwrap();
    let message = Element::new("message", ns::SERVER)
        .with_attr("from", "someone@c.test")
        .with_attr("to", "alice@b.test/main")
        .with_child(Element::new("body", ns::SERVER).with_text("hi"));
    peer.wire.send(&message).await.unwrap();
    alice
        .expect("<message from='someone@c.test'><body>hi</body></message>")
        .await
        .unwrap();
    let end = peer.event().await.unwrap();
    assert!(matches!(end, Some(StreamEvent::Close)), "{end:?}");
}
