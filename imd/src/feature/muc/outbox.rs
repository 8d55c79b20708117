//! The one order in which a room speaks: what is queued first is delivered first, and nothing before its commit.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use imd_proto::{Jid, Kind, Stanza};
use imd_store::{ArchiveId, Commit, StoreError};
use tokio::sync::oneshot;

use super::announce::Notice;
use super::delivery::{Delivery, Effects};
use super::join;
use super::registry::Handle;
use crate::feature::push;
use crate::route;
use crate::server::Server;
use crate::session::Queued;

/// Recipients that are dealt with before others have their turn.
const IN_A_ROW: usize = 32;

/// What one event sends.
struct Batch {
    commit: Option<Commit>,
    /// The archived message, to be forgotten if it never reaches the disk.
    id: Option<ArchiveId>,
    deliveries: Vec<Delivery>,
    /// Whoever waits for the delivery.
    done: Option<oneshot::Sender<imd_store::Result<()>>>,
}

#[derive(Default)]
struct Queue {
    batches: VecDeque<Batch>,
    running: bool,
}

/// What a room has yet to send.
#[derive(Default)]
pub struct Outbox {
    queue: Mutex<Queue>,
}

impl Outbox {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        !self.lock().running
    }
}

/// Send what follows from an event, in its turn. To be called while the room's state is held, so that the order of events
/// is the order of deliveries. The commit resolves when the deliveries are made; absent when nothing had
/// to be on the disk.
pub async fn send(server: &Arc<Server>, handle: &Arc<Handle>, effects: Effects) -> Option<Commit> {
    if effects.deliveries.is_empty() && effects.archive.is_empty() {
        return None;
    }
    let id = effects.archive.first().map(|entry| entry.id);
    let mut deliveries = effects.deliveries;
    if id.is_none() && handle.outbox.is_idle() {
        // Nothing to wait for, as with nearly all presence: clients of this server get theirs at once.
        deliveries = deliver_here(server, handle, deliveries);
        if deliveries.is_empty() {
            return None;
        }
    }
    let writes: Vec<_> = effects
        .archive
        .into_iter()
        .map(imd_store::Write::Archive)
        .collect();
    let commit = if writes.is_empty() {
        None
    } else {
        server.load.messages.fetch_add(1, Ordering::Relaxed);
        Some(server.store.append(writes).await)
    };
    enqueue(server, handle, commit.map(|c| (c, id)), deliveries)
}

/// Queue deliveries, with the commit that they wait for and the id of what it commits.
fn enqueue(
    server: &Arc<Server>,
    handle: &Arc<Handle>,
    commit: Option<(Commit, Option<ArchiveId>)>,
    deliveries: Vec<Delivery>,
) -> Option<Commit> {
    let (mut done, mut waits) = (None, None);
    if commit.is_some() {
        let (sender, receiver) = oneshot::channel();
        done = Some(sender);
        let lost = StoreError::Closed {
            path: server.config.data_dir.clone(),
        };
        waits = Some(Commit::waiting(receiver, lost));
    }
    let (commit, id) = match commit {
        Some((commit, id)) => (Some(commit), id),
        None => (None, None),
    };
    let start = {
        let mut queue = handle.outbox.lock();
        queue.batches.push_back(Batch {
            commit,
            id,
            deliveries,
            done,
        });
        !std::mem::replace(&mut queue.running, true)
    };
    if start {
        tokio::spawn(drain(Arc::clone(server), Arc::clone(handle)));
    }
    waits
}

async fn drain(server: Arc<Server>, handle: Arc<Handle>) {
    loop {
        let batch = {
            let mut queue = handle.outbox.lock();
            match queue.batches.pop_front() {
                Some(batch) => batch,
                None => {
                    queue.running = false;
                    queue.batches = VecDeque::new();
                    break;
                }
            }
        };
        let outcome = match batch.commit {
            Some(commit) => commit.await,
            None => Ok(()),
        };
        if outcome.is_ok() {
            let mut ghosts = Vec::new();
            for delivery in &batch.deliveries {
                let mut missed = Missed::default();
                deliver(&server, delivery, &mut missed).await;
                wake(&server, delivery, missed.asleep);
                ghosts.extend(missed.ghosts);
            }
            bury(&server, &handle, ghosts);
        } else if let Some(id) = batch.id
            && let Some(room) = handle.state.lock().await.as_mut()
        {
            room.history.remove(id);
        }
        if let Some(done) = batch.done {
            // The session that waited may be gone.
            let _ = done.send(outcome);
        }
    }
    server.rooms.registry.release(&handle);
}

/// Deliver to clients of this server, up to the first recipient who is none; gives back what is left.
fn deliver_here(
    server: &Arc<Server>,
    handle: &Arc<Handle>,
    deliveries: Vec<Delivery>,
) -> Vec<Delivery> {
    let mut ghosts = Vec::new();
    let mut left = Vec::new();
    for mut delivery in deliveries {
        let here = delivery
            .to
            .iter()
            .take_while(|to| left.is_empty() && is_client_here(server, to))
            .count();
        let elsewhere = delivery.to.split_off(here);
        let mut missed = Missed::default();
        let mut stanza = delivery.queued();
        for to in &delivery.to {
            deliver_to_client(server, &delivery, &mut stanza, to, &mut missed);
        }
        wake(server, &delivery, missed.asleep);
        ghosts.extend(missed.ghosts);
        if !elsewhere.is_empty() {
            delivery.to = elsewhere;
            left.push(delivery);
        }
    }
    bury(server, handle, ghosts);
    left
}

/// Clients of this server that a delivery did not reach, or not their people.
#[derive(Default)]
struct Missed {
    /// Not there any more.
    ghosts: Vec<Jid>,
    /// Nobody looks at them.
    asleep: Vec<Arc<str>>,
}

fn is_client_here(server: &Server, jid: &Jid) -> bool {
    server.is_local_account(jid) && !jid.is_bare()
}

fn deliver_to_client(
    server: &Server,
    delivery: &Delivery,
    stanza: &mut Queued,
    to: &Jid,
    missed: &mut Missed,
) {
    let Some(session) = server.directory.session(to) else {
        return missed.ghosts.push(to.clone());
    };
    session.send_copy(stanza);
    if delivery.wakes && push::sleeps(Some(&session)) {
        missed.asleep.push(Arc::clone(&session.user));
    }
}

/// Wake the clients of people who sleep (XEP-0357), beside the room's order.
fn wake(server: &Arc<Server>, delivery: &Delivery, mut asleep: Vec<Arc<str>>) {
    if asleep.is_empty() {
        return;
    }
    asleep.dedup();
    let (server, xml) = (Arc::clone(server), Arc::clone(&delivery.xml));
    tokio::spawn(async move {
        if let Some(message) = route::read_client_xml(&xml) {
            for user in asleep {
                push::room_message(&server, &user, &message).await;
            }
        }
    });
}

/// Deliver to all recipients. The room speaks in its order all the same when others have their turn in between: `running`
/// says that whatever comes meanwhile has to be queued.
async fn deliver(server: &Arc<Server>, delivery: &Delivery, missed: &mut Missed) {
    let mut parsed = None;
    let mut stanza = delivery.queued();
    for (number, to) in delivery.to.iter().enumerate() {
        if number % IN_A_ROW == IN_A_ROW - 1 {
            tokio::task::yield_now().await;
        }
        if is_client_here(server, to) {
            deliver_to_client(server, delivery, &mut stanza, to, missed);
            continue;
        }
        // Elsewhere, and to accounts: by the way of all stanzas.
        let element = parsed.get_or_insert_with(|| route::read_client_xml(&delivery.xml));
        if let Some(element) = element
            && let Some(kind) = Kind::of(element)
            && let Some(from) = element.attr("from").and_then(|from| from.parse().ok())
            && let Ok(mut stanza) = Stanza::stamp(kind, element.clone(), from)
        {
            stanza.set_to(to.clone());
            let _ = Box::pin(route::stanza(server, stanza, None)).await;
        }
    }
}

/// Take clients that have gone without a word out of the room.
fn bury(server: &Arc<Server>, handle: &Arc<Handle>, ghosts: Vec<Jid>) {
    if ghosts.is_empty() {
        return;
    }
    let (server, handle) = (Arc::clone(server), Arc::clone(handle));
    tokio::spawn(async move {
        let mut slot = handle.state.lock().await;
        let Some(room) = slot.as_mut() else { return };
        for ghost in ghosts {
            // It may have come back in the meantime.
            if server.directory.session(&ghost).is_none() {
                let effects = join::leave(room, &ghost, &[], &Notice::code(333));
                send(&server, &handle, effects).await;
            }
        }
        server.rooms.tidy(&server, &handle, &mut slot).await;
        drop(slot);
        server.rooms.registry.release(&handle);
    });
}

#[cfg(test)]
#[path = "outbox_tests.rs"]
mod tests;
