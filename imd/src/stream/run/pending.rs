//! Stanzas that were taken and are not on the disk yet: they count as handled in the order in which they came.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use imd_proto::{Element, Jid, Kind, Stanza, ns};
use imd_store::Commit;

use super::super::Transport;
use super::super::c2s::Ended;
use super::Run;
use crate::feature;
use crate::server::Server;

/// How long the commits of a broken connection are waited for.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// A stanza that has been taken and is not on the disk yet.
pub(super) struct Pending {
    commit: Option<Commit>,
    /// Of a message.
    head: Option<Head>,
}

/// Of a message, what it takes to answer it with an error.
pub(super) struct Head {
    to: Option<Jid>,
    id: Option<Box<str>>,
    is_error: bool,
}

impl Head {
    pub(super) fn of(message: &Stanza) -> Self {
        Self {
            to: message.to.clone(),
            id: message.id().map(Box::from),
            is_error: message.is_error(),
        }
    }

    /// The message without what was in it.
    fn stanza(self, from: Jid) -> Stanza {
        let element = Element::new("message", ns::CLIENT)
            .with_opt_attr("type", self.is_error.then_some("error"))
            .with_opt_attr("id", self.id.as_deref());
        Stanza::stamp_read(Kind::Message, element, from, self.to)
    }
}

impl<T: Transport> Run<T> {
    /// A stanza has been dealt with, but for its commit. Stanzas count as handled in the order in which they came.
    pub(super) async fn taken(
        &mut self,
        commit: Option<Commit>,
        head: Option<Head>,
    ) -> Result<(), Ended> {
        if commit.is_none() && self.pending.is_empty() {
            self.session.count_handled();
            return self.acknowledge().await;
        }
        self.pending.push_back(Pending { commit, head });
        Ok(())
    }

    pub(super) async fn committed(
        &mut self,
        server: &Arc<Server>,
        outcome: imd_store::Result<()>,
    ) -> Result<(), Ended> {
        self.settle(server, outcome).await;
        self.acknowledge().await
    }

    /// The first pending stanza is on the disk, or never will be.
    pub(super) async fn settle(&mut self, server: &Arc<Server>, outcome: imd_store::Result<()>) {
        let Some(done) = self.pending.pop_front() else {
            return;
        };
        if let Err(error) = outcome
            && let Some(head) = done.head
        {
            let stanza = head.stanza(self.session.jid.clone());
            server.bounce(&stanza, &feature::store_error(&error)).await;
        }
        if self.pending.is_empty() {
            self.pending = VecDeque::new();
        }
        self.session.count_handled();
    }

    /// The connection has ended: what was taken still reaches the disk and is counted.
    pub(super) async fn drain(&mut self, server: &Arc<Server>) {
        let all = async {
            while !self.pending.is_empty() {
                let outcome = front(&mut self.pending).await;
                self.settle(server, outcome).await;
            }
        };
        if tokio::time::timeout(DRAIN_TIMEOUT, all).await.is_err() {
            tracing::warn!(jid = %self.session.jid, "the disk took too long for the last messages of a connection");
        }
    }
}

/// Wait for the commit of the first pending stanza.
pub(super) async fn front(pending: &mut VecDeque<Pending>) -> imd_store::Result<()> {
    match pending.front_mut().and_then(|p| p.commit.as_mut()) {
        Some(commit) => commit.await,
        None => Ok(()),
    }
}
