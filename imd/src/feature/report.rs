//! Reports of abuse (XEP-0377), which come inside a block request: kept in the log, and sent to the administrators.

use std::sync::Arc;

use async_trait::async_trait;
use imd_proto::{Condition, Element, Kind, Stanza, StanzaError, ns};
use imd_store::{AuditEntry, Role, now_millis};

use super::{Feature, store_error};
use crate::route;
use crate::server::Server;

/// The namespace.
pub const NS: &str = "urn:xmpp:reporting:1";
const SPAM: &str = "urn:xmpp:reporting:spam";
const ABUSE: &str = "urn:xmpp:reporting:abuse";
/// The longest explanation, in bytes.
const TEXT_BYTES: usize = 4096;
/// Messages named in one report.
const MOST_MESSAGES: usize = 50;

pub(super) struct Report;

#[async_trait]
impl Feature for Report {
    fn server_features(&self) -> Vec<&'static str> {
        vec![NS]
    }

    fn account_features(&self) -> Vec<&'static str> {
        vec![NS]
    }
}

/// What one report says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reported {
    /// Who is reported.
    pub whom: String,
    /// `spam` or `abuse`.
    pub reason: &'static str,
    /// The explanation; empty: none.
    pub text: String,
    /// Archive ids of messages, with whose archive it is.
    pub messages: Vec<String>,
}

/// The report in an item of a block request; `None` when it has none.
///
/// # Errors
/// `bad-request` for a report that is none, `not-acceptable` when it is too long.
pub fn read(item: &Element) -> Result<Option<Reported>, StanzaError> {
    let Some(report) = item.child("report", NS) else {
        return Ok(None);
    };
    let reason = match report.attr("reason") {
        Some(SPAM) => "spam",
        Some(ABUSE) => "abuse",
        other => {
            let found = other.unwrap_or_default();
            return Err(StanzaError::with_text(
                Condition::BadRequest,
                format!("the reason is {SPAM} or {ABUSE}, not {found:?}"),
            ));
        }
    };
    let text = report.child_text("text").unwrap_or_default();
    let messages: Vec<String> = report
        .children()
        .filter(|c| c.is("stanza-id", ns::STANZA_ID))
        .map(|id| {
            let attr = |name| id.attr(name).unwrap_or_default();
            format!("{} in {}", attr("id"), attr("by"))
        })
        .collect();
    if text.len() > TEXT_BYTES || messages.len() > MOST_MESSAGES {
        return Err(StanzaError::with_text(
            Condition::NotAcceptable,
            format!(
                "a report has {TEXT_BYTES} bytes of text and {MOST_MESSAGES} messages at the most"
            ),
        ));
    }
    Ok(Some(Reported {
        whom: item.attr("jid").unwrap_or_default().to_owned(),
        reason,
        text,
        messages,
    }))
}

impl Reported {
    /// In words, for people.
    #[must_use]
    pub fn in_words(&self, reporter: &str) -> String {
        let mut words = format!("{reporter} reports {} for {}.", self.whom, self.reason);
        if !self.text.is_empty() {
            words.push_str(&format!("\n“{}”", self.text));
        }
        if !self.messages.is_empty() {
            words.push_str(&format!("\nMessages: {}", self.messages.join(", ")));
        }
        words
    }
}

/// Keep a report, and tell the administrators.
///
/// # Errors
/// When the store fails.
pub async fn file(
    server: &Arc<Server>,
    user: &str,
    reported: &Reported,
) -> Result<(), StanzaError> {
    let reporter = server.account_jid(user);
    let detail = serde_json::json!({ "text": reported.text, "messages": reported.messages });
    let entry = AuditEntry {
        id: 0,
        time: now_millis(),
        actor: reporter.to_string(),
        action: format!("report.{}", reported.reason),
        target: reported.whom.clone(),
        detail: detail.to_string(),
    };
    server
        .store
        .record_audit(entry)
        .await
        .map_err(|e| store_error(&e))?;
    let words = reported.in_words(reporter.as_str());
    for admin in administrators(server).await.map_err(|e| store_error(&e))? {
        let message = Element::new("message", ns::CLIENT)
            .with_attr("to", server.account_jid(&admin).as_str())
            .with_attr("id", server.random_id::<8>())
            .with_child(Element::new("body", ns::CLIENT).with_text(words.clone()));
        if let Ok(stanza) = Stanza::stamp(Kind::Message, message, server.domain.clone()) {
            // The report is kept whether or not this message is.
            let _ = Box::pin(route::stanza(server, stanza, None)).await;
        }
    }
    Ok(())
}

async fn administrators(server: &Server) -> imd_store::Result<Vec<String>> {
    let all = crate::admin::people::everybody(server).await?;
    Ok(all
        .into_iter()
        .filter(|a| a.role == Role::Admin && a.enabled)
        .map(|a| a.username)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use imd_proto::xml::{Limits, parse_document};

    fn item(inner: &str) -> Element {
        let text = format!("<item xmlns='urn:xmpp:blocking' jid='x@y'>{inner}</item>");
        parse_document(&text, Limits::default()).unwrap()
    }

    #[test]
    fn a_report_is_read_and_said_in_words() {
        let reported = read(&item(
            "<report xmlns='urn:xmpp:reporting:1' reason='urn:xmpp:reporting:spam'><text>Buy!</text>\
             <stanza-id xmlns='urn:xmpp:sid:0' by='a@b' id='7'/></report>",
        ))
        .unwrap()
        .unwrap();
        assert_eq!(
            reported.in_words("a@b"),
            "a@b reports x@y for spam.\n“Buy!”\nMessages: 7 in a@b"
        );
        assert_eq!(read(&item("")), Ok(None));
        assert!(
            read(&item(
                "<report xmlns='urn:xmpp:reporting:1' reason='boredom'/>"
            ))
            .is_err()
        );
    }
}
