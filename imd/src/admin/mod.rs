//! What administrators, and people for themselves, do to accounts, groups and rooms: plain functions that XMPP
//! commands, the web and the command line share. Each checks its arguments and says what is accepted.

pub mod accounts;
pub mod announce;
pub mod backup;
pub mod devices;
pub mod groups;
pub mod import;
pub mod invitations;
pub mod invites;
pub mod log;
mod membership;
pub mod people;
mod refusal;
pub mod retention;
pub mod rooms;
pub mod sessions;
pub mod statistics;
pub mod tokens;

use std::sync::Arc;

use imd_store::{AuditEntry, now_millis};

use crate::server::Server;

pub use refusal::{Fault, Refusal};

/// Somebody who may administer the server, at work.
#[derive(Clone)]
pub struct Administrator {
    /// The server.
    pub server: Arc<Server>,
    /// Who it is, for the log: a JID, `cli`, `socket`, `api:NAME-OF-TOKEN`.
    pub actor: String,
}

impl Administrator {
    /// Write into the log what has been done. What was done stays done when the log cannot be written.
    pub async fn note(&self, action: &str, target: &str, detail: impl Into<String>) {
        let entry = AuditEntry {
            id: 0,
            time: now_millis(),
            actor: self.actor.clone(),
            action: action.to_owned(),
            target: target.to_owned(),
            detail: detail.into(),
        };
        tracing::info!(
            actor = self.actor,
            action,
            target,
            detail = entry.detail,
            "administration"
        );
        if let Err(error) = self.server.store.record_audit(entry).await {
            tracing::warn!(action, target, %error, "cannot write into the log of administration");
        }
    }
}
