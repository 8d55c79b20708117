//! Sessions that a client may resume, by the id it was given (XEP-0198 §5).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Session;

/// Resumable sessions.
#[derive(Debug, Default)]
pub struct Resumable {
    sessions: Mutex<HashMap<String, Arc<Session>>>,
}

impl Resumable {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Session>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Make a session resumable.
    pub fn enter(&self, id: &str, session: &Arc<Session>) {
        self.lock().insert(id.to_owned(), Arc::clone(session));
    }

    /// The session of an id.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<Arc<Session>> {
        self.lock().get(id).cloned()
    }

    /// All of them, with their ids.
    #[must_use]
    pub fn all(&self) -> Vec<(String, Arc<Session>)> {
        let sessions = self.lock();
        sessions
            .iter()
            .map(|(id, session)| (id.clone(), Arc::clone(session)))
            .collect()
    }

    /// Forget a session that is over.
    pub fn leave(&self, id: &str) {
        self.lock().remove(id);
    }
}
