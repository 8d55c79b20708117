//! Private XML storage (XEP-0049).

use async_trait::async_trait;

use crate::Result;

/// Private XML. `user` is the prepared localpart; an element is known by its name and namespace.
/// Writing for a user without an account fails with `Absent`.
#[async_trait]
pub trait PrivateStore {
    /// The element as XML; `None` when never set.
    async fn private_xml(&self, user: &str, name: &str, namespace: &str) -> Result<Option<String>>;

    /// Sets the element. `Limit` when the user would have more than `max` different ones.
    async fn set_private_xml(
        &self,
        user: &str,
        name: &str,
        namespace: &str,
        xml: String,
        max: u32,
    ) -> Result<()>;
}
