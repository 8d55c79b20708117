use super::*;

const STREAM: &str = "<?xml version='1.0'?><stream:stream from='load.test' version=\"1.0\">\
     <stream:features><starttls xmlns='x'/></stream:features> \n<presence/>\
     <message to='a>b' note=\"it's />\"><body>1 &lt; 2 &gt; 1</body><![CDATA[</message>]]></message>\
     <r xmlns='urn:xmpp:sm:3'/></stream:stream>";

/// What is found when the bytes come in pieces of this size.
fn found(scanner: &mut Scanner, stream: &str, piece: usize) -> Vec<String> {
    let mut all = Vec::new();
    for bytes in stream.as_bytes().chunks(piece) {
        scanner.feed(bytes);
        while let Some(found) = scanner.next_found().expect("a stream") {
            all.push(match found {
                Found::Header(range) => format!("header {}", words(scanner.bytes(range))),
                Found::Stanza(range) => words(scanner.bytes(range)),
                Found::End => "end".to_owned(),
            });
        }
        scanner.settle();
    }
    all
}

fn words(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

#[test]
fn stanzas_are_found_whatever_the_pieces() {
    let expected = [
        "header <stream:stream from='load.test' version=\"1.0\">",
        "<stream:features><starttls xmlns='x'/></stream:features>",
        "<presence/>",
        "<message to='a>b' note=\"it's />\"><body>1 &lt; 2 &gt; 1</body><![CDATA[</message>]]></message>",
        "<r xmlns='urn:xmpp:sm:3'/>",
        "end",
    ];
    for piece in 1..=STREAM.len() {
        let found = found(&mut Scanner::stream(), STREAM, piece);
        assert_eq!(found, expected, "in pieces of {piece}");
    }
}

#[test]
fn a_stanza_that_is_not_whole_is_not_found() {
    let mut scanner = Scanner::stream();
    let whole = found(
        &mut scanner,
        "<s:s><message><body>hello</body></message",
        100,
    );
    assert_eq!(whole, ["header <s:s>"]);
    assert_eq!(
        found(&mut scanner, ">", 1),
        ["<message><body>hello</body></message>"]
    );
}

#[test]
fn elements_of_the_same_name_may_stand_in_each_other() {
    let mut scanner = Scanner::frames();
    let forwarded = "<message><message><message/></message></message>";
    assert_eq!(
        found(&mut scanner, &(forwarded.to_owned() + "<a h='1'/>"), 3),
        [forwarded, "<a h='1'/>"]
    );
}

#[test]
fn an_end_tag_too_many_is_malformed() {
    let mut scanner = Scanner::frames();
    scanner.feed(b"<a></a></b>");
    assert!(matches!(scanner.next_found(), Ok(Some(Found::Stanza(_)))));
    assert_eq!(scanner.next_found(), Err(Malformed));
}

#[test]
fn an_idle_scanner_holds_little() {
    let mut scanner = Scanner::frames();
    let long = format!("<message>{}</message>", "x".repeat(1 << 20));
    assert_eq!(found(&mut scanner, &long, 1 << 16), [long]);
    assert!(scanner.buffer.capacity() <= KEPT);
}

#[test]
fn names_and_attributes_are_read_from_the_first_tag_only() {
    let stanza = b"<iq a='h=\"3\"' h = \"7\"><x id='inner' type='b'/></iq>";
    assert_eq!(name(stanza), b"iq");
    assert_eq!(attribute(stanza, "h"), Some(&b"7"[..]));
    assert_eq!(attribute(stanza, "a"), Some(&b"h=\"3\""[..]));
    assert_eq!(attribute(stanza, "id"), None);
    assert_eq!(name(b"<a/>"), b"a");
    assert_eq!(name(b"<stream:error>"), b"stream:error");
}

#[test]
fn text_is_that_of_the_element_asked_for() {
    let stanza = b"<m a='<body>no</body>'><bodyguard>no</bodyguard><body>yes</body></m>";
    assert_eq!(text(stanza, "body"), Some(&b"yes"[..]));
    assert_eq!(text(b"<m><body/></m>", "body"), Some(&b""[..]));
    assert_eq!(text(b"<m><body>not whole", "body"), None);
    assert_eq!(text(b"<m></m>", "body"), None);
}
