//! Message carbons (XEP-0280).

use std::sync::Arc;

use async_trait::async_trait;
use imd_proto::{Condition, Element, Jid, MessageType, Stanza, ns, xml};

use super::{Answer, Feature, Reply, Request, Target};

pub(super) struct Carbons;

/// The rules by which messages are chosen for copying (XEP-0280 §6.1).
const RULES: &str = "urn:xmpp:carbons:rules:0";

#[async_trait]
impl Feature for Carbons {
    fn server_features(&self) -> Vec<&'static str> {
        vec![ns::CARBONS, RULES]
    }

    fn account_features(&self) -> Vec<&'static str> {
        vec![ns::CARBONS, RULES]
    }

    fn requests(&self) -> Vec<(Target, &'static str)> {
        vec![
            (Target::Account, ns::CARBONS),
            (Target::Server, ns::CARBONS),
        ]
    }

    async fn request(&self, request: &Request<'_>) -> Answer {
        let (session, _) = request.own()?;
        let enabled = match request.payload.name() {
            "enable" => true,
            "disable" => false,
            _ => return Err(Condition::BadRequest.into()),
        };
        session.state().carbons = enabled;
        Ok(Reply::Empty)
    }
}

/// Whether a message may be copied (XEP-0280 §6.1): chats, and what belongs to them.
#[must_use]
pub fn eligible(stanza: &Stanza) -> bool {
    let element = &stanza.element;
    if element.child("private", ns::CARBONS).is_some()
        || element.child("no-copy", ns::HINTS).is_some()
        || unwrap(element).is_some()
    {
        return false;
    }
    match stanza.message_type() {
        MessageType::Chat => true,
        MessageType::Normal => {
            element.child_text("body").is_some()
                || element.children().any(|c| {
                    matches!(
                        c.ns(),
                        ns::RECEIPTS | ns::CHAT_MARKERS | ns::CHAT_STATES | "jabber:x:conference"
                    ) || c.ns().starts_with("urn:xmpp:jingle-message:")
                })
        }
        MessageType::Error => true,
        MessageType::Groupchat | MessageType::Headline => false,
    }
}

/// A copy of a message for a session, serialised for a stream of clients: `kind` is `sent` or `received`, `message` the
/// serialised message with its namespace.
#[must_use]
pub fn wrap(kind: &str, type_attr: Option<&str>, message: &str, to: &Jid) -> Arc<str> {
    let mut out = String::with_capacity(message.len() + 2 * to.as_str().len() + 200);
    out.push_str("<message");
    xml::attribute_into(&mut out, "from", to.bare_str());
    xml::attribute_into(&mut out, "to", to.as_str());
    if let Some(type_attr) = type_attr {
        xml::attribute_into(&mut out, "type", type_attr);
    }
    out.push_str("><");
    out.push_str(kind);
    xml::attribute_into(&mut out, "xmlns", ns::CARBONS);
    out.push_str("><forwarded");
    xml::attribute_into(&mut out, "xmlns", ns::FORWARD);
    out.push('>');
    out.push_str(message);
    out.push_str("</forwarded></");
    out.push_str(kind);
    out.push_str("></message>");
    out.into()
}

/// The element in a message that makes it a copy; absent in all others.
#[must_use]
pub fn unwrap(message: &Element) -> Option<&Element> {
    message
        .children()
        .find(|c| c.ns() == ns::CARBONS && matches!(c.name(), "sent" | "received"))
}
