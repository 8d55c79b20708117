//! A client's connection: from the stream header to the session, and then to its end.

use std::io;
use std::sync::Arc;

use imd_proto::xml::StreamEvent;
use imd_proto::{Element, Jid, Kind, StreamCondition, StreamError, ns};

use super::guest::{self, Guest};
use super::{Header, ReadError, Transport, auth, bind, header, manage, run, sasl2};
use crate::sasl::Offer;
use crate::server::Server;
use crate::session::{Attached, lifecycle};

/// How long a peer has to take its goodbye.
const FAREWELL: std::time::Duration = std::time::Duration::from_secs(2);

/// Why a connection is over.
#[derive(Debug)]
pub(crate) enum Ended {
    /// It broke, or the peer closed it.
    Closed,
    /// The peer closed its stream and waits for ours to be closed.
    Finished,
    /// The peer broke the rules, or cannot be served: it is told so.
    Error(StreamError),
}

impl From<io::Error> for Ended {
    fn from(_: io::Error) -> Self {
        Self::Closed
    }
}

impl From<StreamError> for Ended {
    fn from(error: StreamError) -> Self {
        Self::Error(error)
    }
}

impl From<StreamCondition> for Ended {
    fn from(condition: StreamCondition) -> Self {
        Self::Error(condition.into())
    }
}

impl From<ReadError> for Ended {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Io(_) => Self::Closed,
            ReadError::Stream(error) => Self::Error(error),
        }
    }
}

/// Serve a client until its connection ends. `permit` is given back once it has logged in.
pub async fn serve<T: Transport, P: Send>(server: Arc<Server>, transport: Box<T>, permit: P) {
    // The negotiation's state is much larger than the session's: it must not live as long.
    let peer = transport.peer();
    let entered = server
        .load
        .turns
        .take(peer, enter(&server, transport, permit))
        .await;
    if let Some((transport, attached)) = entered {
        run::run(&server, transport, attached).await;
    }
}

/// Negotiate up to the session. `None`: it has come to nothing, and the connection is closed.
async fn enter<T: Transport, P: Send>(
    server: &Arc<Server>,
    mut transport: Box<T>,
    permit: P,
) -> Option<(Box<T>, Attached)> {
    let mut opened = false;
    let mut entered = None;
    if let Some(full) = server.full() {
        tracing::debug!(peer = %transport.peer(), full.text, "refused");
        let error = StreamError::with_text(StreamCondition::ResourceConstraint, full.text);
        let ended = Ended::Error(error.retry_after(full.retry_after));
        let goodbye = goodbye(server, &mut *transport, ended, opened);
        let _ = tokio::time::timeout(FAREWELL, goodbye).await;
        return None;
    }
    let negotiation = negotiate(server, &mut *transport, &mut opened, &mut entered);
    let shutdown = server.shutdown.clone();
    let outcome = tokio::select! {
        outcome = tokio::time::timeout(server.config.limits.login_timeout, negotiation) => outcome.unwrap_or_else(|_| {
            Err(StreamError::with_text(StreamCondition::ConnectionTimeout, "the login took too long").into())
        }),
        () = shutdown.requested() => Err(StreamCondition::SystemShutdown.into()),
    };
    drop(permit);
    let ended = match (outcome, entered.take()) {
        (Ok(()), Some(attached)) => return Some((transport, attached)),
        (outcome, attached) => {
            if let Some(attached) = attached {
                // The client went while it was told of its session.
                lifecycle::lost(server, attached).await;
            }
            outcome.err().unwrap_or(Ended::Closed)
        }
    };
    let goodbye = goodbye(server, &mut *transport, ended, opened);
    // A peer that does not read its goodbye is not waited for.
    let _ = tokio::time::timeout(FAREWELL, goodbye).await;
    None
}

/// Tell the peer why its stream ends, and close it.
pub(super) async fn goodbye<T: Transport>(
    server: &Arc<Server>,
    transport: &mut T,
    ended: Ended,
    opened: bool,
) -> io::Result<()> {
    if let Ended::Closed = ended {
        return Ok(());
    }
    if !opened {
        // RFC 6120 §4.9.1.2: an error needs a stream to stand in.
        open(server, transport, None).await?;
    }
    if let Ended::Error(error) = ended {
        tracing::debug!(peer = %transport.peer(), %error, "stream error");
        transport.send(&error.to_element()).await?;
    }
    transport.close().await
}

async fn open<T: Transport>(
    server: &Arc<Server>,
    transport: &mut T,
    to: Option<String>,
) -> io::Result<()> {
    let header = Header {
        id: server.random_id::<16>(),
        from: server.config.domain.clone(),
        to,
    };
    transport.open(&header).await
}

/// The next element of the stream.
pub(crate) async fn element<T: Transport>(transport: &mut T) -> Result<Element, Ended> {
    match transport.next().await? {
        Some(StreamEvent::Stanza(element)) => Ok(element),
        Some(StreamEvent::Close) => Err(Ended::Finished),
        Some(StreamEvent::Open(_)) => Err(StreamCondition::BadFormat.into()),
        None => Err(Ended::Closed),
    }
}

/// RFC 6120 §4.3: header and features, again after TLS and after authentication, until a resource is bound. SASL2
/// spares the last header, and the binding as well. The session is in `entered` as soon as others can see it.
async fn negotiate<T: Transport>(
    server: &Arc<Server>,
    transport: &mut T,
    opened: &mut bool,
    entered: &mut Option<Attached>,
) -> Result<(), Ended> {
    let mut from = begin(server, transport, opened).await?;
    if transport.can_start_tls() && !transport.is_secure() {
        start_tls(transport).await?;
        *opened = false;
        transport.restart(false);
        from = begin(server, transport, opened).await?;
    }
    match login(server, transport, from.as_ref(), entered).await? {
        Login::Sasl(user) => {
            *opened = false;
            transport.restart(true);
            begin(server, transport, opened).await?;
            bind::bind(server, transport, &user, None, entered).await
        }
        Login::Sasl2(login) if entered.is_none() => {
            bind::bind(server, transport, &login.user, login.agent, entered).await
        }
        Login::Sasl2(_) => Ok(transport.send(&bound_features(server)).await?),
    }
}

/// How a client has logged in.
enum Login {
    /// By RFC 6120, with a new stream to come.
    Sasl(String),
    /// By XEP-0388.
    Sasl2(sasl2::LoggedIn),
}

/// Take the client's header and answer it; the address that the client says it has, if it does.
async fn begin<T: Transport>(
    server: &Arc<Server>,
    transport: &mut T,
    opened: &mut bool,
) -> Result<Option<Jid>, Ended> {
    let received = match transport.next().await? {
        Some(StreamEvent::Open(received)) => received,
        Some(_) => return Err(StreamCondition::BadFormat.into()),
        None => return Err(Ended::Closed),
    };
    open(server, transport, received.attr("from").map(str::to_owned)).await?;
    *opened = true;
    header::check(&received, &server.config.domain)?;
    Ok(received.attr("from").and_then(|from| from.parse().ok()))
}

/// RFC 6120 §5: nothing is offered before TLS but TLS.
async fn start_tls<T: Transport>(transport: &mut T) -> Result<(), Ended> {
    let required = Element::new("starttls", ns::TLS).with_child(Element::new("required", ns::TLS));
    transport
        .send(&Element::new("features", ns::STREAM).with_child(required))
        .await?;
    let element = element(transport).await?;
    if !element.is("starttls", ns::TLS) {
        return Err(before_login(&element));
    }
    transport.send(&Element::new("proceed", ns::TLS)).await?;
    transport.start_tls().await?;
    Ok(())
}

/// What a peer is told that sends something else than its login.
fn before_login(element: &Element) -> Ended {
    use StreamCondition as C;
    match Kind::of(element) {
        Some(_) if element.ns() == ns::CLIENT => {
            StreamError::with_text(C::NotAuthorized, "log in first").into()
        }
        Some(_) => C::InvalidNamespace.into(),
        None => StreamError::with_text(
            C::UnsupportedStanzaType,
            format!("<{}> is not expected here", element.name()),
        )
        .into(),
    }
}

async fn login<T: Transport>(
    server: &Arc<Server>,
    transport: &mut T,
    from: Option<&Jid>,
    entered: &mut Option<Attached>,
) -> Result<Login, Ended> {
    let claimed = from
        .filter(|from| server.is_local_account(from))
        .and_then(Jid::local);
    let known = match claimed {
        // A store that fails says so when the login comes.
        Some(user) => server.store.credentials(user).await.ok().flatten(),
        None => None,
    };
    let offer = Offer::new(transport.channel_binding(), known.as_ref());
    let features = auth::features(&offer, known.as_ref());
    transport
        .send(
            &Element::new("features", ns::STREAM)
                .with_children(features)
                .with_children(guest::features()),
        )
        .await?;
    let mut guest = Guest::default();
    for _ in 0..server.config.limits.login_attempts {
        let mut element = element(transport).await?;
        while guest.answer(server, transport, &element).await? {
            element = self::element(transport).await?;
        }
        if element.is("auth", ns::SASL) {
            let done = auth::authenticate(server, transport, &offer, &element).await?;
            if let Some(user) = done {
                return Ok(Login::Sasl(user));
            }
        } else if element.is("authenticate", ns::SASL2) {
            let done =
                sasl2::authenticate(server, transport, &offer, claimed, &element, entered).await?;
            if let Some(login) = done {
                return Ok(Login::Sasl2(login));
            }
        } else {
            return Err(before_login(&element));
        }
    }
    Err(StreamError::with_text(
        StreamCondition::PolicyViolation,
        "too many failed logins on one connection",
    )
    .into())
}

/// The features of a session that is bound already: stream management, and what others announce.
fn bound_features(server: &Arc<Server>) -> Element {
    Element::new("features", ns::STREAM)
        .with_child(manage::feature())
        .with_child(crate::feature::caps::stream_feature(server))
        .with_children(server.features.iter().flat_map(|f| f.stream_features()))
}

/// The features after authentication: binding, and those after it.
pub(super) fn features(server: &Arc<Server>) -> Element {
    let optional =
        Element::new("session", ns::SESSION).with_child(Element::new("optional", ns::SESSION));
    Element::new("features", ns::STREAM)
        .with_child(Element::new("bind", ns::BIND))
        .with_child(optional)
        .with_children(bound_features(server).into_children())
}
