//! Tokens: of clients that log in again without the password (FAST, XEP-0484), and of programs that use the admin API.

use std::fmt;

use async_trait::async_trait;

use crate::{Account, Result, UnixMillis};

/// A client's login token. The server has to know the secret itself to check the HMAC.
#[derive(Clone, PartialEq, Eq)]
pub struct LoginToken {
    /// The user's localpart.
    pub user: String,
    /// The client's user-agent id (XEP-0388).
    pub client: String,
    /// The mechanism it is for, e.g. `HT-SHA-256-EXPR`.
    pub mechanism: String,
    /// The token.
    pub secret: Vec<u8>,
    /// When it was issued.
    pub created_at: UnixMillis,
    /// When it runs out.
    pub expires_at: UnixMillis,
    /// The client's highest `count` so far, against replays; `None`: it sent none yet.
    pub counter: Option<u64>,
    /// True once the client has logged in with it; a token older than a used one of the same client is then deleted.
    pub used: bool,
}

impl fmt::Debug for LoginToken {
    /// Leaves the secret out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginToken")
            .field("user", &self.user)
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}

/// A client that can log in without the password.
#[derive(Clone, PartialEq, Eq)]
pub struct LoginClient {
    /// Its user-agent id (XEP-0388), which is nobody else's to know.
    pub client: String,
    /// When the first of its tokens was issued that are still kept.
    pub since: UnixMillis,
    /// When the last of them runs out.
    pub until: UnixMillis,
}

impl fmt::Debug for LoginClient {
    /// Leaves the id out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginClient").finish_non_exhaustive()
    }
}

/// An API token. Only a hash of its secret is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiToken {
    /// Its id, for listing and revoking.
    pub id: String,
    /// What it is for, in the administrator's words.
    pub name: String,
    /// Hash of the secret, in a form of the caller's choice.
    pub secret_hash: String,
    /// When it was made.
    pub created_at: UnixMillis,
    /// When it runs out; `None`: never.
    pub expires_at: Option<UnixMillis>,
}

/// Tokens. `user` is the prepared localpart.
#[async_trait]
pub trait TokenStore {
    /// Keeps a token beside the one that the client uses; others, which it never used, are deleted (XEP-0484 §3.5).
    /// `Absent` when there is no such account.
    async fn add_login_token(&self, token: LoginToken) -> Result<()>;

    /// The account with the client's tokens, newest first, those that have run out as well; `None` when there is no such account.
    async fn login_tokens(
        &self,
        user: &str,
        client: &str,
    ) -> Result<Option<(Account, Vec<LoginToken>)>>;

    /// The clients that have tokens which have not run out, in the order of their ids; empty for an unknown user.
    async fn login_clients(&self, user: &str, now: UnixMillis) -> Result<Vec<LoginClient>>;

    /// Marks the token as used, with the client's `count`, and deletes the client's older tokens. False,
    /// with nothing changed, when it is missing or `count` is not greater than the one before.
    async fn use_login_token(
        &self,
        user: &str,
        client: &str,
        secret: &[u8],
        count: Option<u64>,
    ) -> Result<bool>;

    /// Revokes the tokens of a client, or with `None` of all the user's clients, and says how many.
    async fn revoke_login_tokens(&self, user: &str, client: Option<&str>) -> Result<u64>;

    /// Deletes login and API tokens that have run out and says how many.
    async fn delete_expired_tokens(&self, now: UnixMillis) -> Result<u64>;

    /// Keeps an API token. `Exists` when its id or hash is in use.
    async fn create_api_token(&self, token: ApiToken) -> Result<()>;

    /// The API token with that hash, also one that has run out; `None` when there is none.
    async fn api_token(&self, secret_hash: &str) -> Result<Option<ApiToken>>;

    /// All API tokens, newest first.
    async fn api_tokens(&self) -> Result<Vec<ApiToken>>;

    /// Deletes an API token; false when there was none of that id.
    async fn revoke_api_token(&self, id: &str) -> Result<bool>;
}
