//! Client state indication (XEP-0352): what a client that nobody looks at need not be woken for.
//!
//! The stream keeps the state; [`crate::session::Session`] asks here what can wait, and its queue holds it, in order,
//! until something urgent follows, too much waits, or the client is active again.

use async_trait::async_trait;
use imd_proto::{Element, ns};

use super::{Feature, archive, carbons};

/// The namespace.
pub const NS: &str = "urn:xmpp:csi:0";

pub(super) struct ClientState;

#[async_trait]
impl Feature for ClientState {
    fn stream_features(&self) -> Vec<Element> {
        vec![Element::new("csi", NS)]
    }
}

/// Whether a stanza can wait while nobody looks: presence, chat states and the like. Everything else is urgent.
#[must_use]
pub fn can_wait(stanza: &Element) -> bool {
    match stanza.name() {
        "presence" => {
            let entered = stanza
                .child("x", ns::MUC_USER)
                .is_some_and(|x| x.children().any(|c| c.attr("code") == Some("110")));
            // A room's answer to entering it is awaited.
            matches!(stanza.attr("type"), None | Some("unavailable")) && !entered
        }
        "message" => match carbons::unwrap(stanza) {
            Some(copy) => copy
                .child("forwarded", ns::FORWARD)
                .and_then(|f| f.child("message", ns::CLIENT))
                .is_some_and(message_can_wait),
            None => message_can_wait(stanza),
        },
        _ => false,
    }
}

fn message_can_wait(message: &Element) -> bool {
    message.attr("type") != Some("error")
        && !archive::has_content(message)
        && message.first_child().is_some()
        && message.children().all(|child| {
            matches!(
                child.ns(),
                ns::CHAT_STATES
                    | ns::HINTS
                    | ns::STANZA_ID
                    | ns::DELAY
                    | ns::PUBSUB_EVENT
                    | "urn:xmpp:occupant-id:0"
            ) || (child.name() == "thread" && child.ns() == message.ns())
        })
}

/// Like [`can_wait`], for a stanza as it stands in a stream of clients.
#[must_use]
pub fn xml_can_wait(xml: &str) -> bool {
    !xml.starts_with("<iq")
        && crate::route::read_client_xml(xml).is_some_and(|stanza| can_wait(&stanza))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presence_and_typing_can_wait_and_the_rest_cannot() {
        let typing = "<composing xmlns='http://jabber.org/protocol/chatstates'/>";
        let carbon = |inner: &str| {
            format!(
                "<message><received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>\
                 <message xmlns='jabber:client' type='chat'>{inner}</message></forwarded></received></message>"
            )
        };
        for (xml, waits) in [
            ("<presence from='a@b/c'/>".to_owned(), true),
            ("<presence type='unavailable'/>".to_owned(), true),
            ("<presence type='subscribe'/>".to_owned(), false),
            ("<presence type='error'/>".to_owned(), false),
            (
                "<presence><x xmlns='http://jabber.org/protocol/muc#user'><status code='110'/></x></presence>"
                    .to_owned(),
                false,
            ),
            (format!("<message type='chat'>{typing}</message>"), true),
            (format!("<message type='chat'>{typing}<body>x</body></message>"), false),
            (
                "<message><event xmlns='http://jabber.org/protocol/pubsub#event'/></message>".to_owned(),
                true,
            ),
            ("<message><received xmlns='urn:xmpp:receipts' id='1'/></message>".to_owned(), false),
            ("<message type='error'/>".to_owned(), false),
            ("<message><result xmlns='urn:xmpp:mam:2'/></message>".to_owned(), false),
            (carbon(typing), true),
            (carbon("<body>x</body>"), false),
            ("<iq type='get'/>".to_owned(), false),
        ] {
            assert_eq!(xml_can_wait(&xml), waits, "{xml}");
        }
    }
}
