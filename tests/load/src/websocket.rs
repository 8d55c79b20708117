//! As much of WebSocket (RFC 6455) as an XMPP client needs (RFC 7395): the request, masked text frames out, frames in.

/// The request that turns a connection to `path` into a WebSocket.
#[must_use]
pub fn request(host: &str, path: &str) -> String {
    // The key need not be secret, nor another each time: it only shows that the server knows WebSocket.
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: xmpp\r\n\r\n"
    )
}

/// Appends a text frame. Its mask is zero, which is as good as any to measure with and spares the work.
pub fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    put(out, 0x81, text);
}

/// Appends the answer to a ping.
pub fn put_pong(out: &mut Vec<u8>, payload: &[u8]) {
    put(out, 0x8a, payload);
}

fn put(out: &mut Vec<u8>, first: u8, payload: &[u8]) {
    const MASKED: u8 = 0x80;
    out.push(first);
    match payload.len() {
        short @ 0..126 => out.push(MASKED | short as u8),
        middle @ 126..=0xffff => {
            out.push(MASKED | 126);
            out.extend_from_slice(&(middle as u16).to_be_bytes());
        }
        long => {
            out.push(MASKED | 127);
            out.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(payload);
}

/// What a frame of the server is.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame<'b> {
    /// Text, or its continuation.
    Text(&'b [u8]),
    /// A ping, which has to be answered.
    Ping(&'b [u8]),
    /// The end.
    Close,
    /// Anything else.
    Other,
}

/// Collects bytes until frames are whole.
#[derive(Debug, Default)]
pub struct Frames {
    buffer: Vec<u8>,
}

impl Frames {
    /// Adds bytes and calls `each` for the frames that are whole now.
    pub fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(Frame<'_>)) {
        self.buffer.extend_from_slice(bytes);
        let mut done = 0;
        while let Some((opcode, payload)) = frame(&self.buffer[done..]) {
            let bytes = &self.buffer[done + payload.start..done + payload.end];
            each(match opcode {
                0 | 1 => Frame::Text(bytes),
                8 => Frame::Close,
                9 => Frame::Ping(bytes),
                _ => Frame::Other,
            });
            done += payload.end;
        }
        self.buffer.drain(..done);
        if self.buffer.is_empty() {
            self.buffer.shrink_to(4096);
        }
    }
}

/// The opcode of the frame that begins here, and where its payload is.
fn frame(bytes: &[u8]) -> Option<(u8, std::ops::Range<usize>)> {
    let (first, second) = (*bytes.first()?, *bytes.get(1)?);
    let (header, length) = match second & 0x7f {
        126 => (
            4,
            u64::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)),
        ),
        127 => (10, u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)),
        short => (2, u64::from(short)),
    };
    let end = usize::try_from(length).ok()?.checked_add(header)?;
    (bytes.len() >= end).then_some((first & 0x0f, header..end))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame as a server sends it: not masked.
    fn from_server(opcode: u8, payload: &[u8]) -> Vec<u8> {
        let mut masked = Vec::new();
        put(&mut masked, 0x80 | opcode, payload);
        let mask = masked.len() - payload.len() - 4;
        masked.drain(mask..mask + 4);
        masked[1] &= 0x7f;
        masked
    }

    #[test]
    fn frames_of_every_length_come_out_of_any_pieces() {
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            let text = vec![b'x'; length];
            let mut bytes = from_server(1, &text);
            bytes.extend(from_server(9, b"ping"));
            let piece = 1 + length / 7;
            let (mut frames, mut seen) = (Frames::default(), Vec::new());
            for bytes in bytes.chunks(piece) {
                frames.feed(bytes, |frame| seen.push(format!("{frame:?}")));
            }
            let expected = [Frame::Text(&text), Frame::Ping(b"ping")].map(|f| format!("{f:?}"));
            assert_eq!(seen, expected, "{length} bytes");
        }
    }
}
