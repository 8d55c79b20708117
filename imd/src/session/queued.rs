//! A serialised stanza on its way to clients: one text for all who get it, the addressee put in when it is written out.

use std::sync::{Arc, OnceLock};

use imd_proto::{Jid, xml};

use crate::feature::csi;

/// What a stanza takes in a queue beside its text, in bytes.
const ENTRY: usize = 64;

/// A stanza of a stream of clients, in the queue of one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queued {
    xml: Arc<str>,
    /// What keeping it takes, in bytes.
    kept: u32,
    /// Where the address of the client comes in, as `to`; absent when the stanza is whole.
    to_at: Option<u8>,
    /// Whether it can wait while nobody looks; absent while nobody has asked.
    can_wait: Option<bool>,
}

/// The client that a queue leads to.
#[derive(Debug)]
pub struct Addressee {
    jid: Jid,
    /// The address as an attribute, made when it is first put into a stanza.
    to: OnceLock<Box<str>>,
}

impl From<Jid> for Addressee {
    fn from(jid: Jid) -> Self {
        Self {
            jid,
            to: OnceLock::new(),
        }
    }
}

impl Addressee {
    fn to(&self) -> &str {
        self.to.get_or_init(|| {
            let mut to = String::with_capacity(self.jid.as_str().len() + AROUND);
            xml::attribute_into(&mut to, "to", self.jid.as_str());
            to.into()
        })
    }
}

/// Where stanzas are put that are to be sent in one go.
pub trait Batch {
    /// Put a stanza behind those that are there already, as the client gets it.
    fn add(&mut self, stanza: &Queued, client: &Addressee);
}

impl Batch for String {
    fn add(&mut self, stanza: &Queued, client: &Addressee) {
        stanza.append(self, client);
    }
}

impl Batch for Vec<Arc<str>> {
    fn add(&mut self, stanza: &Queued, client: &Addressee) {
        self.push(stanza.text(client));
    }
}

/// What goes around an address: ` to='` and `'`.
const AROUND: usize = 6;

impl Queued {
    /// A stanza that is whole.
    #[must_use]
    pub fn whole(xml: Arc<str>) -> Self {
        Self {
            kept: length(xml.len()),
            xml,
            to_at: None,
            can_wait: None,
        }
    }

    /// A stanza without `to`, the same for so many; each gets it with the own address.
    #[must_use]
    pub fn shared(xml: Arc<str>, among: usize) -> Self {
        let name_end = xml
            .bytes()
            .position(|b| b.is_ascii_whitespace() || matches!(b, b'/' | b'>'));
        Self {
            kept: length(ENTRY + xml.len() / among.max(1)),
            to_at: name_end.and_then(|end| u8::try_from(end).ok()),
            xml,
            can_wait: None,
        }
    }

    /// The same, of which it is known whether it can wait (XEP-0352).
    #[must_use]
    pub fn known(self, can_wait: bool) -> Self {
        Self {
            can_wait: Some(can_wait),
            ..self
        }
    }

    /// The stanza, but for a `to` that is still to come.
    #[must_use]
    pub fn xml(&self) -> &str {
        &self.xml
    }

    /// Whether it can wait while nobody looks at the client (XEP-0352). It is read for that once, for all copies that
    /// are made afterwards.
    pub fn can_wait(&mut self) -> bool {
        let xml = &self.xml;
        *self.can_wait.get_or_insert_with(|| csi::xml_can_wait(xml))
    }

    /// Whether it is worth asking the client at once whether it has got it (XEP-0198 §4): what is kept for later or answered
    /// when it has not. A room's messages are in the room's archive, and presence is shown anew.
    #[must_use]
    pub fn is_missed(&self) -> bool {
        self.to_at.is_none() && !self.xml.starts_with("<presence")
    }

    /// About how many bytes the client gets.
    #[must_use]
    pub fn bytes(&self, client: &Addressee) -> usize {
        let to = self.to_at.map_or(0, |_| client.jid.as_str().len() + AROUND);
        self.xml.len() + to
    }

    /// About how many bytes of memory it takes to keep it. All who get a text have their share of it.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.kept as usize
    }

    /// Append what the client gets.
    pub fn append(&self, out: &mut String, client: &Addressee) {
        match self.split() {
            Some((start, rest)) => {
                out.push_str(start);
                out.push_str(client.to());
                out.push_str(rest);
            }
            None => out.push_str(&self.xml),
        }
    }

    /// What the client gets.
    #[must_use]
    pub fn text(&self, client: &Addressee) -> Arc<str> {
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

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_gets_a_shared_stanza_with_the_own_address() {
        let client = Addressee::from("a@b/it's".parse::<Jid>().unwrap());
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
            let shared = Queued::shared(xml.into(), 2);
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

    #[test]
    fn those_who_share_a_text_each_keep_a_part_of_it() {
        let text: Arc<str> = "x".repeat(1000).into();
        assert_eq!(Queued::whole(Arc::clone(&text)).kept(), 1000);
        assert_eq!(Queued::shared(Arc::clone(&text), 1).kept(), 1064);
        assert_eq!(Queued::shared(text, 1000).kept(), 65);
    }
}
