//! Subscriptions that need no question, because whoever asks shows an invitation of the one who is asked (XEP-0379).

use imd_proto::Element;
use imd_store::{InviteKind, now_millis};

use crate::server::Server;
use crate::stream::PARS;

/// Whether a request carries an invitation of this user. The invitation is then used.
pub(super) async fn is_invited(server: &Server, presence: &Element, user: &str) -> bool {
    let Some(token) = presence
        .child("preauth", PARS)
        .and_then(|p| p.attr("token"))
    else {
        return false;
    };
    let now = now_millis();
    let fits = match server.store.invite(token).await {
        Ok(Some(invite)) => {
            invite.kind != InviteKind::Reset
                && invite.inviter.as_deref() == Some(user)
                && invite.is_usable(now)
        }
        Ok(None) => false,
        Err(error) => {
            tracing::warn!(%error, "cannot look up an invitation");
            false
        }
    };
    fits && matches!(server.store.use_invite(token, now).await, Ok(Some(_)))
}
