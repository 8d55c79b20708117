//! Rosters made to agree with groups: [`GroupStore::update_group_contacts`](crate::GroupStore::update_group_contacts).
//!
//! `group_contacts` has a row for each item that groups made or changed, with what its owner had before: only so can the
//! item be given back when the last shared group is gone.

use std::collections::BTreeMap;

use rusqlite::{Connection, Row};

use super::accounts::find_account;
use super::fault::Fault;
use super::{json_texts, roster};
use crate::{GroupContactChange, RosterItem, Subscription};

type Outcome<T> = std::result::Result<T, Fault>;

/// Somebody who shares groups with the owner, or did.
struct Contact {
    id: i64,
    username: String,
    /// Names of the groups they share, in order; empty: they share none any more.
    wanted: Vec<String>,
    /// What is put into the item already; `None`: groups have not changed it.
    link: Option<Link>,
}

/// A row of `group_contacts`.
struct Link {
    groups: Vec<String>,
    own: Option<Own>,
}

/// What the owner had before.
#[derive(serde::Serialize, serde::Deserialize)]
struct Own {
    subscription: String,
    ask: bool,
    groups: Vec<String>,
}

/// Makes the rosters of `of` agree with the groups.
pub(super) fn update(
    connection: &Connection,
    domain: &str,
    of: &[String],
    with: Option<&[String]>,
) -> Outcome<Vec<GroupContactChange>> {
    let with = with
        .map(|names| -> Outcome<String> {
            let ids: Vec<i64> = names
                .iter()
                .filter_map(|name| find_account(connection, name).transpose())
                .collect::<Outcome<_>>()?;
            Ok(serde_json::to_string(&ids)?)
        })
        .transpose()?;
    let mut changes = Vec::new();
    for user in of {
        let Some(account) = find_account(connection, user)? else {
            continue;
        };
        for contact in contacts(connection, account, with.as_deref())?.into_values() {
            changes.extend(settle(connection, domain, (account, user), contact)?);
        }
    }
    Ok(changes)
}

/// Puts the new display name of `user` into the items that groups made of them and that have the old one.
pub(super) fn rename(
    connection: &Connection,
    domain: &str,
    user: &str,
    old: Option<&str>,
) -> Outcome<Vec<GroupContactChange>> {
    let Some(contact) = find_account(connection, user)? else {
        return Ok(Vec::new());
    };
    let new: Option<String> = connection
        .prepare_cached("SELECT display_name FROM accounts WHERE id = ?")?
        .query_row([contact], |row| row.get(0))?;
    let owners: Vec<(i64, String)> = connection
        .prepare_cached(
            "SELECT a.id, a.username FROM group_contacts l JOIN accounts a ON a.id = l.account WHERE l.contact = ? ORDER BY a.id",
        )?
        .query_map([contact], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let jid = format!("{user}@{domain}");
    let mut changes = Vec::new();
    for (account, owner) in owners {
        let before = roster::find(connection, account, &jid)?;
        let Some(item) = before.clone() else { continue };
        if item.name.as_deref() != old || item.name == new {
            continue;
        }
        let item = RosterItem {
            name: new.clone(),
            ..item
        };
        let version = roster::put(connection, account, &item)?;
        changes.push(GroupContactChange {
            user: owner,
            contact: user.to_owned(),
            before,
            after: Some(item),
            version,
        });
    }
    Ok(changes)
}

const WANTED: &str = "SELECT b.id, b.username, json_group_array(g.name) FROM group_members mine
    JOIN group_members theirs ON theirs.people_group = mine.people_group AND theirs.account <> mine.account
    JOIN people_groups g ON g.id = mine.people_group JOIN accounts b ON b.id = theirs.account
    WHERE mine.account = ?1 AND ?2 IS NULL GROUP BY b.id";
// Begins with those who are asked for: a large group must not be gone through for each of its members.
const WANTED_WITH: &str =
    "SELECT b.id, b.username, json_group_array(g.name) FROM json_each(?2) chosen
    CROSS JOIN accounts b ON b.id = chosen.value AND b.id <> ?1
    CROSS JOIN group_members theirs ON theirs.account = b.id
    CROSS JOIN group_members mine ON mine.people_group = theirs.people_group AND mine.account = ?1
    JOIN people_groups g ON g.id = mine.people_group GROUP BY b.id";
const LINKED: &str = "SELECT l.contact, a.username, l.groups_json, l.own_json FROM group_contacts l
    JOIN accounts a ON a.id = l.contact WHERE l.account = ?1
    AND (?2 IS NULL OR l.contact IN (SELECT value FROM json_each(?2)))";

/// Those with whom the account shares groups, or did when it was looked at last.
fn contacts(
    connection: &Connection,
    account: i64,
    with: Option<&str>,
) -> Outcome<BTreeMap<i64, Contact>> {
    let mut found = BTreeMap::new();
    let wanted = if with.is_some() { WANTED_WITH } else { WANTED };
    let mut statement = connection.prepare_cached(wanted)?;
    for contact in statement.query_map((account, with), read_wanted)? {
        let contact = contact?;
        found.insert(contact.id, contact);
    }
    let mut statement = connection.prepare_cached(LINKED)?;
    for row in statement.query_map((account, with), |row| {
        let own: Option<String> = row.get(3)?;
        let id: i64 = row.get(0)?;
        Ok((id, row.get(1)?, json_texts(&row.get::<_, String>(2)?)?, own))
    })? {
        let (id, username, groups, own) = row?;
        let own = own.map(|own| serde_json::from_str(&own)).transpose()?;
        let contact = found.entry(id).or_insert_with(|| Contact {
            id,
            username,
            wanted: Vec::new(),
            link: None,
        });
        contact.link = Some(Link { groups, own });
    }
    Ok(found)
}

fn read_wanted(row: &Row<'_>) -> rusqlite::Result<Contact> {
    let mut wanted = json_texts(&row.get::<_, String>(2)?)?;
    wanted.sort();
    // Two groups may have the same name.
    wanted.dedup();
    Ok(Contact {
        id: row.get(0)?,
        username: row.get(1)?,
        wanted,
        link: None,
    })
}

/// Brings one item into line; `None` when it is already.
fn settle(
    connection: &Connection,
    domain: &str,
    (account, user): (i64, &String),
    contact: Contact,
) -> Outcome<Option<GroupContactChange>> {
    if contact.link.as_ref().map(|link| &link.groups) == Some(&contact.wanted) {
        return Ok(None);
    }
    let jid = format!("{}@{domain}", contact.username);
    let before = roster::find(connection, account, &jid)?;
    let after = if contact.wanted.is_empty() {
        given_back(connection, account, &contact, before.clone())?
    } else {
        Some(shared(connection, account, &contact, &jid, before.clone())?)
    };
    let version = match &after {
        Some(item) => roster::put(connection, account, item)?,
        None => roster::bury(connection, account, &jid)?,
    };
    Ok(Some(GroupContactChange {
        user: user.clone(),
        contact: contact.username,
        before,
        after,
        version,
    }))
}

/// The item of two who share groups; remembers what it was before.
fn shared(
    connection: &Connection,
    account: i64,
    contact: &Contact,
    jid: &str,
    before: Option<RosterItem>,
) -> Outcome<RosterItem> {
    let own = match &contact.link {
        Some(link) => link.own.as_ref().map(serde_json::to_string).transpose()?,
        None => before
            .as_ref()
            .map(|item| {
                serde_json::to_string(&Own {
                    subscription: item.subscription.as_str().to_owned(),
                    ask: item.ask,
                    groups: item.groups.clone(),
                })
            })
            .transpose()?,
    };
    connection
        .prepare_cached("INSERT OR REPLACE INTO group_contacts VALUES (?, ?, ?, ?)")?
        .execute((
            account,
            contact.id,
            serde_json::to_string(&contact.wanted)?,
            own,
        ))?;
    connection
        .prepare_cached("DELETE FROM subscription_requests WHERE account = ? AND sender = ?")?
        .execute((account, jid))?;
    let mut item = match before {
        Some(item) => item,
        None => RosterItem {
            contact: jid.to_owned(),
            name: connection
                .prepare_cached("SELECT display_name FROM accounts WHERE id = ?")?
                .query_row([contact.id], |row| row.get(0))?,
            ..RosterItem::default()
        },
    };
    item.subscription = Subscription::Both;
    (item.ask, item.approved) = (false, false);
    item.groups = without(item.groups, contact.link.as_ref());
    for name in &contact.wanted {
        if !item.groups.contains(name) {
            item.groups.push(name.clone());
        }
    }
    Ok(item)
}

/// The item of two who share no group any more: what the owner had before; `None`: nothing.
fn given_back(
    connection: &Connection,
    account: i64,
    contact: &Contact,
    before: Option<RosterItem>,
) -> Outcome<Option<RosterItem>> {
    connection
        .prepare_cached("DELETE FROM group_contacts WHERE account = ? AND contact = ?")?
        .execute((account, contact.id))?;
    let link = contact.link.as_ref();
    Ok(before
        .zip(link.and_then(|l| l.own.as_ref()))
        .map(|(item, own)| RosterItem {
            subscription: Subscription::from_name(&own.subscription).unwrap_or_default(),
            ask: own.ask,
            groups: without(item.groups, link),
            ..item
        }))
}

/// The groups of an item without those that were put into it.
fn without(groups: Vec<String>, link: Option<&Link>) -> Vec<String> {
    let Some(link) = link else { return groups };
    let own = |name: &String| link.own.as_ref().is_some_and(|o| o.groups.contains(name));
    groups
        .into_iter()
        .filter(|name| own(name) || !link.groups.contains(name))
        .collect()
}
