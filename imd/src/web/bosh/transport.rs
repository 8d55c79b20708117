//! A stream whose elements travel in the bodies of requests and responses.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use imd_proto::Element;
use imd_proto::xml::StreamEvent;
use tokio::sync::mpsc;

use crate::sasl::ChannelBinding;
use crate::session::Batch;
use crate::stream::framing::{framed_xml, stanza_xml};
use crate::stream::{Header, ReadError, Transport};

/// What the stream says.
#[derive(Debug)]
pub(super) enum Out {
    /// It begins, or begins again, with this id.
    Open(String),
    /// An element, with its namespace declared.
    Xml(String),
    /// A stream error.
    Error(String),
    /// It is over.
    Close,
}

/// A stream over BOSH.
pub(super) struct Bosh {
    events: mpsc::Receiver<StreamEvent>,
    out: mpsc::Sender<Out>,
    peer: IpAddr,
    authenticated: Arc<AtomicBool>,
    /// Stanzas that are to be sent.
    batch: Vec<Arc<str>>,
}

impl Bosh {
    pub(super) fn new(
        events: mpsc::Receiver<StreamEvent>,
        out: mpsc::Sender<Out>,
        peer: IpAddr,
        authenticated: Arc<AtomicBool>,
    ) -> Self {
        Self {
            events,
            out,
            peer,
            authenticated,
            batch: Vec::new(),
        }
    }

    async fn say(&self, out: Out) -> io::Result<()> {
        self.out
            .send(out)
            .await
            .map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Transport for Bosh {
    async fn next(&mut self) -> Result<Option<StreamEvent>, ReadError> {
        Ok(self.events.recv().await)
    }

    async fn open(&mut self, header: &Header) -> io::Result<()> {
        self.say(Out::Open(header.id.clone())).await
    }

    async fn send(&mut self, element: &Element) -> io::Result<()> {
        let xml = framed_xml(element);
        let error = element.is("error", imd_proto::ns::STREAM);
        self.say(if error {
            Out::Error(xml)
        } else {
            Out::Xml(xml)
        })
        .await
    }

    fn begin_stanzas(&mut self, fill: impl FnOnce(&mut dyn Batch)) -> io::Result<bool> {
        fill(&mut self.batch);
        Ok(self.batch.is_empty())
    }

    async fn finish_stanzas(&mut self) -> io::Result<()> {
        for stanza in std::mem::take(&mut self.batch) {
            self.say(Out::Xml(stanza_xml(&stanza))).await?;
        }
        Ok(())
    }

    async fn close(&mut self) -> io::Result<()> {
        self.say(Out::Close).await
    }

    fn restart(&mut self, authenticated: bool) {
        if authenticated {
            self.raise_limits();
        }
    }

    fn raise_limits(&mut self) {
        self.authenticated.store(true, Ordering::Release);
    }

    fn can_start_tls(&self) -> bool {
        false
    }

    async fn start_tls(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn is_secure(&self) -> bool {
        // TLS is ours, or nginx's on this computer, or nothing leaves this computer.
        true
    }

    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::default()
    }

    fn peer(&self) -> IpAddr {
        self.peer
    }
}
