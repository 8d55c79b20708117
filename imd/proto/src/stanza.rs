//! Stanzas: message, presence, IQ (RFC 6120 §8).

use crate::error::StanzaError;
use crate::jid::{Jid, JidError};
use crate::ns;
use crate::xml::Element;

/// The three kinds of stanza.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `<message/>`.
    Message,
    /// `<presence/>`.
    Presence,
    /// `<iq/>`.
    Iq,
}

impl Kind {
    /// The kind an element has by its name; absent when it is no stanza.
    #[must_use]
    pub fn of(element: &Element) -> Option<Self> {
        match element.name() {
            "message" => Some(Self::Message),
            "presence" => Some(Self::Presence),
            "iq" => Some(Self::Iq),
            _ => None,
        }
    }
}

/// The type of a message (RFC 6121 §5.2.2); an unknown or missing one counts as normal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MessageType {
    /// A single message outside a conversation.
    Normal,
    /// Part of a one-to-one conversation.
    Chat,
    /// Sent by a room.
    Groupchat,
    /// An alert that needs no reply.
    Headline,
    /// An answer to a message that could not be delivered.
    Error,
}

/// A stanza whose addresses are parsed and whose sender is known: what comes after a session stamped it.
#[derive(Debug, Clone)]
pub struct Stanza {
    /// Which of the three it is.
    pub kind: Kind,
    /// The sender, stamped by the server: never what a client claims.
    pub from: Jid,
    /// The addressee; absent where the sender left it out, which means the own account.
    pub to: Option<Jid>,
    /// The element, its `from` and `to` equal to the fields.
    pub element: Element,
}

impl Stanza {
    /// Stamp an element with its sender.
    ///
    /// # Errors
    /// When `to` is not an address.
    pub fn stamp(kind: Kind, element: Element, from: Jid) -> Result<Self, JidError> {
        let to = element.attr("to").map(str::parse).transpose()?;
        Ok(Self::stamp_read(kind, element, from, to))
    }

    /// Stamp an element whose `to` has been read.
    #[must_use]
    pub fn stamp_read(kind: Kind, mut element: Element, from: Jid, to: Option<Jid>) -> Self {
        element.set_attr("from", from.as_str());
        Self {
            kind,
            from,
            to,
            element,
        }
    }

    /// The `type` attribute.
    #[must_use]
    pub fn type_attr(&self) -> Option<&str> {
        self.element.attr("type")
    }

    /// The `id` attribute.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.element.attr("id")
    }

    /// The type, for a message.
    #[must_use]
    pub fn message_type(&self) -> MessageType {
        match self.type_attr() {
            Some("chat") => MessageType::Chat,
            Some("groupchat") => MessageType::Groupchat,
            Some("headline") => MessageType::Headline,
            Some("error") => MessageType::Error,
            _ => MessageType::Normal,
        }
    }

    /// Whether it reports an error, and so must not be answered with one (RFC 6120 §8.3.1).
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.type_attr() == Some("error")
    }

    /// Whether it is an IQ that wants an answer (`get` or `set`).
    #[must_use]
    pub fn is_request(&self) -> bool {
        self.kind == Kind::Iq && matches!(self.type_attr(), Some("get" | "set"))
    }

    /// Address the stanza to somebody.
    pub fn set_to(&mut self, to: Jid) {
        self.element.set_attr("to", to.as_str());
        self.to = Some(to);
    }

    /// An empty answer of type `result` to this IQ.
    #[must_use]
    pub fn result(&self) -> Element {
        self.reply_shell("iq", "result")
    }

    /// An answer of type `result` with a payload.
    #[must_use]
    pub fn result_with(&self, payload: Element) -> Element {
        self.result().with_child(payload)
    }

    /// The answer that reports an error. The caller checks [`Stanza::is_error`] first.
    #[must_use]
    pub fn error(&self, error: &StanzaError) -> Element {
        let name = match self.kind {
            Kind::Message => "message",
            Kind::Presence => "presence",
            Kind::Iq => "iq",
        };
        self.reply_shell(name, "error")
            .with_child(error.to_element())
    }

    fn reply_shell(&self, name: &'static str, kind: &str) -> Element {
        Element::new(name, ns::CLIENT)
            .with_attr("type", kind)
            .with_opt_attr("id", self.id())
            .with_attr(
                "from",
                self.to
                    .as_ref()
                    .map_or_else(|| self.from.bare_str(), Jid::as_str),
            )
            .with_attr("to", self.from.as_str())
    }
}
