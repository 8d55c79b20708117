//! Who is online: sessions by account and resource.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use imd_proto::Jid;

use crate::session::Session;

/// The sessions of this server.
#[derive(Debug, Default)]
pub struct Directory {
    accounts: RwLock<HashMap<Arc<str>, Vec<Arc<Session>>>>,
    /// How many sessions there are.
    count: AtomicUsize,
}

/// An account has as many sessions as it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManySessions;

impl Directory {
    /// Enter a session. One with the same resource leaves and is returned (RFC 6120 §7.7.2.2, first option).
    ///
    /// # Errors
    /// When the account has `max` sessions already.
    pub fn enter(
        &self,
        session: &Arc<Session>,
        max: usize,
    ) -> Result<Option<Arc<Session>>, TooManySessions> {
        let mut accounts = self
            .accounts
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let sessions = accounts.entry(Arc::clone(&session.user)).or_default();
        if let Some(place) = sessions.iter_mut().find(|s| s.jid == session.jid) {
            return Ok(Some(std::mem::replace(place, Arc::clone(session))));
        }
        if sessions.len() >= max {
            return Err(TooManySessions);
        }
        sessions.push(Arc::clone(session));
        self.count.fetch_add(1, Ordering::Relaxed);
        Ok(None)
    }

    /// Remove exactly this session; false when it was replaced or removed before.
    pub fn leave(&self, session: &Session) -> bool {
        let mut accounts = self
            .accounts
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let Some(sessions) = accounts.get_mut(&session.user) else {
            return false;
        };
        let before = sessions.len();
        sessions.retain(|s| s.id != session.id);
        let removed = sessions.len() < before;
        self.count
            .fetch_sub(before - sessions.len(), Ordering::Relaxed);
        if sessions.is_empty() {
            accounts.remove(&session.user);
        }
        removed
    }

    /// The sessions of an account, in the order in which they came.
    #[must_use]
    pub fn sessions(&self, user: &str) -> Vec<Arc<Session>> {
        let accounts = self.accounts.read().unwrap_or_else(PoisonError::into_inner);
        accounts.get(user).cloned().unwrap_or_default()
    }

    /// The session with this full address.
    #[must_use]
    pub fn session(&self, jid: &Jid) -> Option<Arc<Session>> {
        let accounts = self.accounts.read().unwrap_or_else(PoisonError::into_inner);
        accounts
            .get(jid.local()?)?
            .iter()
            .find(|s| s.jid == *jid)
            .cloned()
    }

    /// All sessions.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Session>> {
        let accounts = self.accounts.read().unwrap_or_else(PoisonError::into_inner);
        accounts.values().flatten().cloned().collect()
    }

    /// Bytes of memory that what waits for all clients together takes.
    #[must_use]
    pub fn waiting_bytes(&self) -> usize {
        let accounts = self.accounts.read().unwrap_or_else(PoisonError::into_inner);
        let sessions = accounts.values().flatten();
        sessions.map(|session| session.outbound.kept()).sum()
    }

    /// How many sessions there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Whether nobody is online.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(jid: &str) -> Arc<Session> {
        Session::new(jid.parse().unwrap(), 100)
    }

    #[test]
    fn the_same_resource_replaces_and_only_the_present_session_can_leave() {
        let directory = Directory::default();
        let (old, new) = (session("a@b/r"), session("a@b/r"));
        assert!(directory.enter(&old, 2).unwrap().is_none());
        assert_eq!(directory.enter(&new, 2).unwrap().unwrap().id, old.id);
        assert!(!directory.leave(&old));
        assert_eq!(
            directory.session(&"a@b/r".parse().unwrap()).unwrap().id,
            new.id
        );
        assert_eq!(directory.len(), 1);
        assert!(directory.leave(&new));
        assert!(directory.is_empty());
    }

    #[test]
    fn an_account_has_a_bounded_number_of_sessions() {
        let directory = Directory::default();
        directory.enter(&session("a@b/1"), 1).unwrap();
        assert_eq!(
            directory.enter(&session("a@b/2"), 1).unwrap_err(),
            TooManySessions
        );
    }
}
