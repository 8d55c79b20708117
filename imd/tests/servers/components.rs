//! External components (XEP-0114).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Result, bail};
use imd::stream::link::wire::{Opening, Wire};
use imd_proto::xml::{Limits, StreamEvent, parse_document};
use imd_proto::{Element, ns};
use imd_store::Role;
use tokio::net::{TcpListener, TcpStream};

use crate::support::client::within;
use crate::support::{Client, Login, TestServer};

const BRIDGE: &str = "bridge.example.test";

/// A port that nobody listens on, and that is given to no other test and to no connection: those that the system chooses
/// begin higher (`ip_local_port_range`).
pub async fn free_port() -> Result<SocketAddr> {
    const FIRST: u16 = 20_000;
    const PORTS: u16 = 12_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = (std::process::id() % u32::from(PORTS)) as u16;
    for _ in 0..PORTS {
        let next = NEXT.fetch_add(1, Ordering::Relaxed) % PORTS;
        let port = FIRST + (start + next) % PORTS;
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
            return Ok(listener.local_addr()?);
        }
    }
    bail!("no port is free")
}

async fn server_with_component() -> Result<(TestServer, SocketAddr)> {
    let address = free_port().await?;
    let server = TestServer::start(&format!(
        "component = [\"{address}\"]\n[[component]]\ndomain = \"{BRIDGE}\"\nsecret = \"open, sesame\"\nname = \"The bridge\""
    ))
    .await?;
    server.account("alice", Role::Member).await?;
    Ok((server, address))
}

/// A component before its handshake, and the stream's id.
async fn open(address: SocketAddr, domain: &str) -> Result<(Wire, String)> {
    let stream = TcpStream::connect(address).await?;
    let peer = IpAddr::from(Ipv4Addr::LOCALHOST);
    let mut wire = Wire::new(stream, peer, ns::COMPONENT, Limits::default());
    let opening = Opening {
        to: Some(domain),
        ..Opening::default()
    };
    wire.open(&opening).await?;
    match event(&mut wire).await? {
        Some(StreamEvent::Open(header)) => {
            let id = header.attr("id").unwrap_or_default().to_owned();
            Ok((wire, id))
        }
        other => bail!("expected a stream header, got {other:?}"),
    }
}

async fn event(wire: &mut Wire) -> Result<Option<StreamEvent>> {
    within("hear from the server", async {
        wire.next()
            .await
            .map_err(|error| anyhow::anyhow!("{error:?}"))
    })
    .await
}

async fn element(wire: &mut Wire) -> Result<Element> {
    match event(wire).await? {
        Some(StreamEvent::Stanza(element)) => Ok(element),
        other => bail!("expected an element, got {other:?}"),
    }
}

async fn shake_hands(wire: &mut Wire, id: &str, secret: &str) -> Result<Element> {
    let text = format!("{id}{secret}");
    let hash = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
    let proof: String = hash.as_ref().iter().map(|b| format!("{b:02x}")).collect();
    let handshake = Element::new("handshake", ns::COMPONENT).with_text(proof);
    wire.send(&handshake).await?;
    element(wire).await
}

async fn connect(address: SocketAddr) -> Result<Wire> {
    let (mut wire, id) = open(address, BRIDGE).await?;
    let answer = shake_hands(&mut wire, &id, "open, sesame").await?;
    assert!(answer.is("handshake", ns::COMPONENT), "{answer:?}");
    Ok(wire)
}

fn stanza(xml: &str) -> Element {
    parse_document(xml, Limits::default()).unwrap()
}

fn condition(error: &Element) -> &str {
    error.first_child().map(Element::name).unwrap_or_default()
}

#[tokio::test]
async fn stanzas_travel_between_a_component_and_a_client() {
    let (server, address) = server_with_component().await.unwrap();
    let mut bridge = connect(address).await.unwrap();
    let mut alice = Client::connect(&server, &Login::new("alice"))
        .await
        .unwrap();
    alice
        .send(&format!(
            "<message to='someone@{BRIDGE}/x' type='chat' id='1'><body>over</body></message>"
        ))
        .await
        .unwrap();
    let arrived = element(&mut bridge).await.unwrap();
    assert_eq!(arrived.attr("from"), Some("alice@example.test/main"));
    assert_eq!(arrived.child_text("body").as_deref(), Some("over"));
    let back = format!(
        "<message xmlns='{}' from='someone@{BRIDGE}' to='alice@example.test/main'><body>and back</body></message>",
        ns::COMPONENT
    );
    bridge.send(&stanza(&back)).await.unwrap();
    alice
        .expect(&format!(
            "<message from='someone@{BRIDGE}'><body>and back</body></message>"
        ))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_component_is_found_while_it_is_connected() {
    let (server, address) = server_with_component().await.unwrap();
    let mut alice = Client::connect(&server, &Login::new("alice"))
        .await
        .unwrap();
    let ask = "<iq type='get' id='d' to='example.test'><query xmlns='http://jabber.org/protocol/disco#items'/></iq>";
    alice.send(ask).await.unwrap();
    let without = alice.next().await.unwrap().element().unwrap();
    assert!(!without.to_xml().contains(BRIDGE));
    alice
        .send(&format!(
            "<iq type='get' id='p' to='{BRIDGE}'><ping xmlns='urn:xmpp:ping'/></iq>"
        ))
        .await
        .unwrap();
    alice
        .expect(&format!(
            "<iq type='error' id='p' from='{BRIDGE}'><error><service-unavailable xmlns='{}'/></error></iq>",
            ns::STANZA_ERRORS
        ))
        .await
        .unwrap();
    let _bridge = connect(address).await.unwrap();
    alice.send(ask).await.unwrap();
    alice
        .expect(&format!(
            "<iq type='result' id='d'><query xmlns='{}'><item jid='{BRIDGE}' name='The bridge'/></query></iq>",
            ns::DISCO_ITEMS
        ))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_component_proves_who_it_is_and_says_nothing_in_other_names() {
    let (_server, address) = server_with_component().await.unwrap();
    let (mut wire, id) = open(address, BRIDGE).await.unwrap();
    let refused = shake_hands(&mut wire, &id, "shut, sesame").await.unwrap();
    assert_eq!(condition(&refused), "not-authorized");

    let (mut wire, _) = open(address, "elsewhere.example.test").await.unwrap();
    let refused = element(&mut wire).await.unwrap();
    assert_eq!(condition(&refused), "host-unknown");

    let mut bridge = connect(address).await.unwrap();
    let (mut second, id) = open(address, BRIDGE).await.unwrap();
    let refused = shake_hands(&mut second, &id, "open, sesame").await.unwrap();
    assert_eq!(condition(&refused), "conflict");

    let forged = format!(
        "<message xmlns='{}' from='bob@example.test' to='alice@example.test'/>",
        ns::COMPONENT
    );
    bridge.send(&stanza(&forged)).await.unwrap();
    let refused = element(&mut bridge).await.unwrap();
    assert_eq!(condition(&refused), "invalid-from");
}
