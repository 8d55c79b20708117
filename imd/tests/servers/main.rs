//! Programs and servers that connect to a real server, in this process: components, and federation.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod components;
mod federation;
mod peer;
#[path = "../support/mod.rs"]
mod support;
