//! Which client wants to hear of which nodes, by the hash of its capabilities; all of it bounded.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use imd_proto::Jid;

use crate::session::Session;

/// Sorted node names that a client wants notifications of.
pub type Nodes = Arc<[String]>;

/// Kinds of clients that are remembered; when there are more, all are forgotten and asked again.
const KNOWN: usize = 2000;
/// Clients of other servers that are remembered.
const ELSEWHERE: usize = 20_000;
/// Clients that wait for the answer of another one of their kind.
const WAITING: usize = 5000;

/// A client whose capabilities are wanted.
#[derive(Debug, Clone)]
pub enum Who {
    /// A session here.
    Session(Arc<Session>),
    /// A contact of an account, at another server.
    Elsewhere {
        /// The account.
        user: String,
        /// The contact's full address.
        jid: Jid,
    },
}

/// What is known of clients.
#[derive(Debug, Default)]
pub struct Interests {
    state: Mutex<State>,
    /// The server's own hash, which does not change.
    own: OnceLock<String>,
}

#[derive(Debug, Default)]
struct State {
    known: HashMap<String, Nodes>,
    asking: HashMap<String, Vec<Who>>,
    elsewhere: HashMap<String, HashMap<Jid, Nodes>>,
    elsewhere_count: usize,
}

impl Interests {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The hash of the server's own capabilities, made the first time.
    pub fn own(&self, make: impl FnOnce() -> String) -> &str {
        self.own.get_or_init(make)
    }

    /// What clients of a kind want, where it is known.
    #[must_use]
    pub fn known(&self, kind: &str) -> Option<Nodes> {
        self.state().known.get(kind).cloned()
    }

    /// Remember what clients of a kind want; returns those who waited for it.
    pub fn learn(&self, kind: &str, nodes: &Nodes) -> Vec<Who> {
        let mut state = self.state();
        if state.known.len() >= KNOWN {
            state.known.clear();
        }
        state.known.insert(kind.to_owned(), Arc::clone(nodes));
        state.asking.remove(kind).unwrap_or_default()
    }

    /// Whether a client of this kind has to be asked; when another one is being asked, `who` waits for that.
    pub fn must_ask(&self, kind: &str, who: &Who) -> bool {
        let mut state = self.state();
        match state.asking.get_mut(kind) {
            Some(waiting) => {
                if waiting.len() < WAITING {
                    waiting.push(who.clone());
                }
                false
            }
            None => {
                state.asking.insert(kind.to_owned(), Vec::new());
                true
            }
        }
    }

    /// The client that was asked gave no good answer: the next one of its kind that can be asked.
    pub fn next_to_ask(&self, kind: &str) -> Option<Who> {
        let mut state = self.state();
        let next = state.asking.get_mut(kind)?.pop();
        if next.is_none() {
            state.asking.remove(kind);
        }
        next
    }

    /// Remember what a client elsewhere wants; false when it was known to want just that.
    pub fn set_elsewhere(&self, user: &str, jid: &Jid, nodes: &Nodes) -> bool {
        let mut state = self.state();
        if state.elsewhere_count >= ELSEWHERE {
            state.elsewhere.clear();
            state.elsewhere_count = 0;
        }
        let before = state
            .elsewhere
            .entry(user.to_owned())
            .or_default()
            .insert(jid.clone(), Arc::clone(nodes));
        if before.is_none() {
            state.elsewhere_count += 1;
        }
        before.as_ref() != Some(nodes)
    }

    /// A client elsewhere has gone.
    pub fn forget_elsewhere(&self, user: &str, jid: &Jid) {
        let mut state = self.state();
        let Some(contacts) = state.elsewhere.get_mut(user) else {
            return;
        };
        let gone = contacts.remove(jid).is_some();
        if contacts.is_empty() {
            state.elsewhere.remove(user);
        }
        if gone {
            state.elsewhere_count -= 1;
        }
    }

    /// The full addresses of a contact elsewhere that want to hear of an account's node.
    #[must_use]
    pub fn elsewhere(&self, user: &str, contact: &str, node: &str) -> Vec<Jid> {
        let state = self.state();
        let Some(contacts) = state.elsewhere.get(user) else {
            return Vec::new();
        };
        contacts
            .iter()
            .filter(|(jid, nodes)| jid.bare_str() == contact && wants(nodes, node))
            .map(|(jid, _)| jid.clone())
            .collect()
    }
}

/// Whether sorted nodes have one.
#[must_use]
pub fn wants(nodes: &[String], node: &str) -> bool {
    nodes.binary_search_by(|n| n.as_str().cmp(node)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(names: &[&str]) -> Nodes {
        names.iter().map(|n| (*n).to_owned()).collect()
    }

    fn elsewhere(jid: &str) -> Who {
        Who::Elsewhere {
            user: "a".into(),
            jid: jid.parse().unwrap(),
        }
    }

    #[test]
    fn one_client_of_a_kind_is_asked_and_the_others_wait() {
        let interests = Interests::default();
        assert!(interests.must_ask("k", &elsewhere("x@y/1")));
        assert!(!interests.must_ask("k", &elsewhere("x@y/2")));
        let waited = interests.learn("k", &nodes(&["n"]));
        assert_eq!(waited.len(), 1);
        assert_eq!(interests.known("k"), Some(nodes(&["n"])));
    }

    #[test]
    fn the_next_of_a_kind_is_asked_when_one_does_not_answer() {
        let interests = Interests::default();
        assert!(interests.must_ask("k", &elsewhere("x@y/1")));
        assert!(!interests.must_ask("k", &elsewhere("x@y/2")));
        assert!(interests.next_to_ask("k").is_some());
        assert!(interests.next_to_ask("k").is_none());
        assert!(interests.must_ask("k", &elsewhere("x@y/3")));
    }

    #[test]
    fn clients_elsewhere_are_found_until_they_go() {
        let interests = Interests::default();
        let jid: Jid = "x@y/1".parse().unwrap();
        assert!(interests.set_elsewhere("a", &jid, &nodes(&["m", "n"])));
        assert!(!interests.set_elsewhere("a", &jid, &nodes(&["m", "n"])));
        assert_eq!(interests.elsewhere("a", "x@y", "n"), vec![jid.clone()]);
        assert!(interests.elsewhere("b", "x@y", "n").is_empty());
        interests.forget_elsewhere("a", &jid);
        assert!(interests.elsewhere("a", "x@y", "n").is_empty());
    }
}
