//! Elements that travel one by one and not inside a long-lived root: WebSocket frames and BOSH bodies. Each
//! declares its own namespace.

use imd_proto::{Element, ns};

/// An element of the stream itself. Its prefix is the one that many clients look for.
#[must_use]
pub fn framed_xml(element: &Element) -> String {
    if element.ns() != ns::STREAM {
        return element.to_xml();
    }
    let name = element.name();
    let mut out = format!("<stream:{name} xmlns:stream='{}'>", ns::STREAM);
    for child in element.children() {
        out.push_str(&child.to_xml());
    }
    out.push_str("</stream:");
    out.push_str(name);
    out.push('>');
    out
}

/// A stanza that was serialised for a stream whose default namespace is `jabber:client`.
#[must_use]
pub fn stanza_xml(stanza: &str) -> String {
    let name = stanza.bytes().skip(1).take_while(u8::is_ascii_alphanumeric);
    let (start, rest) = stanza.split_at((1 + name.count()).min(stanza.len()));
    if rest.starts_with(" xmlns='") {
        return stanza.to_owned();
    }
    format!("{start} xmlns='{}'{rest}", ns::CLIENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stanza_declares_its_namespace_exactly_once() {
        assert_eq!(
            stanza_xml("<message to='a'><body/></message>"),
            "<message xmlns='jabber:client' to='a'><body/></message>"
        );
        assert_eq!(
            stanza_xml("<presence/>"),
            "<presence xmlns='jabber:client'/>"
        );
        assert_eq!(
            stanza_xml("<r xmlns='urn:xmpp:sm:3'/>"),
            "<r xmlns='urn:xmpp:sm:3'/>"
        );
    }

    #[test]
    fn features_have_the_prefix_of_the_stream() {
        let features =
            Element::new("features", ns::STREAM).with_child(Element::new("bind", ns::BIND));
        assert_eq!(
            framed_xml(&features),
            "<stream:features xmlns:stream='http://etherx.jabber.org/streams'><bind \
             xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></stream:features>"
        );
    }
}
