//! What an account wants archived (XEP-0441).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use imd_proto::{Condition, Element, Jid, StanzaError, ns};
use imd_store::{ArchiveDefault, ArchivePrefs};

use super::store_error;
use crate::server::Server;

/// Addresses in one list.
const MOST_JIDS: usize = 500;
/// Accounts whose preferences are remembered; when there are more, all are forgotten and read again.
const REMEMBERED: usize = 20_000;

/// Preferences of accounts in use, so that a message does not cost a database read.
#[derive(Debug, Default)]
pub struct Preferences {
    /// `None`: everything is archived, as for nearly all.
    known: Mutex<HashMap<String, Option<Arc<ArchivePrefs>>>>,
}

impl Preferences {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Option<Arc<ArchivePrefs>>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forget an account, because its preferences have changed or it is gone.
    pub fn forget(&self, user: &str) {
        self.lock().remove(user);
    }

    async fn of(&self, server: &Server, user: &str) -> Option<Arc<ArchivePrefs>> {
        if !server.store.may_have_archive_prefs(user) {
            return None;
        }
        if let Some(known) = self.lock().get(user) {
            return known.clone();
        }
        let prefs = match server.store.archive_prefs(user).await {
            Ok(prefs) => prefs
                .filter(|p| *p != ArchivePrefs::default())
                .map(Arc::new),
            Err(error) => {
                tracing::warn!(user, %error, "cannot read archiving preferences");
                return None;
            }
        };
        let mut known = self.lock();
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(user.to_owned(), prefs.clone());
        prefs
    }
}

/// What the lists say of an address: archive, do not, or ask the default. An address in both lists is archived.
#[must_use]
pub fn listed(prefs: &ArchivePrefs, jid: &Jid) -> Option<bool> {
    let has = |list: &[String]| {
        list.iter()
            .any(|entry| entry == jid.bare_str() || entry == jid.as_str())
    };
    if has(&prefs.always) {
        Some(true)
    } else if has(&prefs.never) {
        Some(false)
    } else {
        None
    }
}

/// Whether an account wants its messages with somebody archived.
pub async fn wants(server: &Server, user: &str, with: &Jid) -> bool {
    let Some(prefs) = server.archive_prefs.of(server, user).await else {
        return true;
    };
    match (listed(&prefs, with), prefs.default) {
        (Some(wanted), _) => wanted,
        (None, ArchiveDefault::Always) => true,
        (None, ArchiveDefault::Never) => false,
        (None, ArchiveDefault::Roster) => !matches!(
            server.store.roster_item(user, with.bare_str()).await,
            Ok(None)
        ),
    }
}

/// Answer `<prefs/>`.
///
/// # Errors
/// `bad-request` for preferences that are none; what the store says when it fails.
pub async fn answer(
    server: &Server,
    user: &str,
    prefs: &Element,
    set: bool,
) -> Result<Element, StanzaError> {
    if !set {
        let prefs = server
            .store
            .archive_prefs(user)
            .await
            .map_err(|e| store_error(&e))?;
        return Ok(element(&prefs.unwrap_or_default()));
    }
    let prefs = read(prefs)?;
    let shown = element(&prefs);
    server
        .store
        .set_archive_prefs(user, prefs)
        .await
        .map_err(|e| store_error(&e))?;
    server.archive_prefs.forget(user);
    Ok(shown)
}

fn read(prefs: &Element) -> Result<ArchivePrefs, StanzaError> {
    let bad = |text: String| StanzaError::with_text(Condition::BadRequest, text);
    let default = match prefs.attr("default") {
        Some("always") => ArchiveDefault::Always,
        Some("never") => ArchiveDefault::Never,
        Some("roster") => ArchiveDefault::Roster,
        other => {
            let found = other.unwrap_or_default();
            return Err(bad(format!(
                "the default is always, never or roster, not {found:?}"
            )));
        }
    };
    let list = |name: &str| -> Result<Vec<String>, StanzaError> {
        let Some(list) = prefs.child(name, ns::MAM) else {
            return Ok(Vec::new());
        };
        let mut jids = Vec::new();
        for jid in list.children().filter(|c| c.is("jid", ns::MAM)) {
            let text = jid.text();
            let jid: Jid = text
                .trim()
                .parse()
                .map_err(|e| bad(format!("<{name}/>: {text:?}: {e}")))?;
            jids.push(jid.to_string());
        }
        if jids.len() > MOST_JIDS {
            return Err(bad(format!(
                "<{name}/> has {MOST_JIDS} addresses at the most"
            )));
        }
        Ok(jids)
    };
    Ok(ArchivePrefs {
        default,
        always: list("always")?,
        never: list("never")?,
    })
}

fn element(prefs: &ArchivePrefs) -> Element {
    let default = match prefs.default {
        ArchiveDefault::Always => "always",
        ArchiveDefault::Never => "never",
        ArchiveDefault::Roster => "roster",
    };
    let list = |name: &'static str, jids: &[String]| {
        Element::new(name, ns::MAM).with_children(
            jids.iter()
                .map(|jid| Element::new("jid", ns::MAM).with_text(jid.as_str())),
        )
    };
    Element::new("prefs", ns::MAM)
        .with_attr("default", default)
        .with_child(list("always", &prefs.always))
        .with_child(list("never", &prefs.never))
}

#[cfg(test)]
mod tests {
    use super::*;
    use imd_proto::xml::{Limits, parse_document};

    fn parse(text: &str) -> Element {
        parse_document(text, Limits::default()).unwrap()
    }

    #[test]
    fn preferences_are_read_and_shown() {
        let written = parse(
            "<prefs xmlns='urn:xmpp:mam:2' default='roster'><always><jid>A@b</jid></always>\
             <never><jid>c@d/e</jid></never></prefs>",
        );
        let prefs = read(&written).unwrap();
        assert_eq!(prefs.default, ArchiveDefault::Roster);
        assert_eq!(prefs.always, ["a@b"]);
        assert_eq!(read(&element(&prefs)).unwrap(), prefs);
        for wrong in [
            "<prefs xmlns='urn:xmpp:mam:2'/>",
            "<prefs xmlns='urn:xmpp:mam:2' default='sometimes'/>",
            "<prefs xmlns='urn:xmpp:mam:2' default='always'><never><jid>@</jid></never></prefs>",
        ] {
            assert!(read(&parse(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn lists_name_accounts_and_single_clients() {
        let prefs = ArchivePrefs {
            default: ArchiveDefault::Always,
            always: vec!["both@x".into()],
            never: vec!["a@x".into(), "b@x/1".into(), "both@x".into()],
        };
        for (jid, verdict) in [
            ("a@x", Some(false)),
            ("a@x/1", Some(false)),
            ("b@x/1", Some(false)),
            ("b@x/2", None),
            ("both@x", Some(true)),
            ("c@x", None),
        ] {
            assert_eq!(listed(&prefs, &jid.parse().unwrap()), verdict, "{jid}");
        }
    }
}
