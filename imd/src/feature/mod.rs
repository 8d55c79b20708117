//! What the server can do: one file per protocol feature, each announcing itself to service discovery.
//!
//! A feature answers IQ requests by namespace and hears of sessions coming and going. It gets stanzas whose
//! sender is authenticated, and answers with values; sending goes through [`crate::route`].

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use imd_proto::{Element, Jid, Stanza, StanzaError};

use crate::server::Server;
use crate::session::Session;

pub mod archive;
pub mod archive_prefs;
pub mod avatar;
mod block;
pub mod caps;
pub mod carbons;
pub mod commands;
pub mod csi;
pub mod disco;
pub mod external;
pub mod invite;
mod last;
pub mod muc;
mod offline;
mod ping;
mod private;
pub mod pubsub;
pub mod push;
pub mod register;
pub mod report;
pub mod roster;
mod service_admin;
mod session;
pub mod time;
mod vcard;
mod version;

/// All features, in the order in which they hear of events.
#[must_use]
pub fn all() -> Vec<Arc<dyn Feature>> {
    vec![
        Arc::new(disco::Disco),
        Arc::new(roster::Roster),
        Arc::new(block::Block),
        Arc::new(carbons::Carbons),
        Arc::new(caps::Caps),
        Arc::new(pubsub::Pep),
        Arc::new(avatar::Avatar),
        Arc::new(push::PushFeature),
        Arc::new(report::Report),
        Arc::new(csi::ClientState),
        Arc::new(archive::Archive),
        Arc::new(offline::Offline),
        Arc::new(vcard::Vcard),
        Arc::new(private::Private),
        Arc::new(commands::Commands::default()),
        Arc::new(register::Register),
        Arc::new(external::External),
        Arc::new(session::SessionRequest),
        Arc::new(ping::Ping),
        Arc::new(time::Time),
        Arc::new(version::Version),
        Arc::new(last::Last),
    ]
}

/// Whom an IQ request is addressed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Target {
    /// The server's domain.
    Server,
    /// The bare address of an account, or no address, which means the sender's own account.
    Account,
}

/// A request that a feature answers.
pub struct Request<'a> {
    /// The server.
    pub server: &'a Arc<Server>,
    /// The sender's session; absent when the sender is elsewhere.
    pub session: Option<&'a Arc<Session>>,
    /// The IQ, its sender authenticated.
    pub stanza: &'a Stanza,
    /// The child element that says what is wanted.
    pub payload: &'a Element,
    /// The account it is addressed to; absent for the server.
    pub account: Option<Jid>,
}

impl Request<'_> {
    /// Whether something is to be changed (`set`) rather than read (`get`).
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.stanza.type_attr() == Some("set")
    }

    /// Whether the sender asks its own account.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.account
            .as_ref()
            .is_some_and(|account| account.same_bare(&self.stanza.from))
    }

    /// The sender's session and username, for what only the owner of an account may do.
    ///
    /// # Errors
    /// `forbidden` for everybody else.
    pub fn own(&self) -> Result<(&Arc<Session>, &str), StanzaError> {
        match self.session {
            Some(session) if self.account.is_none() || self.is_own() => {
                Ok((session, &session.user))
            }
            _ => Err(StanzaError::new(imd_proto::Condition::Forbidden)),
        }
    }

    /// The username of the account it is addressed to.
    ///
    /// # Errors
    /// `item-not-found` when it is addressed to the server.
    pub fn user(&self) -> Result<&str, StanzaError> {
        self.account
            .as_ref()
            .and_then(Jid::local)
            .ok_or_else(|| StanzaError::new(imd_proto::Condition::ItemNotFound))
    }
}

/// How a feature answers.
#[derive(Debug)]
pub enum Reply {
    /// An empty result.
    Empty,
    /// A result with this payload.
    With(Element),
    /// The feature has sent the answer itself, because other stanzas had to follow it.
    Sent,
}

/// What a feature answers, or the error that the sender gets.
pub type Answer = Result<Reply, StanzaError>;

/// A protocol feature.
#[async_trait]
pub trait Feature: Send + Sync {
    /// Namespaces that the server's disco#info lists.
    fn server_features(&self) -> Vec<&'static str> {
        Vec::new()
    }

    /// Namespaces that disco#info of an account lists.
    fn account_features(&self) -> Vec<&'static str> {
        Vec::new()
    }

    /// The namespaces of the IQ payloads that it answers, by whom they are addressed to.
    fn requests(&self) -> Vec<(Target, &'static str)> {
        Vec::new()
    }

    /// Answer a request of one of those namespaces.
    async fn request(&self, request: &Request<'_>) -> Answer {
        let _ = request;
        Err(StanzaError::new(imd_proto::Condition::ServiceUnavailable))
    }

    /// Elements for `<stream:features/>` after authentication.
    fn stream_features(&self) -> Vec<Element> {
        Vec::new()
    }

    /// A session has sent its first presence, or became available again.
    async fn available(&self, server: &Arc<Server>, session: &Arc<Session>, presence: &Stanza) {
        let _ = (server, session, presence);
    }

    /// A session has ended.
    async fn ended(&self, server: &Arc<Server>, session: &Arc<Session>) {
        let _ = (server, session);
    }
}

/// A service that owns a whole domain, such as rooms or a component.
#[async_trait]
pub trait Service: Send + Sync {
    /// Take a stanza that is addressed to the service or below it. The commit resolves when what it
    /// changed is on the disk; absent when nothing waits for the disk.
    async fn stanza(&self, server: &Arc<Server>, stanza: Stanza) -> Option<imd_store::Commit>;

    /// The name in the server's disco#items; absent when it is not listed.
    fn name(&self) -> Option<String> {
        None
    }
}

/// Features by the namespaces that they answer.
pub struct Registry {
    features: Vec<Arc<dyn Feature>>,
    requests: HashMap<Target, HashMap<&'static str, Arc<dyn Feature>>>,
}

impl Registry {
    /// Enter features. Of two that answer the same namespace the first is asked.
    #[must_use]
    pub fn new(features: Vec<Arc<dyn Feature>>) -> Self {
        let mut requests: HashMap<Target, HashMap<&'static str, Arc<dyn Feature>>> = HashMap::new();
        for feature in &features {
            for (target, ns) in feature.requests() {
                requests
                    .entry(target)
                    .or_default()
                    .entry(ns)
                    .or_insert_with(|| Arc::clone(feature));
            }
        }
        Self { features, requests }
    }

    /// The feature that answers a request.
    #[must_use]
    pub fn find(&self, target: Target, ns: &str) -> Option<&Arc<dyn Feature>> {
        self.requests.get(&target)?.get(ns)
    }

    /// All features, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn Feature>> {
        self.features.iter()
    }
}

/// The stanza error that a client is told when the store refuses.
#[must_use]
pub fn store_error(error: &imd_store::StoreError) -> StanzaError {
    use imd_proto::Condition as C;
    use imd_store::StoreError as E;
    let condition = match error {
        E::Exists { .. } => C::Conflict,
        E::Absent { .. } => C::ItemNotFound,
        E::Limit { .. } => C::ResourceConstraint,
        E::Off { .. } => C::FeatureNotImplemented,
        error if error.is_resource_constraint() => C::ResourceConstraint,
        _ => C::InternalServerError,
    };
    // What the disk says is for the log, not for the people in the chat.
    tracing::warn!(%error, "the store refused");
    match error {
        E::Exists { .. } | E::Absent { .. } | E::Limit { .. } | E::Off { .. } => {
            StanzaError::with_text(condition, error.to_string())
        }
        _ if condition == C::ResourceConstraint => StanzaError::with_text(
            condition,
            "the server's disk takes no new data at the moment; try again later",
        ),
        _ => StanzaError::new(condition),
    }
}
