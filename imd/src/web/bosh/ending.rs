//! The end of a session (XEP-0124 §13, §17.2): every request that is here hears of it, in the order of the request
//! ids, and for a while a request that comes later does.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Incoming;
use super::body::{ending, terminate};
use super::session::Held;

/// How long a session that is over can be found.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Why a session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The stream is closed, in order.
    Closed,
    /// The stream has ended with an error, which is the last of what waits.
    StreamError,
    /// The request with this id cannot belong to the session.
    Refused(u64),
    /// The client was silent for too long.
    Silent,
}

/// The client's wish to end its session.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    /// The request that had it.
    pub(super) rid: u64,
    /// When the stream is not waited for any longer.
    pub(super) until: Instant,
}

/// A session at its end.
pub(super) struct Ending {
    pub(super) why: End,
    /// The request with which the client ended it.
    pub(super) asked: Option<u64>,
    /// What no request has taken.
    pub(super) waiting: Vec<String>,
    /// The last answers.
    pub(super) answered: VecDeque<(u64, String)>,
}

impl Ending {
    /// Answer the requests that are here. What waits goes out with the first of them, once.
    pub(super) fn tell(mut self, mut requests: Vec<Held>) -> Ended {
        requests.sort_by_key(|held| held.rid);
        let mut told = false;
        for held in requests {
            let text = self.last_word(held.rid, !told);
            told |= held.reply.send(text.clone()).is_ok();
            self.answered.push_back((held.rid, text));
        }
        let unsaid = (!told).then(|| self.last_word(u64::MAX, true));
        Ended {
            answered: self.answered,
            unsaid: unsaid.filter(|_| matches!(self.why, End::Closed | End::StreamError)),
        }
    }

    /// What a request is answered; `first`: none has heard of the end yet.
    fn last_word(&mut self, rid: u64, first: bool) -> String {
        let condition = match self.why {
            End::Silent => Some("item-not-found"),
            End::Refused(refused) if refused == rid => return terminate("item-not-found"),
            _ if self.asked == Some(rid) => None,
            End::Refused(_) => Some("other-request"),
            End::StreamError if first => Some("remote-stream-error"),
            End::StreamError => Some("other-request"),
            End::Closed if self.asked.is_some_and(|asked| asked < rid) && !first => {
                Some("item-not-found")
            }
            End::Closed => None,
        };
        ending(condition, &std::mem::take(&mut self.waiting))
    }
}

/// A session that is over.
pub(super) struct Ended {
    answered: VecDeque<(u64, String)>,
    /// What the next request is answered, when none has heard of the end.
    unsaid: Option<String>,
}

impl Ended {
    /// Answer what still comes, for a while: a response that was lost once more, and the end.
    pub(super) async fn linger(mut self, mut requests: mpsc::Receiver<Incoming>) {
        let until = Instant::now() + LAST_WORDS;
        while let Ok(Some(incoming)) = tokio::time::timeout_at(until, requests.recv()).await {
            let rid = incoming.body.rid;
            let before = self.answered.iter().find(|(known, _)| *known == rid);
            let text = match (before, self.unsaid.take_if(|_| before.is_none())) {
                (Some((_, text)), _) => text.clone(),
                (None, Some(text)) => {
                    self.answered.push_back((rid, text.clone()));
                    text
                }
                (None, None) => terminate("item-not-found"),
            };
            // Whoever asked may be gone again.
            let _ = incoming.reply.send(text);
        }
    }
}
