//! [`UploadStore`] in SQLite.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::SqliteStore;
use super::accounts::account_id;
use super::fault::Fault;
use crate::{Result, StoreError, UnixMillis, Upload, UploadQuota, UploadStore, UploadUsage};

type Outcome<T> = std::result::Result<T, Fault>;

const SELECT: &str =
    "SELECT u.id, a.username, u.filename, u.size, u.content_type, u.created_at, u.complete
    FROM uploads u LEFT JOIN accounts a ON a.id = u.account";

fn read_upload(row: &Row<'_>) -> rusqlite::Result<Upload> {
    Ok(Upload {
        id: row.get(0)?,
        user: row.get(1)?,
        filename: row.get(2)?,
        size: row.get(3)?,
        content_type: row.get(4)?,
        created_at: row.get(5)?,
        complete: row.get(6)?,
    })
}

fn find(connection: &Connection, id: &str) -> Outcome<Option<Upload>> {
    let sql = format!("{SELECT} WHERE u.id = ?");
    Ok(connection
        .prepare_cached(&sql)?
        .query_row([id], read_upload)
        .optional()?)
}

/// Fails with `Limit` where `used` and the new file together are more than `limit`.
fn check(what: String, used: u64, size: u64, limit: u64) -> Outcome<()> {
    if used.saturating_add(size) > limit {
        return Err(StoreError::limit(what, limit).into());
    }
    Ok(())
}

fn reserve(connection: &Connection, upload: &Upload, quota: &UploadQuota) -> Outcome<()> {
    if find(connection, &upload.id)?.is_some() {
        return Err(StoreError::exists(format!("upload \"{}\"", upload.id)).into());
    }
    let account = upload
        .user
        .as_deref()
        .map(|user| account_id(connection, user))
        .transpose()?;
    let (mine, today): (u64, u64) = connection
        .prepare_cached(
            "SELECT ifnull(sum(size), 0), ifnull(sum(size) FILTER (WHERE created_at >= ?), 0)
             FROM uploads WHERE account = ?",
        )?
        .query_row((quota.day_start, account), |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    let all: u64 = connection
        .prepare_cached("SELECT ifnull(sum(size), 0) FROM uploads")?
        .query_row([], |row| row.get(0))?;
    let user = upload.user.as_deref().unwrap_or_default();
    check(
        format!("bytes uploaded by \"{user}\""),
        mine,
        upload.size,
        quota.user_bytes,
    )?;
    check(
        format!("bytes uploaded by \"{user}\" in a day"),
        today,
        upload.size,
        quota.day_bytes,
    )?;
    check(
        "bytes uploaded by all".to_owned(),
        all,
        upload.size,
        quota.total_bytes,
    )?;
    connection
        .prepare_cached("INSERT INTO uploads VALUES (?, ?, ?, ?, ?, ?, ?)")?
        .execute((
            &upload.id,
            account,
            &upload.filename,
            upload.size,
            &upload.content_type,
            upload.created_at,
            upload.complete,
        ))?;
    Ok(())
}

#[async_trait]
impl UploadStore for SqliteStore {
    async fn reserve_upload(&self, upload: Upload, quota: UploadQuota) -> Result<()> {
        self.write(move |tx| reserve(tx, &upload, &quota)).await
    }

    async fn complete_upload(&self, id: &str) -> Result<()> {
        let id = id.to_owned();
        self.write(move |tx| match find(tx, &id)? {
            None => Err(StoreError::absent(format!("upload \"{id}\"")).into()),
            Some(upload) if upload.complete => {
                Err(StoreError::exists(format!("the file of upload \"{id}\"")).into())
            }
            Some(_) => {
                tx.execute("UPDATE uploads SET complete = 1 WHERE id = ?", [&id])?;
                Ok(())
            }
        })
        .await
    }

    async fn upload(&self, id: &str) -> Result<Option<Upload>> {
        let id = id.to_owned();
        self.read(move |connection| find(connection, &id)).await
    }

    async fn uploads_of(&self, user: &str, max: u32) -> Result<Vec<Upload>> {
        let user = user.to_owned();
        self.read(move |connection| {
            let sql =
                format!("{SELECT} WHERE a.username = ? ORDER BY u.created_at DESC, u.id LIMIT ?");
            let mut statement = connection.prepare_cached(&sql)?;
            Ok(statement
                .query_map((&user, max), read_upload)?
                .collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    async fn upload_usage(&self, user: Option<&str>) -> Result<UploadUsage> {
        let user = user.map(str::to_owned);
        self.read(move |connection| {
            let sql = "SELECT count(*), ifnull(sum(size), 0) FROM uploads
                       WHERE ?1 IS NULL OR account = (SELECT id FROM accounts WHERE username = ?1)";
            let mut statement = connection.prepare_cached(sql)?;
            Ok(statement.query_row([&user], |row| {
                Ok(UploadUsage {
                    files: row.get(0)?,
                    bytes: row.get(1)?,
                })
            })?)
        })
        .await
    }

    async fn uploads_to_delete(
        &self,
        complete_before: UnixMillis,
        unused_before: UnixMillis,
        max: u32,
    ) -> Result<Vec<Upload>> {
        self.read(move |connection| {
            let sql = format!(
                "{SELECT} WHERE u.account IS NULL OR u.created_at < iif(u.complete, ?, ?)
                 ORDER BY u.created_at, u.id LIMIT ?"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let uploads =
                statement.query_map((complete_before, unused_before, max), read_upload)?;
            Ok(uploads.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    async fn delete_uploads(&self, ids: &[String]) -> Result<u64> {
        let ids = ids.to_vec();
        self.write(move |tx| {
            let mut deleted = 0;
            for id in &ids {
                deleted += tx
                    .prepare_cached("DELETE FROM uploads WHERE id = ?")?
                    .execute([id])? as u64;
            }
            Ok(deleted)
        })
        .await
    }
}
