//! The life of a stream that another server opened, once it is inside TLS: who has proved to be on it, and stanzas.

use imd_proto::{Element, Kind, StreamCondition, StreamError, ns};
use tokio::sync::mpsc;

use super::claims::Verified;
use super::connect::said;
use super::inbound::Inbound;
use super::{Pair, Problem};
use crate::stream::c2s::Ended;
use crate::stream::link::wire::Wire;
use crate::stream::link::{self, Event, Flow};

impl Inbound {
    pub(super) async fn run(mut self, wire: Wire, first: Option<Element>) {
        let patience = self.server.config.limits.login_timeout;
        let stop = self.federation.stop.clone();
        let (mut flow, notes) = Flow::new(wire, None, patience, stop);
        if let Some(remote) = self.proved.iter().next().cloned() {
            let local = self.local.clone();
            self.believe(&mut flow, local, remote, "certificate");
        }
        let mut outcome = match first {
            Some(first) => self.received(&mut flow, &notes, first).await,
            None => Ok(()),
        };
        let mut left = Vec::new();
        let ended = loop {
            if let Err(ended) = outcome {
                break ended;
            }
            outcome = match flow.next(&self.server).await {
                Ok(Event::Element(element)) => self.received(&mut flow, &notes, element).await,
                Ok(Event::Note(verified)) => self.verified(&mut flow, verified).await,
                Ok(Event::Idle) => {
                    left = self.leave(&mut flow);
                    flow.close().await
                }
                Err(ended) => Err(ended),
            };
        };
        left.append(&mut self.leave(&mut flow));
        let mut unsent = flow.end(&self.server, ended).await;
        unsent.append(&mut left);
        tracing::info!(
            local = self.local,
            remote = self.remote,
            "stream of a server ends"
        );
        if let Some((pair, _)) = &self.adopted {
            let error = Problem::timeout("the connection was lost").stanza_error();
            self.federation
                .send_again(&self.server, pair, unsent, &error)
                .await;
        }
    }

    /// Stop sending on this stream.
    fn leave(&self, flow: &mut Flow<Verified>) -> Vec<link::queue::Outgoing> {
        match (flow.queue.take(), &self.adopted) {
            (Some(mut queue), Some((pair, sender))) => {
                self.federation.leave(pair, sender, &mut queue)
            }
            _ => Vec::new(),
        }
    }

    /// A domain has proved to be on this stream.
    pub(super) fn believe(
        &mut self,
        flow: &mut Flow<Verified>,
        local: String,
        remote: String,
        proof: &'static str,
    ) {
        flow.patience = self.server.config.federation.idle_timeout;
        tracing::info!(local, remote, bidi = self.bidi, proof, "stream of a server");
        self.proved.insert(remote.clone());
        if self.bidi && self.adopted.is_none() {
            let pair = Pair { local, remote };
            if let Some((sender, queue)) = self.federation.adopt(&self.server, &pair) {
                flow.queue = Some(queue);
                self.adopted = Some((pair, sender));
            }
        }
    }

    async fn received(
        &mut self,
        flow: &mut Flow<Verified>,
        notes: &mpsc::Sender<Verified>,
        element: Element,
    ) -> Result<(), Ended> {
        match (element.name(), element.ns()) {
            ("error", ns::STREAM) => {
                tracing::info!(remote = self.remote, said = said(&element), "stream error");
                Err(Ended::Finished)
            }
            ("result", ns::DIALBACK) => self.claim(flow, notes, &element).await,
            ("verify", ns::DIALBACK) => self.answer_verify(flow, &element).await,
            _ if Kind::of(&element).is_some() => self.stanza(flow, element).await,
            (name, _) => Err(StreamError::with_text(
                StreamCondition::UnsupportedStanzaType,
                format!("<{name}> is not expected here"),
            )
            .into()),
        }
    }

    async fn stanza(&mut self, flow: &mut Flow<Verified>, element: Element) -> Result<(), Ended> {
        if self.proved.is_empty() {
            let text = "the stream is not authenticated";
            return Err(StreamError::with_text(StreamCondition::NotAuthorized, text).into());
        }
        let stanza = link::stanza(element, ns::SERVER)?;
        if !self.proved.contains(stanza.from.domain()) {
            let text = format!("{} is not proved on this stream", stanza.from.domain());
            return Err(StreamError::with_text(StreamCondition::InvalidFrom, text).into());
        }
        let to = stanza.to.as_ref().map(imd_proto::Jid::domain);
        // Nothing is passed on to others: that would be an open relay.
        if to.is_none_or(|domain| !self.server.is_local_domain(domain)) {
            return Err(StreamCondition::HostUnknown.into());
        }
        flow.route(&self.server, stanza).await;
        Ok(())
    }
}
