use std::future::poll_fn;
use std::io::Write as _;
use std::sync::Arc;

use bytes::BytesMut;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::TlsSocket;

pub(in crate::stream) type Version = &'static SupportedProtocolVersion;

/// A client and a server that have shaken hands, and what the client sent right behind it.
pub(in crate::stream) async fn pair(
    version: Version,
    behind: &[u8],
) -> (TlsStream<TcpStream>, TlsSocket, BytesMut) {
    let made = rcgen::generate_simple_self_signed(vec!["perch.test".to_owned()]).unwrap();
    let certificate = CertificateDer::from(made.cert);
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let client = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    connect(client, server, "perch.test", behind).await
}

/// The two shake hands; the client asks for a name.
async fn connect(
    client: ClientConfig,
    mut server: ServerConfig,
    name: &'static str,
    behind: &[u8],
) -> (TlsStream<TcpStream>, TlsSocket, BytesMut) {
    super::enable(&mut server);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    let (from, _) = listener.accept().await.unwrap();
    let connector = TlsConnector::from(Arc::new(client));
    let name = ServerName::try_from(name).unwrap();
    let connecting = connector.connect_with(name, to, |tls| {
        tls.writer().write_all(behind).unwrap();
    });
    let server = Arc::new(server);
    let (client, accepted) = tokio::join!(connecting, TlsSocket::accept(from, &server));
    let (server, early) = accepted.unwrap();
    (client.unwrap(), server, early)
}

async fn read(server: &mut TlsSocket, bytes: &mut BytesMut) -> usize {
    poll_fn(|cx| server.poll_read(cx, bytes)).await.unwrap()
}

fn assert_holds_no_buffer(server: &TlsSocket) {
    assert_eq!(
        (server.incoming.capacity(), server.outgoing.capacity()),
        (0, 0)
    );
}

#[tokio::test]
async fn what_is_said_arrives_on_both_sides_and_then_no_buffer_is_held() {
    for version in [&TLS12, &TLS13] {
        let (mut client, mut server, mut heard) = pair(version, b"").await;
        client.write_all(b"hello").await.unwrap();
        client.flush().await.unwrap();
        while heard.len() < 5 {
            assert_ne!(read(&mut server, &mut heard).await, 0);
        }
        assert_eq!(&heard[..], b"hello");
        server.write(b"welcome").await.unwrap();
        let mut answer = [0; 7];
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"welcome");
        assert_holds_no_buffer(&server);
    }
}

#[tokio::test]
async fn much_arrives_whole_though_neither_side_keeps_up() {
    let much: Vec<u8> = (0..=u8::MAX).cycle().take(5 << 20).collect();
    let (mut client, mut server, _) = pair(&TLS13, b"").await;
    let sent = async {
        server.write(&much).await.unwrap();
        assert_holds_no_buffer(&server);
        server.shutdown().await.unwrap();
        let mut heard = BytesMut::new();
        while read(&mut server, &mut heard).await > 0 {}
        heard
    };
    let received = async {
        let mut bytes = Vec::new();
        client.read_to_end(&mut bytes).await.unwrap();
        client.write_all(&bytes).await.unwrap();
        client.shutdown().await.unwrap();
        bytes
    };
    let (heard, received) = tokio::join!(sent, received);
    assert!(received == much, "{} bytes arrived", received.len());
    assert!(heard == much, "{} bytes came back", heard.len());
}

#[tokio::test]
async fn tickets_wait_for_the_first_answer_and_go_out_with_it() {
    let (mut client, mut server, _) = pair(&TLS13, b"").await;
    let tickets = server.outgoing.len();
    assert!(tickets > 0);
    assert!(!server.is_held_up());
    // What the client says does not make them go alone.
    client.write_all(b"hello").await.unwrap();
    client.flush().await.unwrap();
    let mut heard = BytesMut::new();
    while heard.len() < 5 {
        assert_ne!(read(&mut server, &mut heard).await, 0);
    }
    assert_eq!(server.outgoing.len(), tickets);
    server.write(b"welcome").await.unwrap();
    assert_holds_no_buffer(&server);
    let mut answer = [0; 7];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"welcome");
}

#[tokio::test]
async fn a_record_that_comes_byte_by_byte_is_read_when_it_is_whole() {
    let (client, mut server, mut heard) = pair(&TLS13, b"").await;
    server.flush().await.unwrap();
    let (mut socket, mut tls) = client.into_inner();
    tls.writer().write_all(b"hello").unwrap();
    let mut record = Vec::new();
    tls.write_tls(&mut record).unwrap();
    let slowly = async {
        socket.set_nodelay(true).unwrap();
        for byte in record {
            socket.write_all(&[byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    let (read, ()) = tokio::join!(read(&mut server, &mut heard), slowly);
    assert_eq!((read, &heard[..]), (5, &b"hello"[..]));
    assert_holds_no_buffer(&server);
}

#[tokio::test]
async fn both_sides_export_the_same_key_where_it_is_safe() {
    for (version, safe) in [(&TLS12, false), (&TLS13, true)] {
        let (client, server, _) = pair(version, b"").await;
        let key = client
            .get_ref()
            .1
            .export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(b""))
            .unwrap();
        assert_eq!(server.exporter(), safe.then_some(&key[..]), "{version:?}");
    }
}

#[tokio::test]
async fn what_comes_right_behind_the_handshake_is_not_lost() {
    let (_client, mut server, mut heard) = pair(&TLS13, b"at once").await;
    if heard.is_empty() {
        read(&mut server, &mut heard).await;
    }
    assert_eq!(&heard[..], b"at once");
}

#[tokio::test]
async fn an_end_without_goodbye_is_an_end() {
    let (client, mut server, mut heard) = pair(&TLS13, b"").await;
    let (mut socket, _) = client.into_inner();
    socket.shutdown().await.unwrap();
    assert_eq!(read(&mut server, &mut heard).await, 0);
}

#[tokio::test]
async fn rubbish_is_answered_with_an_alert() {
    let (client, mut server, mut heard) = pair(&TLS13, b"").await;
    let (mut socket, mut tls) = client.into_inner();
    socket
        .write_all(b"\x17\x03\x03\x00\x13nineteen bytes here")
        .await
        .unwrap();
    let failed = poll_fn(|cx| server.poll_read(cx, &mut heard)).await;
    assert_eq!(failed.unwrap_err().kind(), std::io::ErrorKind::InvalidData);
    drop(server);
    let mut said = Vec::new();
    socket.read_to_end(&mut said).await.unwrap();
    let mut unread = &said[..];
    while tls.read_tls(&mut unread).unwrap() > 0 {}
    let alert = tls.process_new_packets().unwrap_err();
    assert!(
        matches!(alert, rustls::Error::AlertReceived(_)),
        "{alert:?}"
    );
}

#[tokio::test]
async fn a_connection_is_bound_to_the_certificate_that_its_client_was_shown() {
    use super::certificates::{Certificates, Shown};
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    let mut shown = |name: &str, end_point: &[u8]| {
        let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
        let certificate = CertificateDer::from(made.cert);
        roots.add(certificate.clone()).unwrap();
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let key = rustls::sign::CertifiedKey::from_der(vec![certificate], key.into(), &provider);
        Shown {
            key: Arc::new(key.unwrap()),
            end_point: Some(Arc::from(end_point)),
        }
    };
    let certificates = Arc::new(Certificates {
        usual: shown("perch.local", b"usual"),
        domain: Some(("chat.test".to_owned(), shown("chat.test", b"own"))),
    });
    for version in [&TLS12, &TLS13] {
        for (name, bound_to) in [("perch.local", &b"usual"[..]), ("chat.test", b"own")] {
            let client = ClientConfig::builder_with_provider(Arc::clone(&provider))
                .with_protocol_versions(&[version])
                .unwrap()
                .with_root_certificates(roots.clone())
                .with_no_client_auth();
            let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_cert_resolver(Arc::clone(&certificates) as _);
            let (_client, server, _) = connect(client, server, name, b"").await;
            assert_eq!(server.end_point(), Some(bound_to), "{name}");
        }
    }
}
