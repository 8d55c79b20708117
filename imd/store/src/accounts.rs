//! Accounts: who may log in, with which keys, in which role.

use std::fmt;

use async_trait::async_trait;

use crate::{Result, UnixMillis};

/// What an account may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Administers the box.
    Admin,
    /// An ordinary person.
    Member,
    /// A guest or a child: may only talk to people in the same groups.
    Limited,
}

impl Role {
    /// The role's name in the database, the configuration and the admin API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Member => "member",
            Self::Limited => "limited",
        }
    }

    /// The role of that name; `None` for any other text.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Admin, Self::Member, Self::Limited]
            .into_iter()
            .find(|role| role.as_str() == name)
    }
}

/// An account, without its keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The localpart of its JID, already prepared (RFC 7622 §3.3).
    pub username: String,
    /// What it may do.
    pub role: Role,
    /// False: it keeps its data but cannot log in.
    pub enabled: bool,
    /// When it was created.
    pub created_at: UnixMillis,
}

/// What a server keeps of a password for SCRAM (RFC 5802 §3). The password cannot be computed from it.
#[derive(Clone, PartialEq, Eq)]
pub struct ScramKeys {
    /// The salt, raw bytes.
    pub salt: Vec<u8>,
    /// The PBKDF2 iteration count.
    pub iterations: u32,
    /// `StoredKey`, raw bytes.
    pub stored_key: Vec<u8>,
    /// `ServerKey`, raw bytes.
    pub server_key: Vec<u8>,
}

impl fmt::Debug for ScramKeys {
    /// Leaves the keys out: they let a thief log in as the server or test passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScramKeys")
            .field("iterations", &self.iterations)
            .finish_non_exhaustive()
    }
}

/// The keys of an account, one set for each hash. With neither set, nobody can log in by password.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Credentials {
    /// Keys for SCRAM-SHA-1; `None`: that mechanism is not offered to the account.
    pub sha1: Option<ScramKeys>,
    /// Keys for SCRAM-SHA-256; `None`: that mechanism is not offered to the account.
    pub sha256: Option<ScramKeys>,
}

/// What went with a removed account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Removed {
    /// Roster items and pending subscription requests.
    pub contacts: u64,
    /// Messages in its own archive. Copies in the archives of its contacts and rooms remain.
    pub archived: u64,
    /// Messages that waited for it.
    pub offline: u64,
    /// Its PEP nodes with their items.
    pub nodes: u64,
    /// Rooms in which it had an affiliation. The rooms remain.
    pub rooms: u64,
    /// Uploaded files whose records are kept with no owner until their files are deleted.
    pub uploads: u64,
}

/// Accounts and their keys. `user` is the prepared localpart everywhere.
#[async_trait]
pub trait AccountStore {
    /// Creates an account. `Exists` when the username is taken.
    async fn create_account(&self, account: Account, credentials: Credentials) -> Result<()>;

    /// The account; `None` when there is none of that name.
    async fn account(&self, user: &str) -> Result<Option<Account>>;

    /// The account's keys; `None` when there is no such account.
    async fn credentials(&self, user: &str) -> Result<Option<Credentials>>;

    /// Replaces the account's keys and revokes its login tokens: whoever knew the old password is out. `Absent`
    /// when there is no such account.
    async fn set_credentials(&self, user: &str, credentials: Credentials) -> Result<()>;

    /// Adds keys for the hashes for which the account has none, of the same password. Those it has stay. `Absent`
    /// when there is no such account.
    async fn add_credentials(&self, user: &str, credentials: Credentials) -> Result<()>;

    /// Changes the role. `Absent` when there is no such account.
    async fn set_role(&self, user: &str, role: Role) -> Result<()>;

    /// Enables or disables the account. `Absent` when there is no such account.
    async fn set_enabled(&self, user: &str, enabled: bool) -> Result<()>;

    /// Up to `max` accounts in the order of their names, those after the name `after`.
    async fn accounts(&self, after: Option<&str>, max: u32) -> Result<Vec<Account>>;

    /// How many accounts there are.
    async fn count_accounts(&self) -> Result<u64>;

    /// Removes the account and all it owned, in one transaction. `bare_jid` is its JID, by which its
    /// archive, its PEP nodes, its vCard and its affiliations are kept. `Absent` when there is no such account.
    async fn remove_account(&self, user: &str, bare_jid: &str) -> Result<Removed>;
}
