//! [`TokenStore`] in SQLite.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::SqliteStore;
use super::accounts::{account_id, account_with_id, find_account};
use super::fault::Fault;
use crate::{
    Account, ApiToken, LoginClient, LoginToken, Result, StoreError, TokenStore, UnixMillis,
};

type Outcome<T> = std::result::Result<T, Fault>;

fn read_login_token(row: &Row<'_>, user: &str) -> rusqlite::Result<LoginToken> {
    Ok(LoginToken {
        user: user.to_owned(),
        client: row.get(0)?,
        mechanism: row.get(1)?,
        secret: row.get(2)?,
        created_at: row.get(3)?,
        expires_at: row.get(4)?,
        counter: row.get(5)?,
        used: row.get(6)?,
    })
}

fn read_api_token(row: &Row<'_>) -> rusqlite::Result<ApiToken> {
    Ok(ApiToken {
        id: row.get(0)?,
        name: row.get(1)?,
        secret_hash: row.get(2)?,
        created_at: row.get(3)?,
        expires_at: row.get(4)?,
    })
}

fn add(connection: &Connection, token: &LoginToken) -> Outcome<()> {
    let account = account_id(connection, &token.user)?;
    connection
        .prepare_cached("DELETE FROM login_tokens WHERE account = ? AND client = ? AND NOT used")?
        .execute((account, &token.client))?;
    let sql = "INSERT INTO login_tokens
               (account, client, mechanism, secret, created_at, expires_at, counter, used)
               VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
    connection.prepare_cached(sql)?.execute((
        account,
        &token.client,
        &token.mechanism,
        &token.secret,
        token.created_at,
        token.expires_at,
        token.counter,
        token.used,
    ))?;
    Ok(())
}

fn use_token(
    connection: &Connection,
    user: &str,
    client: &str,
    secret: &[u8],
    count: Option<u64>,
) -> Outcome<bool> {
    let Some(account) = find_account(connection, user)? else {
        return Ok(false);
    };
    let sql =
        "SELECT id, counter FROM login_tokens WHERE account = ? AND client = ? AND secret = ?";
    let found: Option<(i64, Option<u64>)> = connection
        .prepare_cached(sql)?
        .query_row((account, client, secret), |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    let Some((id, before)) = found else {
        return Ok(false);
    };
    // A client that has counted once must go on: otherwise leaving the count out would be a replay.
    if before.is_some() && count <= before {
        return Ok(false);
    }
    connection
        .prepare_cached("UPDATE login_tokens SET used = 1, counter = ? WHERE id = ?")?
        .execute((count, id))?;
    connection
        .prepare_cached("DELETE FROM login_tokens WHERE account = ? AND client = ? AND id < ?")?
        .execute((account, client, id))?;
    Ok(true)
}

#[async_trait]
impl TokenStore for SqliteStore {
    async fn add_login_token(&self, token: LoginToken) -> Result<()> {
        self.write(move |tx| add(tx, &token)).await
    }

    async fn login_tokens(
        &self,
        user: &str,
        client: &str,
    ) -> Result<Option<(Account, Vec<LoginToken>)>> {
        let (user, client) = (user.to_owned(), client.to_owned());
        self.read_short(move |connection| {
            let Some((id, account)) = account_with_id(connection, &user)? else { return Ok(None) };
            let sql = "SELECT client, mechanism, secret, created_at, expires_at, counter, used FROM login_tokens
                       WHERE account = ? AND client = ? ORDER BY id DESC";
            let mut statement = connection.prepare_cached(sql)?;
            let tokens = statement.query_map((id, &client), |row| read_login_token(row, &user))?;
            Ok(Some((account, tokens.collect::<rusqlite::Result<_>>()?)))
        })
        .await
    }

    async fn login_clients(&self, user: &str, now: UnixMillis) -> Result<Vec<LoginClient>> {
        let user = user.to_owned();
        self.read(move |connection| {
            let Some(account) = find_account(connection, &user)? else {
                return Ok(Vec::new());
            };
            let sql = "SELECT client, min(created_at), max(expires_at) FROM login_tokens
                       WHERE account = ? AND expires_at > ? GROUP BY client ORDER BY client";
            let mut statement = connection.prepare_cached(sql)?;
            let clients = statement.query_map((account, now), |row| {
                Ok(LoginClient {
                    client: row.get(0)?,
                    since: row.get(1)?,
                    until: row.get(2)?,
                })
            })?;
            Ok(clients.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    async fn use_login_token(
        &self,
        user: &str,
        client: &str,
        secret: &[u8],
        count: Option<u64>,
    ) -> Result<bool> {
        let (user, client, secret) = (user.to_owned(), client.to_owned(), secret.to_vec());
        self.write(move |tx| use_token(tx, &user, &client, &secret, count))
            .await
    }

    async fn revoke_login_tokens(&self, user: &str, client: Option<&str>) -> Result<u64> {
        let (user, client) = (user.to_owned(), client.map(str::to_owned));
        self.write(move |tx| {
            let Some(account) = find_account(tx, &user)? else {
                return Ok(0);
            };
            let sql = "DELETE FROM login_tokens WHERE account = ?1 AND (?2 IS NULL OR client = ?2)";
            Ok(tx.execute(sql, (account, &client))? as u64)
        })
        .await
    }

    async fn delete_expired_tokens(&self, now: UnixMillis) -> Result<u64> {
        self.write(move |tx| {
            let login = tx.execute("DELETE FROM login_tokens WHERE expires_at <= ?", [now])?;
            let api = tx.execute("DELETE FROM api_tokens WHERE expires_at <= ?", [now])?;
            Ok((login + api) as u64)
        })
        .await
    }

    async fn create_api_token(&self, token: ApiToken) -> Result<()> {
        self.write(move |tx| {
            let sql = "INSERT OR IGNORE INTO api_tokens VALUES (?, ?, ?, ?, ?)";
            let values = (
                &token.id,
                &token.name,
                &token.secret_hash,
                token.created_at,
                token.expires_at,
            );
            match tx.execute(sql, values)? {
                0 => Err(StoreError::exists(format!("API token \"{}\"", token.id)).into()),
                _ => Ok(()),
            }
        })
        .await
    }

    async fn api_token(&self, secret_hash: &str) -> Result<Option<ApiToken>> {
        let secret_hash = secret_hash.to_owned();
        self.read_short(move |connection| {
            let sql = "SELECT id, name, secret_hash, created_at, expires_at FROM api_tokens WHERE secret_hash = ?";
            Ok(connection.prepare_cached(sql)?.query_row([&secret_hash], read_api_token).optional()?)
        })
        .await
    }

    async fn api_tokens(&self) -> Result<Vec<ApiToken>> {
        self.read(|connection| {
            let sql = "SELECT id, name, secret_hash, created_at, expires_at FROM api_tokens ORDER BY created_at DESC, id";
            let mut statement = connection.prepare_cached(sql)?;
            Ok(statement.query_map([], read_api_token)?.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    async fn revoke_api_token(&self, id: &str) -> Result<bool> {
        let id = id.to_owned();
        self.write(move |tx| Ok(tx.execute("DELETE FROM api_tokens WHERE id = ?", [&id])? > 0))
            .await
    }
}
