//! Messages of the server to everybody.

use imd_proto::{Element, Kind, Stanza, ns};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Administrator, Fault, Refusal, people};
use crate::route;

/// The longest text, in bytes.
const TEXT_BYTES: usize = 16 * 1024;
/// Messages whose commits are waited for together.
const AT_ONCE: usize = 200;

/// A message to everybody.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Announcement {
    /// What is said.
    pub text: String,
    /// A headline above it; absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// True: only to those who are online; others do not get it later.
    #[serde(default)]
    pub online: bool,
}

/// Whom a message has gone to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Announced {
    /// How many people.
    pub people: usize,
}

impl Administrator {
    /// Send a message from the server to everybody.
    ///
    /// # Errors
    /// `Invalid` when there is no text or too much; `Busy` when the disk takes no messages.
    pub async fn announce(&self, new: Announcement) -> Result<Announced, Refusal> {
        let mut faults = Vec::new();
        let accepted = format!("1 to {TEXT_BYTES} bytes of text");
        if new.text.trim().is_empty() || new.text.len() > TEXT_BYTES {
            let found = format!("{} bytes", new.text.len());
            faults.push(Fault::new("text", found, accepted.as_str()));
        }
        if new.subject.as_ref().is_some_and(|s| s.len() > TEXT_BYTES) {
            faults.push(Fault::new("subject", "it is too long", accepted.as_str()));
        }
        // Control characters cannot stand in XML.
        let control = |c: char| c.is_control() && !matches!(c, '\n' | '\t' | '\r');
        for (at, text) in [("text", Some(&new.text)), ("subject", new.subject.as_ref())] {
            if text.is_some_and(|t| t.contains(control)) {
                let found = "it has control characters";
                faults.push(Fault::new(at, found, "text, line breaks and tabs"));
            }
        }
        if !faults.is_empty() {
            return Err(Refusal::Invalid(faults));
        }
        let everybody = people::everybody(&self.server).await?;
        let meant: Vec<String> = everybody
            .into_iter()
            .filter(|account| account.enabled)
            .map(|account| account.username)
            .filter(|user| !new.online || !self.server.directory.sessions(user).is_empty())
            .collect();
        for some in meant.chunks(AT_ONCE) {
            let mut commits = Vec::with_capacity(some.len());
            for user in some {
                commits.extend(self.say(&new, user).await);
            }
            for commit in commits {
                commit.await?;
            }
        }
        let detail = format!("to {} people", meant.len());
        self.note("announce", "", detail).await;
        Ok(Announced {
            people: meant.len(),
        })
    }

    async fn say(&self, new: &Announcement, user: &str) -> Option<imd_store::Commit> {
        let server = &self.server;
        let mut message = Element::new("message", ns::CLIENT)
            .with_attr("to", server.account_jid(user).as_str())
            .with_attr("id", server.random_id::<8>())
            // Shown at once and not kept for later, or kept (RFC 6121 §5.2.2).
            .with_attr("type", if new.online { "headline" } else { "normal" });
        if let Some(subject) = &new.subject {
            message.push(Element::new("subject", ns::CLIENT).with_text(subject.as_str()));
        }
        message.push(Element::new("body", ns::CLIENT).with_text(new.text.as_str()));
        let stanza = Stanza::stamp(Kind::Message, message, server.domain.clone()).ok()?;
        Box::pin(route::stanza(server, stanza, None)).await
    }
}
