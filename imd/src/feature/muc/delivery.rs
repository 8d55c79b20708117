//! What a room sends: a stanza serialised once, and everybody who gets it.

use std::sync::Arc;

use imd_proto::{Element, Jid, ns};
use imd_store::ArchiveEntry;

use crate::session::Queued;

/// A stanza and its recipients. Their copies differ in `to` only, which is put in on the way out.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The stanza without `to`, as it stands in a stream of clients.
    pub xml: Arc<str>,
    /// Who gets it, in this order.
    pub to: Vec<Jid>,
    /// Whether the stanza has its `to` already, which only one for one has.
    pub complete: bool,
    /// Whether clients that sleep are to be woken for it (XEP-0357).
    pub wakes: bool,
}

impl Delivery {
    /// The same stanza for many.
    #[must_use]
    pub fn new(mut element: Element, to: Vec<Jid>) -> Self {
        element.remove_attr("to");
        Self {
            xml: element.to_xml_in(ns::CLIENT).into(),
            to,
            complete: false,
            wakes: false,
        }
    }

    /// A stanza for one.
    #[must_use]
    pub fn one(element: Element, to: &Jid) -> Self {
        Self::new(element, vec![to.clone()])
    }

    /// A serialised stanza for one.
    #[must_use]
    pub fn raw(xml: Arc<str>, to: &Jid) -> Self {
        Self {
            xml,
            to: vec![to.clone()],
            complete: false,
            wakes: false,
        }
    }

    /// A serialised stanza that has its `to`.
    #[must_use]
    pub fn complete(xml: Arc<str>, to: &Jid) -> Self {
        Self {
            complete: true,
            ..Self::raw(xml, to)
        }
    }

    /// The stanza, for the queue of a recipient.
    #[must_use]
    pub fn queued(&self) -> Queued {
        if self.complete {
            Queued::whole(Arc::clone(&self.xml))
        } else {
            Queued::shared(Arc::clone(&self.xml), self.to.len())
        }
    }
}

/// What follows from an event in a room.
#[derive(Debug, Default)]
pub struct Effects {
    /// To be on the disk before the author gets the message back and it is acknowledged.
    pub archive: Vec<ArchiveEntry>,
    /// To be sent, in this order.
    pub deliveries: Vec<Delivery>,
    /// The client whose message this is, if it is one of those who get it.
    pub author: Option<Jid>,
}

impl Effects {
    /// Send one stanza to one.
    #[must_use]
    pub fn reply(element: Element, to: &Jid) -> Self {
        Self::from(vec![Delivery::one(element, to)])
    }
}

impl From<Vec<Delivery>> for Effects {
    fn from(deliveries: Vec<Delivery>) -> Self {
        Self {
            deliveries,
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_differ_in_the_addressee_only() {
        let message = Element::new("message", ns::CLIENT).with_attr("from", "r@d/n");
        let to: Jid = "a@b/it's".parse().unwrap();
        let delivery = Delivery::one(message.with_attr("to", "old@b"), &to);
        assert_eq!(
            &*delivery.queued().text(&to.clone().into()),
            "<message to='a@b/it&apos;s' from='r@d/n'/>"
        );
    }
}
