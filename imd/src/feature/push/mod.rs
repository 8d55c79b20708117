//! Push (XEP-0357): tell a phone's vendor that a message waits for a client that is not here, or asleep.
//!
//! [`message`] is asked for each delivered message and decides from what is in memory; sending happens in tasks of its own,
//! a bounded number at a time. What is said is in [`notice`]; where to, in [`xmpp`] and [`webhook`].

pub mod notice;
pub mod webhook;
mod xmpp;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use imd_proto::{Condition, Element, Jid, MessageType, Stanza, StanzaError, ns};
use imd_store::{PushRegistration, now_millis};
use tokio::sync::Semaphore;

use super::{Answer, Feature, Reply, Request, Target, store_error};
use crate::server::Server;
use crate::session::Session;
use notice::Notice;

/// The namespace.
pub const NS: &str = "urn:xmpp:push:0";
/// Registrations of one account.
const PER_ACCOUNT: u32 = 20;
/// Accounts whose registrations are remembered; when there are more, all are forgotten and read again.
const REMEMBERED: usize = 20_000;
/// Notifications on their way at one time; more are not sent.
const AT_ONCE: u32 = 200;

pub(super) struct PushFeature;

#[async_trait]
impl Feature for PushFeature {
    fn account_features(&self) -> Vec<&'static str> {
        vec![NS]
    }

    fn requests(&self) -> Vec<(Target, &'static str)> {
        vec![(Target::Account, NS)]
    }

    async fn request(&self, request: &Request<'_>) -> Answer {
        let (session, user) = request.own()?;
        let payload = request.payload;
        let bad = |text: &str| StanzaError::with_text(Condition::BadRequest, text);
        let service: Jid = payload
            .attr("jid")
            .ok_or_else(|| bad("name the push service in jid"))?
            .parse()
            .map_err(|_| bad("the push service's jid is no address"))?;
        let server = request.server;
        let done = match (payload.name(), request.is_set()) {
            ("enable", true) => {
                session.outbound.ask_always();
                let registration = PushRegistration {
                    user: user.to_owned(),
                    service: service.to_string(),
                    node: payload.attr("node").unwrap_or_default().to_owned(),
                    options: payload.child("x", ns::DATA_FORM).map(Element::to_xml),
                    client: session.jid.resource().map(str::to_owned),
                    created_at: now_millis(),
                    failures: 0,
                };
                server.store.enable_push(registration, PER_ACCOUNT).await
            }
            ("disable", true) => server
                .store
                .disable_push(user, service.as_str(), payload.attr("node"))
                .await
                .map(drop),
            _ => return Err(bad("enable or disable, in a set")),
        };
        server.push.forget(user);
        done.map_err(|e| store_error(&e))?;
        Ok(Reply::Empty)
    }
}

/// Registrations of accounts in use, and what is on its way.
#[derive(Debug)]
pub struct Push {
    known: Mutex<Known>,
    sending: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Known {
    accounts: HashMap<String, Arc<Vec<PushRegistration>>>,
    /// Counts what was forgotten: what was read before that may be out of date.
    forgotten: u64,
}

impl Default for Push {
    fn default() -> Self {
        Self {
            known: Mutex::default(),
            sending: Arc::new(Semaphore::new(AT_ONCE as usize)),
        }
    }
}

impl Push {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forget an account, because its registrations have changed or it is gone.
    pub fn forget(&self, user: &str) {
        let mut known = self.lock();
        known.accounts.remove(user);
        known.forgotten += 1;
    }

    /// Resolves when no notification is on its way. Those that wait for an answer end with [`crate::route::asked`].
    pub async fn finished(&self) {
        // All places are free; an error, too, says that nobody has one.
        let _ = self.sending.acquire_many(AT_ONCE).await;
    }

    /// Whether it is known that an account has no client to be woken.
    fn has_none(&self, user: &str) -> bool {
        self.lock().accounts.get(user).is_some_and(|r| r.is_empty())
    }

    async fn of(&self, server: &Server, user: &str) -> Arc<Vec<PushRegistration>> {
        let forgotten = {
            let known = self.lock();
            if let Some(list) = known.accounts.get(user) {
                return Arc::clone(list);
            }
            known.forgotten
        };
        let list = match server.store.push_registrations(user).await {
            Ok(list) => Arc::new(list),
            Err(error) => {
                tracing::warn!(user, %error, "cannot read push registrations");
                return Arc::default();
            }
        };
        let mut known = self.lock();
        if known.forgotten == forgotten {
            if known.accounts.len() >= REMEMBERED {
                known.accounts.clear();
            }
            known.accounts.insert(user.to_owned(), Arc::clone(&list));
        }
        list
    }
}

/// Whether somebody should look at their phone for a message.
#[must_use]
pub fn is_worth_it(message: &Element, kind: MessageType) -> bool {
    matches!(kind, MessageType::Chat | MessageType::Normal)
        && message.children().any(|child| match child.ns() {
            ns::CLIENT => child.name() == "body",
            "eu.siacs.conversations.axolotl"
            | "urn:xmpp:omemo:2"
            | "urn:xmpp:openpgp:0"
            | "jabber:x:encrypted"
            | "jabber:x:conference" => true,
            other => other.starts_with("urn:xmpp:jingle-message:") && child.name() == "propose",
        })
}

/// Whether a client has to be woken: it has no session, or one that is asleep or has lost its connection.
pub fn sleeps(session: Option<&Arc<Session>>) -> bool {
    session.is_none_or(|s| !s.is_connected() || s.is_inactive())
}

/// A message has been delivered to an account, or is kept for it: wake those of its clients that sleep.
pub async fn message(server: &Arc<Server>, user: &str, stanza: &Stanza) {
    if !is_worth_it(&stanza.element, stanza.message_type()) {
        return;
    }
    // Most people have no such client: nothing has to be made for them.
    let nobody = server.config.push.webhook.is_none() && server.push.has_none(user);
    if !nobody {
        wake(server, user, &stanza.element).await;
    }
}

/// A room's message, worth it by [`is_worth_it`] were it a chat, has been delivered to a client that [`sleeps`].
pub async fn room_message(server: &Arc<Server>, user: &str, message: &Element) {
    wake(server, user, message).await;
}

/// A session has lost its connection with stanzas `on_the_way`: one of them may have been worth a notification.
pub async fn detached(server: &Arc<Server>, session: &Session, on_the_way: &[Arc<str>]) {
    for xml in on_the_way {
        if !xml.starts_with("<message") {
            continue;
        }
        let Some(element) = crate::route::read_client_xml(xml) else {
            continue;
        };
        let kind = match element.attr("type") {
            // A room's message is worth what a chat's is, as when it comes to a client that sleeps already.
            Some("chat" | "groupchat") => MessageType::Chat,
            None | Some("normal") => MessageType::Normal,
            _ => continue,
        };
        if is_worth_it(&element, kind) {
            return wake(server, &session.user, &element).await;
        }
    }
}

/// Boxed: notifications are stanzas, whose routing comes here.
fn wake<'a>(server: &'a Arc<Server>, user: &'a str, message: &'a Element) -> BoxFuture<'a, ()> {
    Box::pin(wake_now(server, user, message))
}

async fn wake_now(server: &Arc<Server>, user: &str, message: &Element) {
    let registrations = server.push.of(server, user).await;
    let webhook = server.config.push.webhook.is_some();
    if registrations.is_empty() && !webhook {
        return;
    }
    let sessions = server.directory.sessions(user);
    let notice = Notice::of(server, user, message);
    for registration in registrations.iter() {
        let session = sessions
            .iter()
            .find(|s| registration.client.as_deref() == s.jid.resource());
        if sleeps(session) {
            let (task_server, registration) = (Arc::clone(server), registration.clone());
            let notice = notice.clone();
            spawn(server, async move {
                xmpp::send(&task_server, &registration, &notice).await;
            });
        }
    }
    if webhook && sessions.iter().all(|s| sleeps(Some(s))) {
        let task_server = Arc::clone(server);
        spawn(
            server,
            async move { webhook::send(&task_server, &notice).await },
        );
    }
}

fn spawn(server: &Arc<Server>, task: impl Future<Output = ()> + Send + 'static) {
    let Ok(permit) = Arc::clone(&server.push.sending).try_acquire_owned() else {
        tracing::warn!("too many notifications are on their way; one is left out");
        return;
    };
    tokio::spawn(async move {
        task.await;
        drop(permit);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use imd_proto::xml::{Limits, parse_document};

    #[test]
    fn only_what_somebody_should_look_at_is_pushed() {
        for (inner, kind, worth) in [
            ("<body>x</body>", MessageType::Chat, true),
            ("<body>x</body>", MessageType::Headline, false),
            ("<body>x</body>", MessageType::Error, false),
            (
                "<encrypted xmlns='eu.siacs.conversations.axolotl'/>",
                MessageType::Chat,
                true,
            ),
            (
                "<propose xmlns='urn:xmpp:jingle-message:0'/>",
                MessageType::Chat,
                true,
            ),
            (
                "<retract xmlns='urn:xmpp:jingle-message:0'/>",
                MessageType::Chat,
                false,
            ),
            (
                "<received xmlns='urn:xmpp:receipts'/>",
                MessageType::Chat,
                false,
            ),
            (
                "<composing xmlns='http://jabber.org/protocol/chatstates'/>",
                MessageType::Chat,
                false,
            ),
        ] {
            let text = format!("<message xmlns='jabber:client'>{inner}</message>");
            let message = parse_document(&text, Limits::default()).unwrap();
            assert_eq!(is_worth_it(&message, kind), worth, "{kind:?} {inner}");
        }
    }
}
