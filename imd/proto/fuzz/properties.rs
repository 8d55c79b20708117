// What must hold for every input, in the fuzz targets and in `tests/fuzz_corpus.rs` (which includes this file).

use imd_proto::Jid;
use imd_proto::xml::{Element, Limits, StreamEvent, StreamReader, parse_document};

/// Small, so that short inputs reach each of them.
const LIMITS: Limits = Limits {
    stanza_bytes: 4096,
    depth: 8,
    elements: 64,
};

/// The events of a stream in a comparable form, up to and with its error. `piece`: how many bytes at a time.
fn events(bytes: &[u8], piece: usize) -> Vec<String> {
    let mut reader = StreamReader::new(LIMITS);
    let mut seen = Vec::new();
    for mut input in bytes.chunks(piece) {
        loop {
            match reader.next(&mut input) {
                Ok(Some(StreamEvent::Stanza(element))) => {
                    assert_within_limits(&element, 1);
                    assert_survives_writing(&element);
                    seen.push(format!("{element:?}"));
                }
                Ok(Some(event)) => seen.push(format!("{event:?}")),
                Ok(None) => break,
                Err(error) => {
                    seen.push(format!("error {}", error.condition.as_str()));
                    return seen;
                }
            }
        }
    }
    seen
}

fn assert_within_limits(element: &Element, depth: usize) {
    assert!(depth <= LIMITS.depth, "deeper than the limit: {element:?}");
    for child in element.children() {
        assert_within_limits(child, depth + 1);
    }
}

/// What is written reads as the same element: nothing can be smuggled through us into another client's stream.
fn assert_survives_writing(element: &Element) {
    let written = element.to_xml();
    let roomy = Limits {
        stanza_bytes: 1 << 20,
        depth: 64,
        elements: 4096,
    };
    match parse_document(&written, roomy) {
        Ok(again) => assert_eq!(&again, element, "written as {written}"),
        Err(error) => panic!("what was written cannot be read, {error:?}: {written}"),
    }
}

/// A stream means the same however the network cuts it, and never panics, passes a limit or changes in writing.
pub fn stream(bytes: &[u8]) {
    let whole = events(bytes, usize::MAX);
    for piece in [1, 7] {
        assert_eq!(events(bytes, piece), whole, "in pieces of {piece}");
    }
}

/// A prepared address is a fixed point: preparing it again changes nothing.
pub fn jid(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let Ok(address) = text.parse::<Jid>() else {
        return;
    };
    let again = address.as_str().parse::<Jid>();
    assert!(
        again.is_ok_and(|again| again == address),
        "{text:?} became {:?}",
        address.as_str()
    );
}
