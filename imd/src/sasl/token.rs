//! Tokens that let a client log in again without the password (XEP-0484).

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use imd_proto::{Element, ns};
use imd_store::{LoginToken, UnixMillis, now_millis};
use ring::rand::SecureRandom as _;

use super::ht::HashedToken;
use crate::feature::time;
use crate::server::Server;

/// Whether a token is to be replaced: half of its life is over.
#[must_use]
pub fn is_due(token: &LoginToken, now: UnixMillis) -> bool {
    now - token.created_at > (token.expires_at - token.created_at) / 2
}

/// Make a token for a client. Absent, with the reason in the log, when the store refuses: the login does not depend on it.
pub async fn issue(
    server: &Arc<Server>,
    user: &str,
    client: &str,
    mechanism: HashedToken,
) -> Option<Element> {
    let mut bytes = [0; 32];
    server.random.fill(&mut bytes).ok()?;
    let secret = URL_SAFE_NO_PAD.encode(bytes);
    let now = now_millis();
    let expires_at = now + millis(server.config.limits.token_lifetime);
    let token = LoginToken {
        user: user.to_owned(),
        client: client.to_owned(),
        mechanism: mechanism.name().to_owned(),
        secret: secret.clone().into_bytes(),
        created_at: now,
        expires_at,
        counter: None,
        used: false,
    };
    if let Err(error) = server.store.add_login_token(token).await {
        tracing::warn!(user, %error, "cannot keep a login token");
        return None;
    }
    let token = Element::new("token", ns::FAST)
        .with_attr("token", secret)
        .with_attr("expiry", time::format(expires_at));
    Some(token)
}

fn millis(time: Duration) -> UnixMillis {
    UnixMillis::try_from(time.as_millis()).unwrap_or(UnixMillis::MAX / 2)
}
