//! Accepting connections: addresses, permits, TLS.

pub mod files;
mod tcp;
pub mod tls;

pub use tcp::{Bound, bind, run};
