//! A stream to another server: opened when there is something to send, authenticated, closed when idle.

use std::sync::Arc;

use imd_proto::{Element, Kind, StanzaError, StreamCondition, StreamError, ns};

use super::connect::{self, Connected, said};
use super::{Federation, Pair, Problem, dialback};
use crate::sasl;
use crate::server::Server;
use crate::stream::c2s::Ended;
use crate::stream::link::queue::{Outgoing, Queue, Sender};
use crate::stream::link::wire::Wire;
use crate::stream::link::{self, Event, Flow};

/// The task of one pair of domains.
pub(super) struct Link {
    pub(super) server: Arc<Server>,
    pub(super) federation: Arc<Federation>,
    pub(super) pair: Pair,
    pub(super) sender: Sender,
}

impl Link {
    /// Connect, send what waits and what comes, until the stream ends.
    pub(super) async fn run(self, mut queue: Queue) {
        let patience = self.server.config.federation.connect_timeout;
        let opening = tokio::time::timeout(patience, self.open());
        let opened = tokio::select! {
            opened = opening => opened.unwrap_or_else(|_| Err(Problem::timeout("it takes too long to connect"))),
            () = self.federation.stop.requested() => Err(Problem::timeout("this server is about to end")),
        };
        match opened {
            Ok((wire, bidi, proof)) => {
                tracing::info!(
                    local = self.pair.local,
                    remote = self.pair.remote,
                    bidi,
                    proof,
                    "stream to a server"
                );
                let left = self.stream(wire, bidi, queue).await;
                let error = Problem::timeout("the connection was lost").stanza_error();
                self.federation
                    .send_again(&self.server, &self.pair, left, &error)
                    .await;
            }
            Err(problem) => {
                tracing::info!(remote = self.pair.remote, %problem, "no stream to a server");
                let left = self.federation.leave(&self.pair, &self.sender, &mut queue);
                self.bounce(left, &problem.stanza_error()).await;
            }
        }
    }

    async fn bounce(&self, left: Vec<Outgoing>, error: &StanzaError) {
        for outgoing in left {
            self.server.bounce(&outgoing.head, error).await;
        }
    }

    /// An authenticated stream, whether it carries stanzas both ways, and how our domain was proved.
    async fn open(&self) -> Result<(Wire, bool, &'static str), Problem> {
        let Pair { local, remote } = &self.pair;
        let connected = connect::connect(&self.server, &self.federation, local, remote).await?;
        let Connected {
            mut wire,
            id,
            features,
            trusted,
        } = connected;
        // Only a server whose certificate proves its domain may send in its name here.
        let bidi = trusted && features.child("bidi", ns::BIDI_FEATURE).is_some();
        if bidi {
            wire.send(&Element::new("bidi", ns::BIDI)).await?;
        }
        if offers_external(&features) && self.external(&mut wire).await? {
            return Ok((wire, bidi, "certificate"));
        }
        self.dial_back(&mut wire, &id).await?;
        Ok((wire, bidi, "dialback"))
    }

    /// SASL EXTERNAL: our certificate proves our domain (XEP-0178 §3). False: the other server does not accept it.
    async fn external(&self, wire: &mut Wire) -> Result<bool, Problem> {
        let Pair { local, remote } = &self.pair;
        let auth = Element::new("auth", ns::SASL)
            .with_attr("mechanism", "EXTERNAL")
            .with_text(sasl::encode(local.as_bytes()));
        wire.send(&auth).await?;
        let answer = connect::element(wire).await?;
        if !answer.is("success", ns::SASL) {
            return Ok(false);
        }
        wire.restart();
        connect::open(wire, local, remote).await?;
        Ok(true)
    }

    async fn dial_back(&self, wire: &mut Wire, id: &str) -> Result<(), Problem> {
        let Pair { local, remote } = &self.pair;
        let key = self.federation.secret.key(remote, local, id);
        wire.send(&dialback::element("result", local, remote).with_text(key))
            .await?;
        loop {
            let answer = connect::element(wire).await?;
            if !answer.is("result", ns::DIALBACK) {
                continue;
            }
            return match answer.attr("type") {
                Some("valid") => Ok(()),
                _ => {
                    let why = answer.child("error", ns::SERVER).map(said);
                    let why = why.unwrap_or_else(|| "it does not believe our key".to_owned());
                    Err(Problem::timeout(format!("it refuses dialback: {why}")))
                }
            };
        }
    }

    /// Move stanzas until the stream ends; gives back what did not get out.
    async fn stream(&self, wire: Wire, bidi: bool, queue: Queue) -> Vec<Outgoing> {
        let idle = self.server.config.federation.idle_timeout;
        let stop = self.federation.stop.clone();
        let (mut flow, _notes) = Flow::<()>::new(wire, Some(queue), idle, stop);
        let mut left = Vec::new();
        let ended = loop {
            let outcome = match flow.next(&self.server).await {
                Ok(Event::Element(element)) => self.received(&mut flow, element, bidi).await,
                Ok(Event::Idle) => {
                    if let Some(mut queue) = flow.queue.take() {
                        left = self.federation.leave(&self.pair, &self.sender, &mut queue);
                    }
                    flow.close().await
                }
                Ok(Event::Note(())) => Ok(()),
                Err(ended) => Err(ended),
            };
            if let Err(ended) = outcome {
                break ended;
            }
        };
        if let Some(mut queue) = flow.queue.take() {
            left = self.federation.leave(&self.pair, &self.sender, &mut queue);
        }
        tracing::info!(
            local = self.pair.local,
            remote = self.pair.remote,
            "stream to a server ends"
        );
        let mut unsent = flow.end(&self.server, ended).await;
        unsent.append(&mut left);
        unsent
    }

    async fn received(
        &self,
        flow: &mut Flow<()>,
        element: Element,
        bidi: bool,
    ) -> Result<(), Ended> {
        if element.is("error", ns::STREAM) {
            tracing::info!(
                remote = self.pair.remote,
                said = said(&element),
                "stream error"
            );
            return Err(Ended::Finished);
        }
        if Kind::of(&element).is_none() {
            // Nothing else was asked for; newer servers may announce what this one does not know.
            return Ok(());
        }
        let stanza = link::stanza(element, ns::SERVER)?;
        if !bidi {
            return Err(StreamError::with_text(
                StreamCondition::NotAuthorized,
                "this stream carries stanzas the other way only",
            )
            .into());
        }
        if stanza.from.domain() != self.pair.remote {
            return Err(StreamCondition::InvalidFrom.into());
        }
        let to_us = stanza.to.as_ref().map(imd_proto::Jid::domain);
        if to_us.is_none_or(|domain| !self.server.is_local_domain(domain)) {
            return Err(StreamCondition::HostUnknown.into());
        }
        flow.route(&self.server, stanza).await;
        Ok(())
    }
}

fn offers_external(features: &Element) -> bool {
    features
        .child("mechanisms", ns::SASL)
        .is_some_and(|m| m.children().any(|mechanism| mechanism.text() == "EXTERNAL"))
}
