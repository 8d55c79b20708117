//! An XMPP stream over any connection, the client's end.

use anyhow::{Result, anyhow, bail};
use imd_proto::xml::{Limits, StreamEvent, StreamReader};
use imd_proto::{Element, ns};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::login::{self, Refused};

/// A stream over any connection.
pub(super) struct Stream<S> {
    pub(super) connection: S,
    reader: StreamReader,
    input: Vec<u8>,
    domain: String,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream<S> {
    pub(super) fn new(connection: S, domain: &str) -> Self {
        Self {
            connection,
            reader: reader(),
            input: Vec::new(),
            domain: domain.to_owned(),
        }
    }

    pub(super) async fn write(&mut self, text: &str) -> Result<()> {
        self.connection.write_all(text.as_bytes()).await?;
        Ok(self.connection.flush().await?)
    }

    /// The next event; absent at the end of the connection. May be dropped and called again.
    pub(super) async fn next(&mut self) -> Result<Option<StreamEvent>> {
        loop {
            let mut rest = &self.input[..];
            let event = self
                .reader
                .next(&mut rest)
                .map_err(|e| anyhow!("the server's XML is wrong: {e}"))?;
            let used = self.input.len() - rest.len();
            self.input.drain(..used);
            if event.is_some() {
                return Ok(event);
            }
            match self.connection.read_buf(&mut self.input).await {
                Ok(0) | Err(_) => return Ok(None),
                Ok(_) => {}
            }
        }
    }

    /// Open the stream; the server's features.
    pub(super) async fn open(&mut self, from: Option<&str>) -> Result<Element> {
        self.reader = reader();
        self.write(&login::header(&self.domain, from)).await?;
        match self.next().await? {
            Some(StreamEvent::Open(_)) => {}
            other => bail!("expected a stream header, got {other:?}"),
        }
        match self.next().await? {
            Some(StreamEvent::Stanza(features)) if features.is("features", ns::STREAM) => {
                Ok(features)
            }
            Some(StreamEvent::Stanza(other)) => Err(Refused(other).into()),
            other => bail!("expected features, got {other:?}"),
        }
    }
}

fn reader() -> StreamReader {
    StreamReader::new(Limits {
        stanza_bytes: 64 << 20,
        depth: 1000,
        elements: 1_000_000,
    })
}
