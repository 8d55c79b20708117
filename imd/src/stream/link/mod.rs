//! What streams of servers and of components have in common: one task moves stanzas both ways, under limits.

pub mod queue;
pub mod wire;

use std::collections::VecDeque;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use imd_proto::xml::{Limits, StreamEvent};
use imd_proto::{Condition, Element, Kind, Stanza, StanzaError, StreamCondition, StreamError, ns};
use imd_store::Commit;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::c2s::Ended;
use crate::server::Server;
use crate::shutdown::Shutdown;
use crate::{feature, route};
use queue::{Outgoing, Queue};
use wire::Wire;

/// Stanzas whose commit is awaited; when there are so many, no more is read.
const MAX_PENDING: usize = 256;
/// How long the peer has to close its stream after ours is closed, and to take a goodbye.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the commits of an ended stream are waited for.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// What happens on a stream.
#[derive(Debug)]
pub enum Event<N> {
    /// The peer sent an element.
    Element(Element),
    /// A task of ours reports.
    Note(N),
    /// Nothing has happened for as long as it may.
    Idle,
}

/// An authenticated stream, or one that becomes so on the way. `N`: what tasks of ours report to it.
pub struct Flow<N> {
    /// The connection.
    pub wire: Wire,
    /// Stanzas to send; absent on a stream that only brings some.
    pub queue: Option<Queue>,
    /// Stanzas that were taken from the queue and are not known to be sent.
    pub unsent: Vec<Outgoing>,
    /// How long nothing may happen.
    pub patience: Duration,
    stop: Shutdown,
    notes: mpsc::Receiver<N>,
    pending: VecDeque<(Commit, Stanza)>,
    heard: Instant,
    closing: bool,
}

impl<N> Flow<N> {
    /// A stream, and the end for notes to it. `stop` asks it to send what waits, and end.
    #[must_use]
    pub fn new(
        wire: Wire,
        queue: Option<Queue>,
        patience: Duration,
        stop: Shutdown,
    ) -> (Self, mpsc::Sender<N>) {
        let (sender, notes) = mpsc::channel(64);
        let flow = Self {
            wire,
            queue,
            unsent: Vec::new(),
            patience,
            stop,
            notes,
            pending: VecDeque::new(),
            heard: Instant::now(),
            closing: false,
        };
        (flow, sender)
    }

    /// Move stanzas out until there is something for the caller to do.
    ///
    /// # Errors
    /// With the reason when the stream is over.
    pub(crate) async fn next(&mut self, server: &Arc<Server>) -> Result<Event<N>, Ended> {
        loop {
            let patience = if self.closing {
                CLOSE_TIMEOUT
            } else {
                self.patience
            };
            let queue = if self.closing {
                None
            } else {
                self.queue.as_mut()
            };
            tokio::select! {
                event = self.wire.next(), if self.pending.len() < MAX_PENDING => {
                    self.heard = if self.closing { self.heard } else { Instant::now() };
                    return match event? {
                        Some(StreamEvent::Stanza(element)) => Ok(Event::Element(element)),
                        Some(StreamEvent::Close) if self.closing => Err(Ended::Closed),
                        Some(StreamEvent::Close) => Err(Ended::Finished),
                        Some(StreamEvent::Open(_)) => Err(StreamCondition::BadFormat.into()),
                        None => Err(Ended::Closed),
                    };
                }
                outcome = front(&mut self.pending), if !self.pending.is_empty() => self.settle(server, outcome).await,
                batch = next_batch(queue) => {
                    if batch.is_empty() {
                        self.queue = None;
                    } else {
                        self.write(server, batch).await?;
                    }
                }
                Some(note) = self.notes.recv() => return Ok(Event::Note(note)),
                () = tokio::time::sleep_until(self.heard + patience) => {
                    return if self.closing { Err(Ended::Closed) } else { Ok(Event::Idle) };
                }
                () = self.stop.requested() => {
                    self.flush(server).await?;
                    return Err(StreamCondition::SystemShutdown.into());
                }
            }
        }
    }

    async fn flush(&mut self, server: &Server) -> Result<(), Ended> {
        while let Some(queue) = self.queue.as_mut().filter(|queue| !queue.is_empty()) {
            let batch = queue.take().await;
            self.write(server, batch).await?;
        }
        Ok(())
    }

    async fn write(&mut self, server: &Server, batch: Vec<Outgoing>) -> Result<(), Ended> {
        let xml: String = batch.iter().map(|outgoing| outgoing.xml.as_str()).collect();
        self.unsent = batch;
        let written = self.wire.send_xml(&xml);
        match tokio::time::timeout(server.config.limits.write_timeout, written).await {
            Ok(written) => written?,
            Err(_) => return Err(Ended::Closed),
        }
        self.unsent = Vec::new();
        self.heard = Instant::now();
        Ok(())
    }

    /// Route a stanza that came; its sender has been checked.
    pub async fn route(&mut self, server: &Arc<Server>, stanza: Stanza) {
        let kept = Stanza {
            element: stanza.element.clone(),
            to: stanza.to.clone(),
            from: stanza.from.clone(),
            kind: stanza.kind,
        };
        if let Some(commit) = route::stanza(server, stanza, None).await {
            self.pending.push_back((commit, kept));
        }
    }

    async fn settle(&mut self, server: &Arc<Server>, outcome: imd_store::Result<()>) {
        let Some((_, stanza)) = self.pending.pop_front() else {
            return;
        };
        if let Err(error) = outcome {
            server.bounce(&stanza, &feature::store_error(&error)).await;
        }
    }

    /// Send white space, so that a dead connection is noticed by the system.
    pub(crate) async fn probe(&mut self) -> Result<(), Ended> {
        self.wire.send_xml(" ").await?;
        self.heard = Instant::now();
        Ok(())
    }

    /// Close our half of the stream; what the peer has sent before it closes its own is still taken.
    ///
    /// # Errors
    /// When the connection is lost.
    pub(crate) async fn close(&mut self) -> Result<(), Ended> {
        self.closing = true;
        self.heard = Instant::now();
        self.wire.send_xml("</stream:stream>").await?;
        Ok(())
    }

    /// The stream is over: tell the peer why, and let what it sent reach the disk.
    /// Gives back what was taken from the queue and may not have got out, and what waits in it.
    pub(crate) async fn end(mut self, server: &Arc<Server>, ended: Ended) -> Vec<Outgoing> {
        let closing = self.closing;
        let farewell = goodbye(&mut self.wire, ended, closing);
        // A peer that does not read its goodbye is not waited for.
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, farewell).await;
        let commits = async {
            while !self.pending.is_empty() {
                let outcome = front(&mut self.pending).await;
                self.settle(server, outcome).await;
            }
        };
        if tokio::time::timeout(DRAIN_TIMEOUT, commits).await.is_err() {
            tracing::warn!("the disk took too long for the last messages of a stream");
        }
        let mut left = self.unsent;
        left.extend(
            self.queue
                .map(|mut queue| queue.close())
                .unwrap_or_default(),
        );
        left
    }
}

async fn next_batch(queue: Option<&mut Queue>) -> Vec<Outgoing> {
    match queue {
        Some(queue) => queue.take().await,
        None => pending().await,
    }
}

/// Wait for the commit of the first pending stanza.
async fn front(pending: &mut VecDeque<(Commit, Stanza)>) -> imd_store::Result<()> {
    match pending.front_mut() {
        Some((commit, _)) => commit.await,
        None => Ok(()),
    }
}

/// Tell the peer why its stream ends, and close the connection. `closed`: our end tag has been sent.
pub(crate) async fn goodbye(wire: &mut Wire, ended: Ended, closed: bool) -> std::io::Result<()> {
    let peer = wire.peer;
    match ended {
        Ended::Closed => return wire.shutdown().await,
        Ended::Finished => {}
        Ended::Error(error) => {
            tracing::debug!(%peer, %error, "stream error");
            if !closed {
                wire.send(&error.to_element()).await?;
            }
        }
    }
    if !closed {
        wire.send_xml("</stream:stream>").await?;
    }
    wire.shutdown().await
}

/// What one element of a peer may hold, for one that is trusted with stanzas and for one that is not yet.
#[must_use]
pub fn limits(server: &Server) -> Limits {
    Limits {
        stanza_bytes: server.config.limits.stanza_bytes,
        depth: server.config.limits.stanza_depth,
        ..Limits::default()
    }
}

/// Read a stanza of a peer: it has both addresses (RFC 6120 §8.1.1.2, §8.1.2.2), its namespace becomes that of clients.
///
/// # Errors
/// With the stream error that ends the stream.
pub(crate) fn stanza(mut element: Element, stream_ns: &'static str) -> Result<Stanza, StreamError> {
    let text = |condition, text: String| Err(StreamError::with_text(condition, text));
    let Some(kind) = Kind::of(&element) else {
        let name = element.name();
        return text(
            StreamCondition::UnsupportedStanzaType,
            format!("<{name}> is no stanza"),
        );
    };
    if element.ns() != stream_ns {
        return text(
            StreamCondition::InvalidNamespace,
            format!("stanzas here are in the namespace {stream_ns}"),
        );
    }
    let from = element.attr("from").map(str::parse::<imd_proto::Jid>);
    let to = element.attr("to").map(str::parse::<imd_proto::Jid>);
    let (Some(Ok(from)), Some(Ok(_))) = (from, to) else {
        return text(
            StreamCondition::ImproperAddressing,
            "a stanza needs a from and a to that are addresses".to_owned(),
        );
    };
    element.change_ns(stream_ns, ns::CLIENT);
    Stanza::stamp(kind, element, from).map_err(|_| StreamCondition::ImproperAddressing.into())
}

/// Answer stanzas that did not get out.
pub async fn bounce_all(
    server: &Arc<Server>,
    left: Vec<Outgoing>,
    condition: Condition,
    text: &str,
) {
    let error = StanzaError::with_text(condition, text);
    for outgoing in left {
        server.bounce(&outgoing.head, &error).await;
    }
}
