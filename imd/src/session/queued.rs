//! A serialised stanza on its way to clients: one text for all who get it, the addressee put in when it is written out.

use std::sync::Arc;

use imd_proto::{Jid, xml};

/// A stanza of a stream of clients, in the queue of one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queued {
    xml: Arc<str>,
    /// Where the address of the client comes in, as `to`; absent when the stanza is whole.
    to_at: Option<u8>,
}

/// What goes around an address: ` to='` and `'`.
const AROUND: usize = 6;

impl Queued {
    /// A stanza that is whole.
    #[must_use]
    pub fn whole(xml: Arc<str>) -> Self {
        Self { xml, to_at: None }
    }

    /// A stanza without `to`, the same for everybody; each gets it with the own address.
    #[must_use]
    pub fn shared(xml: Arc<str>) -> Self {
        let name_end = xml
            .bytes()
            .position(|b| b.is_ascii_whitespace() || matches!(b, b'/' | b'>'));
        let to_at = name_end.and_then(|end| u8::try_from(end).ok());
        Self { xml, to_at }
    }

    /// The stanza, but for a `to` that is still to come.
    #[must_use]
    pub fn xml(&self) -> &str {
        &self.xml
    }

    /// Whether it is worth asking the client at once whether it has got it (XEP-0198 §4): what is kept for later or answered
    /// when it has not. A room's messages are in the room's archive, and presence is shown anew.
    #[must_use]
    pub fn is_missed(&self) -> bool {
        self.to_at.is_none() && !self.xml.starts_with("<presence")
    }

    /// About how many bytes the client gets.
    #[must_use]
    pub fn bytes(&self, client: &Jid) -> usize {
        let to = self.to_at.map_or(0, |_| client.as_str().len() + AROUND);
        self.xml.len() + to
    }

    /// Append what the client gets.
    pub fn append(&self, out: &mut String, client: &Jid) {
        match self.split() {
            Some((start, rest)) => {
                out.push_str(start);
                xml::attribute_into(out, "to", client.as_str());
                out.push_str(rest);
            }
            None => out.push_str(&self.xml),
        }
    }

    /// What the client gets.
    #[must_use]
    pub fn text(&self, client: &Jid) -> Arc<str> {
        if self.to_at.is_none() {
            return Arc::clone(&self.xml);
        }
        let mut out = String::with_capacity(self.bytes(client));
        self.append(&mut out, client);
        out.into()
    }

    fn split(&self) -> Option<(&str, &str)> {
        self.xml.split_at_checked(usize::from(self.to_at?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_gets_a_shared_stanza_with_the_own_address() {
        let client: Jid = "a@b/it's".parse().unwrap();
        for (xml, expected) in [
            (
                "<message from='r@d/n'/>",
                "<message to='a@b/it&apos;s' from='r@d/n'/>",
            ),
            ("<presence/>", "<presence to='a@b/it&apos;s'/>"),
            (
                "<message><body/></message>",
                "<message to='a@b/it&apos;s'><body/></message>",
            ),
        ] {
            let shared = Queued::shared(xml.into());
            let mut out = String::new();
            shared.append(&mut out, &client);
            assert_eq!(out, expected);
            assert_eq!(&*shared.text(&client), expected);
            let whole = Queued::whole(xml.into());
            assert_eq!(
                (&*whole.text(&client), whole.bytes(&client)),
                (xml, xml.len())
            );
        }
    }
}
