//! Stream management (XEP-0198) as a client does it: counting, and resuming what has broken.

use std::collections::VecDeque;

use anyhow::{Context as _, Result, ensure};
use imd_proto::{Element, ns};

use super::TestServer;
use super::client::{Client, Incoming, within};
use super::login::{Login, Refused};

/// Stream management as the client counts.
#[derive(Debug, Clone, Default)]
pub(super) struct Management {
    /// Absent: not resumable.
    pub(super) id: Option<String>,
    pub(super) received: u32,
    pub(super) acked: u32,
    pub(super) unacked: VecDeque<Element>,
}

impl Management {
    pub(super) fn acknowledged(&mut self, element: &Element) -> Result<()> {
        let h: u32 = element
            .attr("h")
            .and_then(|h| h.parse().ok())
            .with_context(|| format!("no count in {}", element.to_xml()))?;
        let newly = h.wrapping_sub(self.acked) as usize;
        ensure!(
            newly <= self.unacked.len(),
            "the server acknowledged {h} stanzas, {} were acknowledged before and {} sent since",
            self.acked,
            self.unacked.len()
        );
        self.unacked.drain(..newly);
        self.acked = h;
        Ok(())
    }
}

/// A client that has lost its connection.
pub struct Broken {
    pub jid: String,
    pub(super) management: Option<Management>,
    pub(super) queue: VecDeque<Incoming>,
    pub(super) pings: u32,
}

impl Broken {
    /// Connect again and take the session up where it broke; what the server did not acknowledge is sent again.
    ///
    /// The error comes with what is needed to try again.
    pub async fn resume(
        self,
        server: &TestServer,
        login: &Login,
    ) -> Result<Client, (Self, anyhow::Error)> {
        match within("resume", self.try_resume(server, login)).await {
            Ok((mut client, management)) => {
                let again: Vec<Element> = management.unacked.iter().cloned().collect();
                client.jid = self.jid;
                client.queue = self.queue;
                client.pings = self.pings;
                client.management = Some(management);
                for element in again {
                    // A connection that is gone again is noticed when it is read.
                    let _ = client.write(&element).await;
                    let _ = client.write(&Element::new("r", ns::SM)).await;
                }
                Ok(client)
            }
            Err(error) => Err((self, error)),
        }
    }

    async fn try_resume(&self, server: &TestServer, login: &Login) -> Result<(Client, Management)> {
        let mut management = self
            .management
            .clone()
            .context("stream management is off")?;
        let id = management
            .id
            .clone()
            .context("the session is not resumable")?;
        let mut client = Client::log_in(server, login).await?;
        let resume = Element::new("resume", ns::SM)
            .with_attr("previd", id)
            .with_attr("h", management.received.to_string());
        client.send_element(&resume).await?;
        let resumed = client.next().await?.element()?;
        if !resumed.is("resumed", ns::SM) {
            return Err(Refused(resumed).into());
        }
        management.acknowledged(&resumed)?;
        Ok((client, management))
    }
}
