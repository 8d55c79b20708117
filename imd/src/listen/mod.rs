//! Accepting connections: addresses, permits, TLS.

mod count;
pub mod files;
pub mod http;
mod tcp;
pub mod tls;

pub use tcp::{Bound, bind, run};
