//! What goes out to the client: stanzas, acknowledgements, and requests for those (XEP-0198 §4).

use std::fmt::Write as _;
use std::io;
use std::sync::{Arc, LazyLock};

use imd_proto::{Element, ns};

use super::super::c2s::Ended;
use super::super::{Transport, manage};
use super::Run;
use crate::server::Server;
use crate::session::{Queued, Taken};

/// Bytes written in one go.
const WRITE_BYTES: usize = 64 * 1024;

/// Asks a client how many stanzas it has handled (XEP-0198 §4). It goes with the stanzas, in one record and one packet.
static ACK_REQUEST: LazyLock<Queued> =
    LazyLock::new(|| Queued::whole(Element::new("r", ns::SM).to_xml_in(ns::CLIENT).into()));

impl<T: Transport> Run<T> {
    /// The client asks what has been handled.
    pub(super) async fn asked_for_ack(&mut self) -> Result<(), Ended> {
        // The first request that waits is answered first: by the time its stanzas are on the disk there are more.
        self.ack_wanted.get_or_insert(self.received);
        self.ack_wanted_last = self.received;
        self.acknowledge().await
    }

    /// The client says what it has got.
    pub(super) async fn acknowledged(&mut self, ack: &Element) -> Result<(), Ended> {
        manage::acknowledged(&self.session, ack)?;
        self.ack_asked = false;
        if self.session.outbound.asks() {
            self.ack_asked = true;
            return self.send_ack_request().await;
        }
        Ok(())
    }

    /// Send the acknowledgement that is wanted, once everything up to it is handled.
    pub(super) async fn acknowledge(&mut self) -> Result<(), Ended> {
        let Some(wanted) = self.ack_wanted else {
            return Ok(());
        };
        let handled = self.session.handled();
        if !self.pending.is_empty() && (wanted.wrapping_sub(handled) as i32) > 0 {
            return Ok(());
        }
        let last = self.ack_wanted_last;
        self.ack_wanted = ((last.wrapping_sub(handled) as i32) > 0).then_some(last);
        if let Some(held) = self.transport.held() {
            // Writing into a string does not fail.
            let _ = write!(held, "<a xmlns='{}' h='{handled}'/>", ns::SM);
            return Ok(());
        }
        let ack = Element::new("a", ns::SM).with_attr("h", handled.to_string());
        Box::pin(self.transport.send(&ack)).await?;
        Ok(())
    }

    /// Write what waits for the client.
    pub(super) async fn write(&mut self, server: &Arc<Server>) -> Result<(), Ended> {
        loop {
            let (left, done) = self.begin_write()?;
            // Nearly always the socket takes all at once, and there is nothing to wait for.
            if !done {
                Box::pin(self.finish_write(server)).await?;
            }
            if !left.more {
                return Ok(());
            }
        }
    }

    /// Write a part of what waits, as far as the socket takes it: what is left, and whether it has taken all of the part.
    pub(super) fn begin_write(&mut self) -> io::Result<(Taken, bool)> {
        let outbound = &self.session.outbound;
        let ack_asked = &mut self.ack_asked;
        let mut left = Taken::default();
        let done = self.transport.begin_stanzas(|batch| {
            left = outbound.take(WRITE_BYTES, batch);
            if !left.more && left.asks && !*ack_asked {
                *ack_asked = true;
                batch.add(&ACK_REQUEST, outbound.client());
            }
        })?;
        Ok((left, done))
    }

    /// Wait until the socket has taken the part.
    pub(super) async fn finish_write(&mut self, server: &Arc<Server>) -> Result<(), Ended> {
        let outbound = &self.session.outbound;
        let finished = self.transport.finish_stanzas();
        tokio::select! {
            written = tokio::time::timeout(server.config.limits.write_timeout, finished) => match written {
                Ok(written) => written.map_err(Ended::from),
                Err(_) => Err(Ended::Closed),
            },
            // A connection that takes nothing must not hold up the one that resumes its session.
            () = outbound.ending() => Err(Ended::Closed),
        }
    }

    pub(super) async fn send_ack_request(&mut self) -> Result<(), Ended> {
        if let Some(held) = self.transport.held() {
            held.push_str(ACK_REQUEST.xml());
            return Ok(());
        }
        Box::pin(self.transport.send(&Element::new("r", ns::SM))).await?;
        Ok(())
    }
}
