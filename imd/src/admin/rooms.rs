//! Rooms, as administrators see, make, change and end them.

use imd_proto::{Jid, StanzaError};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::accounts::given;
use super::{Administrator, Fault, Refusal, people};
use crate::feature::muc::admin::{Change, What};
use crate::feature::muc::role::Affiliation;
use crate::feature::muc::settings::{MAX_HISTORY, Settings, Whois};

const AFFILIATIONS: &str = "owner, admin, member, none or outcast";
/// The longest name or description, in bytes.
const TEXT_BYTES: usize = 4096;

/// A room in the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RoomEntry {
    /// The part before `@`, by which it is named here.
    pub name: String,
    /// The address.
    pub jid: String,
    /// What people read; empty: nothing.
    pub title: String,
    /// Whether it is in the public list.
    pub public: bool,
    /// How many are in it.
    pub occupants: usize,
}

/// A room with its settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RoomView {
    /// The part before `@`.
    pub name: String,
    /// The address.
    pub jid: String,
    /// Its settings.
    #[serde(flatten)]
    pub settings: RoomSettings,
    /// Who has a lasting part in it.
    pub affiliations: Vec<RoomAffiliation>,
}

/// Who has which part in a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RoomAffiliation {
    /// An address; a username means somebody of this server.
    pub jid: String,
    /// `owner`, `admin`, `member`, `none` or `outcast`.
    pub affiliation: String,
}

/// The settings of a room. In a change, absent ones stay as they are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RoomSettings {
    /// What people read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whether it is in the public list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public: Option<bool>,
    /// Whether only members enter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub members_only: Option<bool>,
    /// Whether newcomers have no voice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moderated: Option<bool>,
    /// Whether everybody sees real addresses, which encryption needs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub non_anonymous: Option<bool>,
    /// Whether it stays when the last occupant leaves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub persistent: Option<bool>,
    /// Whether messages are archived.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archive: Option<bool>,
    /// Messages shown to newcomers, 0 to 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history: Option<u32>,
    /// What has to be given to enter; in a change `null` takes it away.
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(value_type = Option<String>)]
    pub password: Option<Option<String>>,
}

impl RoomSettings {
    /// The settings of a room, all of them.
    fn of(settings: &Settings) -> Self {
        Self {
            title: Some(settings.name.clone()),
            description: Some(settings.description.clone()),
            public: Some(settings.public),
            members_only: Some(settings.members_only),
            moderated: Some(settings.moderated),
            non_anonymous: Some(settings.non_anonymous()),
            persistent: Some(settings.persistent),
            archive: Some(settings.archive),
            history: Some(settings.history),
            password: Some(settings.password.clone()),
        }
    }

    fn check(&self, faults: &mut Vec<Fault>) {
        for (at, text) in [("title", &self.title), ("description", &self.description)] {
            if text.as_ref().is_some_and(|t| t.len() > TEXT_BYTES) {
                let accepted = format!("up to {TEXT_BYTES} bytes");
                faults.push(Fault::new(at, "it is too long", accepted));
            }
        }
        if let Some(history) = self.history.filter(|h| *h > MAX_HISTORY) {
            let accepted = format!("0 to {MAX_HISTORY} messages");
            faults.push(Fault::new("history", history.to_string(), accepted));
        }
        if let Some(Some(password)) = &self.password
            && (password.is_empty() || password.len() > 1023)
        {
            let accepted = "1 to 1023 bytes, or null";
            faults.push(Fault::new("password", "its length", accepted));
        }
    }

    fn apply(self, settings: &mut Settings) {
        fn set<T>(to: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *to = value;
            }
        }
        set(&mut settings.name, self.title);
        set(&mut settings.description, self.description);
        set(&mut settings.public, self.public);
        set(&mut settings.members_only, self.members_only);
        set(&mut settings.moderated, self.moderated);
        set(&mut settings.persistent, self.persistent);
        set(&mut settings.archive, self.archive);
        set(&mut settings.history, self.history);
        set(&mut settings.password, self.password);
        if let Some(everybody) = self.non_anonymous {
            settings.whois = if everybody {
                Whois::Anyone
            } else {
                Whois::Moderators
            };
        }
    }
}

/// A room to make.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRoom {
    /// The part before `@`.
    pub name: String,
    /// Settings that differ from the usual ones: public, persistent, open to all, archived.
    #[serde(default)]
    pub settings: RoomSettings,
    /// Who has a part in it.
    #[serde(default)]
    pub affiliations: Vec<RoomAffiliation>,
}

/// What is to be changed of a room.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RoomChange {
    /// Settings to change.
    #[serde(default)]
    pub settings: RoomSettings,
    /// Affiliations to change.
    #[serde(default)]
    pub affiliations: Vec<RoomAffiliation>,
}

impl Administrator {
    /// The address of the room of a name.
    fn room_jid(&self, name: &str) -> Result<Jid, Refusal> {
        let accepted = "the part of a room's address before @";
        Jid::new(Some(name), &self.server.config.rooms_domain(), None)
            .ok()
            .filter(|_| !name.is_empty())
            .ok_or_else(|| Refusal::invalid("name", format!("{name:?}"), accepted))
    }

    /// All rooms, by address.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn rooms(&self) -> Result<Vec<RoomEntry>, Refusal> {
        let rooms = self.server.rooms.overview(&self.server).await?;
        let entry = |room: crate::feature::muc::Overview| RoomEntry {
            name: room.jid.split('@').next().unwrap_or_default().to_owned(),
            jid: room.jid,
            title: room.name,
            public: room.public,
            occupants: room.occupants,
        };
        Ok(rooms.into_iter().map(entry).collect())
    }

    /// A room.
    ///
    /// # Errors
    /// `Absent` when there is none.
    pub async fn room(&self, name: &str) -> Result<RoomView, Refusal> {
        let jid = self.room_jid(name)?;
        let settings = self.server.rooms.settings(&self.server, &jid).await?;
        let affiliations = self.server.store.affiliations(jid.as_str()).await?;
        let each = |entry: imd_store::RoomAffiliation| RoomAffiliation {
            jid: entry.jid,
            affiliation: entry.affiliation.as_str().to_owned(),
        };
        Ok(RoomView {
            name: jid.local().unwrap_or_default().to_owned(),
            jid: jid.to_string(),
            settings: RoomSettings::of(&settings),
            affiliations: affiliations.into_iter().map(each).collect(),
        })
    }

    fn parts(
        &self,
        settings: &RoomSettings,
        affiliations: &[RoomAffiliation],
    ) -> Result<Vec<(Jid, Affiliation)>, Refusal> {
        let mut faults = Vec::new();
        settings.check(&mut faults);
        let mut read = Vec::with_capacity(affiliations.len());
        for (at, entry) in affiliations.iter().enumerate() {
            let jid = if entry.jid.contains(['@', '.']) {
                entry.jid.parse::<Jid>().ok().map(|jid| jid.to_bare())
            } else {
                people::username(&entry.jid).map(|user| self.server.account_jid(&user))
            };
            let affiliation = Affiliation::from_name(&entry.affiliation);
            if jid.is_none() {
                let accepted = "an address or a username";
                let found = format!("{:?}", entry.jid);
                faults.push(Fault::new(
                    format!("affiliations[{at}].jid"),
                    found,
                    accepted,
                ));
            }
            if affiliation.is_none() {
                let found = format!("{:?}", entry.affiliation);
                let at = format!("affiliations[{at}].affiliation");
                faults.push(Fault::new(at, found, AFFILIATIONS));
            }
            read.extend(jid.zip(affiliation));
        }
        if faults.is_empty() {
            Ok(read)
        } else {
            Err(Refusal::Invalid(faults))
        }
    }

    /// Make a room.
    ///
    /// # Errors
    /// `Conflict` when there is one of that name; `Invalid` names everything that is wrong.
    pub async fn create_room(&self, new: NewRoom) -> Result<RoomView, Refusal> {
        let jid = self.room_jid(&new.name)?;
        let mut affiliations = self.parts(&new.settings, &new.affiliations)?;
        affiliations.retain(|(_, affiliation)| *affiliation != Affiliation::None);
        let mut settings = Settings::default();
        new.settings.apply(&mut settings);
        self.server
            .rooms
            .create(&self.server, &jid, settings, &affiliations)
            .await?;
        self.note("room.create", jid.as_str(), "").await;
        self.room(&new.name).await
    }

    /// Change settings and affiliations of a room, at once for those who are in it.
    ///
    /// # Errors
    /// `Absent` when there is none; `Invalid` names everything that is wrong, and nothing is changed.
    pub async fn change_room(&self, name: &str, change: RoomChange) -> Result<RoomView, Refusal> {
        let jid = self.room_jid(name)?;
        let parts = self.parts(&change.settings, &change.affiliations)?;
        let rooms = &self.server.rooms;
        if !parts.is_empty() {
            let each = |(jid, affiliation)| Change {
                what: What::Affiliation {
                    jid,
                    affiliation,
                    nick: None,
                },
                reason: None,
            };
            let changes = parts.into_iter().map(each).collect();
            rooms.change(&self.server, &jid, changes).await?;
        }
        let apply = |settings: &mut Settings| change.settings.apply(settings);
        rooms.configure(&self.server, &jid, apply).await?;
        self.note("room.change", jid.as_str(), "").await;
        self.room(name).await
    }

    /// End a room and everything in it.
    ///
    /// # Errors
    /// `Absent` when there is none; `Conflict` when it is a group's.
    pub async fn destroy_room(&self, name: &str, reason: Option<&str>) -> Result<(), Refusal> {
        let jid = self.room_jid(name)?;
        let groups = self.server.store.groups().await?;
        if let Some(group) = groups
            .iter()
            .find(|g| g.room.as_deref() == Some(jid.as_str()))
        {
            let text = format!("it is the room of the group {:?}: end the group", group.id);
            return Err(Refusal::Conflict(text));
        }
        let done: Result<(), StanzaError> =
            self.server.rooms.destroy(&self.server, &jid, reason).await;
        done?;
        self.set_retention(jid.as_str(), None).await?;
        self.note("room.destroy", jid.as_str(), reason.unwrap_or_default())
            .await;
        Ok(())
    }
}
