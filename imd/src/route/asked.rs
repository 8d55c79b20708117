//! What the server itself asks of clients and other servers: who has been asked, and the answer when it comes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use imd_proto::{Jid, Stanza};
use tokio::sync::oneshot;

use crate::server::Server;

/// Questions that wait for an answer at one time; more are not asked.
const WAITING: usize = 10_000;

/// Questions that wait for an answer.
#[derive(Debug, Default)]
pub struct Asked {
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    /// By id: who was asked, and who wants to know.
    questions: HashMap<String, (Jid, oneshot::Sender<Stanza>)>,
    /// No answer is waited for any more.
    closed: bool,
}

impl Asked {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The server stops: those who wait get no answer, and nothing is asked any more.
    pub fn close(&self) {
        let mut waiting = self.lock();
        waiting.closed = true;
        waiting.questions.clear();
    }

    /// Take an answer to whoever waits for it. Only who was asked can answer.
    pub fn answered(&self, answer: Stanza) {
        let Some(id) = answer.id() else { return };
        let questions = &mut self.lock().questions;
        if questions
            .get(id)
            .is_some_and(|(from, _)| *from == answer.from)
            && let Some((_, sender)) = questions.remove(id)
        {
            // Whoever asked may have given up.
            let _ = sender.send(answer);
        }
    }
}

/// Send an IQ request and wait for its answer, of type `result` or `error`. `None`: none came in time, too many wait,
/// or the server stops.
/// The request needs an id that nobody can guess.
pub async fn ask(server: &Arc<Server>, request: Stanza, patience: Duration) -> Option<Stanza> {
    let id = request.id()?.to_owned();
    let (sender, receiver) = oneshot::channel();
    {
        let mut waiting = server.asked.lock();
        if waiting.closed || waiting.questions.len() >= WAITING {
            return None;
        }
        let to = request.to.clone()?;
        waiting.questions.insert(id.clone(), (to, sender));
    }
    let _ = Box::pin(super::stanza(server, request, None)).await;
    let answer = tokio::time::timeout(patience, receiver).await;
    server.asked.lock().questions.remove(&id);
    answer.ok()?.ok()
}
