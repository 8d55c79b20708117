//! Invitations and password resets, as administrators see, make and take them back.

use imd_store::{Invite, InviteKind, now_millis};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::accounts::role;
use super::invites::{self, NewInvite};
use super::{Administrator, Fault, Refusal, people};
use crate::feature::time;

/// The longest life of an invitation, in days.
const MOST_DAYS: u32 = 3660;
/// The longest note, in bytes.
const NOTE_BYTES: usize = 1024;

/// An invitation, or a link to set a new password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InvitationView {
    /// By which it is used and taken back.
    pub token: String,
    /// `account`, `contact` or `reset`.
    pub kind: String,
    /// The address of its page, to be handed on, also as QR code.
    pub url: String,
    /// What apps open.
    pub uri: String,
    /// Whose contact the guest becomes; absent: nobody's.
    pub inviter: Option<String>,
    /// The name it is for; absent: the guest chooses.
    pub username: Option<String>,
    /// The role of the new account.
    pub role: String,
    /// Ids of groups the new account is put into.
    pub groups: Vec<String>,
    /// When it was made.
    pub created_at: String,
    /// When it runs out; absent: never.
    pub expires_at: Option<String>,
    /// How often it can still be used; absent: without limit.
    pub uses_left: Option<u32>,
    /// Whether it can be used at this moment.
    pub usable: bool,
    /// A note; absent: none.
    pub note: Option<String>,
}

/// An invitation to make.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewInvitation {
    /// `account` (the default), `contact`, or `reset`: a new password for `username`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Whose contact the guest becomes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inviter: Option<String>,
    /// The name it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// `admin`, `member` (the default) or `limited`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Ids of groups the new account is put into.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Days until it runs out, 1 to 3660; absent: as `web.invite_days` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<u32>,
    /// How often it can be used; absent: once; 0: without limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses: Option<u32>,
    /// A note for those who manage invitations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Administrator {
    fn invitation(&self, invite: Invite) -> InvitationView {
        InvitationView {
            kind: invite.kind.as_str().to_owned(),
            url: invites::page_url(&self.server, &invite),
            uri: invites::uri(&self.server, &invite),
            usable: invite.is_usable(now_millis()),
            role: invite.role.as_str().to_owned(),
            created_at: time::format(invite.created_at),
            expires_at: invite.expires_at.map(time::format),
            token: invite.token,
            inviter: invite.inviter,
            username: invite.username,
            groups: invite.groups,
            uses_left: invite.uses_left,
            note: invite.note,
        }
    }

    /// All invitations, newest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn invitations(&self) -> Result<Vec<InvitationView>, Refusal> {
        let invites = self.server.store.invites().await?;
        Ok(invites.into_iter().map(|i| self.invitation(i)).collect())
    }

    /// Make an invitation.
    ///
    /// # Errors
    /// `Invalid` names everything that is wrong; `Absent` names a person or group that does not exist.
    pub async fn invite(&self, new: NewInvitation) -> Result<InvitationView, Refusal> {
        let (kind, role) = read(&new)?;
        let name = |name: &Option<String>| name.as_deref().and_then(people::username);
        let (inviter, username) = (name(&new.inviter), name(&new.username));
        if let Some(inviter) = &inviter {
            self.account(inviter).await?;
        }
        if let Some(user) = &username {
            let known = self.server.store.account(user).await?.is_some();
            if kind == InviteKind::Reset && !known {
                return Err(Refusal::Absent(format!("account {user:?} does not exist")));
            }
            if kind == InviteKind::Account && known {
                return Err(Refusal::Conflict(format!("the name {user:?} is taken")));
            }
        }
        for id in &new.groups {
            if self.server.store.group(id).await?.is_none() {
                return Err(Refusal::Absent(format!("there is no group {id:?}")));
            }
        }
        let made = NewInvite {
            kind,
            inviter,
            username,
            role,
            groups: new.groups,
            days: new.days,
            uses: match new.uses {
                None => Some(1),
                Some(0) => None,
                uses => uses,
            },
            note: new.note,
        };
        let invite = invites::create(&self.server, made).await?;
        let target = invite.username.clone().unwrap_or_default();
        self.note("invite.create", &target, invite.kind.as_str())
            .await;
        Ok(self.invitation(invite))
    }

    /// Take an invitation back.
    ///
    /// # Errors
    /// `Absent` when there is none with that token.
    pub async fn revoke_invitation(&self, token: &str) -> Result<(), Refusal> {
        if !self.server.store.revoke_invite(token).await? {
            return Err(Refusal::Absent("there is no such invitation".to_owned()));
        }
        self.note("invite.revoke", "", "").await;
        Ok(())
    }
}

/// Check what can be checked without the store.
fn read(new: &NewInvitation) -> Result<(InviteKind, imd_store::Role), Refusal> {
    let mut faults = Vec::new();
    let kind_name = new.kind.as_deref().unwrap_or("account");
    let kind = InviteKind::from_name(kind_name);
    if kind.is_none() {
        let found = format!("{kind_name:?}");
        faults.push(Fault::new("kind", found, "account, contact or reset"));
    }
    let role = role(new.role.as_deref().unwrap_or("member"));
    faults.extend(role.as_ref().err().cloned());
    for (at, name) in [("inviter", &new.inviter), ("username", &new.username)] {
        if let Some(name) = name.as_ref().filter(|n| people::username(n).is_none()) {
            faults.push(Fault::new(at, format!("{name:?}"), "a username without @"));
        }
    }
    if kind == Some(InviteKind::Reset) && new.username.is_none() {
        faults.push(Fault::new(
            "username",
            "it is missing",
            "whose password is set",
        ));
    }
    if kind == Some(InviteKind::Contact) && new.inviter.is_none() {
        faults.push(Fault::new(
            "inviter",
            "it is missing",
            "whose contact it makes",
        ));
    }
    if let Some(days) = new.days.filter(|days| !(1..=MOST_DAYS).contains(days)) {
        let accepted = format!("1 to {MOST_DAYS} days");
        faults.push(Fault::new("days", days.to_string(), accepted));
    }
    if new.note.as_ref().is_some_and(|n| n.len() > NOTE_BYTES) {
        let accepted = format!("up to {NOTE_BYTES} bytes");
        faults.push(Fault::new("note", "it is too long", accepted));
    }
    match (kind, role) {
        (Some(kind), Ok(role)) if faults.is_empty() => Ok((kind, role)),
        _ => Err(Refusal::Invalid(faults)),
    }
}
