//! What a notification says: by default only that there is something.

use imd_proto::form::FormBuilder;
use imd_proto::{Element, ns};
use serde::Serialize;

use super::NS;
use crate::server::Server;

/// `FORM_TYPE` of a summary (XEP-0357 §6).
const SUMMARY: &str = "urn:xmpp:push:summary";

/// A notification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Notice {
    /// The account that has something waiting: its bare address.
    pub account: String,
    /// How many messages this is about.
    pub messages: u32,
    /// Who wrote; absent unless the settings allow it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sender: Option<String>,
    /// What they wrote; absent unless the settings allow it, and for encrypted messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

impl Notice {
    /// What may be said of a message to an account.
    #[must_use]
    pub fn of(server: &Server, user: &str, message: &Element) -> Self {
        let settings = &server.config.push;
        let sender = settings.sender.then(|| message.attr("from")).flatten();
        Self {
            account: server.account_jid(user).to_string(),
            messages: 1,
            sender: sender.map(str::to_owned),
            body: settings.body.then(|| message.child_text("body")).flatten(),
        }
    }

    /// The `<notification/>` for an app server.
    #[must_use]
    pub fn element(&self) -> Element {
        let count = self.messages.to_string();
        let mut form = FormBuilder::new("submit", SUMMARY).field(
            "message-count",
            "text-single",
            None,
            &[&count],
        );
        if let Some(sender) = &self.sender {
            form = form.field("last-message-sender", "jid-single", None, &[sender]);
        }
        if let Some(body) = &self.body {
            form = form.field("last-message-body", "text-single", None, &[body]);
        }
        Element::new("notification", NS).with_child(form.build())
    }

    /// The `<pubsub/>` that takes it to a node of an app server, with the publish-options that the client gave.
    #[must_use]
    pub fn publish(&self, node: &str, options: Option<Element>) -> Element {
        let item = Element::new("item", ns::PUBSUB).with_child(self.element());
        let publish = Element::new("publish", ns::PUBSUB)
            .with_opt_attr("node", Some(node).filter(|n| !n.is_empty()))
            .with_child(item);
        let pubsub = Element::new("pubsub", ns::PUBSUB).with_child(publish);
        match options {
            Some(options) => {
                pubsub.with_child(Element::new("publish-options", ns::PUBSUB).with_child(options))
            }
            None => pubsub,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_and_nothing_is_named_unless_allowed() {
        let notice = Notice {
            account: "a@b".into(),
            messages: 1,
            sender: None,
            body: None,
        };
        let xml = notice.publish("n", None).to_xml();
        assert!(
            xml.contains("message-count") && !xml.contains("last-message"),
            "{xml}"
        );
        assert_eq!(
            serde_json::to_string(&notice).unwrap(),
            r#"{"account":"a@b","messages":1}"#
        );
    }
}
