//! Small values of the box: secrets made once, switches of the administrator, retention of one user or room.

use async_trait::async_trait;

use crate::Result;

/// Settings, by key. Keys are dotted words, e.g. `retention.days.alice@perch.local`.
#[async_trait]
pub trait SettingStore {
    /// The value; `None` when never set.
    async fn setting(&self, key: &str) -> Result<Option<String>>;

    /// Sets the value; `None` removes it, which is no error where there is none.
    async fn set_setting(&self, key: &str, value: Option<String>) -> Result<()>;

    /// The value, after setting it to `first` where it was absent: for secrets made once.
    async fn setting_or(&self, key: &str, first: String) -> Result<String>;

    /// All keys with this beginning, with their values, in the order of the keys.
    async fn settings(&self, prefix: &str) -> Result<Vec<(String, String)>>;
}
