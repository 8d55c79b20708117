//! Accounts with offline messages. Each login asks whether any wait, and for most people the answer is known without the database.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;

/// The accounts for which messages may wait, by their usernames. Who is not in here has none that is committed. Only the writing
/// thread adds, while it writes; whoever has deleted an account's messages forgets it after the commit, unless the number shows that
/// something has been written since.
#[derive(Debug, Default)]
pub(super) struct WithOffline {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// With the number of the newest message that was put in since the start; 0 for those of before.
    users: HashMap<Box<str>, u64>,
    last: u64,
}

impl WithOffline {
    pub(super) fn load(connection: &Connection) -> rusqlite::Result<Self> {
        let sql =
            "SELECT DISTINCT username FROM offline JOIN accounts ON accounts.id = offline.account";
        let users = connection
            .prepare(sql)?
            .query_map([], |row| Ok((row.get::<_, String>(0)?.into_boxed_str(), 0)))?
            .collect::<rusqlite::Result<_>>()?;
        Ok(Self {
            state: Mutex::new(State { users, last: 0 }),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn may_have(&self, user: &str) -> bool {
        self.lock().users.contains_key(user)
    }

    /// A message is put in. Where it is undone, the account stays in here until its next messages are deleted.
    pub(super) fn note(&self, user: &str) {
        let mut state = self.lock();
        state.last += 1;
        let last = state.last;
        match state.users.get_mut(user) {
            Some(newest) => *newest = last,
            None => drop(state.users.insert(user.into(), last)),
        }
    }

    /// A transaction leaves nothing of the account: what [`Self::forget`] is to be told once it is committed. Absent: nothing to tell.
    pub(super) fn newest(&self, user: &str) -> Option<u64> {
        self.lock().users.get(user).copied()
    }

    /// Nothing waits, unless something came after that transaction.
    pub(super) fn forget(&self, user: &str, newest: u64) {
        let mut state = self.lock();
        if state.users.get(user) == Some(&newest) {
            state.users.remove(user);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_forgotten_unless_something_came_meanwhile() {
        let with = WithOffline::default();
        assert!(!with.may_have("alice"));
        with.note("alice");
        let newest = with.newest("alice").unwrap();
        with.note("alice");
        with.forget("alice", newest);
        assert!(with.may_have("alice"), "the second message waits");
        with.forget("alice", with.newest("alice").unwrap());
        assert!(!with.may_have("alice"));
        with.note("alice");
        assert!(with.may_have("alice"));
    }

    #[test]
    fn what_waited_before_the_start_is_forgotten_as_well() {
        let with = WithOffline::default();
        with.lock().users.insert("alice".into(), 0);
        assert_eq!(with.newest("alice"), Some(0));
        with.forget("alice", 0);
        assert!(!with.may_have("alice"));
    }
}
