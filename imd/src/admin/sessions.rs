//! Who is online, and sending clients away.

use imd_proto::{Jid, StreamCondition, StreamError};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Administrator, Refusal};
use crate::session::{End, Session};

/// A client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SessionView {
    /// Its full address.
    pub jid: String,
    /// Whether it has a connection at this moment; otherwise it can come back.
    pub connected: bool,
    /// Whether it is shown to contacts.
    pub available: bool,
    /// The priority of its presence; absent while it is not available.
    pub priority: Option<i8>,
    /// The program, as it says itself; absent when it does not.
    pub software: Option<String>,
    /// The device, as it says itself; absent when it does not.
    pub device: Option<String>,
}

impl From<&Session> for SessionView {
    fn from(session: &Session) -> Self {
        let presence = session.presence();
        let agent = session.agent();
        Self {
            jid: session.jid.to_string(),
            connected: session.is_connected(),
            available: presence.is_some(),
            priority: presence.map(|p| p.priority),
            software: agent.and_then(|a| a.software.clone()),
            device: agent.and_then(|a| a.device.clone()),
        }
    }
}

impl Administrator {
    /// All sessions, or those of one person, by address.
    ///
    /// # Errors
    /// `Absent` when there is no such person.
    pub async fn sessions(&self, user: Option<&str>) -> Result<Vec<SessionView>, Refusal> {
        let sessions = match user {
            Some(name) => {
                let user = self.account(name).await?.username;
                self.server.directory.sessions(&user)
            }
            None => self.server.directory.all(),
        };
        let mut views: Vec<_> = sessions.iter().map(|s| SessionView::from(&**s)).collect();
        views.sort_by(|a, b| a.jid.cmp(&b.jid));
        Ok(views)
    }

    /// End a session (full address) or all of a person's (bare address); how many. The client is told; it may come back.
    ///
    /// # Errors
    /// `Absent` when nobody is there.
    pub async fn close_sessions(&self, address: &str) -> Result<usize, Refusal> {
        let jid: Jid = address.parse().map_err(|error: imd_proto::JidError| {
            let accepted = "an address, such as ann@example.org/phone";
            Refusal::invalid("jid", format!("{address:?}: {error}"), accepted)
        })?;
        let mut sessions = self
            .server
            .directory
            .sessions(jid.local().unwrap_or_default());
        sessions.retain(|s| s.jid == jid || (jid.is_bare() && s.jid.same_bare(&jid)));
        if sessions.is_empty() {
            return Err(Refusal::Absent(format!("{jid} is not online")));
        }
        for session in &sessions {
            let text = "an administrator has ended this session";
            let error = StreamError::with_text(StreamCondition::PolicyViolation, text);
            session.outbound.end(End::Error(error));
        }
        let detail = format!("{} sessions", sessions.len());
        self.note("session.close", jid.as_str(), detail).await;
        Ok(sessions.len())
    }
}
