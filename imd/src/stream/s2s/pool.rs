//! The queues towards other servers, one for each pair of domains, so that order is kept between any two addresses.

use std::sync::{Arc, MutexGuard, PoisonError};

use async_trait::async_trait;
use imd_proto::{Condition, Stanza, StanzaError, ns};

use super::{Federation, Pair, outbound};
use crate::feature::Service;
use crate::server::Server;
use crate::stream::link::queue::{Outgoing, Queue, Refused, Sender, queue};

type Links<'a> = MutexGuard<'a, std::collections::HashMap<Pair, Sender>>;

#[async_trait]
impl Service for Federation {
    async fn stanza(&self, server: &Arc<Server>, stanza: Stanza) -> Option<imd_store::Commit> {
        let remote = match &stanza.to {
            Some(to) if server.is_local_domain(stanza.from.domain()) => to.domain().to_owned(),
            // Stanzas of others are not passed on.
            _ => return None,
        };
        if !server.config.federation.allows(&remote) {
            let text = format!("this server does not talk with {remote}");
            let error = StanzaError::with_text(Condition::NotAllowed, text);
            server.bounce(&stanza, &error).await;
            return None;
        }
        let pair = Pair {
            local: stanza.from.domain().to_owned(),
            remote,
        };
        self.send(server, pair, Outgoing::new(stanza, ns::SERVER))
            .await;
        None
    }
}

impl Federation {
    fn links(&self) -> Links<'_> {
        // Every critical section below is a single operation of the map.
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Put a stanza into the queue of its pair; the first one opens a stream.
    pub(super) async fn send(&self, server: &Arc<Server>, pair: Pair, outgoing: Outgoing) {
        if let Err((outgoing, text)) = self.push(server, pair, outgoing) {
            let error = StanzaError::with_text(Condition::ResourceConstraint, text);
            server.bounce(&outgoing.head, &error).await;
        }
    }

    fn push(
        &self,
        server: &Arc<Server>,
        pair: Pair,
        mut outgoing: Outgoing,
    ) -> Result<(), (Box<Outgoing>, &'static str)> {
        let mut links = self.links();
        if let Some(link) = links.get(&pair) {
            match link.push(outgoing) {
                Ok(()) => return Ok(()),
                Err(Refused::Full(outgoing)) => {
                    return Err((outgoing, "too much waits for that server"));
                }
                Err(Refused::Closed(refused)) => outgoing = *refused,
            }
        }
        let alive = self.alive.lock().unwrap_or_else(PoisonError::into_inner);
        let (Some(me), Some(alive)) = (self.me.upgrade(), alive.clone()) else {
            return Err((Box::new(outgoing), "this server is about to end"));
        };
        if links.len() >= server.config.federation.domains as usize {
            return Err((Box::new(outgoing), "too many other servers are talked with"));
        }
        let (sender, queue) = queue(server.config.limits.outbound_bytes);
        if let Err(Refused::Full(outgoing) | Refused::Closed(outgoing)) = sender.push(outgoing) {
            return Err((outgoing, "the stanza is too large for another server"));
        }
        links.insert(pair.clone(), sender.clone());
        let link = outbound::Link {
            server: Arc::clone(server),
            federation: me,
            pair,
            sender,
        };
        tokio::spawn(async move {
            link.run(queue).await;
            drop(alive);
        });
        Ok(())
    }

    /// Let a stream that the other server opened carry our stanzas too (XEP-0288), unless another one does.
    pub(super) fn adopt(&self, server: &Server, pair: &Pair) -> Option<(Sender, Queue)> {
        let mut links = self.links();
        if links.contains_key(pair) || links.len() >= server.config.federation.domains as usize {
            return None;
        }
        let (sender, queue) = queue(server.config.limits.outbound_bytes);
        links.insert(pair.clone(), sender.clone());
        Some((sender, queue))
    }

    /// A stream takes no more stanzas: the next one for the pair opens another. Those that wait are given back.
    pub(super) fn leave(&self, pair: &Pair, sender: &Sender, queue: &mut Queue) -> Vec<Outgoing> {
        let mut links = self.links();
        if links.get(pair).is_some_and(|link| link.same_queue(sender)) {
            links.remove(pair);
        }
        drop(links);
        queue.close()
    }

    /// Send stanzas again that a stream did not get out before it ended; those that have been sent again before are answered.
    pub(super) async fn send_again(
        &self,
        server: &Arc<Server>,
        pair: &Pair,
        left: Vec<Outgoing>,
        error: &StanzaError,
    ) {
        for mut outgoing in left {
            if outgoing.again || self.stop.is_requested() {
                server.bounce(&outgoing.head, error).await;
            } else {
                outgoing.again = true;
                self.send(server, pair.clone(), outgoing).await;
            }
        }
    }
}
