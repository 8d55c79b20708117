//! Rooms that survive a restart (XEP-0045): configuration, subject, affiliations. Their messages are
//! in the archive under the room's bare JID.

use async_trait::async_trait;

use crate::{Result, UnixMillis};

/// A persistent room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// Its bare JID.
    pub jid: String,
    /// The configuration in a form of the caller's choice; the store does not look inside.
    pub config: String,
    /// The subject message as XML; `None`: never set.
    pub subject: Option<String>,
    /// When it was created.
    pub created_at: UnixMillis,
}

/// A long-lived association with a room (XEP-0045 §5.2). "None" is the absence of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Affiliation {
    /// Banned.
    Outcast,
    /// On the member list.
    Member,
    /// Administers members and messages.
    Admin,
    /// May do everything.
    Owner,
}

impl Affiliation {
    /// The value of the `affiliation` attribute.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Outcast => "outcast",
            Self::Member => "member",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }

    /// The affiliation of that name; `None` for "none" and any other text.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Outcast, Self::Member, Self::Admin, Self::Owner]
            .into_iter()
            .find(|a| a.as_str() == name)
    }
}

/// Who is affiliated how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomAffiliation {
    /// The person's bare JID (an outcast may be a whole domain).
    pub jid: String,
    /// How.
    pub affiliation: Affiliation,
    /// The nickname reserved for them; `None`: none.
    pub nick: Option<String>,
    /// The reason given when it was set; `None`: none.
    pub reason: Option<String>,
}

/// A change of affiliation; `None` removes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AffiliationChange {
    /// The person's bare JID.
    pub jid: String,
    /// What it becomes.
    pub affiliation: Option<Affiliation>,
    /// The nickname reserved for them; `None` leaves a reserved one as it is.
    pub nick: Option<String>,
    /// The reason given.
    pub reason: Option<String>,
}

/// Rooms. `room` is a bare JID.
#[async_trait]
pub trait RoomStore {
    /// Writes a room, new or not, without touching its affiliations.
    async fn save_room(&self, room: Room) -> Result<()>;

    /// Creates a room with its first affiliations. `Exists` when there is one of that JID.
    async fn create_room(&self, room: Room, affiliations: Vec<AffiliationChange>) -> Result<()>;

    /// The room; `None` when there is none.
    async fn room(&self, room: &str) -> Result<Option<Room>>;

    /// All rooms in the order of their JIDs.
    async fn rooms(&self) -> Result<Vec<Room>>;

    /// Deletes the room, its affiliations, its vCard and its archive; false when there was none.
    async fn delete_room(&self, room: &str) -> Result<bool>;

    /// The room's affiliations in the order of the JIDs; empty for an unknown room.
    async fn affiliations(&self, room: &str) -> Result<Vec<RoomAffiliation>>;

    /// Makes all the changes or none. `Absent` when there is no such room.
    async fn change_affiliations(&self, room: &str, changes: Vec<AffiliationChange>) -> Result<()>;

    /// The rooms a person is affiliated with, and how.
    async fn rooms_of(&self, jid: &str) -> Result<Vec<(String, Affiliation)>>;
}
