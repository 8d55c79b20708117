//! A certificate for the box's own domain from an authority that all devices trust (ACME, RFC 8555). Read in this order:
//!
//! - `machine`: where it stands, as a pure state machine; `fault`: why an order failed, and what to do.
//! - `run`: looks, orders if it is time, keeps each state before it goes on.
//! - `order`: one order, with the authority's `account`, the `challenge` that proves the domain, over `http`.
//! - `service`: the certificate where imd and nginx find it, and out of service when its time is over.
//! - `job`: what the page and the timer ask of `perch-certificate.service`.
//!
//! Whatever fails here, the certificate of the box's own authority goes on serving all names.

mod account;
mod challenge;
pub mod fault;
mod http;
pub mod job;
pub mod machine;
mod order;
pub mod run;
pub mod service;

/// What is kept of it.
pub const FOLDER: &str = "/var/lib/perch/acme";
/// The authority's account, with its key.
pub const ACCOUNT: &str = "/var/lib/perch/acme/account.json";
/// Where it stands.
pub const STATE: &str = "/var/lib/perch/acme/state.json";
