//! Accounts that have something that few have: a block list, preferences for their archive, clients to be pushed to. A message
//! asks for all of these, and for most people the answer is known without the database.

use std::collections::HashSet;
use std::sync::{PoisonError, RwLock};

use rusqlite::Connection;

/// The accounts that may have it, by their usernames. Who is not in here has nothing; somebody in here may have nothing any more:
/// nobody is taken out before the next start. Only this process adds to these tables, so that nothing is missed.
#[derive(Debug, Default)]
pub(super) struct Few {
    users: RwLock<HashSet<Box<str>>>,
}

impl Few {
    /// Those who have a row in a table that refers to accounts.
    pub(super) fn load(connection: &Connection, table: &str) -> rusqlite::Result<Self> {
        let sql = format!(
            "SELECT DISTINCT username FROM {table} JOIN accounts ON accounts.id = {table}.account"
        );
        let mut statement = connection.prepare(&sql)?;
        let users = statement
            .query_map([], |row| {
                row.get::<_, String>(0).map(String::into_boxed_str)
            })?
            .collect::<rusqlite::Result<_>>()?;
        Ok(Self {
            users: RwLock::new(users),
        })
    }

    pub(super) fn may_have(&self, user: &str) -> bool {
        self.users
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(user)
    }

    /// To be called before anything is written for the account, so that whoever reads after the write finds it.
    pub(super) fn note(&self, user: &str) {
        if !self.may_have(user) {
            let mut users = self.users.write().unwrap_or_else(PoisonError::into_inner);
            users.insert(user.into());
        }
    }
}
