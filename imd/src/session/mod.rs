//! A logged-in client: what the rest of the server knows of it, and the queue through which it is reached.
//!
//! A session outlives its connection where stream management (XEP-0198) can resume it. Only the task of
//! the connection writes to the socket; everyone else puts stanzas into [`Outbound`].

pub mod lifecycle;
mod outbound;
mod queued;
pub mod resumable;
pub mod saved;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use imd_proto::{Element, Jid};
use ring::digest;

use crate::feature::csi;

pub use outbound::{End, Outbound, PushError, Taken};
pub use queued::{Addressee, Batch, Queued};

/// Presence that a session has broadcast.
#[derive(Debug, Clone)]
pub struct Presence {
    /// RFC 6121 §4.7.2.3: negative means that no messages for the bare address come here.
    pub priority: i8,
    /// The stanza as sent, with `from`.
    pub element: Arc<Element>,
}

/// What changes during a session.
#[derive(Debug, Default)]
pub struct State {
    /// The last available presence; absent before the first and after unavailable.
    pub presence: Option<Presence>,
    /// Whether it has asked for the roster and so gets roster pushes (RFC 6121 §2.1.6).
    pub interested: bool,
    /// Whether it gets carbon copies (XEP-0280).
    pub carbons: bool,
    /// Whether it asked for the block list and so gets its pushes (XEP-0191).
    pub blocking: bool,
    /// Who got presence directly and must be told when it ends (RFC 6121 §4.6).
    pub directed: BTreeSet<Jid>,
    /// The nodes that the client wants to hear of (XEP-0163), sorted; absent while that is not known.
    pub notify: Option<Arc<[String]>>,
    /// Whether the offline messages have been given out (XEP-0160).
    pub offline_delivered: bool,
}

impl State {
    /// Whether the session is available and its client wants to hear of a node.
    #[must_use]
    pub fn wants(&self, node: &str) -> bool {
        self.presence.is_some()
            && self
                .notify
                .as_ref()
                .is_some_and(|nodes| crate::feature::caps::wants(nodes, node))
    }
}

/// Stream management of a session (XEP-0198).
#[derive(Debug, Clone)]
pub struct Management {
    /// By which the session can be resumed; absent when it cannot.
    pub resume_id: Option<String>,
}

/// What a client says about itself at login (XEP-0388 §2.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserAgent {
    /// The same at each login of this client; kept secret from others.
    pub id: String,
    /// The program's name; absent when not told.
    pub software: Option<String>,
    /// The device's name; absent when not told.
    pub device: Option<String>,
}

/// What may be shown in the place of a client's id: the same at each login of a user, and no way back to the id.
#[must_use]
pub fn shown_id(domain: &str, user: &str, client: &str) -> String {
    let text = format!("{domain}\0{user}\0{client}");
    let hash = digest::digest(&digest::SHA256, text.as_bytes());
    URL_SAFE_NO_PAD.encode(&hash.as_ref()[..9])
}

/// A bound resource.
#[derive(Debug)]
pub struct Session {
    /// The full address.
    pub jid: Jid,
    /// The account: the localpart of the address.
    pub user: Arc<str>,
    /// Unlike all other sessions' since the start.
    pub id: u64,
    /// The way to the client.
    pub outbound: Outbound,
    agent: OnceLock<UserAgent>,
    state: Mutex<State>,
    management: Mutex<Option<Management>>,
    /// Stanzas received since stream management began that are dealt with and on the disk.
    handled: AtomicU32,
    /// Held by the one connection that the session has.
    connection: Arc<tokio::sync::Mutex<()>>,
    /// How often a connection has been attached.
    attachments: AtomicU64,
    /// The client says that nobody looks at it (XEP-0352). Not in the state: whoever sends something asks.
    inactive: AtomicBool,
    ended: AtomicBool,
}

/// A session and the right to be its connection, until dropped.
#[derive(Debug)]
pub struct Attached {
    /// The session.
    pub session: Arc<Session>,
    _connection: tokio::sync::OwnedMutexGuard<()>,
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

impl Session {
    /// A session without presence, for a full address with a localpart.
    #[must_use]
    pub fn new(jid: Jid, outbound_bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            user: jid.local().unwrap_or_default().into(),
            outbound: Outbound::new(jid.clone(), outbound_bytes),
            jid,
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            agent: OnceLock::new(),
            state: Mutex::default(),
            management: Mutex::default(),
            handled: AtomicU32::new(0),
            connection: Arc::default(),
            attachments: AtomicU64::new(0),
            inactive: AtomicBool::new(false),
            ended: AtomicBool::new(false),
        })
    }

    /// Become the session's connection, once the one before has let go; `None` when the session is over.
    pub async fn attach(self: &Arc<Self>) -> Option<Attached> {
        let connection = Arc::clone(&self.connection).lock_owned().await;
        if self.ended.load(Ordering::Acquire) {
            return None;
        }
        self.attachments.fetch_add(1, Ordering::AcqRel);
        Some(Attached {
            session: Arc::clone(self),
            _connection: connection,
        })
    }

    /// How often a connection has been attached: another number means another connection.
    #[must_use]
    pub fn attachments(&self) -> u64 {
        self.attachments.load(Ordering::Acquire)
    }

    /// What its client said about itself, if it did.
    #[must_use]
    pub fn agent(&self) -> Option<&UserAgent> {
        self.agent.get()
    }

    /// Keep what its client says about itself; only the first time counts.
    pub fn set_agent(&self, agent: UserAgent) {
        let _ = self.agent.set(agent);
    }

    /// Whether its client says that nobody looks at it (XEP-0352).
    #[must_use]
    pub fn is_inactive(&self) -> bool {
        self.inactive.load(Ordering::Acquire)
    }

    /// Note whether somebody looks at the client.
    pub fn set_inactive(&self, inactive: bool) {
        self.inactive.store(inactive, Ordering::Release);
    }

    /// Whether a connection serves it now.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.connection.try_lock().is_err()
    }

    /// Mark it as over; false when it was already.
    pub(crate) fn mark_ended(&self) -> bool {
        !self.ended.swap(true, Ordering::AcqRel)
    }

    /// Begin stream management, resumable by the id where there is one.
    pub fn manage(&self, resume_id: Option<String>) {
        *self
            .management
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(Management { resume_id });
        self.handled.store(0, Ordering::Release);
    }

    /// Stream management, when it has begun.
    #[must_use]
    pub fn management(&self) -> Option<Management> {
        self.management
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Stanzas of the client that are dealt with and on the disk (XEP-0198 §4), modulo 2^32.
    #[must_use]
    pub fn handled(&self) -> u32 {
        self.handled.load(Ordering::Acquire)
    }

    /// One more stanza is dealt with and on the disk.
    pub fn count_handled(&self) {
        self.handled.fetch_add(1, Ordering::AcqRel);
    }

    /// Start from a count that a session before the restart had.
    pub fn set_handled(&self, handled: u32) {
        self.handled.store(handled, Ordering::Release);
    }

    /// Look at the state or change it. Hold it briefly and never across an await.
    pub fn state(&self) -> MutexGuard<'_, State> {
        // A panic of another task cannot leave the plain fields of the state half-written.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last broadcast presence, while available.
    #[must_use]
    pub fn presence(&self) -> Option<Presence> {
        self.state().presence.clone()
    }

    /// Queue a stanza for the client. One that cannot take more is ended.
    pub fn send(&self, element: &Element) {
        let stanza = Queued::whole(element.to_xml_in(imd_proto::ns::CLIENT).into());
        if self.is_inactive() {
            self.send_queued(stanza.known(csi::can_wait(element)));
        } else {
            self.send_queued(stanza);
        }
    }

    /// Queue a serialised stanza, as it stands in a stream whose default namespace is `jabber:client`.
    pub fn send_xml(&self, xml: Arc<str>) {
        self.send_queued(Queued::whole(xml));
    }

    /// Queue a copy of a serialised stanza that others get, too. What is found out about it is kept in it for the next one.
    pub fn send_copy(&self, stanza: &mut Queued) {
        let can_wait = self.is_inactive() && stanza.can_wait();
        self.queue(stanza.clone(), can_wait);
    }

    fn send_queued(&self, mut stanza: Queued) {
        let can_wait = self.is_inactive() && stanza.can_wait();
        self.queue(stanza, can_wait);
    }

    fn queue(&self, stanza: Queued, can_wait: bool) {
        // A full queue has marked the session to be ended by its connection; there is nobody to tell here.
        let _ = if can_wait {
            self.outbound.hold(stanza)
        } else {
            self.outbound.push(stanza)
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn is_woken(session: &Session) -> bool {
        tokio::select! { biased; () = session.outbound.changed() => true, () = async {} => false }
    }

    #[tokio::test]
    async fn a_client_that_nobody_looks_at_is_woken_only_for_what_matters() {
        let session = Session::new("a@b/c".parse().unwrap(), 1 << 20);
        session.send_xml("<presence/>".into());
        assert!(is_woken(&session).await);
        session.set_inactive(true);
        session.send_xml("<presence/>".into());
        assert!(!is_woken(&session).await);
        session.send_xml("<message><body>x</body></message>".into());
        assert!(is_woken(&session).await);
    }
}
