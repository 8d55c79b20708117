//! Push registrations (XEP-0357).

use async_trait::async_trait;

use crate::{Result, UnixMillis};

/// Where to tell a client's vendor that something waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushRegistration {
    /// The user's localpart.
    pub user: String,
    /// The JID of the push service.
    pub service: String,
    /// The node there; empty where the client named none.
    pub node: String,
    /// The publish-options form as XML; `None`: none given.
    pub options: Option<String>,
    /// What identifies the client's session (its user-agent id or resource); `None`: unknown.
    pub client: Option<String>,
    /// When it was made or renewed.
    pub created_at: UnixMillis,
    /// Failed notifications in a row.
    pub failures: u32,
}

/// Push registrations. `user` is the prepared localpart. Registering without an account fails with `Absent`.
#[async_trait]
pub trait PushStore {
    /// Registers, or renews the registration of the same service and node. `Limit` when the user would have more than `max`.
    async fn enable_push(&self, registration: PushRegistration, max: u32) -> Result<()>;

    /// Removes the registration of a node, or with `None` all at the service, and says how many.
    async fn disable_push(&self, user: &str, service: &str, node: Option<&str>) -> Result<u64>;

    /// The user's registrations; empty for an unknown user.
    async fn push_registrations(&self, user: &str) -> Result<Vec<PushRegistration>>;

    /// Counts a failed notification and returns the failures in a row, or sets them to 0 after a
    /// success; `None` when there is no such registration.
    async fn record_push(
        &self,
        user: &str,
        service: &str,
        node: &str,
        succeeded: bool,
    ) -> Result<Option<u32>>;
}
