//! XML elements, their serialisation, and the reader of XMPP streams.

mod element;
mod quick;
mod stream;
mod words;
mod write;

pub use element::{Attribute, Element, Node};
pub use stream::{Limits, StreamEvent, StreamReader, parse_document};
pub use write::{attribute_into, escape_into};
