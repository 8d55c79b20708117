//! [`SessionStore`] in SQLite.

use async_trait::async_trait;
use rusqlite::{OptionalExtension as _, Row};

use super::SqliteStore;
use super::accounts::find_account;
use crate::{Result, SavedSession, SessionStore};

const SELECT: &str = "SELECT s.id, a.username, s.resource, s.state, s.expires_at
    FROM saved_sessions s JOIN accounts a ON a.id = s.account";

fn read_session(row: &Row<'_>) -> rusqlite::Result<SavedSession> {
    Ok(SavedSession {
        id: row.get(0)?,
        user: row.get(1)?,
        resource: row.get(2)?,
        state: row.get(3)?,
        expires_at: row.get(4)?,
    })
}

#[async_trait]
impl SessionStore for SqliteStore {
    async fn save_sessions(&self, sessions: Vec<SavedSession>) -> Result<()> {
        self.write(move |tx| {
            let mut insert =
                tx.prepare_cached("INSERT OR REPLACE INTO saved_sessions VALUES (?, ?, ?, ?, ?)")?;
            for SavedSession {
                id,
                user,
                resource,
                state,
                expires_at,
            } in &sessions
            {
                // The session of an account that has just been removed is of no use to anyone.
                if let Some(account) = find_account(tx, user)? {
                    insert.execute((id, account, resource, state, expires_at))?;
                }
            }
            Ok(())
        })
        .await
    }

    async fn take_sessions(&self) -> Result<Vec<SavedSession>> {
        self.write(|tx| {
            let mut statement = tx.prepare(SELECT)?;
            let sessions = statement
                .query_map([], read_session)?
                .collect::<rusqlite::Result<_>>()?;
            tx.execute("DELETE FROM saved_sessions", [])?;
            Ok(sessions)
        })
        .await
    }

    async fn take_session(&self, id: &str) -> Result<Option<SavedSession>> {
        let id = id.to_owned();
        self.write(move |tx| {
            let session = tx
                .prepare(&format!("{SELECT} WHERE s.id = ?"))?
                .query_row([&id], read_session)
                .optional()?;
            tx.execute("DELETE FROM saved_sessions WHERE id = ?", [&id])?;
            Ok(session)
        })
        .await
    }
}
