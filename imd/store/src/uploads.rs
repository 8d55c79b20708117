//! Uploaded files (XEP-0363): slots, sizes and quotas. The bytes themselves are files beside the database.

use async_trait::async_trait;

use crate::{Result, UnixMillis};

/// A slot, and the file in it once it has been put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// The secret part of its address.
    pub id: String,
    /// Localpart of the uploader; `None`: the account is gone and the file waits for its deletion.
    pub user: Option<String>,
    /// The file name in its address.
    pub filename: String,
    /// The announced and, once put, actual size in bytes.
    pub size: u64,
    /// The media type; `None`: unknown.
    pub content_type: Option<String>,
    /// When the slot was given.
    pub created_at: UnixMillis,
    /// True once the file is complete.
    pub complete: bool,
}

/// The bounds within which a slot is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UploadQuota {
    /// Most bytes of one user, slots not yet used included.
    pub user_bytes: u64,
    /// Most bytes of one user whose slots were given since `day_start`.
    pub day_bytes: u64,
    /// Where the present day began.
    pub day_start: UnixMillis,
    /// Most bytes of all users together.
    pub total_bytes: u64,
}

/// What a user, or everybody, takes up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UploadUsage {
    /// Files and slots.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Uploads.
#[async_trait]
pub trait UploadStore {
    /// Gives a slot. `Limit` names the bound that it would exceed; `Exists` when the id is in use.
    async fn reserve_upload(&self, upload: Upload, quota: UploadQuota) -> Result<()>;

    /// Marks the file as complete. `Absent` when there is no such slot; `Exists` when it was complete already.
    async fn complete_upload(&self, id: &str) -> Result<()>;

    /// The slot; `None` when there is none.
    async fn upload(&self, id: &str) -> Result<Option<Upload>>;

    /// The user's uploads, newest first, at most `max`.
    async fn uploads_of(&self, user: &str, max: u32) -> Result<Vec<Upload>>;

    /// What a user takes up; `None`: what all do.
    async fn upload_usage(&self, user: Option<&str>) -> Result<UploadUsage>;

    /// Up to `max` uploads to delete, oldest first: complete ones given before `complete_before`,
    /// unused slots given before `unused_before`, and those whose account is gone.
    async fn uploads_to_delete(
        &self,
        complete_before: UnixMillis,
        unused_before: UnixMillis,
        max: u32,
    ) -> Result<Vec<Upload>>;

    /// Forgets the uploads, whose files the caller has deleted, and says how many there were.
    async fn delete_uploads(&self, ids: &[String]) -> Result<u64>;
}
