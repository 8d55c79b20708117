//! How a session ends, and how it waits to be resumed.

use std::sync::Arc;

use super::{Attached, Session};
use crate::feature::push;
use crate::route;
use crate::server::Server;

/// End a session: contacts see it go, features hear of it, and what its client did not get is kept or answered.
/// Does nothing when it has ended before.
pub async fn end(server: &Arc<Server>, session: &Arc<Session>) {
    if !session.mark_ended() {
        return;
    }
    if let Some(id) = session.management().and_then(|m| m.resume_id) {
        server.resumable.leave(&id);
    }
    server.directory.leave(session);
    route::presence::ended(server, session).await;
    for feature in server.features.iter() {
        feature.ended(server, session).await;
    }
    let left = session.outbound.close();
    Box::pin(route::requeue(server, session, left)).await;
    tracing::info!(jid = %session.jid, "session ends");
}

/// The connection is gone: wait for the client where it may come back, else end the session.
pub async fn lost(server: &Arc<Server>, attached: Attached) {
    if attached
        .session
        .management()
        .is_some_and(|m| m.resume_id.is_some())
    {
        detach(server, attached);
    } else {
        let session = Arc::clone(&attached.session);
        drop(attached);
        end(server, &session).await;
    }
}

/// The connection is gone and the client may come back: wait for it, then end the session.
pub fn detach(server: &Arc<Server>, attached: Attached) {
    let session = Arc::clone(&attached.session);
    let attachment = session.attachments();
    // Before others see that the connection is gone: for what they send then, they wake the client themselves.
    let on_the_way = session.outbound.unacknowledged_stanzas();
    drop(attached);
    tracing::info!(jid = %session.jid, "connection lost, the session waits to be resumed");
    let deadline = tokio::time::Instant::now() + server.config.limits.resume_timeout;
    wait(server, &session, attachment, deadline, on_the_way);
}

/// Wait until the deadline for the client of a session that has lost its connection, which was the `attachment`th,
/// then end the session. At shutdown it is left as it is, to be saved. `on_the_way`: stanzas that the client has not
/// acknowledged and for which nobody has woken it.
pub fn wait(
    server: &Arc<Server>,
    session: &Arc<Session>,
    attachment: u64,
    deadline: tokio::time::Instant,
    on_the_way: Vec<Arc<str>>,
) {
    let (server, session) = (Arc::clone(server), Arc::clone(session));
    tokio::spawn(async move {
        if server.shutdown.is_requested() {
            return;
        }
        push::detached(&server, &session, &on_the_way).await;
        drop(on_the_way);
        // Beside a new connection, which alone hears of what waits for the client.
        let resumed = || session.attachments() != attachment;
        tokio::select! {
            () = tokio::time::sleep_until(deadline) => {}
            () = session.outbound.until(|| resumed() || session.outbound.has_failed()) => {}
            () = server.shutdown.requested() => return,
        }
        if resumed() {
            return;
        }
        // Whoever resumes at this moment has the session; otherwise nobody can any more.
        let Ok(guard) = Arc::clone(&session.connection).try_lock_owned() else {
            return;
        };
        if session.attachments() == attachment {
            end(&server, &session).await;
        }
        drop(guard);
    });
}
