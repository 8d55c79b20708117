//! What administrators, and people for themselves, do to accounts: plain functions that XMPP commands, the web
//! and the command line share. Each checks its arguments and says what is accepted.

pub mod invites;
pub mod people;
