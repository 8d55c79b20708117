use super::*;

const HEADER: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' \
    xmlns:stream='http://etherx.jabber.org/streams' to='a' version='1.0'>";

fn read(text: &[u8], chunk: usize) -> Result<Vec<StreamEvent>, StreamError> {
    let mut reader = StreamReader::new(Limits {
        stanza_bytes: 1000,
        depth: 5,
        elements: 20,
    });
    let mut events = Vec::new();
    for piece in text.chunks(chunk) {
        let mut input = piece;
        while let Some(event) = reader.next(&mut input)? {
            events.push(event);
        }
    }
    Ok(events)
}

fn error(text: &str) -> StreamCondition {
    read(format!("{HEADER}{text}").as_bytes(), 7)
        .unwrap_err()
        .condition
}

#[test]
fn a_stream_comes_out_whole_however_it_is_cut() {
    let text = format!(
        "{HEADER} <message to='b' xml:lang='de'><body>a &amp; b</body><x xmlns='u'/></message>\n</stream:stream>"
    );
    for chunk in [1, 2, 3, 10, 1000] {
        let events = read(text.as_bytes(), chunk).unwrap();
        let [
            StreamEvent::Open(open),
            StreamEvent::Stanza(stanza),
            StreamEvent::Close,
        ] = &events[..]
        else {
            panic!("{events:?}");
        };
        assert_eq!(open.attr("to"), Some("a"));
        assert_eq!(
            stanza.to_xml_in("jabber:client"),
            "<message to='b' xml:lang='de'><body>a &amp; b</body><x xmlns='u'/></message>"
        );
    }
}

#[test]
fn what_is_not_allowed_ends_with_its_stream_error() {
    use StreamCondition as C;
    assert_eq!(error("<a><b></a>"), C::NotWellFormed);
    assert_eq!(error("<!DOCTYPE a>"), C::RestrictedXml);
    assert_eq!(error("<a>&lol;</a>"), C::RestrictedXml);
    assert_eq!(error("<a><!-- c --></a>"), C::RestrictedXml);
    assert_eq!(error("<a><?php ?></a>"), C::RestrictedXml);
    assert_eq!(error("<x:a/>"), C::BadNamespacePrefix);
    assert_eq!(error("words<a/>"), C::BadFormat);
    assert_eq!(error(&"<a>".repeat(6)), C::PolicyViolation);
    assert_eq!(
        error(&format!("<a>{}</a>", "<b/>".repeat(20))),
        C::PolicyViolation
    );
    assert_eq!(
        error(&format!("<a>{}", "x".repeat(1001))),
        C::PolicyViolation
    );
    let bad = [HEADER.as_bytes(), b"<a>\xff</a>"].concat();
    assert_eq!(
        read(&bad, 100).unwrap_err().condition,
        C::UnsupportedEncoding
    );
}

#[test]
fn a_document_is_exactly_one_element() {
    let limits = Limits::default();
    assert_eq!(
        parse_document("<a xmlns='u'>t</a>", limits).unwrap().text(),
        "t"
    );
    assert!(parse_document("<a xmlns='u'>", limits).is_err());
    assert!(parse_document("", limits).is_err());
    assert!(parse_document("<a/><b/>", limits).is_err());
}
