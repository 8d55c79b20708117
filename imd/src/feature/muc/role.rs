//! Affiliations and roles, and what each may do: the tables of XEP-0045 §5 as functions.

use imd_proto::{Condition, StanzaError};
use serde::{Deserialize, Serialize};

/// A lasting association with a room (XEP-0045 §5.2), from the least to the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Affiliation {
    /// Banned.
    Outcast,
    /// No association.
    None,
    /// On the member list.
    Member,
    /// Manages members and bans.
    Admin,
    /// May do everything.
    Owner,
}

impl Affiliation {
    /// All, from the least to the most.
    pub const ALL: [Self; 5] = [
        Self::Outcast,
        Self::None,
        Self::Member,
        Self::Admin,
        Self::Owner,
    ];

    /// The value of the `affiliation` attribute.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Outcast => "outcast",
            Self::None => "none",
            Self::Member => "member",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }

    /// The affiliation of that name; absent for any other text.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|a| a.as_str() == name)
    }

    /// As the store keeps it: no association is no record.
    #[must_use]
    pub fn stored(self) -> Option<imd_store::Affiliation> {
        imd_store::Affiliation::from_name(self.as_str())
    }
}

impl From<imd_store::Affiliation> for Affiliation {
    fn from(stored: imd_store::Affiliation) -> Self {
        match stored {
            imd_store::Affiliation::Outcast => Self::Outcast,
            imd_store::Affiliation::Member => Self::Member,
            imd_store::Affiliation::Admin => Self::Admin,
            imd_store::Affiliation::Owner => Self::Owner,
        }
    }
}

/// What an occupant is for the length of its visit (XEP-0045 §5.1), from the least to the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Not in the room.
    None,
    /// Listens; in a moderated room without voice.
    Visitor,
    /// Speaks.
    Participant,
    /// Keeps order.
    Moderator,
}

impl Role {
    /// All, from the least to the most.
    pub const ALL: [Self; 4] = [
        Self::None,
        Self::Visitor,
        Self::Participant,
        Self::Moderator,
    ];

    /// The value of the `role` attribute.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Visitor => "visitor",
            Self::Participant => "participant",
            Self::Moderator => "moderator",
        }
    }

    /// The role of that name; absent for any other text.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|r| r.as_str() == name)
    }
}

/// The role with which somebody enters (XEP-0045 §5.1.2).
#[must_use]
pub fn initial_role(affiliation: Affiliation, moderated: bool) -> Role {
    match affiliation {
        Affiliation::Owner | Affiliation::Admin => Role::Moderator,
        Affiliation::Member => Role::Participant,
        Affiliation::None if moderated => Role::Visitor,
        Affiliation::None => Role::Participant,
        Affiliation::Outcast => Role::None,
    }
}

/// The role of somebody in the room after a change of affiliation (XEP-0045 §5.1.2 and §5.2.2). Whoever was
/// made a moderator for the visit stays one, unless the affiliation that made them one is taken away.
#[must_use]
pub fn role_after(before: Affiliation, after: Affiliation, role: Role, moderated: bool) -> Role {
    let initial = initial_role(after, moderated);
    if after >= Affiliation::Admin || after == Affiliation::Outcast || before >= Affiliation::Admin
    {
        return initial;
    }
    match after {
        Affiliation::Member => role.max(Role::Participant),
        _ if role == Role::Moderator => role,
        _ => role.min(initial),
    }
}

/// Who asks for a change, or whom it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The affiliation.
    pub affiliation: Affiliation,
    /// The role; `None` for those who are not in the room.
    pub role: Role,
}

fn not_allowed(text: &str) -> StanzaError {
    StanzaError::with_text(Condition::NotAllowed, text)
}

fn forbidden(text: &str) -> StanzaError {
    StanzaError::with_text(Condition::Forbidden, text)
}

/// Whether somebody may give an occupant another role (XEP-0045 §8.2 to §8.4, §9.6, §9.7).
///
/// # Errors
/// `forbidden` for those who may not change roles at all, `not-allowed` for those who may not do it to this one.
pub fn may_set_role(actor: Standing, target: Standing, role: Role) -> Result<(), StanzaError> {
    if actor.role != Role::Moderator && actor.affiliation < Affiliation::Admin {
        return Err(forbidden("only moderators change roles"));
    }
    if target.affiliation > actor.affiliation {
        return Err(not_allowed(
            "the occupant has a higher affiliation than you",
        ));
    }
    let moderator = role == Role::Moderator || target.role == Role::Moderator;
    if moderator && actor.affiliation < Affiliation::Admin {
        return Err(not_allowed(
            "only admins and owners make moderators, dismiss them or kick them",
        ));
    }
    let lowered = matches!(role, Role::Visitor | Role::Participant);
    if lowered && target.affiliation >= Affiliation::Admin {
        return Err(not_allowed(
            "an admin or owner is always a moderator in the room",
        ));
    }
    Ok(())
}

/// Whether somebody may change an affiliation (XEP-0045 §9.1 to §9.5, §9.8, §10.3 to §10.8).
///
/// # Errors
/// `forbidden` for those who may change none, `not-allowed` for those who may not make this change.
pub fn may_set_affiliation(
    actor: Affiliation,
    target: Affiliation,
    to: Affiliation,
) -> Result<(), StanzaError> {
    match actor {
        Affiliation::Owner => Ok(()),
        Affiliation::Admin if target < Affiliation::Admin && to < Affiliation::Admin => Ok(()),
        Affiliation::Admin => Err(not_allowed("only owners change admins and owners")),
        _ => Err(forbidden("only admins and owners change affiliations")),
    }
}

/// Whether somebody may read the list of an affiliation (XEP-0045 §9.2, §9.5, §9.9, §10.5, §10.8). Members
/// may see who the members are.
#[must_use]
pub fn may_list(actor: Affiliation, list: Affiliation) -> bool {
    match list {
        Affiliation::Outcast => actor >= Affiliation::Admin,
        Affiliation::None => false,
        Affiliation::Member | Affiliation::Admin | Affiliation::Owner => {
            actor >= Affiliation::Member
        }
    }
}

#[cfg(test)]
#[path = "role_tests.rs"]
mod tests;
