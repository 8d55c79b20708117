//! Invitations: making them, their addresses, and becoming an account by one (XEP-0401, XEP-0445).

use std::sync::Arc;

use imd_proto::Jid;
use imd_store::{
    Account, Invite, InviteKind, Role, RosterItem, RosterStep, StoreError, Subscription, now_millis,
};

use super::groups;
use super::people::{self, BadPassword};
use crate::feature::roster;
use crate::server::Server;

const DAY_MILLIS: i64 = 86_400_000;

/// An invitation to make.
#[derive(Debug, Clone)]
pub struct NewInvite {
    /// What it is for.
    pub kind: InviteKind,
    /// Whose contact the guest becomes; absent: nobody's.
    pub inviter: Option<String>,
    /// The name it is for, prepared; absent: the guest chooses.
    pub username: Option<String>,
    /// The role of the new account.
    pub role: Role,
    /// Ids of groups that the new account is put into.
    pub groups: Vec<String>,
    /// Days until it runs out; absent: as `web.invite_days` says.
    pub days: Option<u32>,
    /// How often it can be used; absent: without limit.
    pub uses: Option<u32>,
    /// A note for those who manage invitations.
    pub note: Option<String>,
}

impl NewInvite {
    /// An invitation of somebody, for one guest.
    #[must_use]
    pub fn by(inviter: &str) -> Self {
        Self {
            kind: InviteKind::Account,
            inviter: Some(inviter.to_owned()),
            username: None,
            role: Role::Member,
            groups: Vec::new(),
            days: None,
            uses: Some(1),
            note: None,
        }
    }
}

/// Make an invitation.
///
/// # Errors
/// When the store fails.
pub async fn create(server: &Server, new: NewInvite) -> Result<Invite, StoreError> {
    let now = now_millis();
    let days = new.days.unwrap_or(server.config.web.invite_days);
    let invite = Invite {
        token: server.random_id::<16>(),
        kind: new.kind,
        inviter: new.inviter,
        username: new.username,
        role: new.role,
        groups: new.groups,
        created_at: now,
        expires_at: Some(now + i64::from(days) * DAY_MILLIS),
        uses_left: new.uses,
        note: new.note,
    };
    server.store.create_invite(invite.clone()).await?;
    Ok(invite)
}

/// The page that explains an invitation to people: the one address that is handed on, also as QR code.
#[must_use]
pub fn page_url(server: &Server, invite: &Invite) -> String {
    format!("{}/invite/{}", server.config.public_url(), invite.token)
}

/// What apps open (XEP-0379 §3.2, XEP-0401 §4, XEP-0445 §3).
#[must_use]
pub fn uri(server: &Server, invite: &Invite) -> String {
    let domain = &server.config.domain;
    let token = &invite.token;
    match (&invite.kind, &invite.username, &invite.inviter) {
        (InviteKind::Account, None, Some(inviter)) => {
            format!(
                "xmpp:{}@{domain}?roster;preauth={token};ibr=y",
                encoded(inviter)
            )
        }
        (InviteKind::Contact, _, Some(inviter)) => {
            format!("xmpp:{}@{domain}?roster;preauth={token}", encoded(inviter))
        }
        (_, Some(username), _) => {
            format!(
                "xmpp:{}@{domain}?register;preauth={token}",
                encoded(username)
            )
        }
        _ => format!("xmpp:{domain}?register;preauth={token}"),
    }
}

/// A localpart in an `xmpp:` address (RFC 5122 §2.2).
fn encoded(local: &str) -> String {
    crate::web::percent_encoded(local)
}

/// Why an invitation could not be used.
#[derive(Debug, thiserror::Error)]
pub enum RedeemError {
    /// It is unknown, used up, has run out or is for something else.
    #[error("this invitation cannot be used (any more); ask for a new one")]
    NotUsable,
    /// The text cannot be a name.
    #[error(
        "this cannot be a name: letters, digits and . _ - are accepted, without @ and what follows"
    )]
    BadName,
    /// The invitation is for somebody else.
    #[error("this invitation is for the name {0:?}")]
    OtherName(String),
    /// Somebody has the name.
    #[error("this name is taken: choose another one")]
    NameTaken,
    /// The password is not accepted.
    #[error(transparent)]
    Password(#[from] BadPassword),
    /// The store failed.
    #[error("the server's disk takes no new data at the moment; try again later")]
    Store(StoreError),
}

/// The invitation with a token, while it can be used.
///
/// # Errors
/// `NotUsable`, or what the store says.
pub async fn usable(server: &Server, token: &str) -> Result<Invite, RedeemError> {
    match server.store.invite(token).await {
        Ok(Some(invite)) if invite.is_usable(now_millis()) => Ok(invite),
        Ok(_) => Err(RedeemError::NotUsable),
        Err(error) => Err(RedeemError::Store(error)),
    }
}

/// Become an account by an invitation, and a contact of whoever invited. Returns the account's name.
///
/// # Errors
/// Says what is wrong; the invitation is then not used up.
pub async fn redeem(
    server: &Arc<Server>,
    token: &str,
    name: &str,
    password: &str,
) -> Result<String, RedeemError> {
    let invite = usable(server, token).await?;
    if invite.kind != InviteKind::Account {
        return Err(RedeemError::NotUsable);
    }
    let user = people::username(name).ok_or(RedeemError::BadName)?;
    if let Some(wanted) = invite.username.filter(|wanted| *wanted != user) {
        return Err(RedeemError::OtherName(wanted));
    }
    let credentials = people::keys(password).await?;
    let account = Account {
        username: user.clone(),
        role: invite.role,
        enabled: true,
        created_at: now_millis(),
    };
    let redeemed = server
        .store
        .redeem_invite(token, now_millis(), account, credentials)
        .await;
    let invite = redeemed.map_err(|error| match error {
        StoreError::Exists { .. } => RedeemError::NameTaken,
        StoreError::Absent { .. } => RedeemError::NotUsable,
        other => RedeemError::Store(other),
    })?;
    tracing::info!(
        user,
        inviter = invite.inviter,
        "account created by invitation"
    );
    if !invite.groups.is_empty() {
        let entered = async {
            let groups = server.store.groups_of(&user).await?;
            groups::joined(server, &groups, std::slice::from_ref(&user)).await
        };
        if let Err(error) = entered.await {
            tracing::warn!(user, %error, "a guest is not in the rooms and rosters of the groups yet");
        }
    }
    if let Some(inviter) = &invite.inviter {
        // A limited account is nobody's contact but by its groups.
        if invite.role == Role::Limited {
            return Ok(user);
        }
        let (one, other) = (server.account_jid(&user), server.account_jid(inviter));
        befriend(server, &one, &other).await;
        befriend(server, &other, &one).await;
    }
    Ok(user)
}

/// Set a new password by a link that an administrator gave. Returns the account's name.
///
/// # Errors
/// Says what is wrong; the link is then not used up.
pub async fn reset(
    server: &Arc<Server>,
    token: &str,
    password: &str,
) -> Result<String, RedeemError> {
    let invite = usable(server, token).await?;
    let (InviteKind::Reset, Some(user)) = (invite.kind, invite.username) else {
        return Err(RedeemError::NotUsable);
    };
    let credentials = people::keys(password).await?;
    let used = server.store.use_invite(token, now_millis()).await;
    if used.map_err(RedeemError::Store)?.is_none() {
        return Err(RedeemError::NotUsable);
    }
    people::set_password(server, &user, credentials)
        .await
        .map_err(|error| match error {
            StoreError::Absent { .. } => RedeemError::NotUsable,
            other => RedeemError::Store(other),
        })?;
    Ok(user)
}

/// Enter a contact into the roster of a local account, each seeing the other's presence.
async fn befriend(server: &Server, owner: &Jid, contact: &Jid) {
    let Some(user) = owner.local() else { return };
    let name = contact.as_str().to_owned();
    let both = move |item: Option<RosterItem>| {
        RosterStep::Set(RosterItem {
            contact: name.clone(),
            subscription: Subscription::Both,
            ask: false,
            ..item.unwrap_or_default()
        })
    };
    let max = server.config.limits.roster_items;
    let update = server
        .store
        .edit_roster_item(user, contact.as_str(), max, Box::new(both))
        .await;
    match update {
        Ok(update) => {
            if let Some(item) = &update.after {
                roster::push(server, user, &roster::item_element(item), update.version);
            }
        }
        Err(error) => tracing::warn!(user, %error, "cannot enter a contact who was invited"),
    }
}
