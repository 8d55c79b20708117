//! Clients that break the rules, or do nothing: each is told the right stream error, and none can hold more than its bound.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use imd_proto::{Element, ns};
use imd_store::Role;
use support::{Client, DEADLINE, DOMAIN, Incoming, Login, TestServer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

fn header() -> String {
    format!(
        "<?xml version='1.0'?><stream:stream xmlns='jabber:client' \
         xmlns:stream='http://etherx.jabber.org/streams' to='{DOMAIN}' version='1.0'>"
    )
}

/// Everything that the server says to these bytes before it closes the connection.
async fn last_words(server: &TestServer, bytes: &[u8]) -> String {
    let mut tcp = TcpStream::connect(server.address(false).unwrap())
        .await
        .unwrap();
    tcp.write_all(bytes).await.unwrap();
    let mut heard = Vec::new();
    let read = async {
        let mut piece = [0; 4096];
        // A reset after the goodbye is an end as well.
        while let Ok(count @ 1..) = tcp.read(&mut piece).await {
            heard.extend_from_slice(&piece[..count]);
        }
    };
    tokio::time::timeout(DEADLINE, read)
        .await
        .expect("the server ends the connection");
    String::from_utf8(heard).unwrap()
}

/// The condition of the stream error that ends a client's stream.
async fn ends_with(client: &mut Client) -> String {
    let error = async {
        loop {
            match client.next().await.expect("a readable stream") {
                Incoming::Element(element) if element.is("error", ns::STREAM) => {
                    return condition(&element);
                }
                Incoming::Element(_) => {}
                other => panic!("the stream ended without an error: {other:?}"),
            }
        }
    };
    tokio::time::timeout(DEADLINE, error)
        .await
        .expect("a stream error")
}

fn condition(error: &Element) -> String {
    error.first_child().unwrap().name().to_owned()
}

async fn logged_in(server: &TestServer, user: &str) -> Client {
    server.account(user, Role::Member).await.unwrap();
    Client::connect(server, &Login::new(user)).await.unwrap()
}

#[tokio::test]
async fn a_stream_that_is_none_is_told_why() {
    let server = TestServer::start("").await.unwrap();
    let open = header();
    let cases: &[(&str, Vec<u8>)] = &[
        ("not-well-formed", b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        ("bad-format", b"<a></b>".to_vec()),
        (
            "host-unknown",
            open.replace(DOMAIN, "elsewhere.test").into_bytes(),
        ),
        (
            "host-unknown",
            open.replace(&format!("to='{DOMAIN}'"), "").into_bytes(),
        ),
        (
            "invalid-namespace",
            open.replace("etherx", "ether").into_bytes(),
        ),
        (
            "unsupported-version",
            open.replace(" version='1.0'>", ">").into_bytes(),
        ),
        (
            "not-authorized",
            format!("{open}<message to='a@{DOMAIN}'/>").into_bytes(),
        ),
        (
            "unsupported-stanza-type",
            format!("{open}<hello/>").into_bytes(),
        ),
        (
            "restricted-xml",
            format!("{open}<!DOCTYPE a [<!ENTITY b 'c'>]>").into_bytes(),
        ),
        ("restricted-xml", format!("{open}<a>&b;</a>").into_bytes()),
        (
            "restricted-xml",
            format!("{open}<!-- a comment -->").into_bytes(),
        ),
        ("bad-namespace-prefix", format!("{open}<a:b/>").into_bytes()),
        (
            "unsupported-encoding",
            [open.as_bytes(), b"<a>\xff\xfe</a>"].concat(),
        ),
        (
            "policy-violation",
            format!("{open}<a>{}", "x".repeat(20_000)).into_bytes(),
        ),
        (
            "policy-violation",
            format!("{open}{}", "<a>".repeat(70)).into_bytes(),
        ),
    ];
    for (expected, bytes) in cases {
        let heard = last_words(&server, bytes).await;
        assert!(
            heard.contains(&format!(
                "<{expected} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>"
            )),
            "{expected} for {:?}, heard {heard}",
            String::from_utf8_lossy(&bytes[..bytes.len().min(300)])
        );
        assert!(
            heard.ends_with("</stream:stream>"),
            "{expected}: the stream is closed"
        );
    }
}

#[tokio::test]
async fn a_client_that_does_not_log_in_is_not_waited_for() {
    let server = TestServer::start("[limits]\nlogin_timeout = \"1s\"")
        .await
        .unwrap();
    for beginning in ["", "<?xml version='1.0'?><stream:stream", &header()] {
        let heard = last_words(&server, beginning.as_bytes()).await;
        assert!(
            heard.contains("<connection-timeout "),
            "after {beginning:?}: {heard}"
        );
    }
}

#[tokio::test]
async fn one_byte_at_a_time_does_not_buy_more_time() {
    let server = TestServer::start("[limits]\nlogin_timeout = \"1s\"")
        .await
        .unwrap();
    let mut tcp = TcpStream::connect(server.address(false).unwrap())
        .await
        .unwrap();
    let (mut read, mut write) = tcp.split();
    let drip = async {
        loop {
            if write.write_all(b" ").await.is_err() {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    let mut heard = String::new();
    let ended = async {
        // A reset after the goodbye is an end as well.
        let _ = read.read_to_string(&mut heard).await;
    };
    tokio::time::timeout(DEADLINE, async {
        tokio::select! { () = drip => {}, () = ended => {} }
    })
    .await
    .expect("the server ends the connection");
}

#[tokio::test]
async fn stanzas_past_the_limits_end_the_stream() {
    let server = TestServer::start("[limits]\nstanza_bytes = \"64KiB\"")
        .await
        .unwrap();
    server.account("alice", Role::Member).await.unwrap();
    let large = format!(
        "<message to='bob@{DOMAIN}'><body>{}</body></message>",
        "x".repeat(70_000)
    );
    let deep = format!("<message to='bob@{DOMAIN}'>{}", "<a xmlns='u'>".repeat(100));
    let wide = format!(
        "<message to='bob@{DOMAIN}'>{}",
        "<a xmlns='u'/>".repeat(5000)
    );
    for bad in [large, deep, wide] {
        let mut client = Client::connect(&server, &Login::new("alice"))
            .await
            .unwrap();
        // The server may close before everything is sent.
        let _ = client.send_raw(&bad).await;
        assert_eq!(ends_with(&mut client).await, "policy-violation");
    }
}

#[tokio::test]
async fn nobody_speaks_for_somebody_else() {
    let server = TestServer::start("").await.unwrap();
    let mut client = logged_in(&server, "alice").await;
    client
        .send_raw(&format!(
            "<message from='bob@{DOMAIN}/x' to='alice@{DOMAIN}'/>"
        ))
        .await
        .unwrap();
    assert_eq!(ends_with(&mut client).await, "invalid-from");
}

#[tokio::test]
async fn what_is_no_stanza_ends_the_stream() {
    let server = TestServer::start("").await.unwrap();
    server.account("alice", Role::Member).await.unwrap();
    for (bad, expected) in [
        ("<hello xmlns='jabber:client'/>", "unsupported-stanza-type"),
        ("<message xmlns='jabber:server'/>", "invalid-namespace"),
        ("<a xmlns='urn:xmpp:sm:3' h='99'/>", "undefined-condition"),
        ("some words<a/>", "bad-format"),
    ] {
        let mut client = Client::connect(&server, &Login::new("alice"))
            .await
            .unwrap();
        client.send_raw(bad).await.unwrap();
        assert_eq!(ends_with(&mut client).await, expected, "{bad}");
    }
}

#[tokio::test]
async fn a_half_open_connection_is_noticed() {
    let server = TestServer::start("[limits]\nidle_timeout = \"1s\"\nlife_timeout = \"1s\"")
        .await
        .unwrap();
    let mut client = logged_in(&server, "alice").await;
    client
        .expect("<iq type='get'><ping xmlns='urn:xmpp:ping'/></iq>")
        .await
        .unwrap();
    assert_eq!(ends_with(&mut client).await, "connection-timeout");
}

#[tokio::test]
async fn a_client_that_answers_the_ping_stays() {
    let server = TestServer::start("[limits]\nidle_timeout = \"1s\"\nlife_timeout = \"1s\"")
        .await
        .unwrap();
    let mut client = logged_in(&server, "alice").await;
    for _ in 0..3 {
        let ping = client
            .expect("<iq type='get'><ping xmlns='urn:xmpp:ping'/></iq>")
            .await
            .unwrap();
        let id = ping.attr("id").unwrap();
        client
            .send(&format!("<iq type='result' id='{id}' to='{DOMAIN}'/>"))
            .await
            .unwrap();
    }
}

/// The reader's session has ended once its address no longer exists.
#[tokio::test]
async fn a_client_that_never_reads_is_ended_and_its_friends_notice_nothing() {
    let server = TestServer::start("[limits]\noutbound_bytes = \"256KiB\"\nwrite_timeout = \"1s\"")
        .await
        .unwrap();
    let reader = logged_in(&server, "reader").await;
    let mut writer = logged_in(&server, "writer").await;
    let body = "x".repeat(50_000);
    let to = reader.jid.clone();
    for round in 0..1000 {
        writer
            .send_raw(&format!(
                "<message type='headline' to='{to}'><body>{body}</body></message>"
            ))
            .await
            .unwrap();
        if round % 20 != 19 {
            continue;
        }
        writer
            .send(&format!(
                "<iq type='get' id='p{round}' to='{to}'><ping xmlns='urn:xmpp:ping'/></iq>"
            ))
            .await
            .unwrap();
        // To its own server the writer's pings are answered, however full the reader is.
        writer.sync().await.unwrap();
        if let Some(Incoming::Element(answer)) = writer.waiting() {
            assert_eq!(answer.attr("type"), Some("error"), "{answer:?}");
            return;
        }
    }
    panic!("50 MB were taken for a client that does not read");
}

#[tokio::test]
async fn a_login_that_goes_on_failing_ends() {
    let server = TestServer::start("[limits]\nlogin_attempts = 2")
        .await
        .unwrap();
    let mut client = Client::open(&server, support::Way::DirectTls)
        .await
        .unwrap();
    for _ in 0..2 {
        client
            .send_raw(
                "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGEAYg==</auth>",
            )
            .await
            .unwrap();
        client
            .expect("<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure>")
            .await
            .unwrap();
    }
    assert_eq!(ends_with(&mut client).await, "policy-violation");
}
