//! Block lists at work (XEP-0191 §3): who is not heard, and whom one cannot write to.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use imd_proto::{Condition, Element, Jid, Kind, Stanza, StanzaError, ns};

use crate::server::Server;

/// Block lists of accounts that were in use lately, so that a message does not cost a database read.
#[derive(Default)]
pub struct BlockLists {
    cached: Mutex<HashMap<String, Arc<Vec<String>>>>,
}

/// Accounts whose lists are kept; when there are more, all are forgotten and read again.
const CACHED_ACCOUNTS: usize = 20_000;

impl BlockLists {
    /// The list of an account. Reading fails open: with a broken database nobody could talk otherwise.
    async fn of(&self, server: &Server, user: &str) -> Arc<Vec<String>> {
        if let Some(list) = self.lock().get(user) {
            return Arc::clone(list);
        }
        let list = Arc::new(match server.store.blocked(user).await {
            Ok(list) => list,
            Err(error) => {
                tracing::warn!(user, %error, "cannot read the block list");
                return Arc::default();
            }
        });
        let mut cached = self.lock();
        if cached.len() >= CACHED_ACCOUNTS {
            cached.clear();
        }
        cached.insert(user.to_owned(), Arc::clone(&list));
        list
    }

    /// Go on with this list of an account, whatever is in the store, until it is forgotten.
    pub fn hold(&self, user: &str, list: Vec<String>) {
        self.lock().insert(user.to_owned(), Arc::new(list));
    }

    /// Forget the list of an account, because it has changed.
    pub fn forget(&self, user: &str) {
        self.lock().remove(user);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Vec<String>>>> {
        self.cached.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether an entry of a block list covers an address (XEP-0191 §2: full, bare, domain with resource, domain).
#[must_use]
pub fn covers(entry: &str, jid: &Jid) -> bool {
    entry == jid.as_str()
        || entry == jid.bare_str()
        || entry == jid.domain()
        || jid.resource().is_some_and(|resource| {
            entry
                .strip_prefix(jid.domain())
                .and_then(|rest| rest.strip_prefix('/'))
                == Some(resource)
        })
}

/// Whether an account has blocked an address.
pub async fn has_blocked(server: &Server, user: &str, jid: &Jid) -> bool {
    server.store.may_have_blocked(user)
        && server
            .blocked
            .of(server, user)
            .await
            .iter()
            .any(|entry| covers(entry, jid))
}

/// Refuse what a local account sends to somebody it has blocked (XEP-0191 §3.1). True: it has been dealt with.
pub async fn refuses_outgoing(server: &Arc<Server>, stanza: &Stanza, to: &Jid) -> bool {
    let Some(user) = stanza
        .from
        .local()
        .filter(|_| server.is_local_account(&stanza.from))
    else {
        return false;
    };
    if to.same_bare(&stanza.from) || !has_blocked(server, user, to).await {
        return false;
    }
    let quiet = stanza.kind == Kind::Presence && stanza.type_attr() == Some("unavailable");
    if !quiet {
        let error = StanzaError::new(Condition::NotAcceptable)
            .of_type(imd_proto::ErrorType::Cancel)
            .with_application(Element::new("blocked", ns::BLOCKING_ERRORS));
        server.bounce(stanza, &error).await;
    }
    true
}

/// Refuse what somebody sends to a local account that has blocked them. True: it has been dealt with.
pub async fn refuses_incoming(server: &Arc<Server>, stanza: &Stanza, user: &str) -> bool {
    let own = server.is_local_account(&stanza.from) && stanza.from.local() == Some(user);
    if own || !has_blocked(server, user, &stanza.from).await {
        return false;
    }
    match stanza.kind {
        Kind::Presence => {}
        // XEP-0191 §3.2: as if there were no such account or resource.
        Kind::Message | Kind::Iq => {
            server
                .bounce(stanza, &StanzaError::new(Condition::ServiceUnavailable))
                .await;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_covers_what_xep_0191_says() {
        let jid: Jid = "a@b.c/d".parse().unwrap();
        for (entry, covered) in [
            ("a@b.c/d", true),
            ("a@b.c", true),
            ("b.c", true),
            ("b.c/d", true),
            ("a@b.c/e", false),
            ("c", false),
            ("b.c/", false),
        ] {
            assert_eq!(covers(entry, &jid), covered, "{entry}");
        }
    }
}
