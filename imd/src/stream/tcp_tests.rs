use rustls::version::TLS13;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::super::tls::tests::pair;
use super::*;

const HEADER: &str = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>";
const REQUEST: &str = "<r xmlns='urn:xmpp:sm:3'/>";

fn limits() -> Limits {
    Limits::default()
}

/// A stream whose TLS is there already.
fn over(socket: TlsSocket) -> Tcp {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(rustls::server::ResolvesServerCertUsingSni::new()));
    let tls = Arc::new(config);
    let peer = IpAddr::from([127, 0, 0, 1]);
    Tcp::new(
        Connection::Tls(Box::new(socket)),
        peer,
        tls,
        limits(),
        limits(),
    )
}

async fn next(tcp: &mut Tcp) -> StreamEvent {
    tcp.next().await.unwrap().unwrap()
}

fn ack(handled: u32) -> Element {
    Element::new("a", ns::SM).with_attr("h", handled.to_string())
}

#[tokio::test]
async fn what_came_in_one_go_is_answered_in_one_record() {
    let (mut client, server, _) = pair(&TLS13, b"").await;
    let mut tcp = over(server);
    let said = format!("{HEADER}{REQUEST}{REQUEST}");
    client.write_all(said.as_bytes()).await.unwrap();
    client.flush().await.unwrap();
    assert!(matches!(next(&mut tcp).await, StreamEvent::Open(_)));
    next(&mut tcp).await;
    tcp.answer(&ack(1)).await.unwrap();
    next(&mut tcp).await;
    tcp.answer(&ack(2)).await.unwrap();
    let mut heard = [0; 1024];
    // One call reads one record.
    let length = client.read(&mut heard).await.unwrap();
    assert_eq!(
        std::str::from_utf8(&heard[..length]).unwrap(),
        "<a xmlns='urn:xmpp:sm:3' h='1'/><a xmlns='urn:xmpp:sm:3' h='2'/>"
    );
}

#[tokio::test]
async fn an_answer_does_not_wait_for_the_rest_of_what_has_come_in_part() {
    let (mut client, server, _) = pair(&TLS13, b"").await;
    let mut tcp = over(server);
    let said = format!("{HEADER}{REQUEST}<message><bo");
    client.write_all(said.as_bytes()).await.unwrap();
    client.flush().await.unwrap();
    assert!(matches!(next(&mut tcp).await, StreamEvent::Open(_)));
    next(&mut tcp).await;
    tcp.answer(&ack(1)).await.unwrap();
    let mut heard = [0; 1024];
    // The client says nothing more, and must get its answer all the same.
    let length = tokio::select! {
        length = client.read(&mut heard) => length.unwrap(),
        event = tcp.next() => panic!("{event:?}"),
    };
    assert!(heard[..length].starts_with(b"<a "));
}
