//! What tests of the whole server share: a real server in this process, and clients that speak to it over TLS.
//!
//! ```ignore
//! let server = TestServer::start("").await?;
//! server.account("alice", Role::Member).await?;
//! let mut alice = Client::connect(&server, &Login::new("alice")).await?;
//! alice.send("<presence/>").await?;
//! alice.expect("<presence from='alice@example.test/main'/>").await?;
//! ```

#![allow(
    dead_code,
    unused_imports,
    reason = "each test program uses another part of the support"
)]

pub mod admin;
pub mod client;
pub mod daemon;
pub mod login;
pub mod management;
pub mod pattern;
pub mod sasl2;
pub mod scram;
pub mod server;
mod stream;
pub mod talk;

pub use client::{Client, Incoming};
pub use daemon::Daemon;
pub use login::{Login, Mechanism, Refused, StreamManagement, Way};
pub use management::Broken;
pub use server::{Identity, TestServer};

/// The domain of every test server.
pub const DOMAIN: &str = "example.test";

/// How long the server may take for what is awaited.
pub const DEADLINE: std::time::Duration = std::time::Duration::from_secs(30);

/// The password of an account: different for each.
pub fn password(user: &str) -> String {
    format!("{user}'s passwörd")
}
