//! vCards of users and rooms (XEP-0054, XEP-0486).

use async_trait::async_trait;

use crate::Result;

/// vCards. `owner` is the bare JID of a user or a room.
#[async_trait]
pub trait VcardStore {
    /// The `<vCard/>` element as XML; `None` when never set.
    async fn vcard(&self, owner: &str) -> Result<Option<String>>;

    /// Sets the vCard; `None` removes it, which is no error where there is none.
    async fn set_vcard(&self, owner: &str, vcard: Option<String>) -> Result<()>;
}
