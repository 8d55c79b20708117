//! The life of a session on one connection: stanzas in, stanzas out, acknowledgements, signs of life.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use imd_proto::xml::StreamEvent;
use imd_proto::{Element, Jid, Kind, Stanza, StreamCondition, StreamError, ns};
use tokio::time::Instant;

use super::c2s::{Ended, goodbye};
use super::turn::{self, InARow, Lasting, Turn};
use super::{Transport, manage};
use crate::load::rates::Rates;
use crate::server::Server;
use crate::session::{Attached, End, Session, lifecycle};
use crate::{feature, route};

mod pending;
mod writing;

use pending::{Head, Pending, front};

/// Stanzas whose commit is awaited; when there are so many, no more is read.
const MAX_PENDING: usize = 256;
/// Elements of one client that are dealt with before others have their turn.
const IN_A_ROW: u32 = 8;
/// What elements that came in one go may cost before it is asked whether they were too many.
const UNCOUNTED: usize = 16 * 1024;

struct Run<T> {
    transport: Box<T>,
    session: Arc<Session>,
    pending: VecDeque<Pending>,
    /// Stanzas received since stream management began.
    received: u32,
    /// An acknowledgement is wanted up to this count.
    ack_wanted: Option<u32>,
    /// What the last request for one wanted.
    ack_wanted_last: u32,
    /// The client has been asked what it has got, and has not answered.
    ack_asked: bool,
    /// When the client is asked for a sign of life, or given up if it has been asked.
    deadline: Instant,
    life_asked: bool,
    heard: Instant,
    /// The client sends faster than it may: nothing is read until then, and these bytes are to be counted again.
    paused: Option<(Instant, usize)>,
    /// What has come and has not been counted.
    uncounted: usize,
    in_a_row: InARow,
}

/// Run a session on a connection until one of them ends. This is what there is of a connection while nothing happens:
/// whatever takes more room than a pointer while it goes on is boxed.
pub(super) async fn run<T: Transport>(server: &Arc<Server>, transport: Box<T>, attached: Attached) {
    let session = Arc::clone(&attached.session);
    let now = Instant::now();
    let mut run = Run {
        transport,
        received: session.handled(),
        session,
        pending: VecDeque::new(),
        ack_wanted: None,
        ack_wanted_last: 0,
        ack_asked: false,
        deadline: now + server.config.limits.idle_timeout,
        life_asked: false,
        heard: now,
        paused: None,
        uncounted: 0,
        in_a_row: InARow::default(),
    };
    let ended = run.until_end(server).await;
    Box::pin(run.finish(server, ended, attached)).await;
}

impl<T: Transport> Run<T> {
    /// The connection is over: say goodbye, and end the session or let it wait to be resumed.
    async fn finish(mut self, server: &Arc<Server>, ended: Ended, attached: Attached) {
        self.session.outbound.let_go();
        self.drain(server).await;
        let resumable = match &ended {
            Ended::Closed => true,
            Ended::Error(error) => matches!(
                error.condition,
                StreamCondition::ConnectionTimeout | StreamCondition::SystemShutdown
            ),
            Ended::Finished => false,
        };
        let handed_over = self
            .session
            .outbound
            .take_end()
            .is_some_and(|end| matches!(end, End::Resumed));
        let stays = (resumable || handed_over)
            && self
                .session
                .management()
                .is_some_and(|m| m.resume_id.is_some());
        let farewell = async {
            match ended {
                // XEP-0198 §5: a stream that is closed ends its session. This one goes on after the restart.
                Ended::Error(error)
                    if stays && error.condition == StreamCondition::SystemShutdown =>
                {
                    self.transport.send(&error.to_element()).await
                }
                ended => goodbye(server, &mut *self.transport, ended, true).await,
            }
        };
        // A peer that does not read its goodbye is not waited for.
        let _ = tokio::time::timeout(Duration::from_secs(2), farewell).await;
        if stays {
            lifecycle::detach(server, attached);
        } else {
            drop(attached);
            lifecycle::end(server, &self.session).await;
        }
    }

    async fn until_end(&mut self, server: &Arc<Server>) -> Ended {
        let shutdown = server.shutdown.clone();
        let mut stop = pin!(shutdown.requested());
        let mut silence = pin!(tokio::time::sleep_until(self.deadline));
        let mut lasting = Lasting::new(silence.as_mut(), stop.as_mut(), &server.shutdown);
        let mut queue_first = false;
        loop {
            if self.session.outbound.has_end()
                && let Some(end) = self.session.outbound.take_end()
            {
                match end {
                    End::Error(error) => {
                        // What was said before the end arrives before it; a client that does not read is not waited for.
                        if error.condition != StreamCondition::ResourceConstraint {
                            let _ = self.write(server).await;
                        }
                        return Ended::Error(error);
                    }
                    End::Resumed => {
                        self.session.outbound.end(End::Resumed);
                        return Ended::Closed;
                    }
                }
            }
            // Neither a client that says much nor one that is told much is kept from the other.
            queue_first = !queue_first;
            // What came in one go is answered in one go.
            if !self.in_a_row.is_new() && self.transport.is_ahead() {
                queue_first = false;
            }
            lasting.silent_until(self.wakes());
            let reads = self.pending.len() < MAX_PENDING && self.paused.is_none();
            if !reads && let Err(error) = self.transport.flush().await {
                return error.into();
            }
            let heard = reads.then(|| self.transport.next());
            let committed = (!self.pending.is_empty()).then(|| front(&mut self.pending));
            let outbound = &self.session.outbound;
            let turn = turn::next(
                queue_first,
                &mut self.in_a_row,
                heard,
                committed,
                outbound,
                &mut lasting,
            )
            .await;
            let outcome = match turn {
                Turn::Heard(Ok(Some(event))) => {
                    let bytes = self.transport.taken();
                    self.heard = Instant::now();
                    self.life_asked = false;
                    let received = match &event {
                        StreamEvent::Stanza(element) if element.is("r", ns::SM) => {
                            self.asked_for_ack().await
                        }
                        StreamEvent::Stanza(element) if element.is("a", ns::SM) => {
                            self.acknowledged(element).await
                        }
                        _ => Box::pin(self.received(server, event)).await,
                    };
                    self.count(server, bytes).await;
                    received
                }
                Turn::Heard(Ok(None)) => Err(Ended::Closed),
                Turn::Heard(Err(error)) => Err(error.into()),
                Turn::Committed(outcome) => Box::pin(self.committed(server, outcome)).await,
                Turn::Queued => self.write(server).await,
                Turn::Silence => Box::pin(self.waited(server)).await,
                Turn::Shutdown => {
                    // What waits for the client goes out before the goodbye, or is kept with the session.
                    let _ = self.write(server).await;
                    Err(StreamCondition::SystemShutdown.into())
                }
            };
            if let Err(ended) = outcome {
                return ended;
            }
        }
    }

    /// Count an element that was read: together with others that came in one go, before others have their turn.
    async fn count(&mut self, server: &Arc<Server>, bytes: usize) {
        self.uncounted += Rates::cost(bytes);
        // Where hundreds send all the time, it is the length of each one's turn that the others wait for.
        let most = IN_A_ROW / server.load.rates.strain().min(IN_A_ROW);
        let over = self.in_a_row.is_over(most);
        if over || self.uncounted >= UNCOUNTED || !self.transport.is_ahead() {
            let cost = std::mem::take(&mut self.uncounted);
            self.charge(server, cost);
        }
        if over {
            tokio::task::yield_now().await;
        }
    }

    /// Read no more for a while if what was read was too much.
    fn charge(&mut self, server: &Server, cost: usize) {
        let rates = &server.load.rates;
        let wait = rates.count(&self.session.user, self.transport.peer(), cost);
        self.paused = wait.map(|wait| (Instant::now() + wait, cost));
    }

    /// The next moment at which there is something to do without the client.
    fn wakes(&self) -> Instant {
        self.paused
            .map_or(self.deadline, |(until, _)| until.min(self.deadline))
    }

    /// One of the moments has come.
    async fn waited(&mut self, server: &Arc<Server>) -> Result<(), Ended> {
        let now = Instant::now();
        if let Some((until, cost)) = self.paused
            && until <= now
        {
            self.charge(server, cost);
            return Ok(());
        }
        self.silence(server).await
    }

    async fn received(&mut self, server: &Arc<Server>, event: StreamEvent) -> Result<(), Ended> {
        match event {
            StreamEvent::Open(_) => Err(StreamCondition::BadFormat.into()),
            StreamEvent::Close => Err(Ended::Finished),
            StreamEvent::Stanza(element) => match Kind::of(&element) {
                Some(kind) if element.ns() == ns::CLIENT => {
                    self.stanza(server, kind, element).await
                }
                Some(_) => Err(StreamCondition::InvalidNamespace.into()),
                None => self.other(server, &element).await,
            },
        }
    }

    /// Elements of the stream itself.
    async fn other(&mut self, server: &Arc<Server>, element: &Element) -> Result<(), Ended> {
        match (element.name(), element.ns()) {
            ("enable", ns::SM) => {
                let answer = manage::enable(server, &self.session, element);
                self.received = 0;
                self.transport.answer(&answer).await?;
                Ok(())
            }
            ("resume", ns::SM) => {
                let failed = Element::new("failed", ns::SM)
                    .with_child(Element::new("unexpected-request", ns::STANZA_ERRORS));
                self.transport.send(&failed).await?;
                Ok(())
            }
            (name @ ("active" | "inactive"), feature::csi::NS) => {
                self.session.set_inactive(name == "inactive");
                // What was held back goes out.
                self.session.outbound.wake();
                Ok(())
            }
            (name, _) => {
                let text = format!("<{name}> is no stanza");
                Err(StreamError::with_text(StreamCondition::UnsupportedStanzaType, text).into())
            }
        }
    }

    async fn stanza(
        &mut self,
        server: &Arc<Server>,
        kind: Kind,
        element: Element,
    ) -> Result<(), Ended> {
        if let Some(from) = element.attr("from") {
            // RFC 6120 §8.1.2.1: another resource is overridden, as some clients that resume a session name their next one.
            let claimed = from.parse::<Jid>().ok();
            if claimed.is_none_or(|jid| !jid.same_bare(&self.session.jid)) {
                return Err(StreamError::with_text(
                    StreamCondition::InvalidFrom,
                    "the from is not yours",
                )
                .into());
            }
        }
        self.received = self.received.wrapping_add(1);
        let session = Arc::clone(&self.session);
        let Ok(to) = element.attr("to").map(str::parse::<Jid>).transpose() else {
            self.malformed_address(kind, element);
            return self.taken(None, None).await;
        };
        let stanza = Stanza::stamp_read(kind, element, session.jid.clone(), to);
        if kind == Kind::Message {
            let head = Head::of(&stanza);
            let commit = route::stanza(server, stanza, Some(&session)).await;
            self.taken(commit, Some(head)).await
        } else {
            if kind == Kind::Presence {
                route::presence::from_session(server, &session, stanza).await;
            } else {
                // Features that own a service may have to wait for the disk as well; they do it inside.
                let _ = route::stanza(server, stanza, Some(&session)).await;
            }
            self.taken(None, None).await
        }
    }

    /// RFC 6120 §8.1.1: an address that is none is answered, not a reason to end the stream.
    fn malformed_address(&self, kind: Kind, mut element: Element) {
        element.remove_attr("to");
        if let Ok(stanza) = Stanza::stamp(kind, element, self.session.jid.clone())
            && !stanza.is_error()
            && (kind != Kind::Iq || stanza.is_request())
        {
            self.session
                .send(&stanza.error(&imd_proto::Condition::JidMalformed.into()));
        }
    }

    /// Nothing has come for a while: ask for a sign of life, or give up.
    async fn silence(&mut self, server: &Arc<Server>) -> Result<(), Ended> {
        let quiet_until = self.heard + server.config.limits.idle_timeout;
        if quiet_until > Instant::now() {
            self.deadline = quiet_until;
            return Ok(());
        }
        if self.life_asked {
            return Err(StreamError::with_text(
                StreamCondition::ConnectionTimeout,
                "no sign of life",
            )
            .into());
        }
        self.life_asked = true;
        self.deadline = Instant::now() + server.config.limits.life_timeout;
        if self.session.management().is_some() {
            self.ack_asked = true;
            return self.send_ack_request().await;
        }
        let ping = Element::new("iq", ns::CLIENT)
            .with_attr("type", "get")
            .with_attr("id", server.random_id::<8>())
            .with_attr("from", server.config.domain.as_str())
            .with_attr("to", self.session.jid.as_str())
            .with_child(Element::new("ping", ns::PING));
        self.transport.send(&ping).await?;
        Ok(())
    }
}
