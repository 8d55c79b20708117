//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::login::{Transport, Way};

/// Puts load on an XMPP server and measures what it costs.
#[derive(Debug, Parser)]
#[command(name = "perch-load", version)]
pub struct Options {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run one scenario against a server that is running.
    Run(Box<Run>),
    /// Write the tables of docs/benchmarks.md from the results of a run.
    Report {
        /// The folder with the JSON files.
        #[arg(long)]
        results: PathBuf,
        /// The file to write.
        #[arg(long)]
        out: PathBuf,
    },
}

/// What is done to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// All log in, `--at-once` at a time, and are then silent: logins per second, processor time and memory for each.
    Login,
    /// All log in at the same moment.
    /// `--witnesses` of them are there already and chat: what they notice.
    Storm,
    /// Messages at a given rate, whatever the server does.
    Open,
    /// So many messages on their way at any time: how many get through.
    Closed,
    /// Rates that rise until deliveries take a second.
    Highest,
    /// One room, in which one speaks and all others listen.
    Room,
    /// Many rooms of `--occupants` each, in all of which one speaks.
    Rooms,
    /// All are cut off by a restart of the server and come back at the same moment.
    Reconnect,
    /// Chats, rooms, presence, the archive, logins and ends of sessions, `--rate` of them together: does anything grow?
    Mixed,
    /// Half of the users send `--rate` messages a second, while the others flood, do not read, come again and again, send
    /// junk, or connect and say nothing: what the polite half notices.
    Hostile,
}

/// One scenario.
#[derive(Debug, Clone, Args)]
pub struct Run {
    /// Which.
    pub scenario: Scenario,

    /// What this run is called in the tables, if not as the scenario.
    #[arg(long)]
    pub label: Option<String>,
    /// What the server is called in the tables.
    #[arg(long, default_value = "imd")]
    pub name: String,
    /// Its version.
    #[arg(long, default_value = "")]
    pub version: String,
    /// Its process, whose cost is measured with that of its descendants.
    #[arg(long)]
    pub pid: Option<u32>,

    /// Where it listens.
    #[arg(long)]
    pub address: SocketAddr,
    /// Its domain.
    #[arg(long, default_value = "load.test")]
    pub domain: String,
    /// The service with its rooms.
    #[arg(long, default_value = "conference.load.test")]
    pub rooms_domain: String,
    /// How streams reach it.
    #[arg(long, value_enum, default_value = "starttls")]
    pub transport: Transport,
    /// How users log in. With `fast` they log in three times, and the last time counts.
    #[arg(long, value_enum, default_value = "sasl")]
    pub way: Way,
    /// Take TLS session tickets and use them.
    #[arg(long)]
    pub tickets: bool,
    /// Do without stream management.
    #[arg(long)]
    pub no_stream_management: bool,

    /// All come from one address. Needed where something in between shows the server its own address with each connection's port, as
    /// QEMU's user network does: two connections of different addresses may have the same port.
    #[arg(long)]
    pub one_address: bool,

    /// How many users.
    #[arg(long, default_value_t = 4000)]
    pub users: u32,
    /// What stands before the number in their names.
    #[arg(long, default_value = "u")]
    pub prefix: String,
    /// Everybody's password.
    #[arg(long, default_value = "secret")]
    pub password: String,
    /// A file with salted passwords, so that they are computed once.
    #[arg(long)]
    pub keys: Option<PathBuf>,
    /// How many log in at the same time.
    #[arg(long, default_value_t = 100)]
    pub at_once: u32,

    /// How long is measured, in seconds.
    #[arg(long, default_value_t = 30.0)]
    pub seconds: f64,
    /// How long the load runs before, in seconds.
    #[arg(long, default_value_t = 5.0)]
    pub warm_up: f64,
    /// Silence after the logins, in seconds, before memory is read and the load begins.
    #[arg(long, default_value_t = 5.0)]
    pub quiet: f64,
    /// Open loop and rooms: messages sent in a second, by all together.
    #[arg(long, default_value_t = 400.0)]
    pub rate: f64,
    /// The rates that `highest` tries.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "500,1000,2000,3000,4000,6000,8000,10000,12000,16000,20000"
    )]
    pub rates: Vec<f64>,
    /// Open loop: a folder on the block device whose written bytes are counted; nothing else may write to it.
    #[arg(long, value_name = "FOLDER")]
    pub card: Option<PathBuf>,
    /// Closed loop: messages on their way.
    #[arg(long, default_value_t = 200)]
    pub in_flight: u32,
    /// Rooms: who is in each. Of `room`: the listeners.
    #[arg(long, default_value_t = 20)]
    pub occupants: u32,
    /// Storm: how many are logged in before and write once a second; 0 for none.
    #[arg(long, default_value_t = 20)]
    pub witnesses: u32,
    /// Hostile: what the p99 of the polite half's deliveries may be, in milliseconds, with `--strict`.
    #[arg(long, default_value_t = 100.0)]
    pub bar: f64,
    /// Reconnect: the shell command that restarts the server; its last line is `pid N`.
    #[arg(long)]
    pub restart: Option<String>,

    /// Fail when anything was lost, doubled, out of order or dropped.
    #[arg(long)]
    pub strict: bool,
    /// More parameters for the JSON file, as NAME=VALUE.
    #[arg(long = "note", value_name = "NAME=VALUE")]
    pub notes: Vec<String>,
    /// The JSON file to write.
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// The SVG file to write.
    #[arg(long)]
    pub plot: Option<PathBuf>,
}
