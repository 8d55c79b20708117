//! Reads a TOML settings file into typed values and collects every problem in it, not only the first.
//!
//! ```
//! use settings_file::{Document, parse};
//!
//! struct Listen { starttls: Vec<std::net::SocketAddr> }
//! struct Config { domain: String, listen: Listen }
//!
//! let doc = Document::parse("imd.toml", "domain = \"perch.local\"\n[listen]\nstarttls = [\"[::]:5222\"]\n");
//! let mut root = doc.root();
//! let domain = root.required("domain", parse::single_line);
//! let listen = root.table("listen").map(|mut table| {
//!     let listen = Listen { starttls: table.list("starttls", parse::socket_address).unwrap_or_default() };
//!     table.finish();
//!     listen
//! });
//! root.finish();
//! let config = match (domain, listen) {
//!     (Some(domain), Some(listen)) => Some(Config { domain, listen }),
//!     _ => None,
//! };
//! let config = doc.into_result(config).expect("no problems");
//! assert_eq!(config.domain, "perch.local");
//! assert_eq!(config.listen.starttls.len(), 1);
//! ```
//!
//! A getter that meets a bad value notes the problem in the document and returns `None`, so reading goes on;
//! [`Document::into_result`] then fails with all of them. [`Table::finish`] reports keys that nobody asked for.
//! A parse function is any `fn(&Value) -> Result<T, String>` whose error says what is accepted, such as
//! "a port from 1 to 65535"; [`parse`] holds the common ones.

mod document;
pub mod parse;
mod problem;
mod table;
mod value;

pub use document::Document;
pub use problem::{Problem, Problems};
pub use table::Table;
pub use value::Value;
