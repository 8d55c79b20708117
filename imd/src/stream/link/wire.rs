//! A TCP stream towards another server or a component, from either end, plain or inside TLS.

use std::io;
use std::net::IpAddr;

use bytes::{Buf as _, BytesMut};
use imd_proto::xml::{Limits, StreamEvent, StreamReader, escape_into};
use imd_proto::{Element, ns};
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use crate::stream::ReadError;

enum Connection {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    /// An upgrade failed or was abandoned.
    Lost,
}

/// What a stream header says of its sender.
#[derive(Debug, Default)]
pub struct Opening<'a> {
    /// The stream's id; only the receiving side gives one.
    pub id: Option<&'a str>,
    /// Who opens the stream.
    pub from: Option<&'a str>,
    /// Whom it is opened to.
    pub to: Option<&'a str>,
    /// Whether it is version 1.0: components speak an older one.
    pub versioned: bool,
}

/// A stream whose stanzas have a namespace other than that of clients.
pub struct Wire {
    connection: Connection,
    reader: StreamReader,
    input: BytesMut,
    limits: Limits,
    ns: &'static str,
    /// The other end.
    pub peer: IpAddr,
}

impl Wire {
    /// A plain connection whose stanzas are in the namespace `ns`.
    #[must_use]
    pub fn new(stream: TcpStream, peer: IpAddr, ns: &'static str, limits: Limits) -> Self {
        Self {
            connection: Connection::Plain(stream),
            reader: StreamReader::new(limits),
            input: BytesMut::new(),
            limits,
            ns,
            peer,
        }
    }

    /// The namespace of its stanzas.
    #[must_use]
    pub fn ns(&self) -> &'static str {
        self.ns
    }

    /// Upgrade to TLS as the receiving side.
    ///
    /// # Errors
    /// When the handshake fails; the connection is then lost.
    pub async fn accept_tls(&mut self, acceptor: &TlsAcceptor) -> io::Result<()> {
        let stream = self.take_plain()?;
        self.connection = Connection::Tls(Box::new(acceptor.accept(stream).await?.into()));
        Ok(())
    }

    /// Upgrade to TLS as the initiating side.
    ///
    /// # Errors
    /// When the handshake fails; the connection is then lost.
    pub async fn connect_tls(
        &mut self,
        connector: &TlsConnector,
        name: ServerName<'static>,
    ) -> io::Result<()> {
        let stream = self.take_plain()?;
        self.connection = Connection::Tls(Box::new(connector.connect(name, stream).await?.into()));
        Ok(())
    }

    fn take_plain(&mut self) -> io::Result<TcpStream> {
        // What came before TLS must not be read as if it had come inside (the STARTTLS injection of 2011).
        self.input = BytesMut::new();
        self.restart();
        match std::mem::replace(&mut self.connection, Connection::Lost) {
            Connection::Plain(stream) => Ok(stream),
            _ => Err(lost()),
        }
    }

    /// Expect a new stream header (RFC 6120 §4.3.3).
    pub fn restart(&mut self) {
        self.reader = StreamReader::new(self.limits);
    }

    /// Whether nobody on the way can read along.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        matches!(self.connection, Connection::Tls(_))
    }

    /// The peer's certificate and those that signed it; empty when it showed none.
    #[must_use]
    pub fn certificates(&self) -> &[CertificateDer<'static>] {
        match &self.connection {
            Connection::Tls(stream) => stream.get_ref().1.peer_certificates().unwrap_or_default(),
            _ => &[],
        }
    }

    /// The next event; `None` when the peer has closed the connection. The future may be dropped before it is done.
    ///
    /// # Errors
    /// When the connection breaks or the peer breaks the rules of XML streams.
    pub async fn next(&mut self) -> Result<Option<StreamEvent>, ReadError> {
        loop {
            if !self.input.is_empty() {
                let mut rest = &self.input[..];
                let event = self.reader.next(&mut rest)?;
                let used = self.input.len() - rest.len();
                self.input.advance(used);
                if self.input.is_empty() {
                    self.input = BytesMut::new();
                }
                if event.is_some() {
                    return Ok(event);
                }
            }
            let read = match &mut self.connection {
                Connection::Plain(stream) => stream.read_buf(&mut self.input).await,
                Connection::Tls(stream) => stream.read_buf(&mut self.input).await,
                Connection::Lost => Err(lost()),
            };
            match read {
                Ok(0) => return Ok(None),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Send a stream header.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn open(&mut self, opening: &Opening<'_>) -> io::Result<()> {
        self.send_xml(&opening_xml(opening, self.ns)).await
    }

    /// Send an element.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn send(&mut self, element: &Element) -> io::Result<()> {
        self.send_xml(&element_xml(element, self.ns)).await
    }

    /// Send what is serialised already.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn send_xml(&mut self, xml: &str) -> io::Result<()> {
        match &mut self.connection {
            Connection::Plain(stream) => stream.write_all(xml.as_bytes()).await,
            Connection::Tls(stream) => {
                stream.write_all(xml.as_bytes()).await?;
                stream.flush().await
            }
            Connection::Lost => Err(lost()),
        }
    }

    /// Close the connection itself, after the end tag.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn shutdown(&mut self) -> io::Result<()> {
        match &mut self.connection {
            Connection::Plain(stream) => stream.shutdown().await,
            Connection::Tls(stream) => stream.shutdown().await,
            Connection::Lost => Ok(()),
        }
    }
}

fn lost() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "the connection is lost")
}

fn opening_xml(opening: &Opening<'_>, default_ns: &str) -> String {
    let mut out = format!(
        "<?xml version='1.0'?><stream:stream xmlns='{default_ns}' xmlns:stream='{}'",
        ns::STREAM
    );
    if default_ns == ns::SERVER {
        out.push_str(" xmlns:db='");
        out.push_str(ns::DIALBACK);
        out.push('\'');
    }
    let mut attribute = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            out.push(' ');
            out.push_str(name);
            out.push_str("='");
            escape_into(&mut out, value);
            out.push('\'');
        }
    };
    attribute("id", opening.id);
    attribute("from", opening.from);
    attribute("to", opening.to);
    attribute("version", opening.versioned.then_some("1.0"));
    out.push('>');
    out
}

/// Elements of the stream and of dialback keep the prefixes that older servers look for.
fn element_xml(element: &Element, default_ns: &str) -> String {
    let prefix = match element.ns() {
        ns::STREAM => "stream",
        ns::DIALBACK => "db",
        _ => return element.to_xml_in(default_ns),
    };
    let name = element.name();
    let mut out = format!("<{prefix}:{name}");
    for attribute in element.attributes().iter().filter(|a| a.ns.is_none()) {
        out.push(' ');
        out.push_str(&attribute.name);
        out.push_str("='");
        escape_into(&mut out, &attribute.value);
        out.push('\'');
    }
    out.push('>');
    escape_into(&mut out, &element.text());
    for child in element.children() {
        out.push_str(&child.to_xml_in(default_ns));
    }
    out.push_str("</");
    out.push_str(prefix);
    out.push(':');
    out.push_str(name);
    out.push('>');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_of_the_stream_and_of_dialback_have_their_prefixes() {
        let verify = Element::new("verify", ns::DIALBACK)
            .with_attr("to", "a.example")
            .with_text("key");
        assert_eq!(
            element_xml(&verify, ns::SERVER),
            "<db:verify to='a.example'>key</db:verify>"
        );
        let features =
            Element::new("features", ns::STREAM).with_child(Element::new("starttls", ns::TLS));
        assert_eq!(
            element_xml(&features, ns::SERVER),
            "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>"
        );
    }

    #[test]
    fn a_header_says_only_what_is_known() {
        let opening = Opening {
            id: Some("1"),
            from: Some("a'b"),
            ..Opening::default()
        };
        assert_eq!(
            opening_xml(&opening, ns::COMPONENT),
            "<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' \
             xmlns:stream='http://etherx.jabber.org/streams' id='1' from='a&apos;b'>"
        );
    }
}
