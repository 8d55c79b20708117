//! XMPP's vocabulary: addresses, XML elements, stanzas and errors, without any input or output.
//!
//! * [`jid`]: addresses (RFC 7622), prepared so that equal addresses are equal bytes.
//! * [`xml`]: elements, their serialisation, and the stream reader that turns bytes into stanzas under limits.
//! * [`stanza`]: the three stanza kinds and what they have in common (RFC 6120 §8).
//! * [`error`]: stanza errors (RFC 6120 §8.3) and stream errors (§4.9).
//! * [`form`], [`rsm`]: data forms (XEP-0004) and result sets (XEP-0059), which many features share.
//! * [`ns`]: namespace names.
//!
//! Nothing in this crate may touch a socket, a file, a clock or a runtime: it is what the fuzzers run.

pub mod error;
pub mod form;
pub mod jid;
pub mod ns;
pub mod rsm;
pub mod stanza;
pub mod xml;

pub use error::{Condition, ErrorType, StanzaError, StreamCondition, StreamError};
pub use jid::{Jid, JidError};
pub use stanza::{Kind, MessageType, Stanza};
pub use xml::{Element, Node};
