//! Finds where stanzas begin and end in the bytes of a stream, and does nothing else: no tree, no copy, no validation.
//!
//! It knows tags, quotes and CDATA (RFC 6120 §11 has no comments and processing instructions but the declaration), which
//! is what a server that is measured sends. Bytes are looked at once, except those of a tag that has not come whole.

use std::ops::Range;

use memchr::{memchr, memchr2, memchr3, memmem};

/// What a server may leave unfinished; more is a mistake of one side.
const MOST: usize = 16 << 20;
/// What is kept of an empty buffer.
const KEPT: usize = 4 << 10;

/// What was found; ranges are to be looked up with [`Scanner::bytes`] before anything is fed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// The stream's header.
    Header(Range<usize>),
    /// A whole element below it.
    Stanza(Range<usize>),
    /// The stream's end tag.
    End,
}

/// The bytes cannot be a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// The state between two pieces of a stream.
#[derive(Debug, Default)]
pub struct Scanner {
    buffer: Vec<u8>,
    /// Everything before is done with.
    done: usize,
    /// Where to look on.
    at: usize,
    /// How many elements are open.
    depth: u32,
    /// How many are open outside a stanza: 1 in a TCP stream, 0 where each frame is a document (RFC 7395).
    outer: u32,
}

impl Scanner {
    /// For a stream that is one document (RFC 6120).
    #[must_use]
    pub fn stream() -> Self {
        Self {
            outer: 1,
            ..Self::default()
        }
    }

    /// For frames that are a document each (RFC 7395).
    #[must_use]
    pub fn frames() -> Self {
        Self::default()
    }

    /// Adds bytes that were received.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.done > 0 {
            self.buffer.drain(..self.done);
            self.at -= self.done;
            self.done = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The bytes of something found.
    #[must_use]
    pub fn bytes(&self, range: Range<usize>) -> &[u8] {
        self.buffer.get(range).unwrap_or_default()
    }

    /// Gives memory back when everything has been looked at.
    pub fn settle(&mut self) {
        if self.done == self.buffer.len() {
            self.buffer.clear();
            self.buffer.shrink_to(KEPT);
            (self.done, self.at) = (0, 0);
        }
    }

    /// The next that is there whole.
    ///
    /// # Errors
    ///
    /// The bytes are no stream: more end tags than elements, or an element beyond all bounds.
    pub fn next_found(&mut self) -> Result<Option<Found>, Malformed> {
        loop {
            let rest = self.buffer.get(self.at..).unwrap_or_default();
            let Some(open) = memchr(b'<', rest) else {
                self.at = self.buffer.len();
                if self.depth <= self.outer {
                    // White space between stanzas.
                    self.done = self.at;
                }
                return self.wait();
            };
            self.at += open;
            if self.depth <= self.outer {
                self.done = self.at;
            }
            let tag = self.buffer.get(self.at..).unwrap_or_default();
            let Some(length) = tag_length(tag) else {
                return self.wait();
            };
            let kind = kind(&tag[..length]);
            self.at += length;
            if let Some(found) = self.pass(kind, length)? {
                return Ok(Some(found));
            }
        }
    }

    fn wait(&self) -> Result<Option<Found>, Malformed> {
        if self.buffer.len() - self.done > MOST {
            return Err(Malformed);
        }
        Ok(None)
    }

    /// Takes account of a tag that has been passed.
    fn pass(&mut self, kind: Tag, length: usize) -> Result<Option<Found>, Malformed> {
        let whole = |from: usize| Ok(Some(Found::Stanza(from..self.at)));
        match kind {
            Tag::Other => {}
            Tag::Empty if self.depth == self.outer => {
                let from = std::mem::replace(&mut self.done, self.at);
                return whole(from);
            }
            Tag::Empty => {}
            Tag::Start => {
                self.depth += 1;
                if self.depth == self.outer {
                    self.done = self.at;
                    return Ok(Some(Found::Header(self.at - length..self.at)));
                }
            }
            Tag::End => {
                self.depth = self.depth.checked_sub(1).ok_or(Malformed)?;
                if self.depth == self.outer {
                    let from = std::mem::replace(&mut self.done, self.at);
                    return whole(from);
                }
                if self.depth < self.outer {
                    self.done = self.at;
                    return Ok(Some(Found::End));
                }
            }
        }
        Ok(None)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tag {
    Start,
    End,
    Empty,
    /// A declaration, CDATA.
    Other,
}

fn kind(tag: &[u8]) -> Tag {
    match (tag.get(1), tag.get(tag.len().wrapping_sub(2))) {
        (Some(b'?' | b'!'), _) => Tag::Other,
        (Some(b'/'), _) => Tag::End,
        (_, Some(b'/')) => Tag::Empty,
        _ => Tag::Start,
    }
}

/// How long the tag is that begins here; nothing while its end is not there.
fn tag_length(tag: &[u8]) -> Option<usize> {
    const CDATA: &[u8] = b"<![CDATA[";
    if tag.starts_with(CDATA) {
        return memmem::find(tag, b"]]>").map(|at| at + 3);
    }
    if tag.len() < CDATA.len() && CDATA.starts_with(tag) {
        return None;
    }
    let mut at = 1;
    loop {
        at += memchr3(b'>', b'"', b'\'', tag.get(at..)?)?;
        match tag[at] {
            b'>' => return Some(at + 1),
            quote => at += 2 + memchr(quote, tag.get(at + 1..)?)?,
        }
    }
}

/// An element's name, with its prefix.
#[must_use]
pub fn name(element: &[u8]) -> &[u8] {
    let element = element.get(1..).unwrap_or_default();
    let end = element
        .iter()
        .position(|b| b.is_ascii_whitespace() || matches!(b, b'/' | b'>'));
    &element[..end.unwrap_or(element.len())]
}

/// The value of an attribute of the first tag, as it stands there (escapes are left).
#[must_use]
pub fn attribute<'e>(element: &'e [u8], wanted: &str) -> Option<&'e [u8]> {
    let mut rest = element.get(1 + name(element).len()..)?;
    loop {
        let stop = memchr2(b'=', b'>', rest)?;
        if rest[stop] == b'>' {
            return None;
        }
        let key = rest[..stop].trim_ascii();
        let quoted = rest[stop + 1..].trim_ascii_start();
        let (quote, value) = quoted.split_first()?;
        let end = memchr(*quote, value)?;
        if key == wanted.as_bytes() {
            return Some(&value[..end]);
        }
        rest = &value[end + 1..];
    }
}

/// The text of the first element of that name within, as it stands there.
#[must_use]
pub fn text<'e>(element: &'e [u8], wanted: &str) -> Option<&'e [u8]> {
    let mut from = 0;
    loop {
        from += memchr(b'<', element.get(from..)?)?;
        let tag = &element[from..];
        let length = tag_length(tag)?;
        if name(tag) == wanted.as_bytes() {
            if kind(&tag[..length]) == Tag::Empty {
                return Some(b"");
            }
            let inner = &tag[length..];
            return Some(&inner[..memchr(b'<', inner)?]);
        }
        from += length;
    }
}

/// Whether these bytes stand in the element.
#[must_use]
pub fn contains(element: &[u8], what: &str) -> bool {
    memmem::find(element, what.as_bytes()).is_some()
}

#[cfg(test)]
mod tests;
