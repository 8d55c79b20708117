//! What `imd` keeps: domain verbs over owned plain types, with no SQL and no XMPP types outside.
//!
//! [`Store`] is the sum of one trait for each kind of data, each in the file of its name, and is used as
//! `Arc<dyn Store>`. One method is one transaction. Every method says what happens when the thing is
//! absent. [`sqlite`] is the backend; [`contract`] is the suite that every backend has to pass.
//!
//! JIDs and localparts are given as text that is already prepared (RFC 7622); the store compares bytes.

mod accounts;
mod archive;
mod audit;
mod blocks;
pub mod contract;
mod error;
mod groups;
mod ids;
mod invites;
mod offline;
mod private;
mod pubsub;
mod push;
mod rooms;
mod roster;
mod sessions;
mod settings;
pub mod sqlite;
mod tokens;
mod upkeep;
mod uploads;
mod vcards;

pub use accounts::{Account, AccountStore, Credentials, Removed, Role, ScramKeys};
pub use archive::{
    ArchiveDefault, ArchiveEntry, ArchiveFilter, ArchiveMark, ArchivePage, ArchivePaging,
    ArchivePrefs, ArchiveStore, Commit, Write,
};
pub use audit::{AuditEntry, AuditStore};
pub use blocks::BlockStore;
pub use error::{Result, StoreError};
pub use groups::{Group, GroupContactChange, GroupStore, ImportOutcome, ImportedPerson};
pub use ids::{ArchiveId, ArchiveIds, NotAnArchiveId, UnixMillis, now_millis};
pub use invites::{Invite, InviteKind, InviteStore};
pub use offline::{OfflineEntry, OfflineMessage, OfflineStore};
pub use private::PrivateStore;
pub use pubsub::{Item, Newest, Node, NodeSubscription, PublishLimits, Published, PubsubStore};
pub use push::{PushRegistration, PushStore};
pub use rooms::{Affiliation, AffiliationChange, Room, RoomAffiliation, RoomStore};
pub use roster::{
    Roster, RosterChange, RosterChanges, RosterEdit, RosterItem, RosterStep, RosterStore,
    RosterUpdate, Subscription, SubscriptionRequest,
};
pub use sessions::{SavedSession, SessionStore};
pub use settings::SettingStore;
pub use tokens::{ApiToken, LoginClient, LoginToken, TokenStore};
pub use upkeep::{StoreSize, UpkeepStore};
pub use uploads::{Upload, UploadQuota, UploadStore, UploadUsage};
pub use vcards::VcardStore;

/// Everything the server keeps.
pub trait Store:
    AccountStore
    + ArchiveStore
    + AuditStore
    + BlockStore
    + GroupStore
    + InviteStore
    + OfflineStore
    + PrivateStore
    + PubsubStore
    + PushStore
    + RoomStore
    + RosterStore
    + SessionStore
    + SettingStore
    + TokenStore
    + UploadStore
    + UpkeepStore
    + VcardStore
    + Send
    + Sync
    + 'static
{
}
