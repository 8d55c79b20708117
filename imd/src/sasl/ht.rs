//! Hashed tokens (draft-schmaus-kitten-sasl-ht-08): a login in one message, for clients that hold a token (XEP-0484).

use std::sync::Arc;

use imd_proto::jid::prepare_local;
use imd_store::{LoginToken, now_millis};
use ring::hmac;
use subtle::ConstantTimeEq as _;

use super::{ChannelBinding, Failure};
use crate::server::Server;

/// A hashed-token mechanism.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HashedToken {
    /// Bound by `tls-exporter`.
    Exporter,
    /// Bound by `tls-server-end-point`.
    EndPoint,
    /// Not bound, for clients that cannot.
    Unbound,
}

impl HashedToken {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Exporter => "HT-SHA-256-EXPR",
            Self::EndPoint => "HT-SHA-256-ENDP",
            Self::Unbound => "HT-SHA-256-NONE",
        }
    }

    /// Those that a connection allows.
    #[must_use]
    pub fn offered(binding: &ChannelBinding) -> Vec<Self> {
        [Self::Exporter, Self::EndPoint, Self::Unbound]
            .into_iter()
            .filter(|m| m.data(binding).is_some())
            .collect()
    }

    /// The mechanism of a name, where the connection allows it.
    #[must_use]
    pub fn find(name: &str, binding: &ChannelBinding) -> Option<Self> {
        Self::offered(binding)
            .into_iter()
            .find(|m| m.name() == name)
    }

    fn data(self, binding: &ChannelBinding) -> Option<&[u8]> {
        match self {
            Self::Exporter => binding.data(ChannelBinding::EXPORTER),
            Self::EndPoint => binding.data(ChannelBinding::END_POINT),
            Self::Unbound => Some(&[]),
        }
    }
}

/// A token that was right.
#[derive(Debug)]
pub struct Checked {
    /// The account.
    pub user: String,
    /// What proves to the client that the server knows the token.
    pub proof: Vec<u8>,
    /// Whether the token is to be replaced.
    pub due: bool,
}

/// Check a token: the account, which may log in, and what proves the server to the client. `client`: the id of its user agent.
///
/// # Errors
/// `credentials-expired` for a token that was right once, `account-disabled`, else as for a wrong password.
pub async fn check(
    server: &Arc<Server>,
    mechanism: HashedToken,
    message: &[u8],
    client: &str,
    count: Option<u64>,
    binding: &ChannelBinding,
) -> Result<Checked, Failure> {
    let at = message
        .iter()
        .position(|b| *b == 0)
        .ok_or_else(Failure::malformed)?;
    let (name, hashed) = (&message[..at], &message[at + 1..]);
    let name = std::str::from_utf8(name).map_err(|_| Failure::malformed())?;
    let user = prepare_local(name)
        .map_err(|_| Failure::not_authorized())?
        .into_owned();
    let data = mechanism.data(binding).ok_or_else(Failure::malformed)?;
    let store_failed = |error| {
        tracing::warn!(%error, "cannot look tokens up");
        Failure::new("temporary-auth-failure")
    };
    let generation = server.limited.generation();
    let found = server
        .store
        .login_tokens(&user, client)
        .await
        .map_err(store_failed)?;
    let Some((account, tokens)) = found else {
        return Err(Failure::not_authorized());
    };
    let fits = |token: &&LoginToken| {
        token.mechanism == mechanism.name()
            && bool::from(
                sign(&token.secret, b"Initiator", data)
                    .as_ref()
                    .ct_eq(hashed),
            )
    };
    let Some(token) = tokens.iter().find(fits) else {
        return Err(Failure::not_authorized());
    };
    let now = now_millis();
    if token.expires_at <= now {
        return Err(Failure::new("credentials-expired"));
    }
    super::may_log_in(server, &account, generation)?;
    // A token that is in use and is not counted stays as it is, and the login waits for no disk.
    let unchanged = token.used && token.counter.is_none() && count.is_none();
    if !unchanged {
        let used = server
            .store
            .use_login_token(&user, client, &token.secret, count)
            .await
            .map_err(store_failed)?;
        if !used {
            // The same message for the second time (XEP-0484 §3.4).
            return Err(Failure::not_authorized());
        }
        // The account may have been disabled meanwhile.
        super::allowed(server, &user).await?;
    }
    let proof = sign(&token.secret, b"Responder", data);
    Ok(Checked {
        user,
        proof: proof.as_ref().to_vec(),
        due: super::token::is_due(token, now),
    })
}

fn sign(secret: &[u8], role: &[u8], data: &[u8]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, secret));
    context.update(role);
    context.update(data);
    context.sign()
}
