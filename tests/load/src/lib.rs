//! `perch-load`: many XMPP clients that cost little, and what they cost the server.
//!
//! One thread holds all of them, so that the rest of the machine is the server's. Bottom up: `scanner` finds stanzas in
//! bytes; `conn` is a connection (TCP, `tls`, `websocket`); `login` makes it a session (`scram`); `session` serves it and
//! tells the `board`, on which `tally` and `histogram` are kept; `crowd` holds all users; `scenario` says what they do,
//! with `pace` for a clock, `process` for the server's cost and `trend` for what grows; `result`, `plot` and `report` write it down.

pub mod board;
pub mod card;
pub mod conn;
pub mod crowd;
pub mod histogram;
pub mod login;
pub mod options;
pub mod pace;
pub mod plot;
pub mod process;
pub mod report;
pub mod result;
pub mod scanner;
pub mod scenario;
pub mod scram;
pub mod session;
pub mod tally;
pub mod tls;
pub mod trend;
pub mod websocket;
