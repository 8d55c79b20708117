//! Bringing a room's stanzas to their recipients: clients of this server, and everybody else by the way of all stanzas.

use std::sync::Arc;

use imd_proto::{Jid, Kind, Stanza};

use super::announce::Notice;
use super::delivery::Delivery;
use super::registry::Handle;
use super::{join, outbox};
use crate::feature::push;
use crate::route;
use crate::server::Server;
use crate::session::Queued;

/// Recipients that are dealt with before others have their turn.
pub const IN_A_ROW: usize = 32;

/// Deliver to clients of this server; gives back what is for others.
pub fn deliver_here(
    server: &Arc<Server>,
    handle: &Arc<Handle>,
    deliveries: Vec<Delivery>,
) -> Vec<Delivery> {
    let mut ghosts = Vec::new();
    let mut left = Vec::new();
    for mut delivery in deliveries {
        let mut missed = Missed::default();
        let mut stanza = delivery.queued();
        let (here, elsewhere): (Vec<_>, Vec<_>) = std::mem::take(&mut delivery.to)
            .into_iter()
            .partition(|to| is_client_here(server, to));
        for to in &here {
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

/// Deliver to all recipients, and let others have their turn in between.
pub async fn deliver(server: &Arc<Server>, handle: &Arc<Handle>, deliveries: &[Delivery]) {
    let mut ghosts = Vec::new();
    let mut in_a_row = 0;
    for delivery in deliveries {
        let mut missed = Missed::default();
        deliver_one(server, delivery, &mut in_a_row, &mut missed).await;
        wake(server, delivery, missed.asleep);
        ghosts.extend(missed.ghosts);
    }
    bury(server, handle, ghosts);
}

async fn deliver_one(
    server: &Arc<Server>,
    delivery: &Delivery,
    in_a_row: &mut usize,
    missed: &mut Missed,
) {
    let mut parsed = None;
    let mut stanza = delivery.queued();
    for to in &delivery.to {
        *in_a_row += 1;
        if in_a_row.is_multiple_of(IN_A_ROW) {
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
                outbox::send(&server, &handle, effects).await;
            }
        }
        server.rooms.tidy(&server, &handle, &mut slot).await;
        drop(slot);
        server.rooms.registry.release(&handle);
    });
}
