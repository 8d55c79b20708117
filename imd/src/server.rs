//! The parts that every session shares.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Instant;

use imd_proto::{Jid, Stanza, StanzaError};
use imd_store::Store;
use ring::rand::SecureRandom as _;

use crate::config::Config;
use crate::feature::archive_prefs::Preferences;
use crate::feature::avatar::Avatars;
use crate::feature::caps::Interests;
use crate::feature::push::Push;
use crate::feature::{Registry, Service};
use crate::load::{Full, Load};
use crate::route::asked::Asked;
use crate::route::blocked::BlockLists;
use crate::route::directory::Directory;
use crate::route::limited::Limited;
use crate::session::resumable::Resumable;
use crate::shutdown::Shutdown;

/// Configuration, store, who is online, and the features: one value, shared by all tasks.
pub struct Server {
    /// The settings.
    pub config: Config,
    /// The domain as an address.
    pub domain: Jid,
    /// Everything that outlives the process.
    pub store: Arc<dyn Store>,
    /// Who is online.
    pub directory: Directory,
    /// What the server can do, by namespace.
    pub features: Registry,
    /// Sessions that can be resumed, by id.
    pub resumable: Resumable,
    /// Block lists of accounts in use.
    pub blocked: BlockLists,
    /// With whom limited accounts may talk.
    pub limited: Limited,
    /// What the server itself has asked of others.
    pub asked: Asked,
    /// Push registrations of accounts in use.
    pub push: Push,
    /// What accounts want archived.
    pub archive_prefs: Preferences,
    /// Which avatars accounts show.
    pub avatars: Avatars,
    /// Which clients want to hear of which nodes.
    pub interests: Interests,
    /// Asks every task to end.
    pub shutdown: Shutdown,
    /// When the daemon started.
    pub started: Instant,
    /// Random bytes.
    pub random: ring::rand::SystemRandom,
    /// Makes salts for accounts that do not exist, so that they cannot be told from those that do.
    pub decoy_key: ring::hmac::Key,
    /// Rooms.
    pub rooms: Arc<crate::feature::muc::Rooms>,
    /// Failed logins, by which guessing is slowed down.
    pub guard: crate::sasl::guard::Guard,
    /// Bounds that all connections share, and what happens beyond them.
    pub load: Load,
    /// Services on their own domains, such as rooms.
    services: RwLock<HashMap<String, Arc<dyn Service>>>,
    /// The way to other servers; absent: there is no federation.
    remote: OnceLock<Arc<dyn Service>>,
}

impl Server {
    /// A server over an open store.
    ///
    /// # Errors
    /// When the system has no random numbers or the domain is no address.
    pub fn new(
        config: Config,
        store: Arc<dyn Store>,
        shutdown: Shutdown,
    ) -> anyhow::Result<Arc<Self>> {
        let domain: Jid = config.domain.parse()?;
        let random = ring::rand::SystemRandom::new();
        let mut seed = [0; 32];
        random
            .fill(&mut seed)
            .map_err(|_| anyhow::anyhow!("the system has no random numbers"))?;
        let rooms = Arc::<crate::feature::muc::Rooms>::default();
        let rooms_domain = config.rooms_domain();
        let server = Arc::new(Self {
            domain,
            store,
            directory: Directory::default(),
            features: Registry::new(crate::feature::all()),
            resumable: Resumable::default(),
            blocked: BlockLists::default(),
            limited: Limited::default(),
            asked: Asked::default(),
            push: Push::default(),
            archive_prefs: Preferences::default(),
            avatars: Avatars::default(),
            interests: Interests::default(),
            shutdown,
            started: Instant::now(),
            random,
            decoy_key: ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &seed),
            rooms: Arc::clone(&rooms),
            guard: crate::sasl::guard::Guard::default(),
            load: Load::new(&config.limits),
            services: RwLock::default(),
            remote: OnceLock::new(),
            config,
        });
        server.add_service(rooms_domain, rooms);
        Ok(server)
    }

    /// Random bytes as text of 2 × `N` hexadecimal digits, unguessable.
    #[must_use]
    pub fn random_id<const N: usize>(&self) -> String {
        let mut bytes = [0; N];
        // The generator answered at the start; the system call behind it does not fail after that.
        let _ = self.random.fill(&mut bytes);
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    /// Whether no more logins are taken at present.
    #[must_use]
    pub fn full(&self) -> Option<Full> {
        let mut chance = [0; 8];
        // Without chance they come again at the same moment: no reason to let them in.
        let _ = self.random.fill(&mut chance);
        self.load
            .full(self.directory.len(), u64::from_le_bytes(chance))
    }

    /// Whether an address belongs to an account of this server.
    #[must_use]
    pub fn is_local_account(&self, jid: &Jid) -> bool {
        jid.local().is_some() && jid.domain() == self.config.domain
    }

    /// The bare address of a local account.
    #[must_use]
    pub fn account_jid(&self, user: &str) -> Jid {
        // A username is a prepared localpart, so this does not fail; the domain stands in where it would.
        Jid::new(Some(user), &self.config.domain, None).unwrap_or_else(|_| self.domain.clone())
    }

    /// Give a domain below this server's to a service.
    pub fn add_service(&self, domain: impl Into<String>, service: Arc<dyn Service>) {
        self.services
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(domain.into(), service);
    }

    /// Take a domain back from its service.
    pub fn remove_service(&self, domain: &str) {
        self.services
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(domain);
    }

    /// Whether a domain is the server's own or one of its services'.
    #[must_use]
    pub fn is_local_domain(&self, domain: &str) -> bool {
        domain == self.config.domain || self.service(domain).is_some()
    }

    /// Let stanzas to all other domains go this way. A second call changes nothing.
    pub fn set_remote(&self, remote: Arc<dyn Service>) {
        // Whoever is there already has streams that must go on.
        let _ = self.remote.set(remote);
    }

    /// The way to other servers; absent when there is no federation.
    #[must_use]
    pub fn remote(&self) -> Option<Arc<dyn Service>> {
        self.remote.get().cloned()
    }

    /// The service that has a domain.
    #[must_use]
    pub fn service(&self, domain: &str) -> Option<Arc<dyn Service>> {
        self.services
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(domain)
            .cloned()
    }

    /// The domains of all services, in order.
    #[must_use]
    pub fn service_domains(&self) -> Vec<String> {
        let mut domains: Vec<_> = self
            .services
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .keys()
            .cloned()
            .collect();
        domains.sort();
        domains
    }

    /// Send an error back to whoever sent a stanza, unless it is one itself or wants no answer (RFC 6120 §8.3.1).
    pub async fn bounce(self: &Arc<Self>, stanza: &Stanza, error: &StanzaError) {
        let answer = stanza.kind == imd_proto::Kind::Iq && stanza.type_attr() == Some("result");
        if stanza.is_error() || answer {
            return;
        }
        let from = stanza.to.clone().unwrap_or_else(|| stanza.from.to_bare());
        if let Ok(reply) = Stanza::stamp(stanza.kind, stanza.error(error), from) {
            Box::pin(crate::route::answer(self, reply)).await;
        }
    }
}
