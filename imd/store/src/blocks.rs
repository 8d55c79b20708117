//! Block lists (XEP-0191).

use async_trait::async_trait;

use crate::Result;

/// Block lists. `user` is the prepared localpart; blocked JIDs may be bare, full, domain, or domain with resource.
/// Writing for a user without an account fails with `Absent`.
#[async_trait]
pub trait BlockStore {
    /// Whether the user may have blocked somebody. False is certain, and costs nothing: few do.
    fn may_have_blocked(&self, user: &str) -> bool;

    /// The blocked JIDs in their order; empty for an unknown user.
    async fn blocked(&self, user: &str) -> Result<Vec<String>>;

    /// Blocks JIDs and returns those that were not blocked before. `Limit` when there would be more than `max`.
    async fn block(&self, user: &str, jids: &[String], max: u32) -> Result<Vec<String>>;

    /// Unblocks JIDs and returns those that were blocked.
    async fn unblock(&self, user: &str, jids: &[String]) -> Result<Vec<String>>;

    /// Unblocks all and returns them.
    async fn unblock_all(&self, user: &str) -> Result<Vec<String>>;
}
