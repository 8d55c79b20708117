//! The bounded queue of stanzas towards another server or a component. Each keeps what an error to its sender needs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use imd_proto::{Element, Stanza, ns};
use tokio::sync::mpsc;

/// Stanzas that are written in one go.
const BATCH: usize = 64;

/// A serialised stanza on its way out.
#[derive(Debug)]
pub struct Outgoing {
    /// As it stands in the stream.
    pub xml: String,
    /// The stanza without its content.
    pub head: Stanza,
    /// Whether it waited for a stream before, which ended too soon.
    pub again: bool,
}

impl Outgoing {
    /// Serialise a stanza for a stream whose namespace is `stream_ns`.
    #[must_use]
    pub fn new(stanza: Stanza, stream_ns: &'static str) -> Self {
        let Stanza {
            kind,
            from,
            to,
            mut element,
        } = stanza;
        let mut head = Element::new(element.name().to_owned(), ns::CLIENT)
            .with_attr("from", from.as_str())
            .with_opt_attr("to", to.as_ref().map(|to| to.as_str()));
        for name in ["type", "id"] {
            if let Some(value) = element.attr(name) {
                head.set_attr(name, value.to_owned());
            }
        }
        element.change_ns(ns::CLIENT, stream_ns);
        Self {
            xml: element.to_xml_in(stream_ns),
            head: Stanza {
                kind,
                from,
                to,
                element: head,
            },
            again: false,
        }
    }
}

/// Why a stanza was not queued; it is given back.
#[derive(Debug)]
pub enum Refused {
    /// Too much waits already.
    Full(Box<Outgoing>),
    /// Nobody takes from the queue any more.
    Closed(Box<Outgoing>),
}

/// The end that stanzas are put in.
#[derive(Debug, Clone)]
pub struct Sender {
    sender: mpsc::UnboundedSender<Outgoing>,
    waiting: Arc<AtomicUsize>,
    limit: usize,
}

/// The end that stanzas are taken from.
#[derive(Debug)]
pub struct Queue {
    receiver: mpsc::UnboundedReceiver<Outgoing>,
    waiting: Arc<AtomicUsize>,
}

/// An empty queue for `limit` bytes of stanzas.
#[must_use]
pub fn queue(limit: usize) -> (Sender, Queue) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let waiting = Arc::new(AtomicUsize::new(0));
    let queue = Queue {
        receiver,
        waiting: Arc::clone(&waiting),
    };
    (
        Sender {
            sender,
            waiting,
            limit,
        },
        queue,
    )
}

impl Sender {
    /// Put a stanza in.
    ///
    /// # Errors
    /// With the stanza when it was not taken.
    pub fn push(&self, outgoing: Outgoing) -> Result<(), Refused> {
        let length = outgoing.xml.len();
        // Two at once may both pass just below the limit: it is a bound on memory, not an exact count.
        if self.waiting.load(Ordering::Acquire) + length > self.limit {
            return Err(Refused::Full(Box::new(outgoing)));
        }
        self.waiting.fetch_add(length, Ordering::AcqRel);
        self.sender
            .send(outgoing)
            .map_err(|refused| Refused::Closed(Box::new(refused.0)))
    }

    /// Whether both are ends of the same queue.
    #[must_use]
    pub fn same_queue(&self, other: &Self) -> bool {
        self.sender.same_channel(&other.sender)
    }
}

impl Queue {
    /// Wait for stanzas and take up to a batch; none: no more can come. The future may be dropped before it is done.
    pub async fn take(&mut self) -> Vec<Outgoing> {
        let mut batch = Vec::new();
        self.receiver.recv_many(&mut batch, BATCH).await;
        self.forget(&batch);
        batch
    }

    /// Refuse more, and give back what waits.
    pub fn close(&mut self) -> Vec<Outgoing> {
        self.receiver.close();
        let mut left = Vec::new();
        while let Ok(outgoing) = self.receiver.try_recv() {
            left.push(outgoing);
        }
        self.forget(&left);
        left
    }

    /// Whether nothing waits to be taken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.receiver.is_empty()
    }

    fn forget(&self, taken: &[Outgoing]) {
        let bytes = taken.iter().map(|outgoing| outgoing.xml.len()).sum();
        self.waiting.fetch_sub(bytes, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use imd_proto::Kind;

    fn stanza(body: &str) -> Outgoing {
        let element = Element::new("message", ns::CLIENT)
            .with_attr("to", "b@b.example")
            .with_attr("id", "7")
            .with_child(Element::new("body", ns::CLIENT).with_text(body));
        let from = "a@a.example/x".parse().unwrap();
        Outgoing::new(
            Stanza::stamp(Kind::Message, element, from).unwrap(),
            ns::SERVER,
        )
    }

    #[test]
    fn a_stanza_changes_to_the_namespace_of_the_stream_and_can_still_be_answered() {
        let outgoing = stanza("hi");
        assert_eq!(
            outgoing.xml,
            "<message to='b@b.example' id='7' from='a@a.example/x'><body>hi</body></message>"
        );
        let error = outgoing
            .head
            .error(&imd_proto::Condition::RemoteServerTimeout.into());
        assert_eq!(error.attr("id"), Some("7"));
        assert_eq!(error.attr("to"), Some("a@a.example/x"));
    }

    #[tokio::test]
    async fn a_queue_holds_so_many_bytes_and_gives_back_what_is_left() {
        let one = stanza("x").xml.len();
        let (sender, mut queue) = queue(2 * one);
        sender.push(stanza("1")).unwrap();
        sender.push(stanza("2")).unwrap();
        assert!(matches!(sender.push(stanza("3")), Err(Refused::Full(_))));
        assert_eq!(queue.take().await.len(), 2);
        sender.push(stanza("4")).unwrap();
        assert_eq!(queue.close().len(), 1);
        assert!(matches!(sender.push(stanza("5")), Err(Refused::Closed(_))));
    }
}
