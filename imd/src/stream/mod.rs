//! One task per connection: framing, negotiation, and the loop that moves stanzas both ways.

mod auth;
mod bind;
mod bind2;
pub mod c2s;
pub mod component;
pub mod framing;
mod guest;
mod header;
pub mod link;
mod manage;
mod run;
pub mod s2s;
mod sasl2;
pub mod tcp;
pub mod tls;
mod turn;
mod upgrade;

use std::future::Future;
use std::io;
use std::net::IpAddr;

use imd_proto::xml::StreamEvent;
use imd_proto::{Element, StreamError};

pub use guest::PARS;

use crate::sasl::ChannelBinding;
use crate::session::Batch;

/// Why nothing more can be read.
#[derive(Debug)]
pub enum ReadError {
    /// The connection broke.
    Io(io::Error),
    /// The peer broke the rules; it is to be told.
    Stream(StreamError),
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<StreamError> for ReadError {
    fn from(error: StreamError) -> Self {
        Self::Stream(error)
    }
}

/// What a stream begins with, from the server's side.
#[derive(Debug, Clone)]
pub struct Header {
    /// Unguessable (RFC 6120 §4.7.3).
    pub id: String,
    /// The server's domain.
    pub from: String,
    /// The peer, where it said who it is.
    pub to: Option<String>,
}

/// A connection that carries a stream: TCP, or something that frames stanzas itself.
///
/// All futures may be dropped before they are done, but for those of `send`, after which the connection is lost.
pub trait Transport: Send + 'static {
    /// The next event; `None` when the peer has closed the connection.
    fn next(&mut self) -> impl Future<Output = Result<Option<StreamEvent>, ReadError>> + Send;

    /// Open a stream towards the peer. It may wait for what is sent next.
    fn open(&mut self, header: &Header) -> impl Future<Output = io::Result<()>> + Send;

    /// Send an element that is no stanza: features, negotiation, errors.
    fn send(&mut self, element: &Element) -> impl Future<Output = io::Result<()>> + Send;

    /// As `send`, but it may wait until what has come already is dealt with, or until `flush`.
    fn answer(&mut self, element: &Element) -> impl Future<Output = io::Result<()>> + Send {
        self.send(element)
    }

    /// Send what `answer` has left waiting.
    fn flush(&mut self) -> impl Future<Output = io::Result<()>> + Send {
        std::future::ready(Ok(()))
    }

    /// Whether bytes have come already that nobody has looked at.
    fn is_ahead(&self) -> bool {
        false
    }

    /// Where something can be written that goes out before anything is waited for, in front of what is sent next: XML that
    /// is the same on every stream, as it declares its namespace. `None`: it has to be sent.
    fn held(&mut self) -> Option<&mut String> {
        None
    }

    /// Send the stanzas that `fill` puts together, as far as that takes no waiting. False: `finish_stanzas` has to see to
    /// the rest.
    ///
    /// # Errors
    /// When the connection breaks.
    fn begin_stanzas(&mut self, fill: impl FnOnce(&mut dyn Batch)) -> io::Result<bool>;

    /// Send the rest of what `begin_stanzas` has begun. As after `send`, the connection is lost when this is given up.
    fn finish_stanzas(&mut self) -> impl Future<Output = io::Result<()>> + Send;

    /// Close the stream and the connection in order.
    fn close(&mut self) -> impl Future<Output = io::Result<()>> + Send;

    /// Expect a new stream header (RFC 6120 §4.3.3). `authenticated`: with the limits of those who have logged in.
    fn restart(&mut self, authenticated: bool);

    /// Go on with the limits of those who have logged in, without a new stream.
    fn raise_limits(&mut self);

    /// Whether STARTTLS can be offered: the connection is plain and can be upgraded.
    fn can_start_tls(&self) -> bool;

    /// Upgrade to TLS.
    fn start_tls(&mut self) -> impl Future<Output = io::Result<()>> + Send;

    /// Whether nobody on the way can read along.
    fn is_secure(&self) -> bool;

    /// What a login can be bound to.
    fn channel_binding(&self) -> ChannelBinding;

    /// The peer's address.
    fn peer(&self) -> IpAddr;

    /// How many bytes the events since the last call had; 0 where that is bounded otherwise.
    fn taken(&mut self) -> usize {
        0
    }
}
