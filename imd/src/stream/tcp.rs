//! A stream over TCP, plain or inside TLS (RFC 6120 §4 and §5, XEP-0368).

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use imd_proto::xml::{Limits, StreamEvent, StreamReader};
use imd_proto::{Element, ns};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;

use super::header::{header_xml, stream_xml};
use super::tls::{TlsSocket, WRITE_BYTES};
use super::{Header, ReadError, Transport};
use crate::sasl::ChannelBinding;
use crate::session::Batch;

enum Connection {
    Plain(TcpStream),
    Tls(Box<TlsSocket>),
    /// An upgrade failed or was abandoned.
    Lost,
}

/// A stream over TCP.
pub struct Tcp {
    connection: Connection,
    tls: Arc<ServerConfig>,
    reader: StreamReader,
    input: BytesMut,
    /// What goes out with what is sent next: each packet costs both ends more than its bytes.
    held: String,
    before_login: Limits,
    after_login: Limits,
    peer: IpAddr,
    closed: bool,
    /// Bytes of events.
    taken: usize,
}

thread_local! {
    /// Bytes are read here first, so that an idle connection holds no buffer of its own.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; 16 * 1024].into_boxed_slice());
    /// Stanzas are put together here, to be encrypted as one.
    static TEXT: RefCell<String> = const { RefCell::new(String::new()) };
}

impl Tcp {
    /// A plain connection that has to be upgraded.
    #[must_use]
    pub fn plain(
        stream: TcpStream,
        peer: IpAddr,
        tls: Arc<ServerConfig>,
        before_login: Limits,
        after_login: Limits,
    ) -> Self {
        Self::new(
            Connection::Plain(stream),
            peer,
            tls,
            before_login,
            after_login,
        )
    }

    /// A connection that begins with TLS.
    ///
    /// # Errors
    /// When the handshake fails.
    pub async fn tls(
        stream: TcpStream,
        peer: IpAddr,
        tls: Arc<ServerConfig>,
        before_login: Limits,
        after_login: Limits,
    ) -> io::Result<Self> {
        let mut connection = Self::new(Connection::Lost, peer, tls, before_login, after_login);
        connection.accept(stream).await?;
        Ok(connection)
    }

    fn new(
        connection: Connection,
        peer: IpAddr,
        tls: Arc<ServerConfig>,
        before_login: Limits,
        after_login: Limits,
    ) -> Self {
        Self {
            connection,
            tls,
            reader: StreamReader::new(before_login),
            input: BytesMut::new(),
            held: String::new(),
            before_login,
            after_login,
            peer,
            closed: false,
            taken: 0,
        }
    }

    async fn accept(&mut self, stream: TcpStream) -> io::Result<()> {
        let (socket, input) = TlsSocket::accept(stream, &self.tls).await?;
        self.connection = Connection::Tls(Box::new(socket));
        self.input = input;
        Ok(())
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let stream = match &mut self.connection {
            Connection::Plain(stream) => stream,
            Connection::Tls(stream) => return stream.poll_read(cx, &mut self.input),
            Connection::Lost => return Poll::Ready(Err(lost())),
        };
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            ready!(Pin::new(stream).poll_read(cx, &mut buffer))?;
            self.input.extend_from_slice(buffer.filled());
            Poll::Ready(Ok(buffer.filled().len()))
        })
    }

    async fn write(&mut self, text: &str) -> io::Result<()> {
        let mut all = std::mem::take(&mut self.held);
        let bytes = match all.is_empty() {
            true => text.as_bytes(),
            false => {
                all.push_str(text);
                all.as_bytes()
            }
        };
        match &mut self.connection {
            Connection::Plain(stream) => stream.write_all(bytes).await,
            Connection::Tls(stream) => stream.write(bytes).await,
            Connection::Lost => Err(lost()),
        }
    }
}

/// The most that waits for what is sent next, in bytes.
const HELD_BYTES: usize = 4096;

fn lost() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "the connection is lost")
}

impl Transport for Tcp {
    async fn next(&mut self) -> Result<Option<StreamEvent>, ReadError> {
        loop {
            if !self.input.is_empty() {
                let mut rest = &self.input[..];
                let event = self.reader.next(&mut rest)?;
                let used = self.input.len() - rest.len();
                self.input.advance(used);
                self.taken += used;
                if self.input.is_empty() {
                    self.input = BytesMut::new();
                }
                if event.is_some() {
                    return Ok(event);
                }
            }
            self.flush().await?;
            match poll_fn(|cx| self.poll_fill(cx)).await {
                Ok(0) => return Ok(None),
                Ok(_) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn open(&mut self, header: &Header) -> io::Result<()> {
        self.held.push_str(&header_xml(header));
        Ok(())
    }

    async fn send(&mut self, element: &Element) -> io::Result<()> {
        self.write(&stream_xml(element, ns::CLIENT)).await
    }

    async fn answer(&mut self, element: &Element) -> io::Result<()> {
        if !self.is_ahead() || self.held.len() > HELD_BYTES {
            return self.send(element).await;
        }
        self.held.push_str(&stream_xml(element, ns::CLIENT));
        Ok(())
    }

    async fn flush(&mut self) -> io::Result<()> {
        let Connection::Tls(stream) = &mut self.connection else {
            return Ok(());
        };
        // Dropped in the middle it goes on at the next call: nothing is both taken out of here and not handed over.
        if !self.held.is_empty() {
            stream.begin_write(self.held.as_bytes())?;
            self.held = String::new();
        }
        if stream.is_held_up() {
            stream.flush().await?;
        }
        Ok(())
    }

    fn is_ahead(&self) -> bool {
        matches!(self.connection, Connection::Tls(_)) && !self.input.is_empty()
    }

    fn held(&mut self) -> Option<&mut String> {
        // `next` and `flush` see to it.
        let tls = matches!(self.connection, Connection::Tls(_));
        (tls && self.held.len() <= HELD_BYTES).then_some(&mut self.held)
    }

    fn begin_stanzas(&mut self, fill: impl FnOnce(&mut dyn Batch)) -> io::Result<bool> {
        TEXT.with_borrow_mut(|text| {
            text.clear();
            text.push_str(&self.held);
            fill(text);
            if text.len() == self.held.len() {
                return Ok(true);
            }
            self.held = String::new();
            match &mut self.connection {
                Connection::Tls(stream) if text.len() <= WRITE_BYTES => {
                    stream.begin_write(text.as_bytes())?;
                    Ok(stream.is_flushed())
                }
                _ => {
                    self.held = std::mem::take(text);
                    Ok(false)
                }
            }
        })
    }

    async fn finish_stanzas(&mut self) -> io::Result<()> {
        match &mut self.connection {
            Connection::Tls(stream) if self.held.is_empty() => stream.flush().await,
            _ => self.write("").await,
        }
    }

    async fn close(&mut self) -> io::Result<()> {
        if std::mem::replace(&mut self.closed, true) {
            return Ok(());
        }
        self.write("</stream:stream>").await?;
        match &mut self.connection {
            Connection::Plain(stream) => stream.shutdown().await,
            Connection::Tls(stream) => stream.shutdown().await,
            Connection::Lost => Ok(()),
        }
    }

    fn restart(&mut self, authenticated: bool) {
        self.reader = StreamReader::new(if authenticated {
            self.after_login
        } else {
            self.before_login
        });
    }

    fn raise_limits(&mut self) {
        self.reader.set_limits(self.after_login);
    }

    fn can_start_tls(&self) -> bool {
        matches!(self.connection, Connection::Plain(_))
    }

    async fn start_tls(&mut self) -> io::Result<()> {
        // What came before TLS must not be read as if it had come inside (the STARTTLS injection of 2011).
        self.input = BytesMut::new();
        match std::mem::replace(&mut self.connection, Connection::Lost) {
            Connection::Plain(stream) => self.accept(stream).await,
            other => {
                self.connection = other;
                Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    "TLS is there already",
                ))
            }
        }
    }

    fn is_secure(&self) -> bool {
        matches!(self.connection, Connection::Tls(_))
    }

    fn channel_binding(&self) -> ChannelBinding {
        let mut binding = ChannelBinding::default();
        let Connection::Tls(stream) = &self.connection else {
            return binding;
        };
        if let Some(data) = stream.exporter() {
            binding.add(ChannelBinding::EXPORTER, data.to_vec());
        }
        if let Some(end_point) = stream.end_point() {
            binding.add(ChannelBinding::END_POINT, end_point.to_vec());
        }
        binding
    }

    fn peer(&self) -> IpAddr {
        self.peer
    }

    fn taken(&mut self) -> usize {
        std::mem::take(&mut self.taken)
    }
}

#[cfg(test)]
#[path = "tcp_tests.rs"]
mod tests;
