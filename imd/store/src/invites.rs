//! Invitations (XEP-0379, XEP-0401, XEP-0445) and password resets, all of them tokens that run out.

use async_trait::async_trait;

use crate::{Account, Credentials, Result, Role, UnixMillis};

/// What an invitation is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InviteKind {
    /// Create an account (and become a contact of the inviter, where one is named).
    Account,
    /// Become a contact of the inviter (XEP-0379).
    Contact,
    /// Set a new password for the account in `username`.
    Reset,
}

impl InviteKind {
    /// The kind's name in the database and the admin API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Contact => "contact",
            Self::Reset => "reset",
        }
    }

    /// The kind of that name; `None` for any other text.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Account, Self::Contact, Self::Reset]
            .into_iter()
            .find(|kind| kind.as_str() == name)
    }
}

/// An invitation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invite {
    /// The secret in the link.
    pub token: String,
    /// What it is for.
    pub kind: InviteKind,
    /// Localpart of the one who invites; `None`: the administrator, as nobody's contact.
    pub inviter: Option<String>,
    /// The username it is for; `None`: the guest chooses.
    pub username: Option<String>,
    /// The role of the new account.
    pub role: Role,
    /// Ids of the groups the new account is put into.
    pub groups: Vec<String>,
    /// When it was made.
    pub created_at: UnixMillis,
    /// When it runs out; `None`: never.
    pub expires_at: Option<UnixMillis>,
    /// How often it can still be used; `None`: without limit.
    pub uses_left: Option<u32>,
    /// A note of the inviter's; `None`: none.
    pub note: Option<String>,
}

impl Invite {
    /// True when it can be used at this time.
    pub fn is_usable(&self, now: UnixMillis) -> bool {
        self.uses_left != Some(0) && self.expires_at.is_none_or(|end| now < end)
    }
}

/// Invitations.
#[async_trait]
pub trait InviteStore {
    /// Keeps an invitation. `Exists` when the token is in use.
    async fn create_invite(&self, invite: Invite) -> Result<()>;

    /// The invitation, also one that has run out; `None` when there is none with that token.
    async fn invite(&self, token: &str) -> Result<Option<Invite>>;

    /// All invitations, newest first.
    async fn invites(&self) -> Result<Vec<Invite>>;

    /// Uses it once and returns it as it then is; `None`, with nothing changed, when it is missing, used up or has run out.
    async fn use_invite(&self, token: &str, now: UnixMillis) -> Result<Option<Invite>>;

    /// Uses an account invitation once, creates the account and puts it into the invitation's groups
    /// (those that still exist), in one transaction. `Absent` when the invitation cannot be used (any
    /// more), `Exists` when the username is taken; the invitation is then not used up.
    async fn redeem_invite(
        &self,
        token: &str,
        now: UnixMillis,
        account: Account,
        credentials: Credentials,
    ) -> Result<Invite>;

    /// Takes it back; false when there was none.
    async fn revoke_invite(&self, token: &str) -> Result<bool>;

    /// Deletes all that cannot be used any more and says how many.
    async fn delete_spent_invites(&self, now: UnixMillis) -> Result<u64>;
}
