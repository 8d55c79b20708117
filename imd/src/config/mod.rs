//! The daemon's settings: read from one TOML file, checked as a whole, then never changed.
//!
//! Every key is documented on its field; `configs/imd.example.toml` shows them with their defaults.

mod contact;
mod file;
mod servers;
mod web;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use contact::{ContactSettings, PushSettings};
pub use file::{parse, read};
pub use servers::{ComponentSettings, FederationSettings};
pub use web::{ExternalService, UploadSettings, WebSettings};

/// Everything `imd serve` is told.
#[derive(Debug, Clone)]
pub struct Config {
    /// The XMPP domain: what stands after `@` in everybody's address.
    pub domain: String,
    /// Where the database and uploads are kept.
    pub data_dir: PathBuf,
    /// The certificate and its key.
    pub tls: TlsFiles,
    /// Where connections are taken.
    pub listen: Listen,
    /// Bounds.
    pub limits: Limits,
    /// The message archive.
    pub archive: ArchiveSettings,
    /// Rooms.
    pub rooms: RoomSettings,
    /// The web: its address, the web chat, invitations.
    pub web: WebSettings,
    /// Uploads.
    pub uploads: UploadSettings,
    /// STUN and TURN servers (XEP-0215).
    pub external_services: Vec<ExternalService>,
    /// External components (XEP-0114).
    pub components: Vec<ComponentSettings>,
    /// Federation with other servers.
    pub federation: FederationSettings,
    /// Push notifications.
    pub push: PushSettings,
    /// Whom to write to about the server.
    pub contact: ContactSettings,
}

/// Certificate files.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// PEM file: the server's certificate, then those that signed it.
    pub certificate: PathBuf,
    /// PEM file: the certificate's private key.
    pub key: PathBuf,
    /// PEM file: a certificate for the domain alone, those that signed it, and its key. Who asks for the domain, or names
    /// nothing, is shown it for as long as the file is there. Absent: there never is one.
    pub domain_certificate: Option<PathBuf>,
}

/// Listening addresses. An empty list turns a listener off.
#[derive(Debug, Clone, Default)]
pub struct Listen {
    /// Clients, TCP with STARTTLS (RFC 6120 §5).
    pub starttls: Vec<SocketAddr>,
    /// Clients, TLS from the first byte (XEP-0368).
    pub direct_tls: Vec<SocketAddr>,
    /// Browsers and HTTP clients, TLS with the server's own certificate.
    pub https: Vec<SocketAddr>,
    /// The same without TLS: loopback addresses only.
    pub http: Vec<SocketAddr>,
    /// The same on a Unix socket, for nginx, which is trusted to say where a request comes from.
    pub http_socket: Option<PathBuf>,
    /// The admin API on a Unix socket: whoever may open it is an administrator.
    pub admin: Option<PathBuf>,
    /// External components (XEP-0114), which have no TLS: loopback addresses only.
    pub component: Vec<SocketAddr>,
    /// Other servers, TCP with STARTTLS.
    pub s2s: Vec<SocketAddr>,
    /// Other servers, TLS from the first byte (XEP-0368).
    pub s2s_direct_tls: Vec<SocketAddr>,
}

/// Rooms (XEP-0045).
#[derive(Debug, Clone)]
pub struct RoomSettings {
    /// The domain that has the rooms; absent means `rooms.` before the XMPP domain.
    pub domain: Option<String>,
    /// Who may make rooms.
    pub create: MayCreate,
    /// The most occupants of one room.
    pub max_occupants: u32,
    /// The most rooms.
    pub max_rooms: u32,
}

impl Default for RoomSettings {
    fn default() -> Self {
        Self {
            domain: None,
            create: MayCreate::Members,
            max_occupants: 5000,
            max_rooms: 10_000,
        }
    }
}

/// Who may make rooms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MayCreate {
    /// Administrators of this server.
    Administrators,
    /// People of this server, but for limited accounts.
    Members,
    /// Everybody, also from other servers.
    Anyone,
}

impl Config {
    /// The domain that has the rooms.
    #[must_use]
    pub fn rooms_domain(&self) -> String {
        let chosen = self.rooms.domain.clone();
        chosen.unwrap_or_else(|| format!("rooms.{}", self.domain))
    }
}

/// Message archive (XEP-0313).
#[derive(Debug, Clone)]
pub struct ArchiveSettings {
    /// Whether messages are archived at all.
    pub enabled: bool,
    /// Whether the archive can be searched for words. Costs about as much disk again as the texts.
    pub search: bool,
    /// How long messages are kept; absent means for ever.
    pub retention: Option<Duration>,
}

/// Bounds on what one peer may make the daemon hold or do.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes of one stanza of a logged-in client.
    pub stanza_bytes: usize,
    /// Bytes of one element before login.
    pub login_stanza_bytes: usize,
    /// Elements inside one another in a stanza.
    pub stanza_depth: usize,
    /// Time from the connection to the bound resource.
    pub login_timeout: Duration,
    /// Failed logins on one connection before it is closed.
    pub login_attempts: u32,
    /// Failed logins from one address, or for one account, before each further one is answered more slowly. One is
    /// forgotten each minute.
    pub login_failures: u32,
    /// Whether loopback addresses may fail as often as they like.
    pub loopback_exempt: bool,
    /// How long a client that has logged in may do so without the password (XEP-0484).
    pub token_lifetime: Duration,
    /// Connections from one address; loopback is exempt.
    pub connections_per_address: u32,
    /// Connections that have not logged in yet, from all addresses.
    pub connections_before_login: u32,
    /// HTTP connections at one time.
    pub http_connections: u32,
    /// Sessions of all accounts; the limit of open files bounds them, too.
    pub sessions: u32,
    /// Sessions of one account.
    pub sessions_per_account: usize,
    /// Bytes that wait for one client before it counts as stuck.
    pub outbound_bytes: usize,
    /// What an account may send, in bytes per second; small elements count as 1 KiB.
    pub account_rate: usize,
    /// What it may send at once.
    pub account_burst: usize,
    /// What all connections of one address may send, in bytes per second.
    pub address_rate: usize,
    /// What they may send at once.
    pub address_burst: usize,
    /// Bytes that wait for all clients together before those for whom most waits count as stuck.
    pub outbound_total_bytes: usize,
    /// How long one write may make no progress before the connection counts as broken.
    pub write_timeout: Duration,
    /// Silence after which a client is asked for a sign of life.
    pub idle_timeout: Duration,
    /// How long it then has to give one.
    pub life_timeout: Duration,
    /// How long a broken session waits to be resumed (XEP-0198).
    pub resume_timeout: Duration,
    /// Contacts in a roster.
    pub roster_items: u32,
    /// Members of a group, each of whom has all others as contacts.
    pub group_members: u32,
    /// Subscription requests that wait for one account.
    pub subscription_requests: u32,
    /// Messages that wait for one offline account.
    pub offline_messages: u32,
    /// Addresses one account may block.
    pub blocked: u32,
    /// Elements of private storage (XEP-0049) and bytes of each kept document.
    pub private_elements: u32,
    /// Archived messages in one answer (XEP-0313).
    pub archive_page: u32,
    /// Publish-subscribe nodes of one account (XEP-0163).
    pub pep_nodes: u32,
    /// Channels: nodes of the publish-subscribe service (XEP-0060).
    pub channels: u32,
    /// Items that one node keeps; what `max` means.
    pub pubsub_items: u32,
    /// Bytes of all items of one account, or of all channels.
    pub pubsub_bytes: u64,
    /// Subscriptions to one node.
    pub pubsub_subscriptions: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            stanza_bytes: 256 * 1024,
            login_stanza_bytes: 16 * 1024,
            stanza_depth: 64,
            login_timeout: Duration::from_secs(30),
            login_attempts: 5,
            login_failures: 20,
            loopback_exempt: true,
            token_lifetime: Duration::from_secs(21 * 86_400),
            connections_per_address: 500,
            connections_before_login: 2000,
            http_connections: 4096,
            sessions: 100_000,
            sessions_per_account: 32,
            outbound_bytes: 4 * 1024 * 1024,
            outbound_total_bytes: 256 * 1024 * 1024,
            account_rate: 512 * 1024,
            account_burst: 8 * 1024 * 1024,
            address_rate: 4 * 1024 * 1024,
            address_burst: 64 * 1024 * 1024,
            write_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(300),
            life_timeout: Duration::from_secs(60),
            resume_timeout: Duration::from_secs(600),
            roster_items: 5000,
            group_members: 500,
            subscription_requests: 200,
            offline_messages: 1000,
            blocked: 1000,
            private_elements: 100,
            archive_page: 250,
            pep_nodes: 200,
            channels: 1000,
            pubsub_items: 5000,
            pubsub_bytes: 50 << 20,
            pubsub_subscriptions: 5000,
        }
    }
}
