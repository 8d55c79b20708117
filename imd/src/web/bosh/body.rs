//! The `<body/>` that wraps what a request or a response carries.

use imd_proto::Element;
use imd_proto::xml::attribute_into;

/// XEP-0124.
pub(super) const HTTPBIND: &str = "http://jabber.org/protocol/httpbind";
/// XEP-0206.
const XBOSH: &str = "urn:xmpp:xbosh";
/// Request ids are whole numbers that JavaScript can hold (XEP-0124 §7.1).
const MAX_RID: u64 = 1 << 53;

/// What a request says.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) rid: u64,
    /// The session; absent: it is to begin.
    pub(super) sid: Option<String>,
    pub(super) to: Option<String>,
    pub(super) from: Option<String>,
    /// Seconds that the client wants its requests to be held.
    pub(super) wait: Option<u64>,
    /// Requests that it wants to be held.
    pub(super) hold: Option<usize>,
    /// Seconds of silence that it asks for.
    pub(super) pause: Option<u64>,
    pub(super) terminate: bool,
    pub(super) restart: bool,
    /// Key sequencing (XEP-0124 §15).
    pub(super) key: Option<String>,
    pub(super) new_key: Option<String>,
    pub(super) payloads: Vec<Element>,
}

impl Body {
    /// Read a body; absent when an attribute is not what it should be.
    pub(super) fn read(element: Element) -> Option<Self> {
        let text = |name| element.attr(name).map(str::to_owned);
        let number = |name| match element.attr(name) {
            None => Some(None),
            Some(text) => text.parse::<u64>().ok().map(Some),
        };
        let rid = number("rid")?.filter(|rid| (1..MAX_RID).contains(rid))?;
        let restart = element.attr_ns("restart", XBOSH);
        Some(Self {
            rid,
            sid: text("sid"),
            to: text("to"),
            from: text("from"),
            wait: number("wait")?,
            hold: number("hold")?.map(|hold| usize::try_from(hold).unwrap_or(usize::MAX)),
            pause: number("pause")?,
            terminate: element.attr("type") == Some("terminate"),
            restart: matches!(restart, Some("true" | "1")),
            key: text("key"),
            new_key: text("newkey"),
            payloads: element.into_children().collect(),
        })
    }
}

/// A response: attributes, and serialised elements.
pub(super) fn response(attributes: &[(&str, &str)], payloads: &[String]) -> String {
    let mut out = format!("<body xmlns='{HTTPBIND}' xmlns:xmpp='{XBOSH}'");
    for (name, value) in attributes {
        attribute_into(&mut out, name, value);
    }
    out.push('>');
    for payload in payloads {
        out.push_str(payload);
    }
    out.push_str("</body>");
    out
}

/// The response that ends a session, or refuses to begin one.
pub(super) fn terminate(condition: &str) -> String {
    ending(Some(condition), &[])
}

/// The response that ends a session; without a condition it ends in order (XEP-0124 §17.2).
pub(super) fn ending(condition: Option<&str>, payloads: &[String]) -> String {
    match condition {
        Some(condition) => response(&[("type", "terminate"), ("condition", condition)], payloads),
        None => response(&[("type", "terminate")], payloads),
    }
}

/// The response to a request that is here a second time (XEP-0124 §17.3): the session goes on.
pub(super) fn recoverable() -> String {
    response(&[("type", "error")], &[])
}

#[cfg(test)]
mod tests {
    use super::*;
    use imd_proto::xml::{Limits, parse_document};

    fn read(attributes: &str) -> Option<Body> {
        let text =
            format!("<body xmlns='{HTTPBIND}' xmlns:xmpp='{XBOSH}' {attributes}><a/></body>");
        Body::read(parse_document(&text, Limits::default()).unwrap())
    }

    #[test]
    fn a_body_needs_a_request_id_that_is_a_number() {
        assert!(read("").is_none());
        for bad in [
            "rid='0'",
            "rid='-1'",
            "rid='x'",
            "rid='9007199254740992'",
            "rid='1' wait='x'",
        ] {
            assert!(read(bad).is_none(), "{bad}");
        }
        let body = read("rid='7' sid='s' xmpp:restart='true'").unwrap();
        assert_eq!((body.rid, body.restart, body.payloads.len()), (7, true, 1));
    }

    #[test]
    fn responses_are_well_formed() {
        let text = response(&[("from", "a'<b")], &["<c/>".to_owned()]);
        let element = parse_document(&text, Limits::default()).unwrap();
        assert_eq!(element.attr("from"), Some("a'<b"));
        assert!(element.is("body", HTTPBIND));
    }
}
