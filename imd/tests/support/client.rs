//! A client: TLS, a stream, stanzas; stream management done as a client should.

use std::collections::VecDeque;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use imd_proto::xml::StreamEvent;
use imd_proto::{Element, Kind, ns};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::login::{self, Login, Refused, StreamManagement, Way};
use super::management::{Broken, Management};
use super::pattern::{self, Names};
use super::stream::Stream;
use super::{DEADLINE, TestServer};

/// What the server sent.
#[derive(Debug)]
pub enum Incoming {
    /// An element.
    Element(Element),
    /// The stream's end tag.
    StreamEnd,
    /// Nothing more: the connection is gone.
    Closed,
}

impl Incoming {
    /// The element, which it must be.
    pub fn element(self) -> Result<Element> {
        match self {
            Self::Element(element) if element.is("error", ns::STREAM) => {
                Err(Refused(element).into())
            }
            Self::Element(element) => Ok(element),
            Self::StreamEnd => bail!("the server closed the stream"),
            Self::Closed => bail!("the server closed the connection"),
        }
    }
}

/// A connected client.
pub struct Client {
    pub(super) stream: Stream<TlsStream<TcpStream>>,
    domain: String,
    /// The full address; empty before a resource is bound.
    pub jid: String,
    /// The features that the server announced last.
    pub features: Element,
    pub(super) management: Option<Management>,
    /// What came and has not been looked at.
    pub(super) queue: VecDeque<Incoming>,
    pub(super) pings: u32,
}

impl Client {
    /// Connect and log in.
    pub async fn connect(server: &TestServer, login: &Login) -> Result<Self> {
        within("log in", async {
            let mut client = Self::log_in(server, login).await?;
            login::bind(&mut client, login).await?;
            client.enable(login.management).await?;
            Ok(client)
        })
        .await
    }

    pub(super) async fn log_in(server: &TestServer, login: &Login) -> Result<Self> {
        let mut client = Self::open(server, login.way).await?;
        login::authenticate(&mut client, login).await?;
        client.features = client.stream.open(None).await?;
        Ok(client)
    }

    /// A stream inside TLS, before login.
    pub async fn open(server: &TestServer, way: Way) -> Result<Self> {
        Self::open_as(server, way, None).await
    }

    /// The same, saying in the stream header who is to log in.
    pub async fn open_as(server: &TestServer, way: Way, from: Option<&str>) -> Result<Self> {
        let direct = way == Way::DirectTls;
        let mut tcp = TcpStream::connect(server.address(direct)?).await?;
        tcp.set_nodelay(true)?;
        if !direct {
            let mut plain = Stream::new(tcp, server.domain());
            let features = plain.open(None).await?;
            ensure!(
                features.child("starttls", ns::TLS).is_some(),
                "STARTTLS is not offered"
            );
            plain
                .write(&format!("<starttls xmlns='{}'/>", ns::TLS))
                .await?;
            match plain.next().await? {
                Some(StreamEvent::Stanza(e)) if e.is("proceed", ns::TLS) => {}
                other => bail!("expected <proceed>, got {other:?}"),
            }
            tcp = plain.connection;
        }
        let tls = server.tls(direct)?;
        let name = ServerName::try_from(server.domain().to_owned())?;
        let tls = tls.connect(name, tcp).await.context("TLS handshake")?;
        let mut stream = Stream::new(tls, server.domain());
        let features = stream.open(from).await?;
        Ok(Self {
            stream,
            domain: server.domain().to_owned(),
            jid: String::new(),
            features,
            management: None,
            queue: VecDeque::new(),
            pings: 0,
        })
    }

    async fn enable(&mut self, management: StreamManagement) -> Result<()> {
        let mut enable = Element::new("enable", ns::SM);
        match management {
            StreamManagement::Off => return Ok(()),
            StreamManagement::On => {}
            StreamManagement::Resumable => enable.set_attr("resume", "true"),
        }
        self.send_element(&enable).await?;
        let enabled = self.next().await?.element()?;
        ensure!(
            enabled.is("enabled", ns::SM),
            "expected <enabled>, got {}",
            enabled.to_xml()
        );
        self.management = Some(Management {
            id: enabled.attr("id").map(str::to_owned),
            ..Management::default()
        });
        Ok(())
    }

    /// What a login can be bound to (RFC 9266).
    pub fn tls_exporter(&self) -> Result<[u8; 32]> {
        let (_, tls) = self.stream.connection.get_ref();
        Ok(tls.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(b""))?)
    }

    /// Send the elements of a block of XML.
    pub async fn send(&mut self, block: &str) -> Result<()> {
        for element in pattern::read(block).map_err(|e| anyhow!(e))? {
            self.send_element(&element).await?;
        }
        Ok(())
    }

    /// Send an element; a stanza is counted and kept until acknowledged where stream management is on.
    pub async fn send_element(&mut self, element: &Element) -> Result<()> {
        if let Some(management) = &mut self.management
            && Kind::of(element).is_some()
        {
            management.unacked.push_back(element.clone());
            // A connection that is gone is noticed when it is read; what was to be sent is kept.
            let _ = self.write(element).await;
            let _ = self.stream.write(&format!("<r xmlns='{}'/>", ns::SM)).await;
            return Ok(());
        }
        self.write(element).await
    }

    pub(super) async fn write(&mut self, element: &Element) -> Result<()> {
        self.stream.write(&element.to_xml_in(ns::CLIENT)).await
    }

    /// Send bytes as they are.
    pub async fn send_raw(&mut self, text: &str) -> Result<()> {
        self.stream.write(text).await
    }

    /// The next thing that is not stream management's.
    pub async fn next(&mut self) -> Result<Incoming> {
        match self.queue.pop_front() {
            Some(incoming) => Ok(incoming),
            None => self.read().await,
        }
    }

    async fn read(&mut self) -> Result<Incoming> {
        loop {
            let event = self.event().await?;
            if let Some(incoming) = self.take(event).await? {
                return Ok(incoming);
            }
        }
    }

    /// Whatever comes next; absent at the end of the connection. May be dropped and called again. Each event has to
    /// be given to [`Self::take`].
    pub async fn event(&mut self) -> Result<Option<StreamEvent>> {
        self.stream.next().await
    }

    /// Do with an event what stream management wants; what remains for the test.
    pub async fn take(&mut self, event: Option<StreamEvent>) -> Result<Option<Incoming>> {
        let element = match event {
            Some(StreamEvent::Stanza(element)) => element,
            Some(StreamEvent::Open(_)) => bail!("the server opened a second stream"),
            Some(StreamEvent::Close) => return Ok(Some(Incoming::StreamEnd)),
            None => return Ok(Some(Incoming::Closed)),
        };
        if let Some(management) = &mut self.management {
            if element.is("r", ns::SM) {
                let ack = Element::new("a", ns::SM).with_attr("h", management.received.to_string());
                // A lost connection is noticed by the next read.
                let _ = self.write(&ack).await;
                return Ok(None);
            }
            if element.is("a", ns::SM) {
                management.acknowledged(&element)?;
                return Ok(None);
            }
            if Kind::of(&element).is_some() {
                management.received = management.received.wrapping_add(1);
            }
        }
        Ok(Some(Incoming::Element(element)))
    }

    /// How many stanzas the server has not acknowledged.
    pub fn unacknowledged(&self) -> usize {
        self.management.as_ref().map_or(0, |m| m.unacked.len())
    }

    /// The next element must look like the pattern. Returns it.
    pub async fn expect(&mut self, wanted: &str) -> Result<Element> {
        self.expect_named(wanted, &mut Names::new()).await
    }

    /// The same with captured texts.
    pub async fn expect_named(&mut self, wanted: &str, names: &mut Names) -> Result<Element> {
        let patterns = pattern::read(wanted).map_err(|e| anyhow!(e))?;
        let [wanted] = &patterns[..] else {
            bail!("expected one element in {wanted}");
        };
        let what = format!("send {}", wanted.to_xml_in(ns::CLIENT));
        let found = within(&what, self.next()).await?.element()?;
        pattern::matches(wanted, &found, false, names)
            .map_err(|why| anyhow!("{why}; received {}", found.to_xml_in(ns::CLIENT)))?;
        Ok(found)
    }

    /// Ask the server for a sign of life and wait for it: all that was sent before has then been dealt with.
    /// What comes meanwhile waits to be looked at.
    pub async fn sync(&mut self) -> Result<()> {
        match self.settle().await? {
            true => Ok(()),
            false => bail!("the server closed the connection"),
        }
    }

    /// The same; false when the server has closed the connection instead.
    pub async fn settle(&mut self) -> Result<bool> {
        self.pings += 1;
        let id = format!("sync-{}", self.pings);
        let ping = Element::new("iq", ns::CLIENT)
            .with_attr("type", "get")
            .with_attr("id", id.as_str())
            .with_attr("to", self.domain.as_str())
            .with_child(Element::new("ping", ns::PING));
        // A connection that is closed already is noticed below.
        let _ = self.send_element(&ping).await;
        within("answer a ping", async {
            loop {
                match self.read().await? {
                    Incoming::Element(e) if e.name() == "iq" && e.attr("id") == Some(&id) => {
                        return Ok(true);
                    }
                    Incoming::Closed => {
                        self.queue.push_back(Incoming::Closed);
                        return Ok(false);
                    }
                    other => self.queue.push_back(other),
                }
            }
        })
        .await
    }

    /// Nothing has come by the time a ping is answered.
    pub async fn expect_nothing(&mut self) -> Result<()> {
        self.sync().await?;
        match self.queue.front() {
            None => Ok(()),
            Some(Incoming::Element(element)) => {
                bail!(
                    "expected nothing, received {}",
                    element.to_xml_in(ns::CLIENT)
                )
            }
            Some(other) => bail!("expected nothing, got {other:?}"),
        }
    }

    /// Take the next thing that has come already.
    pub fn waiting(&mut self) -> Option<Incoming> {
        self.queue.pop_front()
    }

    /// Read what the server still says before it closes the connection; stanzas wait to be looked at.
    pub async fn read_to_end(&mut self) -> Result<()> {
        within("close the connection", async {
            loop {
                match self.read().await? {
                    Incoming::Element(e) if Kind::of(&e).is_some() => {
                        self.queue.push_back(Incoming::Element(e));
                    }
                    Incoming::Closed => return Ok(()),
                    _ => {}
                }
            }
        })
        .await
    }

    /// Forget what has come so far.
    pub async fn forget(&mut self) -> Result<()> {
        self.sync().await?;
        self.queue.clear();
        Ok(())
    }

    /// Close the stream in order and wait until the server has closed as well.
    pub async fn disconnect(mut self) -> Result<()> {
        self.stream.write("</stream:stream>").await?;
        within("close the stream", async {
            while !matches!(self.read().await?, Incoming::Closed) {}
            Ok(())
        })
        .await
    }

    /// Break the TCP connection without a word, as a lost network does. What is needed to resume stays.
    pub fn cut(self) -> Result<Broken> {
        let (broken, connection) = self.abandon();
        let (tcp, _) = connection.get_ref();
        tcp.set_zero_linger()?;
        Ok(broken)
    }

    /// Leave the connection as it is, without the server noticing. It breaks when it is dropped.
    pub fn abandon(self) -> (Broken, TlsStream<TcpStream>) {
        let broken = Broken {
            jid: self.jid,
            management: self.management,
            queue: self
                .queue
                .into_iter()
                .filter(|i| matches!(i, Incoming::Element(_)))
                .collect(),
            pings: self.pings,
        };
        (broken, self.stream.connection)
    }
}

/// What is to be done, or an error that says what took too long.
pub async fn within<T>(what: &str, done: impl Future<Output = Result<T>>) -> Result<T> {
    match tokio::time::timeout(DEADLINE, done).await {
        Ok(outcome) => outcome,
        Err(_) => bail!("waited {} s for the server to {what}", DEADLINE.as_secs()),
    }
}
