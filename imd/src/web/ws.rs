//! XMPP over WebSocket (RFC 7395): one frame for each element, framed by `<open/>` and `<close/>`.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use imd_proto::xml::{Limits, StreamEvent, parse_document};
use imd_proto::{Element, StreamCondition, StreamError, ns};

use super::{Peer, Web};
use crate::sasl::ChannelBinding;
use crate::session::Batch;
use crate::stream::framing::{framed_xml, stanza_xml};
use crate::stream::{Header, ReadError, Transport, c2s};

/// Bytes that are read from the connection in one go. The buffer stays with the session; the library's own would be 128 KiB.
const READ_BYTES: usize = 512;
/// How long the peer's close is waited for, after which TCP is closed without it.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Turn a request into a stream.
pub(super) async fn upgrade(
    State(web): State<Arc<Web>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    let upgrade = upgrade.protocols(["xmpp"]);
    if upgrade.selected_protocol().is_none() {
        let text = "The subprotocol of this WebSocket is xmpp (RFC 7395).\n";
        return (StatusCode::BAD_REQUEST, text).into_response();
    }
    let Ok(permit) = Arc::clone(&web.before_login).try_acquire_owned() else {
        let text = "Too many people are logging in at the moment; try again.\n";
        return later(text, 5);
    };
    if let Some(full) = web.server.full() {
        return later(
            &format!("At the moment {}; try again.\n", full.text),
            full.retry_after,
        );
    }
    let most = web.server.config.limits.stanza_bytes;
    let address = peer.address(&headers);
    upgrade
        .read_buffer_size(READ_BYTES)
        .max_message_size(most)
        .max_frame_size(most)
        .on_upgrade(move |socket| async move {
            let transport = Ws {
                socket,
                peer: address,
                limits: web.before_login_limits(),
                after_login: web.after_login_limits(),
                closed: false,
                batch: Vec::new(),
                taken: 0,
                _peer: peer,
            };
            let ongoing = web.ongoing.clone();
            let server = Arc::clone(&web.server);
            // A WebSocket must not keep the daemon waiting for the rest of the web.
            drop(web);
            c2s::serve(server, Box::new(transport), permit).await;
            drop(ongoing);
        })
}

/// Come again in so many seconds.
pub(super) fn later(text: &str, seconds: u64) -> Response {
    let headers = [(RETRY_AFTER, seconds.to_string())];
    (StatusCode::SERVICE_UNAVAILABLE, headers, text.to_owned()).into_response()
}

/// A stream over a WebSocket.
struct Ws {
    socket: WebSocket,
    peer: IpAddr,
    limits: Limits,
    after_login: Limits,
    closed: bool,
    /// Stanzas that are to be sent.
    batch: Vec<Arc<str>>,
    /// Bytes of events.
    taken: usize,
    /// Keeps the connection counted.
    _peer: Peer,
}

impl Ws {
    async fn write(&mut self, text: String) -> io::Result<()> {
        self.socket
            .send(Message::Text(text.into()))
            .await
            .map_err(io::Error::other)
    }
}

/// What a frame brings (RFC 7395 §3.3 and §3.4).
fn event(text: &str, limits: Limits) -> Result<StreamEvent, StreamError> {
    let element = parse_document(text, limits)?;
    Ok(if element.is("open", ns::FRAMING) {
        StreamEvent::Open(element)
    } else if element.is("close", ns::FRAMING) {
        StreamEvent::Close
    } else {
        StreamEvent::Stanza(element)
    })
}

impl Transport for Ws {
    async fn next(&mut self) -> Result<Option<StreamEvent>, ReadError> {
        loop {
            match self.socket.recv().await {
                Some(Ok(Message::Text(text))) => {
                    // White space between elements is no frame of its own (RFC 7395 §3.3.3), but some send it.
                    self.taken += text.len();
                    if !text.trim().is_empty() {
                        return Ok(Some(event(&text, self.limits)?));
                    }
                }
                Some(Ok(Message::Binary(_))) => {
                    return Err(StreamError::with_text(
                        StreamCondition::BadFormat,
                        "frames of a WebSocket are text (RFC 7395 §3.2)",
                    )
                    .into());
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(_))) | None => return Ok(None),
                Some(Err(error)) => return Err(too_long(error)),
            }
        }
    }

    async fn open(&mut self, header: &Header) -> io::Result<()> {
        let open = Element::new("open", ns::FRAMING)
            .with_attr("from", header.from.as_str())
            .with_attr("id", header.id.as_str())
            .with_attr("version", "1.0")
            .with_opt_attr("to", header.to.as_deref());
        let mut open = open;
        open.set_attr_ns("lang", ns::XML, "en");
        self.write(open.to_xml()).await
    }

    async fn send(&mut self, element: &Element) -> io::Result<()> {
        self.write(framed_xml(element)).await
    }

    fn begin_stanzas(&mut self, fill: impl FnOnce(&mut dyn Batch)) -> io::Result<bool> {
        fill(&mut self.batch);
        Ok(self.batch.is_empty())
    }

    async fn finish_stanzas(&mut self) -> io::Result<()> {
        use futures_util::SinkExt as _;
        for stanza in std::mem::take(&mut self.batch) {
            let frame = Message::Text(stanza_xml(&stanza).into());
            self.socket.feed(frame).await.map_err(io::Error::other)?;
        }
        self.socket.flush().await.map_err(io::Error::other)
    }

    async fn close(&mut self) -> io::Result<()> {
        if std::mem::replace(&mut self.closed, true) {
            return Ok(());
        }
        self.write(Element::new("close", ns::FRAMING).to_xml())
            .await?;
        let normal = CloseFrame {
            code: close_code::NORMAL,
            reason: "".into(),
        };
        self.socket
            .send(Message::Close(Some(normal)))
            .await
            .map_err(io::Error::other)?;
        let rest = async { while let Some(Ok(_)) = self.socket.recv().await {} };
        // A peer that does not close its side is not waited for.
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, rest).await;
        Ok(())
    }

    fn restart(&mut self, authenticated: bool) {
        if authenticated {
            self.raise_limits();
        }
    }

    fn raise_limits(&mut self) {
        self.limits = self.after_login;
    }

    fn can_start_tls(&self) -> bool {
        false
    }

    async fn start_tls(&mut self) -> io::Result<()> {
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "TLS is below a WebSocket, not inside (RFC 7395 §3.9)",
        ))
    }

    fn is_secure(&self) -> bool {
        // TLS is ours, or nginx's on this computer, or nothing leaves this computer.
        true
    }

    fn channel_binding(&self) -> ChannelBinding {
        // A browser cannot bind, and nginx ends TLS on the box.
        ChannelBinding::default()
    }

    fn peer(&self) -> IpAddr {
        self.peer
    }

    fn taken(&mut self) -> usize {
        std::mem::take(&mut self.taken)
    }
}

/// A message beyond the limit is the peer's fault; everything else is the connection's end.
fn too_long(error: axum::Error) -> ReadError {
    let text = error.to_string();
    if text.contains("too long") || text.contains("too big") {
        StreamError::with_text(
            StreamCondition::PolicyViolation,
            "a stanza is longer than is allowed",
        )
        .into()
    } else {
        io::Error::other(text).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_exactly_one_element() {
        let limits = Limits::default();
        let open = "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='a'/>";
        assert!(matches!(event(open, limits), Ok(StreamEvent::Open(_))));
        let close = "<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>";
        assert!(matches!(event(close, limits), Ok(StreamEvent::Close)));
        let two = "<presence xmlns='jabber:client'/><presence xmlns='jabber:client'/>";
        assert!(event(two, limits).is_err());
        assert!(
            event(
                "<stream:stream xmlns:stream='http://etherx.jabber.org/streams'>",
                limits
            )
            .is_err()
        );
    }
}
