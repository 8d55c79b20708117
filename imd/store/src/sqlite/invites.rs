//! [`InviteStore`] in SQLite.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::accounts::insert_account;
use super::fault::Fault;
use super::{SqliteStore, groups};
use crate::{
    Account, Credentials, Invite, InviteKind, InviteStore, Result, Role, StoreError, UnixMillis,
};

type Outcome<T> = std::result::Result<T, Fault>;

const COLUMNS: &str =
    "token, kind, inviter, username, role, groups_json, created_at, expires_at, uses_left, note";

fn read_invite(row: &Row<'_>) -> rusqlite::Result<Invite> {
    let (kind, role, groups): (String, String, String) = (row.get(1)?, row.get(4)?, row.get(5)?);
    Ok(Invite {
        token: row.get(0)?,
        // What this program does not know allows the least.
        kind: InviteKind::from_name(&kind).unwrap_or(InviteKind::Contact),
        inviter: row.get(2)?,
        username: row.get(3)?,
        role: Role::from_name(&role).unwrap_or(Role::Limited),
        groups: super::json_texts(&groups)?,
        created_at: row.get(6)?,
        expires_at: row.get(7)?,
        uses_left: row.get(8)?,
        note: row.get(9)?,
    })
}

fn find(connection: &Connection, token: &str) -> Outcome<Option<Invite>> {
    let sql = format!("SELECT {COLUMNS} FROM invites WHERE token = ?");
    Ok(connection
        .prepare_cached(&sql)?
        .query_row([token], read_invite)
        .optional()?)
}

/// Takes one use off; `None` when it cannot be used.
fn spend(connection: &Connection, token: &str, now: UnixMillis) -> Outcome<Option<Invite>> {
    let Some(mut invite) = find(connection, token)?.filter(|invite| invite.is_usable(now)) else {
        return Ok(None);
    };
    invite.uses_left = invite.uses_left.map(|uses| uses.saturating_sub(1));
    connection.execute(
        "UPDATE invites SET uses_left = ? WHERE token = ?",
        (invite.uses_left, token),
    )?;
    Ok(Some(invite))
}

fn redeem(
    connection: &Connection,
    token: &str,
    now: UnixMillis,
    account: &Account,
    credentials: &Credentials,
) -> Outcome<Invite> {
    let invite = spend(connection, token, now)?
        .filter(|invite| invite.kind == InviteKind::Account)
        .ok_or_else(|| StoreError::absent("a usable invitation with this token"))?;
    let id = insert_account(connection, account, credentials)?;
    for group in &invite.groups {
        if let Some(group) = groups::find(connection, group)? {
            groups::join(connection, group, id)?;
        }
    }
    Ok(invite)
}

#[async_trait]
impl InviteStore for SqliteStore {
    async fn create_invite(&self, invite: Invite) -> Result<()> {
        self.write(move |tx| {
            if find(tx, &invite.token)?.is_some() {
                return Err(StoreError::exists("an invitation with this token").into());
            }
            tx.execute(
                "INSERT INTO invites VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    &invite.token,
                    invite.kind.as_str(),
                    &invite.inviter,
                    &invite.username,
                    invite.role.as_str(),
                    serde_json::to_string(&invite.groups)?,
                    invite.created_at,
                    invite.expires_at,
                    invite.uses_left,
                    &invite.note,
                ),
            )?;
            Ok(())
        })
        .await
    }

    async fn invite(&self, token: &str) -> Result<Option<Invite>> {
        let token = token.to_owned();
        self.read(move |connection| find(connection, &token)).await
    }

    async fn invites(&self) -> Result<Vec<Invite>> {
        self.read(|connection| {
            let sql = format!("SELECT {COLUMNS} FROM invites ORDER BY created_at DESC, token");
            let mut statement = connection.prepare_cached(&sql)?;
            Ok(statement
                .query_map([], read_invite)?
                .collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    async fn use_invite(&self, token: &str, now: UnixMillis) -> Result<Option<Invite>> {
        let token = token.to_owned();
        self.write(move |tx| spend(tx, &token, now)).await
    }

    async fn redeem_invite(
        &self,
        token: &str,
        now: UnixMillis,
        account: Account,
        credentials: Credentials,
    ) -> Result<Invite> {
        let token = token.to_owned();
        self.write(move |tx| redeem(tx, &token, now, &account, &credentials))
            .await
    }

    async fn revoke_invite(&self, token: &str) -> Result<bool> {
        let token = token.to_owned();
        self.write(move |tx| Ok(tx.execute("DELETE FROM invites WHERE token = ?", [&token])? > 0))
            .await
    }

    async fn delete_spent_invites(&self, now: UnixMillis) -> Result<u64> {
        self.write(move |tx| {
            Ok(tx.execute(
                "DELETE FROM invites WHERE uses_left = 0 OR expires_at <= ?",
                [now],
            )? as u64)
        })
        .await
    }
}
