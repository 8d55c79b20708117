//! Names and namespaces that nearly every stanza has: they are not allocated anew for each element.

use std::borrow::Cow;

use crate::ns;

macro_rules! known {
    ($text:expr, $($word:literal),+ $(,)?) => {
        match $text {
            $($word => Cow::Borrowed($word),)+
            other => Cow::Owned(other.to_owned()),
        }
    };
    ($text:expr, $($word:path),+ $(,)?) => {
        match $text {
            $($word => Cow::Borrowed($word),)+
            other => Cow::Owned(other.to_owned()),
        }
    };
}

/// The name of an element or an attribute.
pub(super) fn name(text: &str) -> Cow<'static, str> {
    known!(
        text,
        "to",
        "id",
        "type",
        "from",
        "body",
        "message",
        "iq",
        "presence",
        "a",
        "r",
        "h",
        "query",
        "active",
        "request",
        "received",
        "origin-id",
        "markable",
        "composing",
        "paused",
        "inactive",
        "gone",
        "thread",
        "subject",
        "show",
        "status",
        "priority",
        "c",
        "x",
        "node",
        "ver",
        "hash",
        "ping",
        "enable",
        "resume",
        "item",
        "jid",
        "name",
        "subscription",
        "group",
        "stanza-id",
        "by",
        "delay",
        "stamp",
        "error",
        "text",
        "reason",
        "store",
        "no-store",
        "no-copy",
        "private",
    )
}

/// A namespace.
pub(super) fn ns(text: &str) -> Cow<'static, str> {
    known!(
        text,
        ns::CLIENT,
        ns::SERVER,
        ns::SM,
        ns::CHAT_STATES,
        ns::CAPS,
        ns::ROSTER,
        ns::DISCO_INFO,
        ns::DISCO_ITEMS,
        ns::PING,
        ns::STANZA_ID,
        ns::MUC,
        ns::MUC_USER,
        ns::RSM,
        ns::MAM,
        ns::DATA_FORM,
        ns::PUBSUB,
        ns::RECEIPTS,
        ns::CHAT_MARKERS,
        ns::HINTS,
    )
}
