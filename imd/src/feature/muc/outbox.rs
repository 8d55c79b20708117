//! The one order in which a room speaks: each recipient gets what is sent in the order of the events.
//!
//! Delivery does not wait for the disk. Only the author does, to whom the own message says that it is kept (XEP-0045 §7.4), and with
//! it everything that the author's client gets after it, so that nothing overtakes. There are two queues for that: one for those who
//! need not wait, and one in which each batch has the commit that is waited for.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use imd_proto::Jid;
use imd_store::{ArchiveId, Commit, StoreError};
use tokio::sync::oneshot;

use super::delivery::{Delivery, Effects};
use super::fan_out::{self, IN_A_ROW};
use super::registry::Handle;
use crate::server::Server;

/// A step of those who need not wait for the disk.
enum Step {
    Deliver(Vec<Delivery>),
    /// Everything before this has been delivered: who begins to wait for the disk gets nothing before it.
    Mark(oneshot::Sender<()>),
}

/// What one event sends to those who wait for the disk.
struct Batch {
    commit: Option<Commit>,
    /// The archived message, to be forgotten if it never reaches the disk.
    id: Option<ArchiveId>,
    /// What came before has been delivered; absent when nothing was on its way.
    turn: Option<oneshot::Receiver<()>>,
    deliveries: Vec<Delivery>,
    /// Whoever waits for the delivery.
    done: Option<oneshot::Sender<imd_store::Result<()>>>,
}

#[derive(Default)]
struct Queue {
    steps: VecDeque<Step>,
    /// A task works at the steps.
    delivering: bool,
    batches: VecDeque<Batch>,
    /// A task works at the batches.
    confirming: bool,
    /// The clients in `batches`, and the one that is being dealt with, with the number of copies for each.
    held: HashMap<Jid, usize>,
}

impl Queue {
    /// Take out what is for the author of a message or for others who wait already.
    fn hold(&mut self, deliveries: &mut Vec<Delivery>, author: Option<&Jid>) -> Vec<Delivery> {
        if author.is_none() && self.held.is_empty() {
            return Vec::new();
        }
        let mut waiting = Vec::new();
        for delivery in &mut *deliveries {
            let (later, now): (Vec<_>, Vec<_>) = if self.held.is_empty() {
                // As nearly always: one of many is looked for, and the others are not touched.
                let mut now = std::mem::take(&mut delivery.to);
                let at = now.iter().position(|to| Some(to) == author);
                (at.map(|at| now.remove(at)).into_iter().collect(), now)
            } else {
                std::mem::take(&mut delivery.to)
                    .into_iter()
                    .partition(|to| Some(to) == author || self.held.contains_key(to))
            };
            delivery.to = now;
            for to in &later {
                *self.held.entry(to.clone()).or_default() += 1;
            }
            if !later.is_empty() {
                waiting.push(Delivery {
                    to: later,
                    ..delivery.clone()
                });
            }
        }
        deliveries.retain(|delivery| !delivery.to.is_empty());
        waiting
    }

    /// Those who got these wait for them no more.
    fn let_go(&mut self, deliveries: &[Delivery]) {
        for to in deliveries.iter().flat_map(|delivery| &delivery.to) {
            if let Some(copies) = self.held.get_mut(to) {
                *copies -= 1;
                if *copies == 0 {
                    self.held.remove(to);
                }
            }
        }
        if self.held.is_empty() {
            self.held = HashMap::new();
        }
    }
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

    fn next_step(&self) -> Option<Step> {
        let mut queue = self.lock();
        let Queue {
            steps, delivering, ..
        } = &mut *queue;
        next(steps, delivering)
    }

    fn next_batch(&self) -> Option<Batch> {
        let mut queue = self.lock();
        let Queue {
            batches,
            confirming,
            ..
        } = &mut *queue;
        next(batches, confirming)
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        let queue = self.lock();
        !queue.delivering && !queue.confirming
    }
}

/// What is first in a queue. When there is nothing, the task at work ends, and whoever puts something in begins another.
fn next<T>(waiting: &mut VecDeque<T>, at_work: &mut bool) -> Option<T> {
    let first = waiting.pop_front();
    if first.is_none() {
        *at_work = false;
        *waiting = VecDeque::new();
    }
    first
}

/// Send what follows from an event, in its turn. To be called while the room's state is held, so that the order of events
/// is the order of deliveries. The commit resolves when the author has got the message back; absent when nothing had
/// to be on the disk.
pub async fn send(server: &Arc<Server>, handle: &Arc<Handle>, effects: Effects) -> Option<Commit> {
    let Effects {
        archive,
        deliveries,
        author,
    } = effects;
    let id = archive.first().map(|entry| entry.id);
    let writes: Vec<_> = archive.into_iter().map(imd_store::Write::Archive).collect();
    let commit = if writes.is_empty() {
        None
    } else {
        server.load.messages.fetch_add(1, Ordering::Relaxed);
        Some(server.store.append(writes).await)
    };
    enqueue(server, handle, commit, id, author.as_ref(), deliveries)
}

/// Deliver to those who need not wait, and let the others wait for the commit.
fn enqueue(
    server: &Arc<Server>,
    handle: &Arc<Handle>,
    commit: Option<Commit>,
    id: Option<ArchiveId>,
    author: Option<&Jid>,
    mut deliveries: Vec<Delivery>,
) -> Option<Commit> {
    let mut waits = None;
    // Presence goes where it goes at once; a message to many lets others have their turn in between.
    let many: usize = deliveries.iter().map(|delivery| delivery.to.len()).sum();
    let at_once = commit.is_none() || many <= IN_A_ROW;
    let idle = {
        let mut queue = handle.outbox.lock();
        let held = queue.hold(&mut deliveries, author.filter(|_| commit.is_some()));
        if commit.is_some() || !held.is_empty() {
            let mut done = None;
            if commit.is_some() {
                let (sender, receiver) = oneshot::channel();
                done = Some(sender);
                let lost = StoreError::Closed {
                    path: server.config.data_dir.clone(),
                };
                waits = Some(Commit::waiting(receiver, lost));
            }
            let mut turn = None;
            if queue.delivering && !held.is_empty() {
                let (sender, receiver) = oneshot::channel();
                queue.steps.push_back(Step::Mark(sender));
                turn = Some(receiver);
            }
            queue.batches.push_back(Batch {
                commit,
                id,
                turn,
                deliveries: held,
                done,
            });
            if !std::mem::replace(&mut queue.confirming, true) {
                tokio::spawn(confirm(Arc::clone(server), Arc::clone(handle)));
            }
        }
        !queue.delivering
    };
    if idle && at_once {
        // Nothing is on its way to them, and the room's state is held: it stays so until these have theirs.
        deliveries = fan_out::deliver_here(server, handle, deliveries);
    }
    if !deliveries.is_empty() {
        let mut queue = handle.outbox.lock();
        queue.steps.push_back(Step::Deliver(deliveries));
        if !std::mem::replace(&mut queue.delivering, true) {
            tokio::spawn(take_steps(Arc::clone(server), Arc::clone(handle)));
        }
    }
    waits
}

/// Deliver to those who need not wait, until nothing is left.
async fn take_steps(server: Arc<Server>, handle: Arc<Handle>) {
    while let Some(step) = handle.outbox.next_step() {
        match step {
            Step::Deliver(deliveries) => fan_out::deliver(&server, &handle, &deliveries).await,
            // The batch may have been dropped with its runtime.
            Step::Mark(turn) => drop(turn.send(())),
        }
    }
    server.rooms.registry.release(&handle);
}

/// Give authors their messages when they are on the disk, until nothing is left.
async fn confirm(server: Arc<Server>, handle: Arc<Handle>) {
    while let Some(batch) = handle.outbox.next_batch() {
        if let Some(turn) = batch.turn {
            // Whoever was to give the turn is gone only with everything else.
            let _ = turn.await;
        }
        let outcome = match batch.commit {
            Some(commit) => commit.await,
            None => Ok(()),
        };
        if outcome.is_ok() {
            fan_out::deliver(&server, &handle, &batch.deliveries).await;
        } else if let Some(id) = batch.id
            && let Some(room) = handle.state.lock().await.as_mut()
        {
            room.history.remove(id);
        }
        handle.outbox.lock().let_go(&batch.deliveries);
        if let Some(done) = batch.done {
            // The session that waited may be gone.
            let _ = done.send(outcome);
        }
    }
    server.rooms.registry.release(&handle);
}

#[cfg(test)]
#[path = "outbox_tests.rs"]
mod tests;
