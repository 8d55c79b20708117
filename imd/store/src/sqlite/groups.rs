//! [`GroupStore`] in SQLite.

use std::collections::HashSet;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::SqliteStore;
use super::accounts::{account_id, find_account, insert_account};
use super::fault::Fault;
use super::group_contacts;
use crate::{
    Group, GroupContactChange, GroupStore, ImportOutcome, ImportedPerson, Result, StoreError,
};

type Outcome<T> = std::result::Result<T, Fault>;

fn read_group(row: &Row<'_>) -> rusqlite::Result<Group> {
    Ok(Group {
        id: row.get(0)?,
        name: row.get(1)?,
        room: row.get(2)?,
    })
}

/// The row id of a group; `None` when there is none.
pub(super) fn find(connection: &Connection, id: &str) -> Outcome<Option<i64>> {
    let mut statement =
        connection.prepare_cached("SELECT id FROM people_groups WHERE public_id = ?")?;
    Ok(statement.query_row([id], |row| row.get(0)).optional()?)
}

fn group_id(connection: &Connection, id: &str) -> Outcome<i64> {
    find(connection, id)?.ok_or_else(|| StoreError::absent(format!("group \"{id}\"")).into())
}

/// Puts an account into a group, if it is not in it.
pub(super) fn join(connection: &Connection, group: i64, account: i64) -> Outcome<()> {
    connection
        .prepare_cached("INSERT OR IGNORE INTO group_members VALUES (?, ?)")?
        .execute((group, account))?;
    Ok(())
}

fn create(connection: &Connection, group: &Group) -> Outcome<i64> {
    if find(connection, &group.id)?.is_some() {
        return Err(StoreError::exists(format!("group \"{}\"", group.id)).into());
    }
    let sql = "INSERT INTO people_groups (public_id, name, room) VALUES (?, ?, ?)";
    Ok(connection
        .prepare_cached(sql)?
        .insert((&group.id, &group.name, &group.room))?)
}

fn set_display_name(connection: &Connection, account: i64, name: Option<&String>) -> Outcome<()> {
    connection
        .prepare_cached("UPDATE accounts SET display_name = ? WHERE id = ?")?
        .execute((name, account))?;
    Ok(())
}

/// What is wrong with the rows, before anything is written.
fn bad_rows(connection: &Connection, people: &[ImportedPerson]) -> Outcome<Vec<(usize, String)>> {
    let mut bad = Vec::new();
    let mut seen = HashSet::new();
    for (index, person) in people.iter().enumerate() {
        let name = person.account.username.as_str();
        if !seen.insert(name) {
            bad.push((index, format!("\"{name}\" is in an earlier row already")));
        } else if find_account(connection, name)?.is_some() {
            bad.push((index, format!("account \"{name}\" already exists")));
        }
    }
    Ok(bad)
}

/// The row id of the group of this name, which is created where there is none.
fn group_named(connection: &Connection, name: &str, created: &mut u64) -> Outcome<i64> {
    let sql = "SELECT id FROM people_groups WHERE name = ?1 OR public_id = ?1 ORDER BY name <> ?1, id LIMIT 1";
    if let Some(id) = connection
        .prepare_cached(sql)?
        .query_row([name], |row| row.get(0))
        .optional()?
    {
        return Ok(id);
    }
    *created += 1;
    create(
        connection,
        &Group {
            id: name.to_owned(),
            name: name.to_owned(),
            room: None,
        },
    )
}

fn import(connection: &Connection, people: &[ImportedPerson]) -> Outcome<ImportOutcome> {
    let bad = bad_rows(connection, people)?;
    if !bad.is_empty() {
        return Ok(ImportOutcome::Refused(bad));
    }
    let mut groups = 0;
    for person in people {
        let account = insert_account(connection, &person.account, &person.credentials)?;
        if person.display_name.is_some() {
            set_display_name(connection, account, person.display_name.as_ref())?;
        }
        for name in &person.groups {
            join(
                connection,
                group_named(connection, name, &mut groups)?,
                account,
            )?;
        }
    }
    Ok(ImportOutcome::Done {
        accounts: people.len() as u64,
        groups,
    })
}

const MATES: &str = "FROM accounts a
    JOIN group_members mine ON mine.account = a.id
    JOIN group_members theirs ON theirs.people_group = mine.people_group
    JOIN accounts b ON b.id = theirs.account
    WHERE a.username = ?1";

#[async_trait]
impl GroupStore for SqliteStore {
    async fn create_group(&self, group: Group) -> Result<()> {
        self.write(move |tx| create(tx, &group).map(drop)).await
    }

    async fn update_group(&self, group: Group) -> Result<()> {
        self.write(move |tx| {
            let id = group_id(tx, &group.id)?;
            tx.execute(
                "UPDATE people_groups SET name = ?, room = ? WHERE id = ?",
                (&group.name, &group.room, id),
            )?;
            Ok(())
        })
        .await
    }

    async fn group(&self, id: &str) -> Result<Option<Group>> {
        let id = id.to_owned();
        self.read(move |connection| {
            let sql = "SELECT public_id, name, room FROM people_groups WHERE public_id = ?";
            Ok(connection
                .prepare_cached(sql)?
                .query_row([&id], read_group)
                .optional()?)
        })
        .await
    }

    async fn groups(&self) -> Result<Vec<Group>> {
        self.read(|connection| {
            let sql = "SELECT public_id, name, room FROM people_groups ORDER BY name, public_id";
            let mut statement = connection.prepare_cached(sql)?;
            Ok(statement
                .query_map([], read_group)?
                .collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    async fn delete_group(&self, id: &str) -> Result<bool> {
        let id = id.to_owned();
        self.write(move |tx| {
            Ok(tx.execute("DELETE FROM people_groups WHERE public_id = ?", [&id])? > 0)
        })
        .await
    }

    async fn add_group_members(&self, id: &str, users: &[String]) -> Result<()> {
        let (id, users) = (id.to_owned(), users.to_vec());
        self.write(move |tx| {
            let group = group_id(tx, &id)?;
            users
                .iter()
                .try_for_each(|user| join(tx, group, account_id(tx, user)?))
        })
        .await
    }

    async fn remove_group_members(&self, id: &str, users: &[String]) -> Result<()> {
        let (id, users) = (id.to_owned(), users.to_vec());
        self.write(move |tx| {
            let group = group_id(tx, &id)?;
            let sql = "DELETE FROM group_members WHERE people_group = ? AND account =
                       (SELECT id FROM accounts WHERE username = ?)";
            for user in &users {
                tx.prepare_cached(sql)?.execute((group, user))?;
            }
            Ok(())
        })
        .await
    }

    async fn group_members(&self, id: &str) -> Result<Vec<String>> {
        let id = id.to_owned();
        self.read(move |connection| {
            let sql = "SELECT a.username FROM people_groups g JOIN group_members m ON m.people_group = g.id
                       JOIN accounts a ON a.id = m.account WHERE g.public_id = ? ORDER BY a.username";
            let mut statement = connection.prepare_cached(sql)?;
            Ok(statement.query_map([&id], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    async fn groups_of(&self, user: &str) -> Result<Vec<Group>> {
        let user = user.to_owned();
        self.read(move |connection| {
            let sql = "SELECT g.public_id, g.name, g.room FROM accounts a JOIN group_members m ON m.account = a.id
                       JOIN people_groups g ON g.id = m.people_group WHERE a.username = ? ORDER BY g.name, g.public_id";
            let mut statement = connection.prepare_cached(sql)?;
            Ok(statement.query_map([&user], read_group)?.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    async fn group_mates(&self, user: &str) -> Result<Vec<String>> {
        let user = user.to_owned();
        self.read(move |connection| {
            let sql =
                format!("SELECT DISTINCT b.username {MATES} AND b.id <> a.id ORDER BY b.username");
            let mut statement = connection.prepare_cached(&sql)?;
            Ok(statement
                .query_map([&user], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    async fn share_a_group(&self, user: &str, other: &str) -> Result<bool> {
        let (user, other) = (user.to_owned(), other.to_owned());
        self.read(move |connection| {
            let sql = format!("SELECT 1 {MATES} AND b.username = ?2 LIMIT 1");
            Ok(connection.prepare_cached(&sql)?.exists((&user, &other))?)
        })
        .await
    }

    async fn update_group_contacts(
        &self,
        domain: &str,
        of: &[String],
        with: Option<&[String]>,
    ) -> Result<Vec<GroupContactChange>> {
        let (domain, of) = (domain.to_owned(), of.to_vec());
        let with = with.map(<[String]>::to_vec);
        self.write(move |tx| group_contacts::update(tx, &domain, &of, with.as_deref()))
            .await
    }

    async fn rename_group_contact(
        &self,
        domain: &str,
        user: &str,
        old: Option<String>,
    ) -> Result<Vec<GroupContactChange>> {
        let (domain, user) = (domain.to_owned(), user.to_owned());
        self.write(move |tx| group_contacts::rename(tx, &domain, &user, old.as_deref()))
            .await
    }

    async fn import_people(&self, people: Vec<ImportedPerson>) -> Result<ImportOutcome> {
        self.write(move |tx| import(tx, &people)).await
    }

    async fn display_name(&self, user: &str) -> Result<Option<String>> {
        let user = user.to_owned();
        self.read(move |connection| {
            let mut statement = connection
                .prepare_cached("SELECT display_name FROM accounts WHERE username = ?")?;
            Ok(statement
                .query_row([&user], |row| row.get(0))
                .optional()?
                .flatten())
        })
        .await
    }

    async fn set_display_name(&self, user: &str, name: Option<String>) -> Result<()> {
        let user = user.to_owned();
        self.write(move |tx| set_display_name(tx, account_id(tx, &user)?, name.as_ref()))
            .await
    }
}
