//! Accounts: passwords, and the end of an account.

use std::sync::Arc;

use imd_proto::{Element, Jid, Kind, Stanza, StreamCondition, StreamError, ns};
use imd_store::{Account, Credentials, Removed, StoreError};

use crate::route::{self, subscription};
use crate::sasl;
use crate::server::Server;
use crate::session::End;

/// The fewest characters of a password that somebody chooses.
pub const PASSWORD_CHARS: usize = 8;

/// Why a password is not accepted, in words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadPassword(pub String);

/// The name of an account as it stands before `@`; absent when the text cannot be one.
#[must_use]
pub fn username(text: &str) -> Option<String> {
    let prepared = imd_proto::jid::prepare_local(text.trim()).ok()?;
    // Longer ones would not fit into file names and forms of some clients.
    (prepared.len() <= 128).then(|| prepared.into_owned())
}

/// The keys of a password that somebody chose. Takes some milliseconds on a thread of its own.
///
/// # Errors
/// When the password is too short or has characters that cannot be typed.
pub async fn keys(password: &str) -> Result<Credentials, BadPassword> {
    if password.chars().count() < PASSWORD_CHARS {
        return Err(BadPassword(format!(
            "a password has at least {PASSWORD_CHARS} characters"
        )));
    }
    let password = password.to_owned();
    tokio::task::spawn_blocking(move || sasl::derive(&password))
        .await
        .unwrap_or_else(|_| Err("the password cannot be used".to_owned()))
        .map_err(BadPassword)
}

/// Set a new password. Tokens by which apps log in without it end.
///
/// # Errors
/// `Absent` when there is no such account.
pub async fn set_password(
    server: &Server,
    user: &str,
    credentials: Credentials,
) -> Result<(), StoreError> {
    server.store.set_credentials(user, credentials).await?;
    server.store.revoke_login_tokens(user, None).await?;
    Ok(())
}

/// All accounts, in the order of their names.
///
/// # Errors
/// When the store fails.
pub async fn everybody(server: &Server) -> Result<Vec<Account>, StoreError> {
    const PAGE: u32 = 1000;
    let mut all: Vec<Account> = Vec::new();
    loop {
        let after = all.last().map(|a| a.username.clone());
        let page = server.store.accounts(after.as_deref(), PAGE).await?;
        let full = page.len() == PAGE as usize;
        all.extend(page);
        if !full {
            return Ok(all);
        }
    }
}

/// Remove an account and what it owned: it leaves its groups and rooms, contacts see it go, its sessions end, its files are deleted within a
/// minute. Copies in the archives of others and in rooms remain.
///
/// # Errors
/// `Absent` when there is no such account.
pub async fn remove(server: &Arc<Server>, user: &str) -> Result<Removed, StoreError> {
    let account = server.account_jid(user);
    if let Err(error) = super::groups::leave_all(server, user).await {
        tracing::warn!(user, %error, "an account that ends cannot leave its groups");
    }
    let roster = server.store.roster(user).await?;
    for session in server.directory.sessions(user) {
        // While it is still known who may see it go.
        route::presence::ended(server, &session).await;
    }
    let removed = server.store.remove_account(user, account.as_str()).await?;
    // A new account of the same name must not inherit what was remembered.
    server.avatars.forget(user);
    server.archive_prefs.forget(user);
    server.push.forget(user);
    server.blocked.forget(user);
    server.limited.forget_all();
    if let Err(error) = super::retention::forget(server, account.as_str()).await {
        tracing::warn!(user, %error, "cannot forget how long messages were kept");
    }
    server.rooms.forget(server, &account).await;
    end_sessions(
        server,
        user,
        StreamCondition::NotAuthorized,
        "the account is removed",
    );
    for item in roster.items {
        let Ok(contact) = item.contact.parse::<Jid>() else {
            continue;
        };
        let goodbyes = [
            (
                item.subscription.is_to() || item.ask,
                subscription::Request::Unsubscribe,
            ),
            (
                item.subscription.is_from(),
                subscription::Request::Unsubscribed,
            ),
        ];
        for (_, request) in goodbyes.iter().filter(|(due, _)| *due) {
            let element = Element::new("presence", ns::CLIENT)
                .with_attr("to", contact.as_str())
                .with_attr("type", request.as_str());
            if let Ok(stanza) = Stanza::stamp(Kind::Presence, element, account.clone()) {
                route::stanza(server, stanza, None).await;
            }
        }
    }
    tracing::info!(user, "account removed");
    Ok(removed)
}

/// Ask all sessions of an account to end, each told why. Returns how many there are.
pub fn end_sessions(server: &Server, user: &str, condition: StreamCondition, text: &str) -> usize {
    let sessions = server.directory.sessions(user);
    for session in &sessions {
        let error = StreamError::with_text(condition, text);
        session.outbound.end(End::Error(error));
    }
    sessions.len()
}
