//! Accepting connections: addresses, permits, TLS.

mod count;
pub mod files;
pub mod http;
pub mod servers;
mod tcp;
pub mod tls;

pub use tcp::{Bound, bind, run};
