//! A connection to the server: TCP, perhaps TLS, perhaps WebSocket, and the stanzas that come out of it.
//!
//! Whoever has something to send writes it at once, without waking a task; only what the socket does not take waits.

use std::cell::RefCell;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll};

use anyhow::Context as _;
use rustls::ClientConnection;
use tokio::io::{AsyncRead as _, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};

use crate::scanner::{Found, Scanner};
use crate::tls::Tls;
use crate::websocket::{self, Frame, Frames};

mod adapters;

use adapters::{Reading, Socket};

thread_local! {
    /// Bytes on their way from a socket to a scanner; no connection keeps a buffer of its own for them.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; 64 << 10]);
}

/// An open connection.
pub struct Conn {
    tcp: TcpStream,
    tls: Option<Box<ClientConnection>>,
    frames: Option<Frames>,
    scanner: Scanner,
    /// What the socket has not taken; with TLS it waits there.
    out: Vec<u8>,
    /// Stanzas that go out together.
    batch: Vec<u8>,
    /// Pongs that have to be sent.
    pongs: Vec<u8>,
}

/// The loopback address that client number `user` comes from: 200 clients for each, as behind so many routers.
#[must_use]
pub fn source(user: u32) -> IpAddr {
    let group = user / 200;
    let [high, low] = [(group / 250) as u8, (group % 250) as u8];
    IpAddr::V4(Ipv4Addr::new(127, 1, high, low + 1))
}

impl Conn {
    /// Connects from `from`, without TLS.
    ///
    /// # Errors
    ///
    /// No connection.
    pub async fn open(to: SocketAddr, from: IpAddr) -> anyhow::Result<Self> {
        let socket = TcpSocket::new_v4().context("make a socket")?;
        if to.ip().is_loopback() {
            socket
                .bind(SocketAddr::new(from, 0))
                .context("bind a source address")?;
        }
        let tcp = socket.connect(to).await.context("connect")?;
        tcp.set_nodelay(true).context("set TCP_NODELAY")?;
        Ok(Self {
            tcp,
            tls: None,
            frames: None,
            scanner: Scanner::stream(),
            out: Vec::new(),
            batch: Vec::new(),
            pongs: Vec::new(),
        })
    }

    /// Makes the TLS handshake; what was received before is forgotten.
    ///
    /// # Errors
    ///
    /// The connection broke, or the server has no such TLS.
    pub async fn start_tls(&mut self, tls: &Tls) -> anyhow::Result<()> {
        self.tls = Some(Box::new(tls.connection()?));
        self.restart();
        std::future::poll_fn(|cx| {
            loop {
                if let Poll::Ready(Err(error)) = self.poll_flush(cx) {
                    return Poll::Ready(Err(error));
                }
                match &self.tls {
                    Some(tls) if tls.is_handshaking() => {}
                    _ => return Poll::Ready(Ok(())),
                }
                std::task::ready!(self.poll_read(cx))?;
            }
        })
        .await
        .context("TLS handshake")
    }

    /// Asks for a WebSocket and waits until it is open.
    ///
    /// # Errors
    ///
    /// The server did not agree.
    pub async fn start_websocket(&mut self, host: &str, path: &str) -> anyhow::Result<()> {
        self.send_raw(websocket::request(host, path).as_bytes())?;
        let mut head = Vec::new();
        // The head is no XML: it is taken as it comes, byte by byte, so that no frame behind it is lost.
        while !head.ends_with(b"\r\n\r\n") {
            let length = std::future::poll_fn(|cx| self.poll_some(cx, &mut head)).await?;
            if length == 0 || head.len() > 8192 {
                anyhow::bail!("no WebSocket: {}", String::from_utf8_lossy(&head));
            }
        }
        if !head.starts_with(b"HTTP/1.1 101") {
            anyhow::bail!("no WebSocket: {}", String::from_utf8_lossy(&head));
        }
        self.frames = Some(Frames::default());
        self.scanner = Scanner::frames();
        Ok(())
    }

    /// Whether stanzas are in frames (RFC 7395), with `<open/>` for a header.
    #[must_use]
    pub fn framed(&self) -> bool {
        self.frames.is_some()
    }

    /// A new stream begins (RFC 6120 §4.3.3).
    pub fn restart(&mut self) {
        self.scanner = match self.frames {
            Some(_) => Scanner::frames(),
            None => Scanner::stream(),
        };
    }

    /// Adds a stanza to those that go out with the next [`Conn::send_queued`].
    pub fn queue(&mut self, xml: &[u8]) {
        if self.frames.is_none() {
            return self.batch.extend_from_slice(xml);
        }
        // RFC 7395 §3.3.3: each frame is a document, whose namespace has to stand there.
        let own = crate::scanner::name(xml);
        if matches!(own, b"iq" | b"message" | b"presence") {
            let (tag, rest) = xml.split_at(1 + own.len());
            let stanza = [tag, b" xmlns='jabber:client'", rest].concat();
            websocket::put_text(&mut self.batch, &stanza);
        } else {
            websocket::put_text(&mut self.batch, xml);
        }
    }

    /// Sends what was queued, in one write and one TLS record where it fits.
    ///
    /// # Errors
    ///
    /// The connection is gone.
    pub fn send_queued(&mut self) -> io::Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let mut batch = std::mem::take(&mut self.batch);
        let sent = self.send_raw(&batch);
        batch.clear();
        batch.shrink_to(1024);
        self.batch = batch;
        sent
    }

    /// Sends one stanza.
    ///
    /// # Errors
    ///
    /// The connection is gone.
    pub fn send(&mut self, xml: &[u8]) -> io::Result<()> {
        self.queue(xml);
        self.send_queued()
    }

    fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.tls {
            Some(tls) => tls.writer().write_all(bytes)?,
            None => self.out.extend_from_slice(bytes),
        }
        self.flush()
    }

    /// Writes what the socket takes.
    fn flush(&mut self) -> io::Result<()> {
        let mut socket = Socket(&self.tcp);
        if let Some(tls) = &mut self.tls {
            while tls.wants_write() {
                match tls.write_tls(&mut socket) {
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                }
            }
            return Ok(());
        }
        while !self.out.is_empty() {
            match socket.write(&self.out) {
                Ok(length) => drop(self.out.drain(..length)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Whether something waits for the socket.
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        match &self.tls {
            Some(tls) => tls.wants_write(),
            None => !self.out.is_empty(),
        }
    }

    /// Ready when nothing waits for the socket.
    ///
    /// # Errors
    ///
    /// The connection is gone.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.is_stuck() {
            std::task::ready!(self.tcp.poll_write_ready(cx))?;
            self.flush()?;
        }
        Poll::Ready(Ok(()))
    }

    /// Receives something, so that [`Conn::next_found`] may have more.
    ///
    /// # Errors
    ///
    /// The connection is gone; `UnexpectedEof` when the server closed it.
    pub fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let Self {
                tcp,
                tls,
                frames,
                scanner,
                pongs,
                ..
            } = self;
            let mut take = |bytes: &[u8]| match frames {
                Some(frames) => frames.feed(bytes, |frame| match frame {
                    Frame::Text(text) => scanner.feed(text),
                    Frame::Ping(payload) => websocket::put_pong(pongs, payload),
                    Frame::Close | Frame::Other => {}
                }),
                None => scanner.feed(bytes),
            };
            match tls {
                None => {
                    let length = std::task::ready!(read(tcp, cx, scratch))?;
                    take(scratch.get(..length).unwrap_or_default());
                }
                Some(tls) => {
                    std::task::ready!(read_tls(tcp, tls, cx))?;
                    loop {
                        match tls.reader().read(scratch) {
                            Ok(0) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                            Ok(length) => take(scratch.get(..length).unwrap_or_default()),
                            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                            Err(error) => return Poll::Ready(Err(error)),
                        }
                    }
                }
            }
            if !self.pongs.is_empty() {
                let pongs = std::mem::take(&mut self.pongs);
                self.send_raw(&pongs)?;
            }
            Poll::Ready(Ok(()))
        })
    }

    /// Receives at most one byte of what is no XML.
    fn poll_some(&mut self, cx: &mut Context<'_>, to: &mut Vec<u8>) -> Poll<io::Result<usize>> {
        let mut byte = [0];
        let length = match &mut self.tls {
            None => std::task::ready!(read(&mut self.tcp, cx, &mut byte))?,
            Some(tls) => loop {
                match tls.reader().read(&mut byte) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    other => break other?,
                }
                std::task::ready!(read_tls(&mut self.tcp, tls, cx))?;
            },
        };
        to.extend_from_slice(byte.get(..length).unwrap_or_default());
        Poll::Ready(Ok(length))
    }

    /// The next stanza that has come whole.
    ///
    /// # Errors
    ///
    /// What came is no stream.
    pub fn next_found(&mut self) -> io::Result<Option<Found>> {
        let malformed = |_| io::Error::new(io::ErrorKind::InvalidData, "malformed stream");
        let found = self.scanner.next_found().map_err(malformed)?;
        if found.is_none() {
            self.scanner.settle();
        }
        Ok(found)
    }

    /// The bytes of a stanza that was found.
    #[must_use]
    pub fn bytes(&self, range: Range<usize>) -> &[u8] {
        self.scanner.bytes(range)
    }

    /// Waits for the next stanza, while logging in; a header counts as one.
    ///
    /// # Errors
    ///
    /// The connection is gone, or the server ended the stream.
    pub async fn stanza(&mut self) -> io::Result<Vec<u8>> {
        std::future::poll_fn(|cx| {
            loop {
                match self.next_found()? {
                    Some(Found::Header(range) | Found::Stanza(range)) => {
                        return Poll::Ready(Ok(self.bytes(range).to_vec()));
                    }
                    Some(Found::End) => {
                        return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                    }
                    None => {}
                }
                if let Poll::Ready(Err(error)) = self.poll_flush(cx) {
                    return Poll::Ready(Err(error));
                }
                std::task::ready!(self.poll_read(cx))?;
            }
        })
        .await
    }
}

fn read(tcp: &mut TcpStream, cx: &mut Context<'_>, to: &mut [u8]) -> Poll<io::Result<usize>> {
    let mut buffer = ReadBuf::new(to);
    std::task::ready!(Pin::new(tcp).poll_read(cx, &mut buffer))?;
    match buffer.filled().len() {
        0 => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
        length => Poll::Ready(Ok(length)),
    }
}

/// Takes records from the socket into the TLS connection.
fn read_tls(
    tcp: &mut TcpStream,
    tls: &mut ClientConnection,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    let length = match tls.read_tls(&mut Reading { tcp, cx }) {
        Ok(length) => length,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
        Err(error) => return Poll::Ready(Err(error)),
    };
    if length == 0 {
        return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
    }
    tls.process_new_packets()
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    Poll::Ready(Ok(()))
}
