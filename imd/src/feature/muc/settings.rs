//! A room's configuration (XEP-0045 §15.5.3), as it is kept in the store.

use serde::{Deserialize, Serialize};

use super::role::Role;

/// Who sees the real addresses of occupants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Whois {
    /// Only moderators: a semi-anonymous room.
    Moderators,
    /// Everybody: a non-anonymous room, which encryption in rooms needs.
    Anyone,
}

/// Who may send private messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PrivateMessages {
    /// All occupants.
    Anyone,
    /// Those with voice.
    Participants,
    /// Moderators.
    Moderators,
    /// Nobody.
    None,
}

impl PrivateMessages {
    /// The value in the form.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Anyone => "anyone",
            Self::Participants => "participants",
            Self::Moderators => "moderators",
            Self::None => "none",
        }
    }

    /// Whether an occupant of this role may.
    #[must_use]
    pub fn allow(self, role: Role) -> bool {
        match self {
            Self::Anyone => role > Role::None,
            Self::Participants => role >= Role::Participant,
            Self::Moderators => role == Role::Moderator,
            Self::None => false,
        }
    }
}

/// A mark that a person wears in a room (XEP-0317).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hat {
    /// Who wears it: a bare address.
    pub jid: String,
    /// Which hat it is.
    pub uri: String,
    /// What people read.
    pub title: String,
}

/// The configuration. A key that a record lacks has its default, so that records of older versions are read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// The name that people read; empty: none.
    pub name: String,
    /// What the room is about; empty: not said.
    pub description: String,
    /// The language spoken, as in `xml:lang`; empty: not said.
    pub lang: String,
    /// Whether it stays when the last occupant leaves.
    pub persistent: bool,
    /// Whether it is in the list of rooms.
    pub public: bool,
    /// Whether only members may enter.
    pub members_only: bool,
    /// Whether newcomers without affiliation have no voice.
    pub moderated: bool,
    /// What has to be given to enter; absent: nothing.
    pub password: Option<String>,
    /// Who sees real addresses.
    pub whois: Whois,
    /// Whether participants may change the subject; moderators always may.
    pub change_subject: bool,
    /// Whether members of a members-only room, not only its admins, may invite, which makes members.
    pub allow_invites: bool,
    /// Whether visitors may ask for voice.
    pub voice_requests: bool,
    /// Who may send private messages.
    pub private_messages: PrivateMessages,
    /// The most occupants; absent: as many as the server allows.
    pub max_occupants: Option<u32>,
    /// The most messages shown to newcomers.
    pub history: u32,
    /// Whether messages are archived.
    pub archive: bool,
    /// The roles whose presence others see.
    pub presence_broadcast: Vec<Role>,
    /// Marks that people wear.
    pub hats: Vec<Hat>,
    /// Whether its owner has yet to configure it (XEP-0045 §10.1): nobody else may enter.
    pub locked: bool,
    /// The key from which occupant ids are made (XEP-0421), hexadecimal.
    pub occupant_key: String,
    /// SHA-1 of the avatar (XEP-0486), hexadecimal; absent: no avatar.
    pub avatar: Option<String>,
}

/// Messages shown to newcomers unless the configuration says otherwise.
pub const DEFAULT_HISTORY: u32 = 25;
/// The most messages that a configuration can ask for to be shown to newcomers.
pub const MAX_HISTORY: u32 = 100;

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: String::new(),
            description: String::new(),
            lang: String::new(),
            persistent: true,
            public: true,
            members_only: false,
            moderated: false,
            password: None,
            whois: Whois::Moderators,
            change_subject: true,
            allow_invites: false,
            voice_requests: true,
            private_messages: PrivateMessages::Anyone,
            max_occupants: None,
            history: DEFAULT_HISTORY,
            archive: true,
            presence_broadcast: vec![Role::Visitor, Role::Participant, Role::Moderator],
            hats: Vec::new(),
            locked: false,
            occupant_key: String::new(),
            avatar: None,
        }
    }
}

impl Settings {
    /// Whether everybody sees real addresses.
    #[must_use]
    pub fn non_anonymous(&self) -> bool {
        self.whois == Whois::Anyone
    }

    /// As the store keeps it.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Plain fields: this cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_read_back_and_a_record_of_another_version_gets_defaults() {
        let settings = Settings {
            name: "Tea".into(),
            whois: Whois::Anyone,
            ..Settings::default()
        };
        let read: Settings = serde_json::from_str(&settings.to_json()).unwrap();
        assert_eq!(read, settings);
        let other: Settings = serde_json::from_str("{\"name\":\"Tea\",\"newer\":1}").unwrap();
        assert_eq!(other.history, DEFAULT_HISTORY);
    }
}
