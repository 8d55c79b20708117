//! [`AccountStore`] in SQLite.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::fault::Fault;
use super::{SqliteStore, archive_change};
use crate::{Account, AccountStore, Credentials, Removed, Result, Role, ScramKeys, StoreError};

/// The id of the account; `None` when there is none of that name.
pub(super) fn find_account(
    connection: &Connection,
    user: &str,
) -> std::result::Result<Option<i64>, Fault> {
    let mut statement = connection.prepare_cached("SELECT id FROM accounts WHERE username = ?")?;
    Ok(statement.query_row([user], |row| row.get(0)).optional()?)
}

/// The id of the account, or `Absent`.
pub(super) fn account_id(connection: &Connection, user: &str) -> std::result::Result<i64, Fault> {
    find_account(connection, user)?.ok_or_else(|| absent(user).into())
}

fn absent(user: &str) -> StoreError {
    StoreError::absent(format!("account \"{user}\""))
}

/// Creates the account and returns its id.
pub(super) fn insert_account(
    connection: &Connection,
    account: &Account,
    credentials: &Credentials,
) -> std::result::Result<i64, Fault> {
    if find_account(connection, &account.username)?.is_some() {
        return Err(StoreError::exists(format!("account \"{}\"", account.username)).into());
    }
    let id = connection
        .prepare_cached(
            "INSERT INTO accounts (username, role, enabled, created_at) VALUES (?, ?, ?, ?)",
        )?
        .insert((
            &account.username,
            account.role.as_str(),
            account.enabled,
            account.created_at,
        ))?;
    write_credentials(connection, id, credentials)?;
    Ok(id)
}

fn write_credentials(
    connection: &Connection,
    account: i64,
    credentials: &Credentials,
) -> std::result::Result<(), Fault> {
    connection
        .prepare_cached("DELETE FROM credentials WHERE account = ?")?
        .execute([account])?;
    add_credentials(connection, account, credentials)
}

fn add_credentials(
    connection: &Connection,
    account: i64,
    credentials: &Credentials,
) -> std::result::Result<(), Fault> {
    let mut insert =
        connection.prepare_cached("INSERT OR IGNORE INTO credentials VALUES (?, ?, ?, ?, ?, ?)")?;
    for (hash, keys) in [
        ("sha-1", &credentials.sha1),
        ("sha-256", &credentials.sha256),
    ] {
        if let Some(keys) = keys {
            insert.execute((
                account,
                hash,
                &keys.salt,
                keys.iterations,
                &keys.stored_key,
                &keys.server_key,
            ))?;
        }
    }
    Ok(())
}

fn read_credentials(
    connection: &Connection,
    account: i64,
) -> std::result::Result<Credentials, Fault> {
    let mut credentials = Credentials::default();
    let mut statement = connection.prepare_cached(
        "SELECT hash, salt, iterations, stored_key, server_key FROM credentials WHERE account = ?",
    )?;
    let mut rows = statement.query([account])?;
    while let Some(row) = rows.next()? {
        let keys = ScramKeys {
            salt: row.get(1)?,
            iterations: row.get(2)?,
            stored_key: row.get(3)?,
            server_key: row.get(4)?,
        };
        match row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)? {
            "sha-1" => credentials.sha1 = Some(keys),
            "sha-256" => credentials.sha256 = Some(keys),
            _ => {}
        }
    }
    Ok(credentials)
}

const COLUMNS: &str = "username, role, enabled, created_at";

fn read_account(row: &Row<'_>) -> rusqlite::Result<Account> {
    let role: String = row.get(1)?;
    Ok(Account {
        username: row.get(0)?,
        // A role this program does not know gets the least rights.
        role: Role::from_name(&role).unwrap_or(Role::Limited),
        enabled: row.get(2)?,
        created_at: row.get(3)?,
    })
}

/// The account with its id; `None` when there is none of that name.
pub(super) fn account_with_id(
    connection: &Connection,
    user: &str,
) -> std::result::Result<Option<(i64, Account)>, Fault> {
    let sql = format!("SELECT {COLUMNS}, id FROM accounts WHERE username = ?");
    let mut statement = connection.prepare_cached(&sql)?;
    let found = statement.query_row([user], |row| Ok((row.get(4)?, read_account(row)?)));
    Ok(found.optional()?)
}

fn remove(
    connection: &Connection,
    user: &str,
    bare_jid: &str,
) -> std::result::Result<Removed, Fault> {
    let account = account_id(connection, user)?;
    let count = |sql: &str| connection.query_row(sql, [account], |row| row.get::<_, u64>(0));
    let removed = Removed {
        contacts: count("SELECT count(*) FROM roster WHERE account = ? AND removed = 0")?
            + count("SELECT count(*) FROM subscription_requests WHERE account = ?")?,
        offline: count("SELECT count(*) FROM offline WHERE account = ?")?,
        uploads: count("SELECT count(*) FROM uploads WHERE account = ?")?,
        archived: 0,
        nodes: connection.execute("DELETE FROM pubsub_nodes WHERE service = ?", [bare_jid])? as u64,
        rooms: connection.execute(
            "DELETE FROM room_affiliations WHERE jid = ? AND affiliation <> 'outcast'",
            [bare_jid],
        )? as u64,
    };
    for sql in [
        "DELETE FROM vcards WHERE owner = ?",
        "DELETE FROM pubsub_subscriptions WHERE jid = ?",
        "DELETE FROM pubsub_affiliations WHERE jid = ?",
    ] {
        connection.execute(sql, [bare_jid])?;
    }
    connection.execute(
        "DELETE FROM invites WHERE inviter = ?1 OR (kind = 'reset' AND username = ?1)",
        [user],
    )?;
    connection.execute("DELETE FROM accounts WHERE id = ?", [account])?;
    Ok(removed)
}

#[async_trait]
impl AccountStore for SqliteStore {
    async fn create_account(&self, account: Account, credentials: Credentials) -> Result<()> {
        self.write(move |tx| insert_account(tx, &account, &credentials).map(drop))
            .await
    }

    async fn account(&self, user: &str) -> Result<Option<Account>> {
        let user = user.to_owned();
        self.read_short(move |connection| {
            let found = account_with_id(connection, &user)?;
            Ok(found.map(|(_, account)| account))
        })
        .await
    }

    async fn credentials(&self, user: &str) -> Result<Option<Credentials>> {
        let user = user.to_owned();
        self.read_short(move |connection| {
            find_account(connection, &user)?
                .map(|account| read_credentials(connection, account))
                .transpose()
        })
        .await
    }

    async fn set_credentials(&self, user: &str, credentials: Credentials) -> Result<()> {
        let user = user.to_owned();
        self.write(move |tx| {
            let account = account_id(tx, &user)?;
            tx.execute("DELETE FROM login_tokens WHERE account = ?", [account])?;
            write_credentials(tx, account, &credentials)
        })
        .await
    }

    async fn add_credentials(&self, user: &str, credentials: Credentials) -> Result<()> {
        let user = user.to_owned();
        self.write(move |tx| add_credentials(tx, account_id(tx, &user)?, &credentials))
            .await
    }

    async fn set_role(&self, user: &str, role: Role) -> Result<()> {
        let user = user.to_owned();
        self.write(move |tx| {
            let account = account_id(tx, &user)?;
            tx.execute(
                "UPDATE accounts SET role = ? WHERE id = ?",
                (role.as_str(), account),
            )?;
            Ok(())
        })
        .await
    }

    async fn set_enabled(&self, user: &str, enabled: bool) -> Result<()> {
        let user = user.to_owned();
        self.write(move |tx| {
            let account = account_id(tx, &user)?;
            tx.execute(
                "UPDATE accounts SET enabled = ? WHERE id = ?",
                (enabled, account),
            )?;
            Ok(())
        })
        .await
    }

    async fn accounts(&self, after: Option<&str>, max: u32) -> Result<Vec<Account>> {
        // No username is empty, so the empty text is before all.
        let after = after.unwrap_or_default().to_owned();
        self.read(move |connection| {
            let sql = format!(
                "SELECT {COLUMNS} FROM accounts WHERE username > ? ORDER BY username LIMIT ?"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            Ok(statement
                .query_map((after, max), read_account)?
                .collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    async fn count_accounts(&self) -> Result<u64> {
        self.read(|connection| {
            Ok(connection.query_row("SELECT count(*) FROM accounts", [], |row| row.get(0))?)
        })
        .await
    }

    async fn remove_account(&self, user: &str, bare_jid: &str) -> Result<Removed> {
        let (user, bare_jid) = (user.to_owned(), bare_jid.to_owned());
        self.write(move |tx| {
            let removed = remove(tx, &user, &bare_jid)?;
            Ok(Removed {
                archived: archive_change::delete_all(tx, &bare_jid)?,
                ..removed
            })
        })
        .await
    }
}
