//! Rosters with versioning (RFC 6121 §2), and subscription requests that wait for an answer.

use async_trait::async_trait;

use crate::Result;

/// The subscription between a user and a contact, seen from the user (RFC 6121 §2.1.2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Subscription {
    /// Neither sees the other's presence.
    #[default]
    None,
    /// The user sees the contact's presence.
    To,
    /// The contact sees the user's presence.
    From,
    /// Both.
    Both,
}

impl Subscription {
    /// The value of the `subscription` attribute.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::To => "to",
            Self::From => "from",
            Self::Both => "both",
        }
    }

    /// The subscription of that name; `None` for any other text.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::None, Self::To, Self::From, Self::Both]
            .into_iter()
            .find(|s| s.as_str() == name)
    }

    /// True when the user receives the contact's presence.
    pub fn is_to(self) -> bool {
        matches!(self, Self::To | Self::Both)
    }

    /// True when the contact receives the user's presence.
    pub fn is_from(self) -> bool {
        matches!(self, Self::From | Self::Both)
    }
}

/// One contact in a roster.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RosterItem {
    /// The contact's bare JID.
    pub contact: String,
    /// The handle the user gave; `None`: none.
    pub name: Option<String>,
    /// Who sees whose presence.
    pub subscription: Subscription,
    /// True while the user's own request waits for the contact's answer (`ask='subscribe'`).
    pub ask: bool,
    /// True when the user has approved the contact in advance (RFC 6121 §3.4).
    pub approved: bool,
    /// The user's groups for this contact, in the order given.
    pub groups: Vec<String>,
}

/// A whole roster.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Roster {
    /// Its version: grows with each change, 0 for a roster that was never changed.
    pub version: u64,
    /// Its items in the order of their JIDs.
    pub items: Vec<RosterItem>,
}

/// One step between two versions of a roster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RosterChange {
    /// The item is now this.
    Set {
        /// The roster's version after this change.
        version: u64,
        /// The item.
        item: RosterItem,
    },
    /// The contact is no longer in the roster.
    Removed {
        /// The roster's version after this change.
        version: u64,
        /// The contact's bare JID.
        contact: String,
    },
}

/// How a client that has some version gets to the present one (RFC 6121 §2.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RosterChanges {
    /// Send these as roster pushes, in this order. Empty: nothing has changed.
    Since(Vec<RosterChange>),
    /// That version is unknown or too old: send the whole roster.
    Whole(Roster),
}

/// What an edit makes of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RosterStep {
    /// Leave it as it is.
    Keep,
    /// Write this item; its `contact` must be the one that is edited.
    Set(RosterItem),
    /// Remove it.
    Remove,
}

/// Decides what becomes of an item; `None` is given where the contact is not in the roster.
/// Pure: it may be run more than once.
pub type RosterEdit = Box<dyn Fn(Option<RosterItem>) -> RosterStep + Send>;

/// What an edit did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RosterUpdate {
    /// The item before; `None`: it was not in the roster.
    pub before: Option<RosterItem>,
    /// The item after; `None`: it is not in the roster.
    pub after: Option<RosterItem>,
    /// The roster's version after the edit; unchanged where `before` equals `after`.
    pub version: u64,
}

/// A subscription request that waits for the user's answer (RFC 6121 §3.1.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionRequest {
    /// The bare JID of the one who asks.
    pub from: String,
    /// The presence stanza, to be delivered at each login until answered.
    pub stanza: String,
}

/// Rosters. `user` is the prepared localpart, `contact` a bare JID. Writing for a user without an
/// account fails with `Absent`.
#[async_trait]
pub trait RosterStore {
    /// The whole roster; empty with version 0 for a user who never had one.
    async fn roster(&self, user: &str) -> Result<Roster>;

    /// The roster's version; 0 for a user who never had one.
    async fn roster_version(&self, user: &str) -> Result<u64>;

    /// One item; `None` when the contact is not in the roster.
    async fn roster_item(&self, user: &str, contact: &str) -> Result<Option<RosterItem>>;

    /// Reads, decides and writes one item in one transaction, so that edits from both ends of a
    /// subscription do not overwrite each other. `Limit` when the item is new and the roster has
    /// `max_items` already.
    async fn edit_roster_item(
        &self,
        user: &str,
        contact: &str,
        max_items: u32,
        edit: RosterEdit,
    ) -> Result<RosterUpdate>;

    /// Writes an item, new or not, and returns the new version. `Limit` as for `edit_roster_item`.
    async fn set_roster_item(&self, user: &str, item: RosterItem, max_items: u32) -> Result<u64>;

    /// Removes an item and returns the new version; `None` when it was not there.
    async fn remove_roster_item(&self, user: &str, contact: &str) -> Result<Option<u64>>;

    /// What changed after version `since`, each contact once with its latest state.
    async fn roster_changes(&self, user: &str, since: u64) -> Result<RosterChanges>;

    /// The roster and the requests that wait, oldest first, as they are at one moment: what a login needs.
    async fn roster_and_requests(&self, user: &str) -> Result<(Roster, Vec<SubscriptionRequest>)>;

    /// The requests that wait for this user, oldest first.
    async fn subscription_requests(&self, user: &str) -> Result<Vec<SubscriptionRequest>>;

    /// Keeps a request; one from the same sender is replaced. `Limit` when `max` others wait already.
    async fn add_subscription_request(
        &self,
        user: &str,
        request: SubscriptionRequest,
        max: u32,
    ) -> Result<()>;

    /// Forgets a request; false when there was none.
    async fn remove_subscription_request(&self, user: &str, from: &str) -> Result<bool>;
}
