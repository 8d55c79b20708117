//! What the server itself asks of clients and other servers: who has been asked, and the answer when it comes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use imd_proto::{Jid, Stanza};
use tokio::sync::oneshot;

use crate::server::Server;

/// Questions that wait for an answer at one time; more are not asked.
const WAITING: usize = 10_000;

/// Questions that wait for an answer, by id.
#[derive(Debug, Default)]
pub struct Asked {
    waiting: Mutex<HashMap<String, (Jid, oneshot::Sender<Stanza>)>>,
}

impl Asked {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, (Jid, oneshot::Sender<Stanza>)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Take an answer to whoever waits for it. Only who was asked can answer.
    pub fn answered(&self, answer: Stanza) {
        let Some(id) = answer.id() else { return };
        let mut waiting = self.lock();
        if waiting
            .get(id)
            .is_some_and(|(from, _)| *from == answer.from)
            && let Some((_, sender)) = waiting.remove(id)
        {
            // Whoever asked may have given up.
            let _ = sender.send(answer);
        }
    }
}

/// Send an IQ request and wait for its answer, of type `result` or `error`. `None`: none came in time, or too many wait.
/// The request needs an id that nobody can guess.
pub async fn ask(server: &Arc<Server>, request: Stanza, patience: Duration) -> Option<Stanza> {
    let id = request.id()?.to_owned();
    let (sender, receiver) = oneshot::channel();
    {
        let mut waiting = server.asked.lock();
        if waiting.len() >= WAITING {
            return None;
        }
        waiting.insert(id.clone(), (request.to.clone()?, sender));
    }
    let _ = Box::pin(super::stanza(server, request, None)).await;
    let answer = tokio::time::timeout(patience, receiver).await;
    server.asked.lock().remove(&id);
    answer.ok()?.ok()
}
