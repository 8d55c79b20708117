//! Tokens for programs that use the admin API over TLS. Only a hash of each is kept.

use imd_store::{ApiToken, now_millis};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Administrator, Fault, Refusal};
use crate::feature::time;
use crate::server::Server;

const DAY_MILLIS: i64 = 86_400_000;
/// The longest life of a token, in days.
const MOST_DAYS: u32 = 3660;

/// A token to make.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// What it is for; stands in the log of what it does.
    pub name: String,
    /// Days until it runs out; absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<u32>,
}

/// A token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenView {
    /// By which it is removed.
    pub id: String,
    /// What it is for.
    pub name: String,
    /// When it was made.
    pub created_at: String,
    /// When it runs out; absent: never.
    pub expires_at: Option<String>,
    /// The token itself: shown once, when it is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

impl From<ApiToken> for TokenView {
    fn from(token: ApiToken) -> Self {
        Self {
            id: token.id,
            name: token.name,
            created_at: time::format(token.created_at),
            expires_at: token.expires_at.map(time::format),
            token: None,
        }
    }
}

/// The hash by which a token is kept: SHA-256, hexadecimal. The token is random, so that no salt is needed.
fn hash(token: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, token.as_bytes());
    digest.as_ref().iter().map(|b| format!("{b:02x}")).collect()
}

/// The name of a token that is in force; `None` for any other text.
///
/// # Errors
/// When the store fails.
pub async fn holder(server: &Server, token: &str) -> Result<Option<String>, Refusal> {
    let found = server.store.api_token(&hash(token)).await?;
    let in_force = |t: &ApiToken| t.expires_at.is_none_or(|end| now_millis() < end);
    Ok(found.filter(in_force).map(|t| t.name))
}

impl Administrator {
    /// Make a token.
    ///
    /// # Errors
    /// `Invalid` when the name is empty or too long, or the days are too many.
    pub async fn create_token(&self, new: NewToken) -> Result<TokenView, Refusal> {
        let mut faults = Vec::new();
        let name = new.name.trim().to_owned();
        if name.is_empty() || name.len() > 100 || name.chars().any(char::is_control) {
            let found = format!("{:?}", new.name);
            faults.push(Fault::new(
                "name",
                found,
                "1 to 100 bytes of text on one line",
            ));
        }
        if let Some(days) = new.days.filter(|days| !(1..=MOST_DAYS).contains(days)) {
            let accepted = format!("1 to {MOST_DAYS} days");
            faults.push(Fault::new("days", days.to_string(), accepted));
        }
        if !faults.is_empty() {
            return Err(Refusal::Invalid(faults));
        }
        let secret = format!("imd_{}", self.server.random_id::<32>());
        let now = now_millis();
        let token = ApiToken {
            id: self.server.random_id::<6>(),
            name,
            secret_hash: hash(&secret),
            created_at: now,
            expires_at: new.days.map(|days| now + i64::from(days) * DAY_MILLIS),
        };
        self.server.store.create_api_token(token.clone()).await?;
        self.note("token.create", &token.id, token.name.as_str())
            .await;
        Ok(TokenView {
            token: Some(secret),
            ..TokenView::from(token)
        })
    }

    /// All tokens, newest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn tokens(&self) -> Result<Vec<TokenView>, Refusal> {
        let tokens = self.server.store.api_tokens().await?;
        Ok(tokens.into_iter().map(TokenView::from).collect())
    }

    /// Take a token out of force.
    ///
    /// # Errors
    /// `Absent` when there is none of that id.
    pub async fn remove_token(&self, id: &str) -> Result<(), Refusal> {
        if !self.server.store.revoke_api_token(id).await? {
            return Err(Refusal::Absent(format!("there is no token {id:?}")));
        }
        self.note("token.remove", id, "").await;
        Ok(())
    }
}
