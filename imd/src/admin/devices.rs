//! The devices of a person: those that are connected, and those that can come back without the password.

use std::sync::Arc;

use imd_proto::{StreamCondition, StreamError};
use imd_store::now_millis;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Administrator, Refusal};
use crate::feature::time;
use crate::session::{End, Session, shown_id};

/// A client of a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeviceView {
    /// By which it is signed out; the same at each login of a client that says which it is, else of this session alone.
    pub id: String,
    /// Its full address; absent while it has no session.
    pub jid: Option<String>,
    /// Whether it has a connection at this moment.
    pub connected: bool,
    /// The program, as it says itself; absent when it does not, or has no session.
    pub software: Option<String>,
    /// The device, as it says itself; absent as above.
    pub device: Option<String>,
    /// Since when it has been able to log in without the password; absent: it is not.
    pub token_since: Option<String>,
    /// Until when; absent as above.
    pub token_until: Option<String>,
}

/// What signing a device out has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SignedOut {
    /// Sessions.
    pub sessions: usize,
    /// Tokens by which it could have come back without the password.
    pub tokens: u64,
}

impl Administrator {
    /// A person's devices: first those with a session, by address.
    ///
    /// # Errors
    /// `Absent` when there is no such person.
    pub async fn devices(&self, name: &str) -> Result<Vec<DeviceView>, Refusal> {
        let user = self.account(name).await?.username;
        let mut tokens = self.server.store.login_clients(&user, now_millis()).await?;
        let mut sessions = self.server.directory.sessions(&user);
        sessions.sort_by(|a, b| a.jid.cmp(&b.jid));
        let mut devices = Vec::with_capacity(sessions.len() + tokens.len());
        for session in &sessions {
            let agent = session.agent();
            let token = agent.and_then(|a| tokens.iter().position(|t| t.client == a.id));
            let token = token.map(|at| tokens.remove(at));
            devices.push(DeviceView {
                id: self.device_of(&user, session),
                jid: Some(session.jid.to_string()),
                connected: session.is_connected(),
                software: agent.and_then(|a| a.software.clone()),
                device: agent.and_then(|a| a.device.clone()),
                token_since: token.as_ref().map(|t| time::format(t.since)),
                token_until: token.as_ref().map(|t| time::format(t.until)),
            });
        }
        devices.extend(tokens.into_iter().map(|token| DeviceView {
            id: shown_id(&self.server.config.domain, &user, &token.client),
            jid: None,
            connected: false,
            software: None,
            device: None,
            token_since: Some(time::format(token.since)),
            token_until: Some(time::format(token.until)),
        }));
        Ok(devices)
    }

    /// Sign a device out: its tokens, its notifications and its sessions end. Who knows the password can sign it in again.
    ///
    /// # Errors
    /// `Absent` when there is no such person or device.
    pub async fn sign_out(&self, name: &str, id: &str) -> Result<SignedOut, Refusal> {
        let server = &self.server;
        let user = self.account(name).await?.username;
        let domain = &server.config.domain;
        let mut tokens = 0;
        // Tokens first: a client whose session ends tries to come back at once.
        for known in server.store.login_clients(&user, now_millis()).await? {
            if shown_id(domain, &user, &known.client) == id {
                let store = &server.store;
                tokens += store
                    .revoke_login_tokens(&user, Some(&known.client))
                    .await?;
            }
        }
        let mut sessions = server.directory.sessions(&user);
        sessions.retain(|session| self.device_of(&user, session) == id);
        if tokens == 0 && sessions.is_empty() {
            return Err(Refusal::Absent(format!(
                "account {user:?} has no device {id:?}"
            )));
        }
        self.end_notifications(&user, id, &sessions).await?;
        for session in &sessions {
            let text = "an administrator has signed this device out";
            let error = StreamError::with_text(StreamCondition::NotAuthorized, text);
            session.outbound.end(End::Error(error));
        }
        let ended = SignedOut {
            sessions: sessions.len(),
            tokens,
        };
        let detail = format!("{id}: {} sessions, {tokens} tokens", ended.sessions);
        self.note("device.sign-out", &user, detail).await;
        Ok(ended)
    }

    /// What stands for the client of a session: of one that does not say which it is, the address.
    fn device_of(&self, user: &str, session: &Session) -> String {
        let client = session
            .agent()
            .map_or_else(|| session.jid.as_str(), |agent| agent.id.as_str());
        shown_id(&self.server.config.domain, user, client)
    }

    /// Bind 2 ends the resource of a client with its id, so that it is known while the client is away, too.
    async fn end_notifications(
        &self,
        user: &str,
        id: &str,
        sessions: &[Arc<Session>],
    ) -> Result<(), Refusal> {
        let server = &self.server;
        let is_of_device = |resource: &str| {
            resource.rsplit('/').next() == Some(id)
                || sessions.iter().any(|s| s.jid.resource() == Some(resource))
        };
        for push in server.store.push_registrations(user).await? {
            if push.client.as_deref().is_some_and(is_of_device) {
                let node = Some(push.node.as_str());
                server.store.disable_push(user, &push.service, node).await?;
            }
        }
        server.push.forget(user);
        Ok(())
    }
}
