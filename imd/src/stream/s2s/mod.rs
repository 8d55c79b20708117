//! Federation: streams between servers (RFC 6120, RFC 6121), off unless the settings turn it on.
//!
//! [`pool`] has one queue for each pair of our domain and another server's; [`outbound`] empties a queue into a
//! stream that [`connect`] opens at a place that [`resolve`] finds; [`inbound`] takes the streams of others, `receive` and `claims` serve them.
//! A domain is believed when a certificate proves it ([`certificate`]): the one of its stream (SASL EXTERNAL),
//! or that of the server which confirms its key ([`dialback`]).

pub mod certificate;
mod claims;
pub mod connect;
pub mod dialback;
pub mod inbound;
mod outbound;
mod pool;
mod receive;
pub mod resolve;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use imd_proto::{Condition, StanzaError};
use tokio::sync::{Semaphore, mpsc};

use crate::server::Server;
use crate::shutdown::Shutdown;
use crate::stream::link::queue::Sender;
use certificate::Tls;
use resolve::Resolver;

/// Keys that are being asked about at one time, over all streams.
const VERIFYING: usize = 64;

/// Why a server cannot be talked with.
#[derive(Debug, Clone)]
pub struct Problem {
    condition: Condition,
    text: String,
}

impl Problem {
    /// There is no such server.
    pub fn not_found(text: impl Into<String>) -> Self {
        Self {
            condition: Condition::RemoteServerNotFound,
            text: text.into(),
        }
    }

    /// There is one, but no stream can be had with it (RFC 6120 §8.3.3.17).
    pub fn timeout(text: impl Into<String>) -> Self {
        Self {
            condition: Condition::RemoteServerTimeout,
            text: text.into(),
        }
    }

    /// What the sender of a stanza is told.
    #[must_use]
    pub fn stanza_error(&self) -> StanzaError {
        StanzaError::with_text(self.condition, self.text.clone())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The two ends of a stream's stanzas: one of our domains, and another server's.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pair {
    /// Ours.
    pub local: String,
    /// Theirs.
    pub remote: String,
}

/// All that streams between servers share.
pub struct Federation {
    /// TLS both ways, and what certificates are worth.
    pub tls: Tls,
    /// Finds servers.
    pub resolver: Resolver,
    /// Makes and checks dialback keys.
    pub secret: dialback::Secret,
    /// Asks every stream to send what waits, and end.
    pub stop: Shutdown,
    verifying: Semaphore,
    links: Mutex<HashMap<Pair, Sender>>,
    me: Weak<Self>,
    /// Held by every task of an outgoing stream; taken when no more may begin.
    alive: Mutex<Option<mpsc::Sender<()>>>,
    ended: tokio::sync::Mutex<mpsc::Receiver<()>>,
}

impl Federation {
    /// Federation of a server.
    #[must_use]
    pub fn new(server: &Server, tls: Tls) -> Arc<Self> {
        let (alive, ended) = mpsc::channel(1);
        // A new secret at every start: keys are only asked about while their stream is new.
        let secret = server.random_id::<32>();
        let settings = &server.config.federation;
        Arc::new_cyclic(|me| Self {
            tls,
            resolver: Resolver::new(settings.hosts.clone(), &settings.name_servers),
            secret: dialback::Secret::new(secret.as_bytes()),
            stop: Shutdown::default(),
            verifying: Semaphore::new(VERIFYING),
            links: Mutex::default(),
            me: me.clone(),
            alive: Mutex::new(Some(alive)),
            ended: tokio::sync::Mutex::new(ended),
        })
    }

    /// Send what waits and wait until every outgoing stream has ended.
    pub async fn shut_down(&self) {
        self.stop.request();
        self.alive
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        // Nothing is ever sent: it ends when the last task has dropped its end.
        self.ended.lock().await.recv().await;
    }
}
