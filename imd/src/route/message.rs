//! Messages: archived, delivered, copied, kept for later, in that order (RFC 6121 §8.5).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use imd_proto::{Condition, Element, Jid, Kind, MessageType, Stanza, StanzaError, ns, xml};
use imd_store::{Commit, OfflineEntry, Write, now_millis};

use super::written::{Written, with_ns};
use super::{blocked, decide};
use crate::feature::{archive, archive_prefs, carbons, push};
use crate::server::Server;
use crate::session::{Queued, Session};

/// A message to an account of this server, or to the server itself.
pub(super) async fn local(
    server: &Arc<Server>,
    stanza: Stanza,
    session: Option<&Arc<Session>>,
    to: &Jid,
) -> Option<Commit> {
    let Some(user) = to.local() else {
        // The server reads no mail.
        server
            .bounce(&stanza, &StanzaError::new(Condition::ServiceUnavailable))
            .await;
        return None;
    };
    if blocked::refuses_outgoing(server, &stanza, to).await {
        return None;
    }
    let mut writes = Vec::new();
    let written = Written::new(&stanza.element);
    sent_copies(server, &stanza, &written, session, to, &mut writes).await;
    let arrives = !blocked::refuses_incoming(server, &stanza, user).await
        && deliver(server, &stanza, &written, to, user, &mut writes).await;
    // Before anything else is waited for: whoever has the message may look for it in the archive at once.
    let commit = commit(server, writes).await;
    if arrives {
        push::message(server, user, &stanza).await;
    }
    commit
}

/// A message from a local session to another domain.
pub(super) async fn outgoing(
    server: &Arc<Server>,
    stanza: Stanza,
    session: Option<&Arc<Session>>,
    to: &Jid,
) -> Option<Commit> {
    let mut writes = Vec::new();
    let written = Written::new(&stanza.element);
    sent_copies(server, &stanza, &written, session, to, &mut writes).await;
    let own = commit(server, writes).await;
    let theirs = super::away(server, stanza, to).await;
    match (own, theirs) {
        (Some(own), Some(theirs)) => Some(both(own, theirs)),
        (own, theirs) => own.or(theirs),
    }
}

/// A commit that resolves when both have.
fn both(one: Commit, other: Commit) -> Commit {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let outcome = one.await.and(other.await);
        // The session that waited may be gone.
        let _ = sender.send(outcome);
    });
    Commit::waiting(
        receiver,
        imd_store::StoreError::Closed {
            path: Default::default(),
        },
    )
}

async fn commit(server: &Server, writes: Vec<Write>) -> Option<Commit> {
    if writes.is_empty() {
        None
    } else {
        server.load.messages.fetch_add(1, Ordering::Relaxed);
        Some(server.store.append(writes).await)
    }
}

/// What the sender's side gets: an entry in its archive and copies for its other sessions.
async fn sent_copies(
    server: &Arc<Server>,
    stanza: &Stanza,
    written: &Written<'_>,
    session: Option<&Arc<Session>>,
    to: &Jid,
    writes: &mut Vec<Write>,
) {
    let Some(session) = session else { return };
    // A message to oneself is in the archive once (XEP-0313 §4.1.1 lets a server choose).
    let id = if to.same_bare(&session.jid) || !archive_prefs::wants(server, &session.user, to).await
    {
        None
    } else {
        archive::entry(server, &session.user, stanza, to, now_millis(), |owner| {
            written.stored(owner)
        })
        .map(|entry| {
            let id = entry.id;
            writes.push(Write::Archive(entry));
            id
        })
    };
    if carbons::eligible(stanza) && !to.same_bare(&session.jid) {
        let mut copy = None;
        for other in server.directory.sessions(&session.user) {
            if other.id != session.id && other.state().carbons {
                let copy = copy
                    .get_or_insert_with(|| with_ns(&written.delivered(&session.jid.to_bare(), id)));
                other.send_xml(carbons::wrap("sent", stanza.type_attr(), copy, &other.jid));
            }
        }
    }
}

/// Give a message to those of an account's sessions that should have it, or note it for the next login. False: it does
/// not arrive, and the sender has been told.
async fn deliver(
    server: &Arc<Server>,
    stanza: &Stanza,
    written: &Written<'_>,
    to: &Jid,
    user: &str,
    writes: &mut Vec<Write>,
) -> bool {
    let mut sessions = server.directory.sessions(user);
    if sessions.is_empty() {
        if !exists(server, user).await {
            server
                .bounce(stanza, &StanzaError::new(Condition::ServiceUnavailable))
                .await;
            return false;
        }
        // Somebody may have logged in while the disk was asked.
        sessions = server.directory.sessions(user);
    }
    let kind = stanza.message_type();
    let views: Vec<_> = sessions.iter().map(|session| view(session, to)).collect();
    let storable = archive::may_store(stanza);
    let decision = decide::decide(
        kind,
        !to.is_bare(),
        &views,
        carbons::eligible(stanza),
        storable,
    );
    if let Some(condition) = decision.error {
        server.bounce(stanza, &condition.into()).await;
        return false;
    }
    let now = now_millis();
    let entry = if archive_prefs::wants(server, user, &stanza.from).await {
        archive::entry(server, user, stanza, &stanza.from, now, |owner| {
            written.stored(owner)
        })
    } else {
        None
    };
    let xml = written.delivered(&to.to_bare(), entry.as_ref().map(|e| e.id));
    let mut queued = Queued::whole(Arc::clone(&xml));
    for at in decision.deliver {
        sessions[at].send_copy(&mut queued);
    }
    if !decision.carbons.is_empty() {
        let copy = with_ns(&xml);
        for at in decision.carbons {
            let jid = &sessions[at].jid;
            sessions[at].send_xml(carbons::wrap("received", stanza.type_attr(), &copy, jid));
        }
    }
    if decision.offline && server.config.limits.offline_messages > 0 {
        writes.push(Write::Offline(OfflineEntry {
            user: user.to_owned(),
            stamp: now,
            stanza: with_ns(&xml),
            max: server.config.limits.offline_messages,
        }));
    }
    writes.extend(entry.map(Write::Archive));
    true
}

fn view(session: &Session, to: &Jid) -> decide::View {
    let state = session.state();
    decide::View {
        priority: state.presence.as_ref().map(|p| p.priority),
        addressed: session.jid == *to,
        carbons: state.carbons,
    }
}

async fn exists(server: &Server, user: &str) -> bool {
    match server.store.account(user).await {
        Ok(account) => account.is_some(),
        Err(error) => {
            tracing::warn!(user, %error, "cannot look an account up");
            true
        }
    }
}

/// A session has ended and left stanzas that its client never acknowledged: give messages to the account's other
/// sessions or keep them for the next login, and tell those who asked something that there is no answer (XEP-0198 §4).
pub async fn requeue(server: &Arc<Server>, session: &Session, left: Vec<Arc<str>>) {
    let mut others = server.directory.sessions(&session.user);
    others.retain(|s| s.presence().is_some_and(|p| p.priority >= 0));
    let mut writes = Vec::new();
    for xml in left {
        // Most of what is left is presence, which nobody keeps: it need not be read.
        if xml.starts_with("<presence") {
            continue;
        }
        let Some(stanza) = reread(&xml) else { continue };
        match stanza.kind {
            Kind::Iq => {
                server
                    .bounce(&stanza, &StanzaError::new(Condition::RecipientUnavailable))
                    .await
            }
            Kind::Presence => {}
            Kind::Message => {
                let personal = matches!(
                    stanza.message_type(),
                    MessageType::Chat | MessageType::Normal
                );
                if !personal
                    || carbons::unwrap(&stanza.element).is_some()
                    || !archive::may_store(&stanza)
                {
                    continue;
                }
                if !others.is_empty() {
                    // A message to the bare address, or a carbon copy, they have had.
                    let here_only = stanza.to.as_ref().is_some_and(|to| !to.is_bare());
                    let copied = carbons::eligible(&stanza);
                    for other in others.iter().filter(|s| !(copied && s.state().carbons)) {
                        if here_only {
                            other.send_xml(Arc::clone(&xml));
                        }
                    }
                } else {
                    writes.push(Write::Offline(OfflineEntry {
                        user: session.user.to_string(),
                        stamp: now_millis(),
                        stanza: stanza.element.to_xml(),
                        max: server.config.limits.offline_messages,
                    }));
                }
            }
        }
    }
    for write in writes {
        // One by one: a full queue must not take those that still fit with it.
        if let Err(error) = server.store.append(vec![write]).await.await {
            tracing::warn!(user = %session.user, %error, "cannot keep an unacknowledged message");
        }
    }
}

fn reread(xml: &str) -> Option<Stanza> {
    let element = read_client_xml(xml)?;
    let kind = Kind::of(&element)?;
    let from: Jid = element.attr("from")?.parse().ok()?;
    Stanza::stamp(kind, element, from).ok()
}

/// Read a stanza that was serialised for a stream of clients.
#[must_use]
pub fn read_client_xml(xml: &str) -> Option<Element> {
    let name_end = xml.find(|c: char| c.is_whitespace() || c == '/' || c == '>')?;
    let (start, rest) = xml.split_at(name_end);
    let limits = xml::Limits {
        stanza_bytes: usize::MAX,
        depth: 1000,
        elements: usize::MAX,
    };
    xml::parse_document(&format!("{start} xmlns='{}'{rest}", ns::CLIENT), limits).ok()
}
