//! `imd`, an XMPP server for one box.
//!
//! A stanza's way, in one direction: [`listen`] accepts a connection; [`stream`] frames it, negotiates and
//! authenticates ([`sasl`]); [`session`] is the logged-in client, its `from` stamped once; [`route`] decides who
//! gets a stanza; [`feature`] answers and keeps what the protocol's extensions ask for; the store
//! (`imd-store`) puts it on the disk. What comes by HTTP ([`web`]) ends in the same streams, and what people change
//! about accounts, from wherever, in [`admin`]. What happens when too much is asked is in [`load`]. What is deleted by age is in [`upkeep`]. Everything shared is in [`server::Server`]; settings in [`config`].
//!
//! A stanza is acknowledged (XEP-0198) only when its commit has been synced. Every queue is bounded.

pub use imd_store as store;

pub mod admin;
pub mod cli;
pub mod config;
pub mod feature;
pub mod listen;
pub mod load;
mod notify;
pub mod route;
pub mod sasl;
pub mod server;
pub mod session;
pub mod shutdown;
pub mod stream;
pub mod upkeep;
pub mod web;
