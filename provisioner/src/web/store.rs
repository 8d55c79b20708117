//! What the pages remember: sessions and the key that signs. SQLite, in a folder of the process's own.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use rusqlite::{Connection, OptionalExtension, Row, params};

/// A session that is not used for so long is over, in seconds.
pub const IDLE_SECONDS: i64 = 14 * 86_400;
/// A session is over after so long, in seconds.
pub const WHOLE_SECONDS: i64 = 90 * 86_400;
/// How exactly it is known when a session was last used, in seconds: each note is a write to the card.
const SEEN_GRAIN: i64 = 300;
/// A link that carries a session to the box's new name is good for so long, in seconds.
const TICKET_SECONDS: i64 = 900;

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS session (
        number INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, name TEXT NOT NULL, created INTEGER NOT NULL,
        seen INTEGER NOT NULL, address TEXT NOT NULL, browser TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS ticket (hash BLOB PRIMARY KEY, name TEXT NOT NULL, until INTEGER NOT NULL) WITHOUT ROWID;
";

/// Somebody who has signed in with a browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// By which it is ended.
    pub number: i64,
    /// The account; empty: the one who is setting the box up, before there is an account.
    pub name: String,
    /// When it began, in seconds since 1970.
    pub created: i64,
    /// When it was last used, in seconds since 1970, to some minutes.
    pub seen: i64,
    /// Where it was begun.
    pub address: String,
    /// What the browser said of itself.
    pub browser: String,
}

/// The database.
pub struct Store {
    connection: Mutex<Connection>,
}

impl Store {
    /// Opens or makes it.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(path: &Path) -> Result<Self> {
        let open = || -> rusqlite::Result<Connection> {
            let connection = Connection::open(path)?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "NORMAL")?;
            connection.execute_batch(SCHEMA)?;
            Ok(connection)
        };
        let connection = open().with_context(|| format!("opening {}", path.display()))?;
        Ok(Self {
            connection: Mutex::new(connection),
        })
    }

    fn with<T>(&self, act: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        let connection = self
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        act(&connection).context("the pages' database")
    }

    /// The key that signs, made at the first call.
    ///
    /// # Errors
    /// The database fails, or there are no random numbers.
    pub fn key(&self) -> Result<Vec<u8>> {
        let find = "SELECT value FROM meta WHERE name = 'key'";
        let found = self.with(|c| c.query_row(find, [], |row| row.get(0)).optional())?;
        if let Some(key) = found {
            return Ok(key);
        }
        let key = random()?;
        self.with(|c| c.execute("INSERT INTO meta VALUES ('key', ?1)", [&key[..]]))?;
        Ok(key.to_vec())
    }

    /// Begins the session of a new cookie (see [`new_id`]).
    ///
    /// # Errors
    /// The database fails.
    pub fn begin(
        &self,
        id: &str,
        name: &str,
        address: &str,
        browser: &str,
        now: i64,
    ) -> Result<()> {
        let browser: String = browser.chars().take(200).collect();
        self.with(|c| {
            c.execute(
                "DELETE FROM session WHERE seen < ?1 OR created < ?2",
                [now - IDLE_SECONDS, now - WHOLE_SECONDS],
            )?;
            c.execute(
                "INSERT INTO session (hash, name, created, seen, address, browser) VALUES (?1, ?2, ?3, ?3, ?4, ?5)",
                params![hash(id), name, now, address, browser],
            )
        })
        .map(drop)
    }

    /// The session of a cookie, if it is not over.
    ///
    /// # Errors
    /// The database fails.
    pub fn session(&self, id: &str, now: i64) -> Result<Option<Session>> {
        let find =
            "SELECT number, name, created, seen, address, browser FROM session WHERE hash = ?1";
        self.with(|c| {
            let found = c.query_row(find, [hash(id)], session).optional()?;
            let Some(found) = found.filter(|found| is_alive(found, now)) else {
                return Ok(None);
            };
            if now - found.seen > SEEN_GRAIN {
                c.execute(
                    "UPDATE session SET seen = ?1 WHERE number = ?2",
                    [now, found.number],
                )?;
            }
            Ok(Some(found))
        })
    }

    /// All sessions, last used first.
    ///
    /// # Errors
    /// The database fails.
    pub fn sessions(&self, now: i64) -> Result<Vec<Session>> {
        let all = "SELECT number, name, created, seen, address, browser FROM session ORDER BY seen DESC, number DESC";
        let mut found: Vec<Session> =
            self.with(|c| c.prepare(all)?.query_map([], session)?.collect())?;
        found.retain(|session| is_alive(session, now));
        Ok(found)
    }

    /// Ends a session. Returns whether there was one.
    ///
    /// # Errors
    /// The database fails.
    pub fn end(&self, number: i64) -> Result<bool> {
        self.with(|c| c.execute("DELETE FROM session WHERE number = ?1", [number]))
            .map(|ended| ended > 0)
    }

    /// Ends all sessions of an account.
    ///
    /// # Errors
    /// The database fails.
    pub fn end_all(&self, name: &str) -> Result<usize> {
        self.with(|c| c.execute("DELETE FROM session WHERE name = ?1", [name]))
    }

    /// A ticket by which a browser signs in once, at another name of the box.
    ///
    /// # Errors
    /// The database fails.
    pub fn ticket(&self, name: &str, now: i64) -> Result<String> {
        let id = new_id()?;
        self.with(|c| {
            c.execute("DELETE FROM ticket WHERE until < ?1", [now])?;
            c.execute(
                "INSERT INTO ticket VALUES (?1, ?2, ?3)",
                params![hash(&id), name, now + TICKET_SECONDS],
            )
        })?;
        Ok(id)
    }

    /// Uses a ticket up; whose it was.
    ///
    /// # Errors
    /// The database fails.
    pub fn redeem(&self, ticket: &str, now: i64) -> Result<Option<String>> {
        let take = "DELETE FROM ticket WHERE hash = ?1 AND until >= ?2 RETURNING name";
        self.with(|c| {
            c.query_row(take, params![hash(ticket), now], |row| row.get(0))
                .optional()
        })
    }
}

fn is_alive(session: &Session, now: i64) -> bool {
    now - session.seen < IDLE_SECONDS && now - session.created < WHOLE_SECONDS
}

fn session(row: &Row<'_>) -> rusqlite::Result<Session> {
    Ok(Session {
        number: row.get(0)?,
        name: row.get(1)?,
        created: row.get(2)?,
        seen: row.get(3)?,
        address: row.get(4)?,
        browser: row.get(5)?,
    })
}

/// The database has no cookie that could be stolen from it.
fn hash(id: &str) -> Vec<u8> {
    digest(&SHA256, id.as_bytes()).as_ref().to_vec()
}

/// By what a cookie is known again where it must not lie itself.
pub fn mark(id: &str) -> String {
    URL_SAFE_NO_PAD.encode(hash(id))
}

fn random() -> Result<[u8; 32]> {
    let mut bytes = [0; 32];
    SystemRandom::new()
        .fill(&mut bytes)
        .ok()
        .context("no random numbers")?;
    Ok(bytes)
}

/// What a new cookie or ticket has.
///
/// # Errors
/// There are no random numbers.
pub fn new_id() -> Result<String> {
    Ok(URL_SAFE_NO_PAD.encode(random()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("web.db")).unwrap();
        (folder, store)
    }

    #[test]
    fn a_session_lasts_until_it_is_ended_or_forgotten() {
        let (_folder, store) = store();
        let now = 1_800_000_000;
        let id = new_id().unwrap();
        store
            .begin(&id, "anna", "10.0.0.2", "Firefox", now)
            .unwrap();
        let found = store.session(&id, now + 60).unwrap().unwrap();
        assert_eq!(found.name, "anna");
        assert!(store.session("other", now).unwrap().is_none());
        assert!(store.session(&id, now + IDLE_SECONDS).unwrap().is_none());
        assert!(store.end(found.number).unwrap());
        assert!(store.session(&id, now).unwrap().is_none());
    }

    #[test]
    fn a_session_in_use_ends_after_its_whole_time() {
        let (_folder, store) = store();
        let id = new_id().unwrap();
        store.begin(&id, "anna", "", "", 0).unwrap();
        let mut now = 0;
        while store.session(&id, now).unwrap().is_some() {
            now += 86_400;
        }
        assert_eq!(now, WHOLE_SECONDS);
    }

    #[test]
    fn a_ticket_is_good_once_and_for_a_while() {
        let (_folder, store) = store();
        let ticket = store.ticket("anna", 0).unwrap();
        assert_eq!(
            store.redeem(&ticket, TICKET_SECONDS).unwrap(),
            Some("anna".to_owned())
        );
        assert_eq!(store.redeem(&ticket, 1).unwrap(), None);
        let late = store.ticket("anna", 0).unwrap();
        assert_eq!(store.redeem(&late, TICKET_SECONDS + 1).unwrap(), None);
    }

    #[test]
    fn the_key_outlives_the_process() {
        let (folder, store) = store();
        let key = store.key().unwrap();
        drop(store);
        let again = Store::open(&folder.path().join("web.db")).unwrap();
        assert_eq!(again.key().unwrap(), key);
    }
}
