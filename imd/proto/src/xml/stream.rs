//! The reader of XMPP streams (RFC 6120 §4): bytes in, stream headers and whole stanzas out, under limits.
//!
//! XML is parsed by `rxml`, which knows only the restricted XML of RFC 6120 §11.1: a document type, an
//! entity, a comment or a processing instruction is an error there, not a feature to switch off.

use rxml::error::EndOrError;
use rxml::{AttrMap, Event, Parse, Parser, QName, parser::Options, parser::WithOptions};

use super::element::{Attribute, Element};
use super::{quick, words};
use crate::error::{StreamCondition, StreamError};
use crate::ns;

/// What a peer may make us hold.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of one stanza, headers included.
    pub stanza_bytes: usize,
    /// Elements inside one another in a stanza.
    pub depth: usize,
    /// Elements in a stanza.
    pub elements: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            stanza_bytes: 256 * 1024,
            depth: 64,
            elements: 4096,
        }
    }
}

/// What the stream brought.
#[derive(Debug)]
pub enum StreamEvent {
    /// The stream header: the root element without children.
    Open(Element),
    /// A child of the root, whole.
    Stanza(Element),
    /// The root's end tag.
    Close,
}

/// Reads one stream from its header to its end tag. A restarted stream gets a new reader.
///
/// The parser takes 16 KiB for itself, and no short cuts: it is there only while it reads something that the quick
/// reader leaves to it.
pub struct StreamReader {
    /// Inside the stream but between stanzas it can be made anew, from the header.
    parser: Option<Box<Parser>>,
    header: Header,
    limits: Limits,
    /// Whether anything but white space has come.
    begun: bool,
    /// Elements begun and not ended, outermost first, without the root.
    stack: Vec<Element>,
    bytes: usize,
    elements: usize,
}

/// What of the stream's header has to be kept for what follows it.
enum Header {
    /// It has not ended yet: all of it so far.
    Before(Vec<u8>),
    /// There is none: a document of its own.
    Document,
    /// Nothing but the default namespace.
    Plain(&'static str),
    /// All of it.
    Whole(Box<[u8]>),
}

/// The most bytes of one attribute value.
pub(super) const TOKEN_BYTES: usize = 16 * 1024;

impl StreamReader {
    /// A reader before the stream header.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            parser: None,
            header: Header::Before(Vec::new()),
            limits,
            begun: false,
            stack: Vec::new(),
            bytes: 0,
            elements: 0,
        }
    }

    /// Take the next event out of `input`, which is advanced past what was read. `None`: more bytes are needed.
    ///
    /// # Errors
    /// With the stream error to send when the input is not a stream, or passes a limit.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<StreamEvent>, StreamError> {
        if !self.begun {
            match input.iter().find(|b| !b.is_ascii_whitespace()) {
                // The parser would wait for the end of the text, such as that of a browser's request.
                Some(b) if *b != b'<' => {
                    let text = "a stream begins with <";
                    return Err(StreamError::with_text(StreamCondition::NotWellFormed, text));
                }
                Some(_) => self.begun = true,
                None => {}
            }
        }
        if let Some(element) = self.quick(input) {
            return Ok(Some(StreamEvent::Stanza(element)));
        }
        if input.is_empty() && self.parser.is_none() {
            return Ok(None);
        }
        let mut parser = match self.parser.take() {
            Some(parser) => parser,
            None => Box::new(self.new_parser()?),
        };
        let event = self.parse(&mut parser, input);
        // Between stanzas nothing is in it that the header does not tell again.
        let told = match &self.header {
            Header::Before(_) => false,
            // The end of the stream is still to come out.
            Header::Whole(header) => !header.ends_with(b"/>"),
            Header::Document | Header::Plain(_) => true,
        };
        if !(told && self.is_between_stanzas() && input.is_empty()) {
            self.parser = Some(parser);
        }
        event
    }

    /// Read a stanza that is all there and has nothing unusual, and the white space in front of it.
    fn quick(&self, input: &mut &[u8]) -> Option<Element> {
        if !self.is_between_stanzas() {
            return None;
        }
        if let Header::Plain(_) | Header::Whole(_) = self.header {
            let space = |b: &u8| matches!(b, b' ' | b'\t' | b'\n' | b'\r');
            let begin = input.iter().position(|b| !space(b));
            *input = &input[begin.unwrap_or(input.len())..];
        }
        let default_ns = match self.header {
            Header::Plain(ns) => ns,
            Header::Document => "",
            Header::Before(_) | Header::Whole(_) => return None,
        };
        let (element, bytes) = quick::element(input, default_ns, self.limits)?;
        *input = &input[bytes..];
        Some(element)
    }

    /// A parser that has read the header, where there has been one.
    fn new_parser(&self) -> Result<Parser, StreamError> {
        let mut parser = Parser::with_options(Options {
            max_token_length: TOKEN_BYTES,
            ..Options::default()
        });
        let plain;
        let mut header = match &self.header {
            Header::Before(_) | Header::Document => return Ok(parser),
            Header::Plain(ns) => {
                plain = format!("<stream:stream xmlns='{ns}' xmlns:stream='{}'>", ns::STREAM);
                plain.as_bytes()
            }
            Header::Whole(header) => header,
        };
        while !header.is_empty() {
            match parser.parse(&mut header, false) {
                Ok(_) => {}
                Err(EndOrError::NeedMoreData) => break,
                Err(EndOrError::Error(error)) => return Err(fault(&error)),
            }
        }
        Ok(parser)
    }

    fn parse(
        &mut self,
        parser: &mut Parser,
        input: &mut &[u8],
    ) -> Result<Option<StreamEvent>, StreamError> {
        loop {
            let before = *input;
            let parsed = parser.parse(input, false);
            let read = &before[..before.len() - input.len()];
            self.count(read.len())?;
            if let Header::Before(header) = &mut self.header {
                header.extend_from_slice(read);
            }
            match parsed {
                Ok(Some(event)) => {
                    if let Some(event) = self.take(event)? {
                        return Ok(Some(event));
                    }
                }
                Ok(None) | Err(EndOrError::NeedMoreData) => return Ok(None),
                Err(EndOrError::Error(error)) => return Err(fault(&error)),
            }
        }
    }

    /// Go on under other limits, as after a login without a new stream (XEP-0388).
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Whether nothing is held but the open stream: no stanza has been begun.
    #[must_use]
    pub fn is_between_stanzas(&self) -> bool {
        self.stack.is_empty() && self.bytes == 0
    }

    fn count(&mut self, bytes: usize) -> Result<(), StreamError> {
        self.bytes += bytes;
        if self.bytes > self.limits.stanza_bytes {
            return Err(StreamError::with_text(
                StreamCondition::PolicyViolation,
                format!(
                    "a stanza may have {} bytes at the most",
                    self.limits.stanza_bytes
                ),
            ));
        }
        Ok(())
    }

    fn take(&mut self, event: Event) -> Result<Option<StreamEvent>, StreamError> {
        match event {
            Event::XmlDeclaration(..) => Ok(None),
            Event::StartElement(_, name, attributes) => self.start(name, attributes),
            Event::Text(_, text) => self.text(text),
            Event::EndElement(_) => Ok(self.end()),
        }
    }

    fn start(
        &mut self,
        name: QName,
        attributes: AttrMap,
    ) -> Result<Option<StreamEvent>, StreamError> {
        let element = element_of(name, attributes);
        if let Header::Before(header) = &mut self.header {
            let header = std::mem::take(header);
            self.header = match quick::header_ns(&header) {
                Some(ns) => Header::Plain(ns),
                None => Header::Whole(header.into()),
            };
            self.bytes = 0;
            return Ok(Some(StreamEvent::Open(element)));
        }
        self.elements += 1;
        if self.stack.len() >= self.limits.depth || self.elements > self.limits.elements {
            return Err(StreamError::with_text(
                StreamCondition::PolicyViolation,
                format!(
                    "a stanza may have {} elements, {} deep, at the most",
                    self.limits.elements, self.limits.depth
                ),
            ));
        }
        self.stack.push(element);
        Ok(None)
    }

    fn text(&mut self, text: String) -> Result<Option<StreamEvent>, StreamError> {
        match self.stack.last_mut() {
            Some(parent) => parent.push_text(text),
            // White space between stanzas keeps a connection alive (RFC 6120 §4.6.1).
            None if text.bytes().all(|b| b.is_ascii_whitespace()) => self.bytes = 0,
            None => {
                return Err(StreamError::with_text(
                    StreamCondition::BadFormat,
                    "text is not allowed between stanzas".to_owned(),
                ));
            }
        }
        Ok(None)
    }

    fn end(&mut self) -> Option<StreamEvent> {
        let Some(done) = self.stack.pop() else {
            return Some(StreamEvent::Close);
        };
        if let Some(parent) = self.stack.last_mut() {
            parent.push(done);
            return None;
        }
        self.bytes = 0;
        self.elements = 0;
        Some(StreamEvent::Stanza(done))
    }
}

fn element_of((ns, name): QName, attributes: AttrMap) -> Element {
    let attributes = attributes
        .into_iter()
        .map(|((ns, name), value)| Attribute {
            ns: (!ns.is_empty()).then(|| words::ns(&ns)),
            name: words::name(&name),
            value,
        })
        .collect();
    Element::from_parts(words::name(&name), words::ns(&ns), attributes)
}

fn fault(error: &rxml::Error) -> StreamError {
    use rxml::Error as E;
    let condition = match error {
        // How rxml words `<!` before anything but `[CDATA[`: a document type, or rubbish.
        E::InvalidSyntax("malformed cdata or comment section start")
        | E::RestrictedXml(_)
        | E::UndeclaredEntity => StreamCondition::RestrictedXml,
        E::InvalidUtf8Byte(_) => StreamCondition::UnsupportedEncoding,
        E::UndeclaredNamespacePrefix(_) => StreamCondition::BadNamespacePrefix,
        _ => StreamCondition::NotWellFormed,
    };
    StreamError::with_text(condition, error.to_string())
}

/// Parse one whole element, as it is stored or framed in a WebSocket message.
///
/// # Errors
/// With the stream error that fits when the text is not exactly one well-formed element within the limits.
pub fn parse_document(text: &str, limits: Limits) -> Result<Element, StreamError> {
    let mut reader = StreamReader::new(limits);
    reader.header = Header::Document;
    let mut input = text.as_bytes();
    let unfinished = || {
        StreamError::with_text(
            StreamCondition::NotWellFormed,
            "the element is not complete".to_owned(),
        )
    };
    match reader.next(&mut input)? {
        Some(StreamEvent::Stanza(element)) => {
            // What follows the root can only be white space: rxml refuses a second root.
            if input.iter().all(u8::is_ascii_whitespace) {
                Ok(element)
            } else {
                Err(unfinished())
            }
        }
        _ => Err(unfinished()),
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
