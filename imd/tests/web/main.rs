//! The web of a real server, in this process, with real HTTP and WebSocket clients.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod api;
mod bosh;
mod chat;
mod devices;
mod discovery;
mod groups;
mod harness;
mod invites;
mod uploads;
mod websocket;
