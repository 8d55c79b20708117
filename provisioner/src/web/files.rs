//! Large files, to a browser and from one, a piece at a time.

use std::path::Path;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use axum::body::Bytes;
use axum::extract::multipart::Field;
use hyper::body::{Body, Frame};
use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};

/// What is read at once.
const PIECE: usize = 64 << 10;

/// A file on its way to a browser.
pub struct Sending {
    file: File,
    piece: Vec<u8>,
}

impl Sending {
    /// From where the file is read now.
    pub fn new(file: File) -> Self {
        let piece = vec![0; PIECE];
        Self { file, piece }
    }
}

impl Body for Sending {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let Self { file, piece } = self.get_mut();
        let mut buffer = ReadBuf::new(piece);
        match pin!(file).poll_read(context, &mut buffer) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(error)) => Poll::Ready(Some(Err(error))),
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => Poll::Ready(None),
            Poll::Ready(Ok(())) => {
                let data = Bytes::copy_from_slice(buffer.filled());
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
        }
    }
}

/// Writes a file that comes from a browser; nothing is left of one that does not come whole.
///
/// # Errors
/// It did not come whole, or cannot be written: in English, for whoever is asked for help.
pub async fn receive(field: Field<'_>, place: &Path) -> Result<u64, String> {
    let written = write(field, place).await;
    if written.is_err() {
        let _ = tokio::fs::remove_file(place).await;
    }
    written
}

async fn write(mut field: Field<'_>, place: &Path) -> Result<u64, String> {
    let said = |error: std::io::Error| format!("{}: {error}", place.display());
    let mut options = OpenOptions::new();
    // The agent's programs read it by their group.
    options.write(true).create(true).truncate(true).mode(0o640);
    let mut file = options.open(place).await.map_err(said)?;
    let mut bytes = 0;
    while let Some(piece) = field.chunk().await.map_err(|error| error.to_string())? {
        bytes += piece.len() as u64;
        file.write_all(&piece).await.map_err(said)?;
    }
    file.sync_all().await.map_err(said)?;
    Ok(bytes)
}
