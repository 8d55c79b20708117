//! TLS at the server's end of a client's connection, by rustls' unbuffered interface: an idle connection holds keys and
//! nothing else. What is read and written passes through buffers of the thread; only a record that has come in part, or
//! one that the peer does not take at once, is kept with the connection.

mod certificates;
mod exporter;

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError};
use rustls::{ProtocolVersion, ServerConfig};
use tokio::io::{AsyncRead as _, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;

pub use certificates::{Certificates, Shown};
pub use exporter::enable;

/// Bytes read from the socket in one go: a full record and its header.
const READ_BYTES: usize = 16 * 1024 + 2048;
/// Bytes encrypted in one go. A record holds 16 KiB.
pub(super) const WRITE_BYTES: usize = 16 * 1024;
/// The most bytes of a record, or of a message of the handshake, that has come in part.
const INCOMING_BYTES: usize = 64 * 1024;
/// Room for a record's header, authentication tag and type, and for a message of TLS itself that goes with it.
const RECORD_EXTRA: usize = 1024;

thread_local! {
    static INCOMING: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into_boxed_slice());
    static OUTGOING: RefCell<Vec<u8>> = RefCell::new(vec![0; WRITE_BYTES + RECORD_EXTRA]);
}

/// A TLS connection, ours to serve.
pub struct TlsSocket {
    socket: TcpStream,
    tls: UnbufferedServerConnection,
    /// A record that has come in part.
    incoming: Vec<u8>,
    /// Records that the socket has not taken yet.
    outgoing: Vec<u8>,
    /// They are the tickets of the handshake, for which no client waits: they go out with the first answer.
    only_tickets: bool,
    exporter: Option<[u8; exporter::BYTES]>,
    end_point: Option<Arc<[u8]>>,
    /// The peer has said that nothing follows.
    peer_closed: bool,
}

/// Where a connection stands when all that was received is processed.
#[derive(Debug, PartialEq, Eq)]
enum Progress {
    Handshaking,
    Open,
    /// The peer has closed its side, with TLS's goodbye or without.
    Closed,
}

impl TlsSocket {
    /// Do the handshake; what the client has sent right behind it comes back, too. The configuration has to be one that
    /// [`enable`] has prepared, or [`TlsSocket::exporter`] has nothing to tell.
    ///
    /// # Errors
    /// When the connection breaks or the two cannot agree.
    pub async fn accept(
        socket: TcpStream,
        config: &Arc<ServerConfig>,
    ) -> io::Result<(Self, BytesMut)> {
        let tls = UnbufferedServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
        let mut connection = Self {
            socket,
            tls,
            incoming: Vec::new(),
            outgoing: Vec::new(),
            only_tickets: false,
            exporter: None,
            end_point: None,
            peer_closed: false,
        };
        let mut plain = BytesMut::new();
        loop {
            let read = poll_fn(|cx| connection.poll_records(cx, &mut plain)).await;
            // Where it has failed that is an alert, which tells the client why.
            if connection.is_held_up() {
                connection.flush().await?;
            }
            match read? {
                Progress::Handshaking => {}
                Progress::Open => return Ok((connection, plain)),
                Progress::Closed => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
    }

    /// Append what the peer has sent; how many bytes, 0 when it has closed its side.
    pub fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        plain: &mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        let before = plain.len();
        loop {
            let progress = ready!(self.poll_records(cx, plain))?;
            if plain.len() > before || progress == Progress::Closed {
                return Poll::Ready(Ok(plain.len() - before));
            }
        }
    }

    /// Send bytes. When the future is dropped early the stream of records stays whole, but what was sent of the bytes is
    /// unknown.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        for piece in bytes.chunks(WRITE_BYTES) {
            // What has to go first: an answer of TLS itself, or the rest of a write that was given up.
            if self.is_held_up() {
                self.flush().await?;
            }
            self.seal(Some(piece))?;
        }
        self.flush().await
    }

    /// Encrypt up to [`WRITE_BYTES`] and hand them to the socket, as far as it takes them; [`TlsSocket::flush`] sees to the
    /// rest.
    pub(super) fn begin_write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.seal(Some(bytes))
    }

    /// Say goodbye, and close this side of the connection.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn shutdown(&mut self) -> io::Result<()> {
        self.flush().await?;
        self.seal(None)?;
        self.flush().await?;
        self.socket.shutdown().await
    }

    /// What a login can be bound to: RFC 9266's `tls-exporter`. Absent below TLS 1.3, where it takes an extension of
    /// which rustls does not tell (RFC 9266 §4.2).
    #[must_use]
    pub fn exporter(&self) -> Option<&[u8]> {
        self.exporter.as_ref().map(|binding| &binding[..])
    }

    /// RFC 5929's `tls-server-end-point`: of the certificate that this client was shown. Absent for one whose signature has
    /// no hash of its own, or that [`Certificates`] did not choose.
    #[must_use]
    pub fn end_point(&self) -> Option<&[u8]> {
        self.end_point.as_deref()
    }

    fn poll_records(
        &mut self,
        cx: &mut Context<'_>,
        plain: &mut BytesMut,
    ) -> Poll<io::Result<Progress>> {
        if self.peer_closed {
            return Poll::Ready(Ok(Progress::Closed));
        }
        INCOMING.with_borrow_mut(|scratch| {
            // Unlike `try_read` it knows that a buffer which was not filled has emptied the socket, and spares a call.
            let mut buffer = ReadBuf::new(scratch);
            ready!(Pin::new(&mut self.socket).poll_read(cx, &mut buffer))?;
            let read = buffer.filled().len();
            if read == 0 {
                // Many clients end without TLS's own goodbye.
                self.peer_closed = true;
                return Poll::Ready(Ok(Progress::Closed));
            }
            let received = &mut scratch[..read];
            let (was_handshaking, waiting) = (self.tls.is_handshaking(), self.outgoing.len());
            let processed = if self.incoming.is_empty() {
                let outcome = self.process(received, plain);
                if let Ok(used) = outcome {
                    self.incoming.extend_from_slice(&received[used..]);
                }
                outcome
            } else {
                let mut incoming = std::mem::take(&mut self.incoming);
                incoming.extend_from_slice(received);
                let outcome = self.process(&mut incoming, plain);
                if let Ok(used) = outcome
                    && used < incoming.len()
                {
                    incoming.drain(..used);
                    self.incoming = incoming;
                }
                outcome
            };
            if was_handshaking
                && processed.is_ok()
                && !self.tls.is_handshaking()
                && self.tls.protocol_version() == Some(ProtocolVersion::TLSv1_3)
            {
                self.only_tickets = !self.outgoing.is_empty();
            } else if !self.only_tickets || self.outgoing.len() > waiting {
                self.answer();
            }
            processed?;
            if self.incoming.len() > INCOMING_BYTES {
                return Poll::Ready(Err(invalid("a message of TLS is too long")));
            }
            Poll::Ready(Ok(if self.peer_closed {
                Progress::Closed
            } else if self.tls.is_handshaking() {
                Progress::Handshaking
            } else {
                Progress::Open
            }))
        })
    }

    /// Decrypt all whole records, and queue what TLS itself answers; how many bytes have been used up.
    fn process(&mut self, records: &mut [u8], plain: &mut BytesMut) -> io::Result<usize> {
        let mut used = 0;
        let mut failure = None;
        exporter::forget();
        certificates::forget();
        loop {
            let rest: &mut [u8] = match failure {
                None => &mut records[used..],
                Some(_) => &mut [],
            };
            let status = self.tls.process_tls_records(rest);
            let mut discard = status.discard;
            match status.state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record.map_err(invalid)?;
                        plain.extend_from_slice(record.payload);
                        discard += record.discard;
                    }
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    append(&mut self.outgoing, |out| data.encode(out))?;
                }
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::PeerClosed) => self.peer_closed = true,
                Ok(ConnectionState::Closed) => break,
                Ok(_) => break,
                // The alert comes out with the next call.
                Err(error) if failure.is_none() => failure = Some(error),
                Err(_) => break,
            }
            if self.exporter.is_none() {
                self.exporter = exporter::take(self.tls.negotiated_cipher_suite());
            }
            if self.end_point.is_none() {
                self.end_point = certificates::take();
            }
            used += discard;
        }
        failure.map_or(Ok(used), |error| Err(invalid(error)))
    }

    /// Encrypt a piece, or TLS's goodbye, and hand it to the socket. What that does not take is left to `flush`.
    fn seal(&mut self, piece: Option<&[u8]>) -> io::Result<()> {
        OUTGOING.with_borrow_mut(|scratch| {
            let made = loop {
                let status = self.tls.process_tls_records(&mut self.incoming);
                let discard = status.discard;
                let mut made = None;
                match status.state.map_err(invalid)? {
                    ConnectionState::WriteTraffic(mut traffic) => {
                        let mut make = |out: &mut [u8]| match piece {
                            Some(piece) => traffic.encrypt(piece, out),
                            None => traffic.queue_close_notify(out),
                        };
                        let first = make(scratch);
                        made = Some(match first {
                            Err(EncryptError::InsufficientSize(size)) => {
                                scratch.resize(size.required_size, 0);
                                make(scratch)
                            }
                            made => made,
                        });
                    }
                    ConnectionState::EncodeTlsData(mut data) => {
                        append(&mut self.outgoing, |out| data.encode(out))?;
                    }
                    ConnectionState::TransmitTlsData(data) => data.done(),
                    ConnectionState::PeerClosed => self.peer_closed = true,
                    _ => return Err(io::ErrorKind::NotConnected.into()),
                }
                self.incoming.drain(..discard);
                if let Some(made) = made {
                    break made.map_err(io::Error::other)?;
                }
            };
            let record = &scratch[..made];
            let taken = if std::mem::take(&mut self.only_tickets) {
                self.outgoing.extend_from_slice(record);
                self.answer();
                made
            } else if self.outgoing.is_empty() {
                match self.socket.try_write(record) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                    taken => taken?,
                }
            } else {
                0
            };
            self.outgoing.extend_from_slice(&record[taken..]);
            Ok(())
        })
    }

    /// Send what TLS itself has to answer, such as to a change of keys, as far as the socket takes it.
    fn answer(&mut self) {
        self.only_tickets = false;
        if !self.outgoing.is_empty()
            && let Ok(taken) = self.socket.try_write(&self.outgoing)
        {
            self.outgoing.drain(..taken);
            if self.outgoing.is_empty() {
                self.outgoing = Vec::new();
            }
        }
    }

    /// Whether something waits that the peer may be waiting for.
    pub(super) fn is_held_up(&self) -> bool {
        !self.outgoing.is_empty() && !self.only_tickets
    }

    /// Whether the socket has taken everything.
    pub(super) fn is_flushed(&self) -> bool {
        self.outgoing.is_empty()
    }

    /// Wait until the socket has taken everything.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        self.only_tickets = false;
        while !self.outgoing.is_empty() {
            self.socket.writable().await?;
            match self.socket.try_write(&self.outgoing) {
                Ok(taken) => drop(self.outgoing.drain(..taken)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        // An idle connection holds no buffer.
        self.outgoing = Vec::new();
        Ok(())
    }
}

/// Append what `encode` makes to a buffer that has no room for it yet.
fn append(
    out: &mut Vec<u8>,
    mut encode: impl FnMut(&mut [u8]) -> Result<usize, EncodeError>,
) -> io::Result<()> {
    let start = out.len();
    let size = match encode(&mut []) {
        Err(EncodeError::InsufficientSize(size)) => size.required_size,
        other => return other.map(drop).map_err(io::Error::other),
    };
    out.resize(start + size, 0);
    encode(&mut out[start..])
        .map(drop)
        .map_err(io::Error::other)
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
pub(super) mod tests;
