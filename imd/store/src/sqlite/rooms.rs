//! [`RoomStore`] in SQLite.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::fault::Fault;
use super::{SqliteStore, archive_change};
use crate::{Affiliation, AffiliationChange, Result, Room, RoomAffiliation, RoomStore, StoreError};

type Outcome<T> = std::result::Result<T, Fault>;

const COLUMNS: &str = "jid, config, subject, created_at";

fn read_room(row: &Row<'_>) -> rusqlite::Result<Room> {
    Ok(Room {
        jid: row.get(0)?,
        config: row.get(1)?,
        subject: row.get(2)?,
        created_at: row.get(3)?,
    })
}

/// An affiliation that this program does not know gives no rights.
fn affiliation(name: &str) -> Affiliation {
    Affiliation::from_name(name).unwrap_or(Affiliation::Outcast)
}

fn find(connection: &Connection, room: &str) -> Outcome<Option<i64>> {
    let mut statement = connection.prepare_cached("SELECT id FROM rooms WHERE jid = ?")?;
    Ok(statement.query_row([room], |row| row.get(0)).optional()?)
}

fn change(connection: &Connection, room: i64, changes: &[AffiliationChange]) -> Outcome<()> {
    for AffiliationChange {
        jid,
        affiliation,
        nick,
        reason,
    } in changes
    {
        let Some(affiliation) = affiliation else {
            let sql = "DELETE FROM room_affiliations WHERE room = ? AND jid = ?";
            connection.prepare_cached(sql)?.execute((room, jid))?;
            continue;
        };
        let sql = "INSERT INTO room_affiliations (room, jid, affiliation, nick, reason) VALUES (?, ?, ?, ?, ?)
                   ON CONFLICT (room, jid) DO UPDATE SET affiliation = excluded.affiliation,
                   nick = ifnull(excluded.nick, nick), reason = excluded.reason";
        connection
            .prepare_cached(sql)?
            .execute((room, jid, affiliation.as_str(), nick, reason))?;
    }
    Ok(())
}

#[async_trait]
impl RoomStore for SqliteStore {
    async fn save_room(&self, room: Room) -> Result<()> {
        self.write(move |tx| {
            let sql = "INSERT INTO rooms (jid, config, subject, created_at) VALUES (?, ?, ?, ?)
                       ON CONFLICT (jid) DO UPDATE SET config = excluded.config, subject = excluded.subject,
                       created_at = excluded.created_at";
            tx.prepare_cached(sql)?.execute((&room.jid, &room.config, &room.subject, room.created_at))?;
            Ok(())
        })
        .await
    }

    async fn create_room(&self, room: Room, affiliations: Vec<AffiliationChange>) -> Result<()> {
        self.write(move |tx| {
            if find(tx, &room.jid)?.is_some() {
                return Err(StoreError::exists(format!("room {}", room.jid)).into());
            }
            let id = tx
                .prepare_cached(
                    "INSERT INTO rooms (jid, config, subject, created_at) VALUES (?, ?, ?, ?)",
                )?
                .insert((&room.jid, &room.config, &room.subject, room.created_at))?;
            change(tx, id, &affiliations)
        })
        .await
    }

    async fn room(&self, room: &str) -> Result<Option<Room>> {
        let room = room.to_owned();
        self.read(move |connection| {
            let sql = format!("SELECT {COLUMNS} FROM rooms WHERE jid = ?");
            Ok(connection
                .prepare_cached(&sql)?
                .query_row([&room], read_room)
                .optional()?)
        })
        .await
    }

    async fn rooms(&self) -> Result<Vec<Room>> {
        self.read(|connection| {
            let sql = format!("SELECT {COLUMNS} FROM rooms ORDER BY jid");
            let mut statement = connection.prepare_cached(&sql)?;
            Ok(statement
                .query_map([], read_room)?
                .collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    async fn delete_room(&self, room: &str) -> Result<bool> {
        let room = room.to_owned();
        self.write(move |tx| {
            archive_change::delete_all(tx, &room)?;
            tx.execute("DELETE FROM vcards WHERE owner = ?", [&room])?;
            Ok(tx.execute("DELETE FROM rooms WHERE jid = ?", [&room])? > 0)
        })
        .await
    }

    async fn affiliations(&self, room: &str) -> Result<Vec<RoomAffiliation>> {
        let room = room.to_owned();
        self.read(move |connection| {
            let sql = "SELECT a.jid, a.affiliation, a.nick, a.reason FROM room_affiliations a
                       JOIN rooms r ON r.id = a.room WHERE r.jid = ? ORDER BY a.jid";
            let mut statement = connection.prepare_cached(sql)?;
            let affiliations = statement.query_map([&room], |row| {
                let name: String = row.get(1)?;
                Ok(RoomAffiliation {
                    jid: row.get(0)?,
                    affiliation: affiliation(&name),
                    nick: row.get(2)?,
                    reason: row.get(3)?,
                })
            })?;
            Ok(affiliations.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    async fn change_affiliations(&self, room: &str, changes: Vec<AffiliationChange>) -> Result<()> {
        let room = room.to_owned();
        self.write(move |tx| {
            let id = find(tx, &room)?.ok_or_else(|| StoreError::absent(format!("room {room}")))?;
            change(tx, id, &changes)
        })
        .await
    }

    async fn rooms_of(&self, jid: &str) -> Result<Vec<(String, Affiliation)>> {
        let jid = jid.to_owned();
        self.read(move |connection| {
            let sql =
                "SELECT r.jid, a.affiliation FROM room_affiliations a JOIN rooms r ON r.id = a.room
                       WHERE a.jid = ? ORDER BY r.jid";
            let mut statement = connection.prepare_cached(sql)?;
            let rooms = statement.query_map([&jid], |row| {
                let name: String = row.get(1)?;
                Ok((row.get(0)?, affiliation(&name)))
            })?;
            Ok(rooms.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }
}
