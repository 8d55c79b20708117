//! The root agent: what the web process asks of the system, as a closed set of typed commands on a Unix socket.
//!
//! - `command`: the commands and their answers, as both sides know them.
//! - `serve`: the socket; who may ask; one line of JSON in, one out.
//! - `carry_out`: one function call for each command. `backups`, `claim` with `neighbours`, `clock`, `status`, `unlock`, `updates`: what
//!   is not in other modules.
//! - `audit`: the log of every command that changes something, and of what the web process tells it to write down.
//! - `journal`, `support`: what went wrong, for people, without who they are.
//! - `client`: the web process's side.
//!
//! A new command is a variant of [`command::Command`] and an arm in `carry_out::answer`; the compiler asks for the second.

pub mod audit;
pub mod backups;
pub mod carry_out;
pub mod claim;
pub mod client;
pub mod clock;
pub mod command;
pub mod journal;
pub mod neighbours;
pub mod serve;
pub mod status;
pub mod support;
pub mod unlock;
pub mod updates;

/// Where the agent listens.
pub const SOCKET: &str = "/run/perch-agent/agent.sock";
/// The user whom the agent answers, besides root.
pub const WEB_USER: &str = "perch-web";
