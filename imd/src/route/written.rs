//! A message serialised once for all who get it: the archives of both sides, the sessions it is delivered to, and their
//! copies. They differ only in what is put in front, around or at the end.

use std::sync::Arc;

use imd_proto::{Element, Jid, ns, xml};
use imd_store::ArchiveId;

use crate::feature::archive;

const START: &str = "<message";
const END: &str = "</message>";

/// A message of `jabber:client`, as it stands in a stream of clients.
pub(super) enum Written<'a> {
    /// Nothing has to be taken out for anybody.
    Shared(String),
    /// Somebody claims to know the message's id in an archive, which not everybody may be told (XEP-0359 §6).
    Claimed(&'a Element),
}

impl<'a> Written<'a> {
    pub(super) fn new(message: &'a Element) -> Self {
        let claimed = message.children().any(|c| c.is("stanza-id", ns::STANZA_ID));
        if claimed || !message.is("message", ns::CLIENT) || message.nodes().is_empty() {
            Self::Claimed(message)
        } else {
            Self::Shared(message.to_xml_in(ns::CLIENT))
        }
    }

    /// As the owner of an archive keeps it: with its namespace, and nobody's claims about that archive.
    pub(super) fn stored(&self, owner: &Jid) -> String {
        match self {
            Self::Shared(xml) => with_ns(xml),
            Self::Claimed(message) => archive::kept(message, owner),
        }
    }

    /// As the owner's sessions get it, with its id in the owner's archive if it has one.
    pub(super) fn delivered(&self, owner: &Jid, id: Option<ArchiveId>) -> Arc<str> {
        match (self, id) {
            (Self::Shared(xml), None) => xml.as_str().into(),
            (Self::Shared(xml), Some(id)) => {
                let id = id.to_string();
                let mut out =
                    String::with_capacity(xml.len() + owner.as_str().len() + id.len() + 64);
                out.push_str(xml.strip_suffix(END).unwrap_or(xml));
                out.push_str("<stanza-id");
                xml::attribute_into(&mut out, "xmlns", ns::STANZA_ID);
                xml::attribute_into(&mut out, "by", owner.as_str());
                xml::attribute_into(&mut out, "id", &id);
                out.push_str("/>");
                out.push_str(END);
                out.into()
            }
            (Self::Claimed(message), id) => {
                let mut message = (*message).clone();
                archive::mark(&mut message, owner, id);
                message.to_xml_in(ns::CLIENT).into()
            }
        }
    }
}

/// What was serialised for a stream of clients, to stand where there is no namespace yet. A namespace of its own comes
/// first wherever an element is written.
pub(super) fn with_ns(xml: &str) -> String {
    let rest = match xml.strip_prefix(START) {
        Some(rest) if !rest.starts_with(" xmlns=") => rest,
        _ => return xml.to_owned(),
    };
    let mut out = String::with_capacity(xml.len() + ns::CLIENT.len() + 9);
    out.push_str(START);
    xml::attribute_into(&mut out, "xmlns", ns::CLIENT);
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(inner: &str) -> Element {
        let text = format!(
            "<message xmlns='jabber:client' from='a&amp;b@c/d' to='e@f' type='chat'>{inner}</message>"
        );
        xml::parse_document(&text, xml::Limits::default()).unwrap()
    }

    /// What the text is made of must come out as if the element had been changed and then written.
    #[test]
    fn what_is_written_once_is_what_would_be_written_for_each() {
        let owner: Jid = "e@f".parse().unwrap();
        for inner in [
            "",
            "<body>x &lt; y</body>",
            "words",
            "<body>x</body><stanza-id xmlns='urn:xmpp:sid:0' by='e@f' id='forged'/>",
            "<body>x</body><stanza-id xmlns='urn:xmpp:sid:0' by='g@f' id='other'/>",
        ] {
            let message = message(inner);
            let written = Written::new(&message);
            assert_eq!(written.stored(&owner), archive::kept(&message, &owner));
            for id in [None, Some(ArchiveId(5))] {
                let mut marked = message.clone();
                archive::mark(&mut marked, &owner, id);
                let delivered = written.delivered(&owner, id);
                assert_eq!(&*delivered, marked.to_xml_in(ns::CLIENT), "{inner}");
                assert_eq!(with_ns(&delivered), marked.to_xml(), "{inner}");
            }
        }
    }
}
