//! Sessions that can be resumed, kept over a restart of the daemon (XEP-0198 §5).

use std::sync::Arc;
use std::time::Duration;

use imd_proto::{Element, Jid};
use imd_store::{SavedSession, UnixMillis, now_millis};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{Presence, Session, UserAgent, lifecycle};
use crate::route;
use crate::server::Server;

/// What the store keeps of a session, as JSON. What is missing, as in what an older version wrote, is as at a
/// session's start.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Saved {
    /// Stanzas of the client that have been dealt with.
    handled: u32,
    /// Stanzas that the client has acknowledged.
    acked: u32,
    /// Those that it has not, serialised for a stream of clients.
    stanzas: Vec<String>,
    priority: i8,
    /// The available presence, with all namespaces.
    presence: Option<String>,
    interested: bool,
    carbons: bool,
    blocking: bool,
    inactive: bool,
    offline_delivered: bool,
    directed: Vec<String>,
    notify: Option<Vec<String>>,
    agent: Option<Agent>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Agent {
    id: String,
    software: Option<String>,
    device: Option<String>,
}

/// Save all sessions that can be resumed, when their connections have ended. They take no more stanzas.
///
/// # Errors
/// When the store refuses; what the clients did not get is then stored as for clients that do not come back.
pub async fn save(server: &Arc<Server>) -> imd_store::Result<()> {
    let lifetime = server.config.limits.resume_timeout;
    let expires_at = now_millis().saturating_add(millis(lifetime));
    let mut saved = Vec::new();
    for (id, session) in server.resumable.all() {
        let state = Saved::of(&session);
        match serde_json::to_vec(&state) {
            Ok(state) => saved.push(SavedSession {
                id,
                user: session.user.to_string(),
                resource: session.jid.resource().unwrap_or_default().to_owned(),
                state,
                expires_at,
            }),
            Err(error) => tracing::error!(jid = %session.jid, %error, "a session cannot be saved"),
        }
    }
    if saved.is_empty() {
        return Ok(());
    }
    let count = saved.len();
    server.store.save_sessions(saved).await?;
    tracing::info!(count, "sessions wait for their clients over the restart");
    Ok(())
}

/// Take up the sessions that the daemon before has saved, before clients can connect.
///
/// # Errors
/// When the store fails.
pub async fn restore(server: &Arc<Server>) -> imd_store::Result<()> {
    let now = now_millis();
    let saved = server.store.take_sessions().await?;
    let count = saved.len();
    for saved in saved {
        let left = u64::try_from(saved.expires_at.saturating_sub(now)).unwrap_or(0);
        // A clock that was set back makes nobody wait longer.
        let left = Duration::from_millis(left).min(server.config.limits.resume_timeout);
        let Some(session) = revive(server, &saved) else {
            tracing::error!(user = saved.user, "a saved session cannot be read");
            continue;
        };
        let max = server.config.limits.sessions_per_account;
        let entered = server.directory.enter(&session, max);
        if left.is_zero() || entered.is_err() {
            lifecycle::end(server, &session).await;
            continue;
        }
        server.resumable.enter(&saved.id, &session);
        let on_the_way = session.outbound.unacknowledged_stanzas();
        lifecycle::wait(server, &session, 0, Instant::now() + left, on_the_way);
    }
    if count > 0 {
        tracing::info!(count, "sessions from before the restart");
    }
    Ok(())
}

fn revive(server: &Server, saved: &SavedSession) -> Option<Arc<Session>> {
    let state: Saved = serde_json::from_slice(&saved.state).ok()?;
    let jid = server
        .account_jid(&saved.user)
        .with_resource(&saved.resource)
        .ok()?;
    let session = Session::new(jid, server.config.limits.outbound_bytes);
    session.manage(Some(saved.id.clone()));
    state.apply(&session);
    Some(session)
}

fn millis(time: Duration) -> UnixMillis {
    UnixMillis::try_from(time.as_millis()).unwrap_or(UnixMillis::MAX)
}

impl Saved {
    fn of(session: &Session) -> Self {
        let acked = session.outbound.acked();
        let stanzas = session.outbound.close();
        let state = session.state();
        Self {
            handled: session.handled(),
            acked,
            stanzas: stanzas.iter().map(ToString::to_string).collect(),
            priority: state.presence.as_ref().map_or(0, |p| p.priority),
            presence: state.presence.as_ref().map(|p| p.element.to_xml()),
            interested: state.interested,
            carbons: state.carbons,
            blocking: state.blocking,
            inactive: session.is_inactive(),
            offline_delivered: state.offline_delivered,
            directed: state.directed.iter().map(Jid::to_string).collect(),
            notify: state.notify.as_ref().map(|nodes| nodes.to_vec()),
            agent: session.agent().map(|agent| Agent {
                id: agent.id.clone(),
                software: agent.software.clone(),
                device: agent.device.clone(),
            }),
        }
    }

    fn apply(self, session: &Session) {
        session.set_handled(self.handled);
        session
            .outbound
            .restore(self.acked, self.stanzas.into_iter().map(Arc::from));
        if let Some(Agent {
            id,
            software,
            device,
        }) = self.agent
        {
            session.set_agent(UserAgent {
                id,
                software,
                device,
            });
        }
        session.set_inactive(self.inactive);
        let read = |xml: String| -> Option<Element> { route::read_stored(&xml) };
        let mut state = session.state();
        state.presence = self.presence.and_then(read).map(|element| Presence {
            priority: self.priority,
            element: Arc::new(element),
        });
        state.interested = self.interested;
        state.carbons = self.carbons;
        state.blocking = self.blocking;
        state.offline_delivered = self.offline_delivered;
        state.directed = self
            .directed
            .iter()
            .filter_map(|jid| jid.parse().ok())
            .collect();
        state.notify = self.notify.map(Arc::from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Queued;

    #[test]
    fn a_session_is_the_same_after_it_was_saved() {
        let session = Session::new("a@b/r".parse().unwrap(), 1000);
        session.manage(Some("id".to_owned()));
        session.outbound.manage();
        for text in ["<a/>", "<b/>", "<c/>"] {
            session.outbound.push(Queued::whole(text.into())).unwrap();
        }
        let mut taken: Vec<Arc<str>> = Vec::new();
        session.outbound.take(8, &mut taken);
        session.outbound.acknowledge(1).unwrap();
        session.set_handled(7);
        {
            let mut state = session.state();
            state.carbons = true;
            state.directed.insert("c@d/e".parse().unwrap());
            state.notify = Some(Arc::from(["node".to_owned()]));
            state.presence = Some(Presence {
                priority: -3,
                element: Arc::new(Element::new("presence", imd_proto::ns::CLIENT)),
            });
        }
        let json = serde_json::to_vec(&Saved::of(&session)).unwrap();
        let revived = Session::new("a@b/r".parse().unwrap(), 1000);
        let saved: Saved = serde_json::from_slice(&json).unwrap();
        saved.apply(&revived);
        assert_eq!(revived.handled(), 7);
        let state = revived.state();
        assert!(state.carbons && !state.interested);
        assert_eq!(state.directed.len(), 1);
        assert_eq!(state.presence.as_ref().unwrap().priority, -3);
        assert!(state.wants("node"));
        drop(state);
        // It had got two and acknowledged one; it says so now.
        revived.outbound.acknowledge(2).unwrap();
        revived.outbound.rewind();
        let mut taken: Vec<Arc<str>> = Vec::new();
        revived.outbound.take(100, &mut taken);
        assert_eq!(taken, [Arc::from("<c/>")]);
        assert!(
            serde_json::from_slice::<Saved>(b"{}").is_ok(),
            "of an older version"
        );
    }
}
