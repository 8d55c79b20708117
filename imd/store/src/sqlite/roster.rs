//! [`RosterStore`] in SQLite.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::SqliteStore;
use super::accounts::{account_id, find_account};
use super::fault::Fault;
use crate::{
    Result, Roster, RosterChange, RosterChanges, RosterEdit, RosterItem, RosterStep, RosterStore,
    RosterUpdate, StoreError, Subscription, SubscriptionRequest,
};

/// Most tombstones of one roster; clients older than the ones dropped fetch the whole roster.
const TOMBSTONES: u32 = 100;

type Outcome<T> = std::result::Result<T, Fault>;

const COLUMNS: &str = "contact, name, subscription, ask, approved, groups_json, version, removed";

fn read_item(row: &Row<'_>) -> rusqlite::Result<RosterItem> {
    let subscription: String = row.get(2)?;
    let groups: String = row.get(5)?;
    Ok(RosterItem {
        contact: row.get(0)?,
        name: row.get(1)?,
        subscription: Subscription::from_name(&subscription).unwrap_or_default(),
        ask: row.get(3)?,
        approved: row.get(4)?,
        groups: super::json_texts(&groups)?,
    })
}

fn version(connection: &Connection, account: i64) -> Outcome<u64> {
    let mut statement =
        connection.prepare_cached("SELECT version FROM roster_versions WHERE account = ?")?;
    Ok(statement
        .query_row([account], |row| row.get(0))
        .optional()?
        .unwrap_or(0))
}

/// The next version. The first one comes from the time of the account's creation, so that a client that
/// knew an earlier account of the same name does not take its old roster for the present one.
fn next_version(connection: &Connection, account: i64) -> Outcome<u64> {
    let sql = "INSERT INTO roster_versions SELECT id, max(created_at, 0) + 1, 0 FROM accounts WHERE id = ?
               ON CONFLICT (account) DO UPDATE SET version = version + 1 RETURNING version";
    Ok(connection
        .prepare_cached(sql)?
        .query_row([account], |row| row.get(0))?)
}

pub(super) fn find(
    connection: &Connection,
    account: i64,
    contact: &str,
) -> Outcome<Option<RosterItem>> {
    let sql =
        format!("SELECT {COLUMNS} FROM roster WHERE account = ? AND contact = ? AND removed = 0");
    Ok(connection
        .prepare_cached(&sql)?
        .query_row((account, contact), read_item)
        .optional()?)
}

fn whole(connection: &Connection, account: i64) -> Outcome<Roster> {
    let sql =
        format!("SELECT {COLUMNS} FROM roster WHERE account = ? AND removed = 0 ORDER BY contact");
    let mut statement = connection.prepare_cached(&sql)?;
    let items = statement
        .query_map([account], read_item)?
        .collect::<rusqlite::Result<_>>()?;
    Ok(Roster {
        version: version(connection, account)?,
        items,
    })
}

pub(super) fn put(connection: &Connection, account: i64, item: &RosterItem) -> Outcome<u64> {
    let version = next_version(connection, account)?;
    let sql = "INSERT OR REPLACE INTO roster
               (account, contact, removed, name, subscription, ask, approved, groups_json, version)
               VALUES (?, ?, 0, ?, ?, ?, ?, ?, ?)";
    connection.prepare_cached(sql)?.execute((
        account,
        &item.contact,
        &item.name,
        item.subscription.as_str(),
        item.ask,
        item.approved,
        serde_json::to_string(&item.groups)?,
        version,
    ))?;
    Ok(version)
}

pub(super) fn bury(connection: &Connection, account: i64, contact: &str) -> Outcome<u64> {
    let version = next_version(connection, account)?;
    let sql =
        "UPDATE roster SET removed = 1, name = NULL, subscription = 'none', ask = 0, approved = 0,
               groups_json = '[]', version = ? WHERE account = ? AND contact = ?";
    connection
        .prepare_cached(sql)?
        .execute((version, account, contact))?;
    let sql = "SELECT version FROM roster WHERE account = ? AND removed = 1 ORDER BY version DESC LIMIT 1 OFFSET ?";
    let floor: Option<u64> = connection
        .prepare_cached(sql)?
        .query_row((account, TOMBSTONES), |row| row.get(0))
        .optional()?;
    if let Some(floor) = floor {
        connection
            .prepare_cached(
                "DELETE FROM roster WHERE account = ? AND removed = 1 AND version <= ?",
            )?
            .execute((account, floor))?;
        connection
            .prepare_cached("UPDATE roster_versions SET floor = ? WHERE account = ?")?
            .execute((floor, account))?;
    }
    Ok(version)
}

fn check_room(connection: &Connection, account: i64, user: &str, max: u32) -> Outcome<()> {
    let sql = "SELECT count(*) FROM roster WHERE account = ? AND removed = 0";
    let count: u32 = connection
        .prepare_cached(sql)?
        .query_row([account], |row| row.get(0))?;
    if count >= max {
        return Err(
            StoreError::limit(format!("contacts in the roster of \"{user}\""), max.into()).into(),
        );
    }
    Ok(())
}

fn edit(
    connection: &Connection,
    user: &str,
    contact: &str,
    max: u32,
    decide: &dyn Fn(Option<RosterItem>) -> RosterStep,
) -> Outcome<RosterUpdate> {
    let account = account_id(connection, user)?;
    let before = find(connection, account, contact)?;
    let after = match decide(before.clone()) {
        RosterStep::Keep => before.clone(),
        RosterStep::Set(item) => Some(RosterItem {
            contact: contact.to_owned(),
            ..item
        }),
        RosterStep::Remove => None,
    };
    let version = match &after {
        _ if after == before => version(connection, account)?,
        Some(item) => {
            if before.is_none() {
                check_room(connection, account, user, max)?;
            }
            put(connection, account, item)?
        }
        None => bury(connection, account, contact)?,
    };
    Ok(RosterUpdate {
        before,
        after,
        version,
    })
}

fn changes(connection: &Connection, account: i64, since: u64) -> Outcome<RosterChanges> {
    let sql = "SELECT version, floor FROM roster_versions WHERE account = ?";
    let known = connection
        .prepare_cached(sql)?
        .query_row([account], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (version, floor): (u64, u64) = known.unwrap_or((0, 0));
    if since == version {
        return Ok(RosterChanges::Since(Vec::new()));
    }
    if since == 0 || since > version || since < floor {
        return Ok(RosterChanges::Whole(whole(connection, account)?));
    }
    let sql =
        format!("SELECT {COLUMNS} FROM roster WHERE account = ? AND version > ? ORDER BY version");
    let mut statement = connection.prepare_cached(&sql)?;
    let changes = statement.query_map((account, since), |row| {
        let (version, removed) = (row.get(6)?, row.get(7)?);
        let item = read_item(row)?;
        Ok(if removed {
            RosterChange::Removed {
                version,
                contact: item.contact,
            }
        } else {
            RosterChange::Set { version, item }
        })
    })?;
    Ok(RosterChanges::Since(
        changes.collect::<rusqlite::Result<_>>()?,
    ))
}

fn add_request(
    connection: &Connection,
    user: &str,
    request: &SubscriptionRequest,
    max: u32,
) -> Outcome<()> {
    let account = account_id(connection, user)?;
    let sql = "SELECT count(*) FROM subscription_requests WHERE account = ? AND sender <> ?";
    let others: u32 = connection
        .prepare_cached(sql)?
        .query_row((account, &request.from), |row| row.get(0))?;
    if others >= max {
        return Err(
            StoreError::limit(format!("subscription requests to \"{user}\""), max.into()).into(),
        );
    }
    let sql = "INSERT INTO subscription_requests (account, sender, stanza) VALUES (?, ?, ?)
               ON CONFLICT (account, sender) DO UPDATE SET stanza = excluded.stanza";
    connection
        .prepare_cached(sql)?
        .execute((account, &request.from, &request.stanza))?;
    Ok(())
}

fn requests(connection: &Connection, account: i64) -> Outcome<Vec<SubscriptionRequest>> {
    let sql = "SELECT sender, stanza FROM subscription_requests WHERE account = ? ORDER BY id";
    let mut statement = connection.prepare_cached(sql)?;
    let requests = statement.query_map([account], |row| {
        Ok(SubscriptionRequest {
            from: row.get(0)?,
            stanza: row.get(1)?,
        })
    })?;
    Ok(requests.collect::<rusqlite::Result<_>>()?)
}

#[async_trait]
impl RosterStore for SqliteStore {
    async fn roster(&self, user: &str) -> Result<Roster> {
        let user = user.to_owned();
        self.read_short(move |connection| {
            find_account(connection, &user)?
                .map_or(Ok(Roster::default()), |account| whole(connection, account))
        })
        .await
    }

    async fn roster_version(&self, user: &str) -> Result<u64> {
        let user = user.to_owned();
        self.read_short(move |connection| {
            find_account(connection, &user)?.map_or(Ok(0), |account| version(connection, account))
        })
        .await
    }

    async fn roster_item(&self, user: &str, contact: &str) -> Result<Option<RosterItem>> {
        let (user, contact) = (user.to_owned(), contact.to_owned());
        self.read_short(move |connection| {
            find_account(connection, &user)?
                .map_or(Ok(None), |account| find(connection, account, &contact))
        })
        .await
    }

    async fn edit_roster_item(
        &self,
        user: &str,
        contact: &str,
        max_items: u32,
        decide: RosterEdit,
    ) -> Result<RosterUpdate> {
        let (user, contact) = (user.to_owned(), contact.to_owned());
        self.write(move |tx| edit(tx, &user, &contact, max_items, &decide))
            .await
    }

    async fn set_roster_item(&self, user: &str, item: RosterItem, max_items: u32) -> Result<u64> {
        let user = user.to_owned();
        self.write(move |tx| {
            let update = edit(tx, &user, &item.contact, max_items, &|_| {
                RosterStep::Set(item.clone())
            })?;
            Ok(update.version)
        })
        .await
    }

    async fn remove_roster_item(&self, user: &str, contact: &str) -> Result<Option<u64>> {
        let (user, contact) = (user.to_owned(), contact.to_owned());
        self.write(move |tx| {
            if find_account(tx, &user)?.is_none() {
                return Ok(None);
            }
            let update = edit(tx, &user, &contact, 0, &|_| RosterStep::Remove)?;
            Ok(update.before.map(|_| update.version))
        })
        .await
    }

    async fn roster_changes(&self, user: &str, since: u64) -> Result<RosterChanges> {
        let user = user.to_owned();
        self.read_short(move |connection| {
            find_account(connection, &user)?
                .map_or(Ok(RosterChanges::Whole(Roster::default())), |account| {
                    changes(connection, account, since)
                })
        })
        .await
    }

    async fn roster_and_requests(&self, user: &str) -> Result<(Roster, Vec<SubscriptionRequest>)> {
        let user = user.to_owned();
        self.read_short(move |connection| {
            find_account(connection, &user)?
                .map_or(Ok((Roster::default(), Vec::new())), |account| {
                    Ok((whole(connection, account)?, requests(connection, account)?))
                })
        })
        .await
    }

    async fn subscription_requests(&self, user: &str) -> Result<Vec<SubscriptionRequest>> {
        let user = user.to_owned();
        self.read(move |connection| {
            find_account(connection, &user)?
                .map_or(Ok(Vec::new()), |account| requests(connection, account))
        })
        .await
    }

    async fn add_subscription_request(
        &self,
        user: &str,
        request: SubscriptionRequest,
        max: u32,
    ) -> Result<()> {
        let user = user.to_owned();
        self.write(move |tx| add_request(tx, &user, &request, max))
            .await
    }

    async fn remove_subscription_request(&self, user: &str, from: &str) -> Result<bool> {
        let (user, from) = (user.to_owned(), from.to_owned());
        self.write(move |tx| {
            let Some(account) = find_account(tx, &user)? else {
                return Ok(false);
            };
            let sql = "DELETE FROM subscription_requests WHERE account = ? AND sender = ?";
            Ok(tx.prepare_cached(sql)?.execute((account, &from))? > 0)
        })
        .await
    }
}
