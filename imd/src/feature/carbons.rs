//! Message carbons (XEP-0280).

use async_trait::async_trait;
use imd_proto::{Condition, Element, Jid, MessageType, Stanza, ns};

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

/// A copy of a message for a session: `kind` is `sent` or `received`.
#[must_use]
pub fn wrap(kind: &'static str, message: &Element, to: &Jid) -> Element {
    let forwarded = Element::new("forwarded", ns::FORWARD).with_child(message.clone());
    Element::new("message", ns::CLIENT)
        .with_attr("from", to.bare_str())
        .with_attr("to", to.as_str())
        .with_opt_attr("type", message.attr("type"))
        .with_child(Element::new(kind, ns::CARBONS).with_child(forwarded))
}

/// The element in a message that makes it a copy; absent in all others.
#[must_use]
pub fn unwrap(message: &Element) -> Option<&Element> {
    message
        .children()
        .find(|c| c.ns() == ns::CARBONS && matches!(c.name(), "sent" | "received"))
}
