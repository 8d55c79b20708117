//! Notifications to an app server (XEP-0357 §5), by whatever way stanzas go there.

use std::sync::Arc;
use std::time::Duration;

use imd_proto::{Element, Kind, Stanza, ns};
use imd_store::PushRegistration;

use super::notice::Notice;
use crate::route;
use crate::server::Server;

/// How long an app server has to answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// After so many refused notifications in a row the registration is removed.
const MOST_FAILURES: u32 = 3;

pub(super) async fn send(server: &Arc<Server>, registration: &PushRegistration, notice: &Notice) {
    let options = registration.options.as_deref().and_then(route::read_stored);
    let iq = Element::new("iq", ns::CLIENT)
        .with_attr("type", "set")
        .with_attr("id", server.random_id::<8>())
        .with_attr("to", registration.service.as_str())
        .with_child(notice.publish(&registration.node, options));
    let account = server.account_jid(&registration.user);
    let Ok(request) = Stanza::stamp(Kind::Iq, iq, account) else {
        return;
    };
    // Silence is no refusal: the server there may be away for a while.
    let Some(answer) = route::asked::ask(server, request, PATIENCE).await else {
        return;
    };
    let error = answer.element.child("error", ns::CLIENT);
    let refused = error.is_some_and(|e| e.attr("type") != Some("wait"));
    if refused || registration.failures > 0 {
        record(server, registration, !refused).await;
    }
}

async fn record(server: &Arc<Server>, registration: &PushRegistration, succeeded: bool) {
    let PushRegistration {
        user,
        service,
        node,
        ..
    } = registration;
    let outcome = server
        .store
        .record_push(user, service, node, succeeded)
        .await;
    server.push.forget(user);
    let removed = match outcome {
        Ok(Some(failures)) if failures >= MOST_FAILURES => {
            tracing::info!(
                user,
                service,
                "the app server refuses notifications: registration removed"
            );
            server.store.disable_push(user, service, Some(node)).await
        }
        Ok(_) => return,
        Err(error) => Err(error),
    };
    server.push.forget(user);
    if let Err(error) = removed {
        tracing::warn!(user, service, %error, "cannot keep account of notifications");
    }
}
