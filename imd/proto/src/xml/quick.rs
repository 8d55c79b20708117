//! A quick reader for what nearly all stanzas are: whole, without prefixes, comments or anything else unusual. What it
//! does not take, broken input among it, is left to `rxml`; what it does take, it reads as `rxml` does
//! (`fuzz/properties.rs` compares them).

use std::borrow::Cow;

use super::element::{Attribute, Element};
use super::stream::{Limits, TOKEN_BYTES};
use super::words;
use crate::ns;

/// Read one element that begins at the start of `input`; with how many bytes it has. `None`: the full parser has to.
pub(super) fn element(
    input: &[u8],
    default_ns: &'static str,
    limits: Limits,
) -> Option<(Element, usize)> {
    let mut reader = Reader { input, at: 0 };
    let mut elements = 0;
    // Elements that are open, outermost first, with their names as written.
    let mut open: Vec<(Element, &[u8])> = Vec::new();
    loop {
        // At the `<` of a tag.
        if reader.peek(1)? == b'/' {
            let (done, name) = open.pop()?;
            reader.at += 2;
            reader.expect(name)?;
            reader.expect(b">")?;
            match open.last_mut() {
                Some((parent, _)) => parent.push(done),
                None => return finished(done, reader.at, limits),
            }
        } else {
            elements += 1;
            if open.len() >= limits.depth || elements > limits.elements {
                return None;
            }
            let inherited = match open.last() {
                Some((parent, _)) => parent.shared_ns().clone(),
                None => Cow::Borrowed(default_ns),
            };
            let tag = reader.start_tag(inherited)?;
            if !tag.empty {
                open.push((tag.element, tag.name));
            } else if let Some((parent, _)) = open.last_mut() {
                parent.push(tag.element);
            } else {
                return finished(tag.element, reader.at, limits);
            }
        }
        let text = reader.text()?;
        if let (Some(text), Some((parent, _))) = (text, open.last_mut()) {
            parent.push_text(text);
        }
    }
}

fn finished(element: Element, bytes: usize, limits: Limits) -> Option<(Element, usize)> {
    (bytes <= limits.stanza_bytes).then_some((element, bytes))
}

/// The default namespace that a stream's header declares, if elements of the stream can be read with nothing else of the
/// header in mind: it declares this, and `stream` as the prefix of the stream itself.
pub(super) fn header_ns(header: &[u8]) -> Option<&'static str> {
    let start = memchr::memmem::find(header, b"<stream:stream")?;
    let mut reader = Reader {
        input: header,
        at: start + b"<stream:stream".len(),
    };
    let (mut default, mut stream) = (None, false);
    while let Some((name, value)) = reader.attribute()? {
        match name {
            b"xmlns" if value == ns::CLIENT => default = Some(ns::CLIENT),
            b"xmlns" if value == ns::SERVER => default = Some(ns::SERVER),
            b"xmlns:stream" if value == ns::STREAM => stream = true,
            _ if name.starts_with(b"xmlns") => return None,
            _ => {}
        }
    }
    default.filter(|_| stream && reader.peek(0) == Some(b'>'))
}

struct Tag<'a> {
    element: Element,
    name: &'a [u8],
    empty: bool,
}

struct Reader<'a> {
    input: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self, ahead: usize) -> Option<u8> {
        self.input.get(self.at + ahead).copied()
    }

    fn expect(&mut self, bytes: &[u8]) -> Option<()> {
        self.input.get(self.at..)?.starts_with(bytes).then(|| {
            self.at += bytes.len();
        })
    }

    fn take_while(&mut self, class: u8) -> &'a [u8] {
        let rest = self.input.get(self.at..).unwrap_or_default();
        let end = rest
            .iter()
            .position(|b| CLASSES[usize::from(*b)] & class == 0)
            .unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    /// A name of ASCII, with the prefixes it may have.
    fn name(&mut self) -> Option<&'a [u8]> {
        let first = self.peek(0)?;
        let name = self.take_while(NAME);
        let begins_well = first.is_ascii_alphabetic() || first == b'_';
        (begins_well && name.len() < TOKEN_BYTES).then_some(name)
    }

    /// The next attribute of a tag and its value, unescaped; `Some(None)` when the tag has no more.
    #[expect(clippy::option_option, reason = "the outer one gives up")]
    fn attribute(&mut self) -> Option<Option<(&'a [u8], Cow<'a, str>)>> {
        let space = !self.take_while(SPACE).is_empty();
        if matches!(self.peek(0)?, b'>' | b'/') {
            return Some(None);
        }
        if !space {
            return None;
        }
        let name = self.name()?;
        self.expect(b"=")?;
        let quote = self.peek(0)?;
        let class = match quote {
            b'\'' => IN_APOSTROPHES,
            b'"' => IN_QUOTES,
            _ => return None,
        };
        self.at += 1;
        let start = self.at;
        let value = self.characters(class)?;
        self.expect(&[quote])?;
        (self.at - start < TOKEN_BYTES).then_some(Some((name, value)))
    }

    /// A tag that begins an element, and the one that ends it if that is the same.
    fn start_tag(&mut self, inherited: Cow<'static, str>) -> Option<Tag<'a>> {
        self.expect(b"<")?;
        let name = self.name()?;
        if name.contains(&b':') {
            return None;
        }
        let mut own_ns = None;
        let mut attributes: Vec<Attribute> = Vec::new();
        while let Some((name, value)) = self.attribute()? {
            if name == b"xmlns" {
                if own_ns.replace(words::ns(&value)).is_some() {
                    return None;
                }
                continue;
            }
            let attribute = match name {
                b"xml:lang" => Attribute {
                    ns: Some(Cow::Borrowed(ns::XML)),
                    name: Cow::Borrowed("lang"),
                    value: value.into_owned(),
                },
                _ if name.contains(&b':') => return None,
                _ => Attribute {
                    ns: None,
                    name: words::name(std::str::from_utf8(name).ok()?),
                    value: value.into_owned(),
                },
            };
            // In the order in which rxml gives them, which is the same however they were written.
            let order = |other: &Attribute| {
                let key = |a: &Attribute| a.ns.is_some();
                (key(other), &other.name).cmp(&(key(&attribute), &attribute.name))
            };
            match attributes.binary_search_by(order) {
                Ok(_) => return None,
                Err(place) => attributes.insert(place, attribute),
            }
        }
        let empty = self.peek(0)? == b'/';
        self.at += usize::from(empty);
        self.expect(b">")?;
        let element = Element::from_parts(
            words::name(std::str::from_utf8(name).ok()?),
            own_ns.unwrap_or(inherited),
            attributes,
        );
        Some(Tag {
            element,
            name,
            empty,
        })
    }

    /// The text up to the next tag, which has to begin within the input.
    #[expect(clippy::option_option, reason = "the outer one gives up")]
    fn text(&mut self) -> Option<Option<String>> {
        if self.peek(0)? == b'<' {
            return Some(None);
        }
        let text = self.characters(IN_TEXT)?;
        (self.peek(0)? == b'<').then(|| Some(text.into_owned()))
    }

    /// Characters of a class and references, unescaped.
    fn characters(&mut self, class: u8) -> Option<Cow<'a, str>> {
        let plain = self.run(class)?;
        if self.peek(0)? != b'&' {
            return Some(Cow::Borrowed(plain));
        }
        let mut text = plain.to_owned();
        while self.peek(0)? == b'&' {
            text.push(self.reference()?);
            text.push_str(self.run(class)?);
        }
        Some(Cow::Owned(text))
    }

    fn run(&mut self, class: u8) -> Option<&'a str> {
        let text = std::str::from_utf8(self.take_while(class)).ok()?;
        // `]]>` may not stand in text, and the last two code points of the plane nowhere (XML 1.0 §2.2 and §2.4).
        let fine = text.is_ascii() || !text.contains(['\u{fffe}', '\u{ffff}']);
        (fine && !(class == IN_TEXT && text.contains("]]>"))).then_some(text)
    }

    /// One of the predefined entities, or a character by its number (XML 1.0 §4.1 and §4.6).
    fn reference(&mut self) -> Option<char> {
        let rest = self.input.get(self.at + 1..)?;
        let end = rest.iter().take(12).position(|b| *b == b';')?;
        let character = match &rest[..end] {
            b"amp" => '&',
            b"lt" => '<',
            b"gt" => '>',
            b"apos" => '\'',
            b"quot" => '"',
            [b'#', b'x', digits @ ..] => numbered(digits, 16)?,
            [b'#', digits @ ..] => numbered(digits, 10)?,
            _ => return None,
        };
        self.at += end + 2;
        Some(character)
    }
}

fn numbered(digits: &[u8], radix: u32) -> Option<char> {
    let text = std::str::from_utf8(digits).ok()?;
    if !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None; // A sign, which `from_str_radix` would take.
    }
    let character = char::from_u32(u32::from_str_radix(text, radix).ok()?)?;
    let allowed = matches!(character, '\t' | '\n' | '\r' | ' '..)
        && !matches!(character, '\u{fffe}' | '\u{ffff}');
    allowed.then_some(character)
}

const NAME: u8 = 1;
const SPACE: u8 = 2;
const IN_TEXT: u8 = 4;
const IN_APOSTROPHES: u8 = 8;
const IN_QUOTES: u8 = 16;

/// Which bytes can stand where without ending a name, a run of text or a value.
static CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut index = 0;
    while index < 256 {
        #[expect(clippy::cast_possible_truncation, reason = "an index below 256")]
        let byte = index as u8;
        let mut class = 0;
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':') {
            class |= NAME;
        }
        if matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
            class |= SPACE;
        }
        // A carriage return becomes a line feed, and any white space in a value a space: left to the full parser.
        if byte >= b' ' && byte != b'<' && byte != b'&' {
            class |= IN_TEXT;
            if byte != b'\'' {
                class |= IN_APOSTROPHES;
            }
            if byte != b'"' {
                class |= IN_QUOTES;
            }
        }
        if matches!(byte, b'\t' | b'\n') {
            class |= IN_TEXT;
        }
        classes[index] = class;
        index += 1;
    }
    classes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::parse_document;

    /// What the quick reader makes of a stanza, checked against the full parser.
    fn read(stanza: &str) -> Option<Element> {
        let (element, bytes) = element(stanza.as_bytes(), ns::CLIENT, Limits::default())?;
        assert_eq!(bytes, stanza.len());
        // The prefix keeps the quick reader away.
        let in_full = format!("<s:s xmlns:s='s' xmlns='jabber:client'>{stanza}</s:s>");
        let whole = parse_document(&in_full, Limits::default()).unwrap();
        assert_eq!(whole.first_child(), Some(&element));
        Some(element)
    }

    #[test]
    fn what_is_usual_is_read_as_the_full_parser_reads_it() {
        for stanza in [
            "<presence/>",
            "<r xmlns='urn:xmpp:sm:3'/>",
            "<message type=\"chat\" to='b@c/d' id='1'><body>a &amp; b &#x1F600; ] 'é'\n\t\"</body></message>",
            "<iq id='i' type='get' xml:lang='de'><query xmlns='urn:q' b='1' a='&quot;'><x/>t<y xmlns=''/></query></iq>",
            "<message ><body  xmlns='u'  >x]]&gt;</body></message>",
        ] {
            assert!(read(stanza).is_some(), "{stanza}");
        }
    }

    #[test]
    fn what_is_unusual_or_not_all_there_is_left_to_the_full_parser() {
        for stanza in [
            "<message><body>x</body>",
            "<message",
            "<message to='b",
            "<x:a xmlns:x='u'/>",
            "<a x:b='c'/>",
            "<a b='1' b='2'/>",
            "<a b='1'c='2'/>",
            "<a b = '1'/>",
            "<a b='\n'/>",
            "<a b='<'/>",
            "<a>]]></a>",
            "<a>\r</a>",
            "<a>\u{1}</a>",
            "<a>\u{ffff}</a>",
            "<a>&#0;</a>",
            "<a>&#+65;</a>",
            "<a>&unknown;</a>",
            "<a><!-- c --></a>",
            "<a><![CDATA[c]]></a>",
            "<a></b>",
            "<a></a >",
            "<1/>",
            "<é/>",
        ] {
            assert!(
                element(stanza.as_bytes(), ns::CLIENT, Limits::default()).is_none(),
                "{stanza}"
            );
        }
    }

    #[test]
    fn limits_are_left_to_the_full_parser_to_tell_of() {
        let limits = Limits {
            stanza_bytes: 20,
            depth: 2,
            elements: 3,
        };
        let taken = |text: &str| element(text.as_bytes(), ns::CLIENT, limits).is_some();
        assert!(taken("<a><b/><c/></a>"));
        assert!(!taken("<a><b><c/></b></a>"));
        assert!(!taken("<a><b/><c/><d/></a>"));
        assert!(!taken("<a>more than twenty bytes</a>"));
    }

    #[test]
    fn a_header_is_forgotten_only_where_nothing_else_of_it_counts() {
        let ns_of = |header: &str| header_ns(header.as_bytes());
        let stream = "xmlns:stream='http://etherx.jabber.org/streams'";
        let plain =
            format!("<?xml version='1.0'?><stream:stream to='a' xmlns='jabber:client' {stream}>");
        assert_eq!(ns_of(&plain), Some(ns::CLIENT));
        for header in [
            format!("<stream:stream xmlns='jabber:client' {stream}/>"),
            format!("<stream:stream xmlns='jabber:client' {stream} xmlns:x='u'>"),
            format!("<stream:stream xmlns='jabber:component:accept' {stream}>"),
            format!("<stream:stream {stream}>"),
            format!("<stream:stream a=\"xmlns='jabber:client'\" {stream}>"),
            "<s:stream xmlns='jabber:client' xmlns:s='http://etherx.jabber.org/streams'>"
                .to_owned(),
        ] {
            assert_eq!(ns_of(&header), None, "{header}");
        }
    }
}
