//! Connecting to another server: addresses, TLS, the stream up to its features (RFC 6120 §4.3, §5).

use std::sync::Arc;
use std::time::Duration;

use imd_proto::xml::StreamEvent;
use imd_proto::{Element, ns};
use tokio::net::TcpStream;

use super::certificate::server_name;
use super::resolve::Target;
use super::{Federation, Problem};
use crate::server::Server;
use crate::stream::ReadError;
use crate::stream::link::{
    self,
    wire::{Opening, Wire},
};

/// How long one address may take to answer, while there are others.
const ADDRESS_TIMEOUT: Duration = Duration::from_secs(10);

/// A stream inside TLS, before either side has proved its domain to the other's satisfaction.
pub struct Connected {
    /// The connection.
    pub wire: Wire,
    /// The id that the other server gave to the stream.
    pub id: String,
    /// What it announces.
    pub features: Element,
    /// Whether its certificate proves its domain.
    pub trusted: bool,
}

impl From<std::io::Error> for Problem {
    fn from(error: std::io::Error) -> Self {
        Self::timeout(format!("the connection broke: {error}"))
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Io(error) => error.into(),
            ReadError::Stream(error) => Self::timeout(format!("its stream is broken: {error}")),
        }
    }
}

/// Connect to the server of `to` in the name of `from`, by the first of its addresses where that works.
///
/// # Errors
/// With the last address's problem.
pub async fn connect(
    server: &Arc<Server>,
    federation: &Federation,
    from: &str,
    to: &str,
) -> Result<Connected, Problem> {
    let mut last = Problem::not_found(format!("{to} has no server that can be found"));
    for target in federation.resolver.targets(to).await {
        for address in federation.resolver.addresses(&target).await {
            let connecting = TcpStream::connect(address);
            let stream = match tokio::time::timeout(ADDRESS_TIMEOUT, connecting).await {
                Ok(Ok(stream)) => stream,
                Ok(Err(error)) => {
                    last = Problem::not_found(format!("{address}: {error}"));
                    continue;
                }
                Err(_) => {
                    last = Problem::timeout(format!("{address} does not answer"));
                    continue;
                }
            };
            stream.set_nodelay(true)?;
            let wire = Wire::new(stream, address.ip(), ns::SERVER, link::limits(server));
            match negotiate(server, federation, wire, &target, from, to).await {
                Ok(connected) => return Ok(connected),
                Err(problem) => {
                    tracing::debug!(domain = to, %address, %problem, "cannot use this address");
                    last = problem;
                }
            }
        }
    }
    Err(last)
}

async fn negotiate(
    server: &Server,
    federation: &Federation,
    mut wire: Wire,
    target: &Target,
    from: &str,
    to: &str,
) -> Result<Connected, Problem> {
    let name = server_name(to).map_err(Problem::not_found)?;
    if target.direct_tls {
        wire.connect_tls(&federation.tls.connect_direct, name)
            .await?;
    } else {
        let (_, features) = open(&mut wire, from, to).await?;
        if features.child("starttls", ns::TLS).is_none() {
            return Err(Problem::timeout("it offers no TLS"));
        }
        wire.send(&Element::new("starttls", ns::TLS)).await?;
        let answer = element(&mut wire).await?;
        if !answer.is("proceed", ns::TLS) {
            return Err(Problem::timeout("it refuses TLS"));
        }
        wire.connect_tls(&federation.tls.connect, name).await?;
    }
    let (id, features) = open(&mut wire, from, to).await?;
    let proof = federation.tls.trust.proves(wire.certificates(), to);
    if let Err(why) = &proof
        && !server.config.federation.accept_untrusted
    {
        return Err(Problem::timeout(format!(
            "its certificate does not prove that it is {to}: {why}"
        )));
    }
    Ok(Connected {
        wire,
        id,
        features,
        trusted: proof.is_ok(),
    })
}

/// Open a stream and read the other side's header and features.
///
/// # Errors
/// When it has none.
pub async fn open(wire: &mut Wire, from: &str, to: &str) -> Result<(String, Element), Problem> {
    let opening = Opening {
        from: Some(from),
        to: Some(to),
        versioned: true,
        ..Opening::default()
    };
    wire.open(&opening).await?;
    let header = match wire.next().await? {
        Some(StreamEvent::Open(header)) if header.is("stream", ns::STREAM) => header,
        Some(_) => return Err(Problem::timeout("it speaks no XMPP")),
        None => return Err(Problem::timeout("it closed the connection")),
    };
    let features = element(wire).await?;
    if !features.is("features", ns::STREAM) {
        return Err(Problem::timeout("it announces no stream features"));
    }
    let id = header.attr("id").unwrap_or_default().to_owned();
    Ok((id, features))
}

/// The next element of the stream. A stream error is the peer's reason to end.
///
/// # Errors
/// When there is none any more.
pub async fn element(wire: &mut Wire) -> Result<Element, Problem> {
    match wire.next().await? {
        Some(StreamEvent::Stanza(element)) if element.is("error", ns::STREAM) => {
            Err(Problem::timeout(format!("it says: {}", said(&element))))
        }
        Some(StreamEvent::Stanza(element)) => Ok(element),
        Some(StreamEvent::Open(_)) => Err(Problem::timeout("it speaks no XMPP")),
        Some(StreamEvent::Close) | None => Err(Problem::timeout("it closed the stream")),
    }
}

/// What a stream error says.
#[must_use]
pub fn said(error: &Element) -> String {
    let condition = error.children().find(|c| c.name() != "text");
    let mut said = condition.map_or("error", |c| c.name()).to_owned();
    if let Some(text) = error.child("text", ns::STREAM_ERRORS) {
        said.push_str(": ");
        said.push_str(&text.text());
    }
    said
}
