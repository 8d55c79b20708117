//! A session's task: puts requests in order, holds them until there is something to say, and answers a request
//! that comes again with what it was answered before. How it ends is in [`super::ending`].

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use imd_proto::xml::StreamEvent;
use ring::digest;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::Instant;

use super::body::{Body, recoverable, response, terminate};
use super::ending::{Asked, End, Ending};
use super::transport::Out;
use super::{Incoming, header};
use crate::shutdown::Shutdown;

/// The longest that a request is held.
const MAX_WAIT: u64 = 60;
/// How long a client may have no request here.
const INACTIVITY: u64 = 60;
/// The longest silence that a client may ask for.
const MAX_PAUSE: u64 = 120;
/// Bytes that wait for the next request; beyond them the stream waits.
const WAITING_BYTES: usize = 512 * 1024;
/// How long the stream may take to end when the client has asked for it.
const GOODBYE: Duration = Duration::from_secs(15);

/// A request that waits for its answer.
pub(super) struct Held {
    pub(super) rid: u64,
    pub(super) reply: oneshot::Sender<String>,
    until: Instant,
}

/// A session.
pub(super) struct Session {
    sid: String,
    wait: Duration,
    hold: usize,
    /// The request that comes next.
    next: u64,
    /// Requests that came too early.
    early: BTreeMap<u64, Incoming>,
    held: VecDeque<Held>,
    /// The last answers, for requests that come again (XEP-0124 §14.3).
    answered: VecDeque<(u64, String)>,
    events: mpsc::Sender<StreamEvent>,
    /// What the stream has not taken yet.
    received: VecDeque<StreamEvent>,
    waiting: Vec<String>,
    waiting_bytes: usize,
    /// The stream's id, until the first response has told it.
    introduce: Option<String>,
    introduced: bool,
    /// No request has been here since.
    idle_from: Instant,
    inactivity: Duration,
    /// What the next key must hash to (XEP-0124 §15).
    key: Option<String>,
    /// The client has asked for the end, which the stream still has to come to, within this time.
    asked: Option<Asked>,
    goodbye: Duration,
    /// The session is over.
    end: Option<End>,
}

impl Session {
    /// A session that a request asks for; the request itself is still to come.
    pub(super) fn new(sid: String, body: &Body, events: mpsc::Sender<StreamEvent>) -> Self {
        Self {
            sid,
            wait: Duration::from_secs(body.wait.unwrap_or(MAX_WAIT).clamp(1, MAX_WAIT)),
            hold: body.hold.unwrap_or(1).min(1),
            next: body.rid,
            early: BTreeMap::new(),
            held: VecDeque::new(),
            answered: VecDeque::new(),
            events,
            received: VecDeque::from([header(body)]),
            waiting: Vec::new(),
            waiting_bytes: 0,
            introduce: None,
            introduced: false,
            idle_from: Instant::now(),
            inactivity: Duration::from_secs(INACTIVITY),
            key: None,
            asked: None,
            goodbye: GOODBYE,
            end: None,
        }
    }

    /// Requests that may be here at one time.
    fn window(&self) -> u64 {
        self.hold as u64 + 1
    }

    /// Run until the client or the stream ends it.
    pub(super) async fn run(
        mut self,
        shutdown: &Shutdown,
        lingering: &Semaphore,
        mut requests: mpsc::Receiver<Incoming>,
        mut stream: mpsc::Receiver<Out>,
    ) {
        let events = self.events.clone();
        while self.end.is_none() {
            let deadline = match (&self.asked, self.held.front()) {
                (Some(asked), _) => asked.until,
                (None, Some(held)) => held.until,
                (None, None) => self.idle_from + self.inactivity,
            };
            let room = self.asked.is_some() || self.waiting_bytes < WAITING_BYTES;
            tokio::select! {
                incoming = requests.recv(), if self.received.is_empty() => match incoming {
                    Some(incoming) => self.take(incoming),
                    None => self.end = Some(End::Silent),
                },
                permit = events.reserve(), if !self.received.is_empty() => match permit {
                    Ok(permit) => if let Some(event) = self.received.pop_front() {
                        permit.send(event);
                    },
                    // The stream has ended and is about to say why.
                    Err(_) => self.received.clear(),
                },
                out = stream.recv(), if room => {
                    self.said(out);
                    while let Ok(out) = stream.try_recv() {
                        self.said(Some(out));
                    }
                    self.answer_waiting();
                },
                () = tokio::time::sleep_until(deadline) => self.time_out(),
            }
        }
        // The stream hears that nobody is there any more.
        drop((events, self.events));
        let mut last: Vec<_> = self.held.into_iter().collect();
        last.extend(self.early.into_values().map(|incoming| Held {
            rid: incoming.body.rid,
            reply: incoming.reply,
            until: Instant::now(),
        }));
        let ending = Ending {
            why: self.end.unwrap_or(End::Closed),
            asked: self.asked.map(|asked| asked.rid),
            waiting: self.waiting,
            answered: self.answered,
        };
        let ended = ending.tell(last);
        // During a shutdown nobody comes back, and one too many that might is not waited for.
        if let Ok(_place) = lingering.try_acquire() {
            tokio::select! {
                () = ended.linger(requests) => {}
                () = shutdown.requested() => {}
            }
        }
    }

    /// A request has come.
    fn take(&mut self, incoming: Incoming) {
        let rid = incoming.body.rid;
        if rid < self.next {
            return self.again(incoming);
        }
        if rid >= self.next + self.window() {
            self.end = Some(End::Refused(rid));
            return self.hold_for_end(incoming);
        }
        self.early.insert(rid, incoming);
        while let Some(incoming) = self.early.remove(&self.next) {
            self.next += 1;
            self.process(incoming);
            if self.end.is_some() {
                return;
            }
        }
    }

    /// A request has come again, because its response was lost on the way.
    fn again(&mut self, incoming: Incoming) {
        let rid = incoming.body.rid;
        if let Some(held) = self.held.iter_mut().find(|held| held.rid == rid) {
            let lost = std::mem::replace(&mut held.reply, incoming.reply);
            // Nobody reads this, unless the client believed its connection to be broken too soon.
            let _ = lost.send(recoverable());
        } else if let Some((_, text)) = self.answered.iter().find(|(known, _)| *known == rid) {
            // Whoever asked may be gone again.
            let _ = incoming.reply.send(text.clone());
        } else {
            self.end = Some(End::Refused(rid));
            self.hold_for_end(incoming);
        }
    }

    fn hold_for_end(&mut self, incoming: Incoming) {
        self.held.push_back(Held {
            rid: incoming.body.rid,
            reply: incoming.reply,
            until: Instant::now(),
        });
    }

    /// Take what a request brings, in its turn.
    fn process(&mut self, incoming: Incoming) {
        let Incoming { body, reply } = incoming;
        if self.asked.is_some() {
            return self.too_late(body.rid, reply);
        }
        if !self.key_fits(&body) {
            self.end = Some(End::Refused(body.rid));
        }
        self.inactivity = Duration::from_secs(INACTIVITY);
        self.idle_from = Instant::now();
        if body.restart {
            self.received.push_back(header(&body));
        }
        let (rid, until) = (body.rid, Instant::now() + self.wait);
        self.held.push_back(Held { rid, reply, until });
        if self.end.is_some() {
            // What a request brings that is not of this session reaches nobody.
            return;
        }
        self.received
            .extend(body.payloads.into_iter().map(StreamEvent::Stanza));
        if body.terminate {
            return self.terminate(rid);
        }
        if let Some(pause) = body.pause.filter(|_| self.introduced) {
            return self.pause(pause);
        }
        self.answer_waiting();
        if self.introduced || self.introduce.is_some() {
            // The first answer tells the session's id, which the stream has to make first.
            self.answer_all_but(self.hold);
        }
    }

    /// The client will be silent (XEP-0124 §10): everything held is answered, this request without payloads.
    fn pause(&mut self, seconds: u64) {
        self.inactivity = Duration::from_secs(seconds.clamp(1, MAX_PAUSE));
        self.answer_all_but(1);
        if let Some(pause) = self.held.pop_front() {
            self.reply(pause, response(&[], &[]));
        }
    }

    /// The client ends its session (XEP-0124 §13): what it holds is answered first, and this request when the stream
    /// has ended.
    fn terminate(&mut self, rid: u64) {
        self.received.push_back(StreamEvent::Close);
        self.answer_all_but(1);
        let until = Instant::now() + self.goodbye;
        self.asked = Some(Asked { rid, until });
    }

    /// A request after the one that ended the session: it is answered after that one.
    fn too_late(&mut self, rid: u64, reply: oneshot::Sender<String>) {
        if self.held.len() as u64 > self.window() {
            let _ = reply.send(terminate("item-not-found"));
            return;
        }
        let until = Instant::now();
        self.held.push_back(Held { rid, reply, until });
    }

    /// XEP-0124 §15: each key is what the one before it was made of.
    fn key_fits(&mut self, body: &Body) -> bool {
        if let Some(wanted) = &self.key {
            let Some(key) = &body.key else { return false };
            let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, key.as_bytes());
            let hash: String = hash.as_ref().iter().map(|b| format!("{b:02x}")).collect();
            if hash != *wanted {
                return false;
            }
            self.key = Some(key.clone());
        }
        if let Some(new) = &body.new_key {
            self.key = Some(new.clone());
        }
        true
    }

    /// The stream has said something, or is gone.
    fn said(&mut self, out: Option<Out>) {
        match out {
            Some(Out::Open(id)) if !self.introduced => self.introduce = Some(id),
            Some(Out::Open(_)) => {}
            // The client has gone and no request takes what waits any more.
            Some(Out::Xml(_)) if self.asked.is_some() && self.waiting_bytes >= WAITING_BYTES => {}
            Some(Out::Xml(xml)) => {
                self.waiting_bytes += xml.len();
                self.waiting.push(xml);
            }
            Some(Out::Error(xml)) => {
                self.waiting.push(xml);
                self.end = Some(End::StreamError);
            }
            Some(Out::Close) | None => self.end = self.end.or(Some(End::Closed)),
        }
    }

    /// Answer the oldest request, if there is something to say.
    fn answer_waiting(&mut self) {
        let open = self.end.is_none() && self.asked.is_none();
        if open && !self.waiting.is_empty() && !self.held.is_empty() {
            self.answer();
        }
    }

    /// Answer the oldest requests, until this many are held.
    fn answer_all_but(&mut self, hold: usize) {
        while self.held.len() > hold {
            self.answer();
        }
    }

    /// Answer the oldest request with whatever waits.
    fn answer(&mut self) {
        let Some(held) = self.held.pop_front() else {
            return;
        };
        let payloads = std::mem::take(&mut self.waiting);
        self.waiting_bytes = 0;
        let text = match self.introduce.take() {
            Some(id) => self.introduction(&id, &payloads),
            None => response(&[], &payloads),
        };
        self.reply(held, text);
    }

    fn reply(&mut self, held: Held, text: String) {
        self.answered.push_back((held.rid, text.clone()));
        while self.answered.len() as u64 > self.window() {
            self.answered.pop_front();
        }
        // When the client has gone, it asks for this request again.
        let _ = held.reply.send(text);
        self.idle_from = Instant::now();
    }

    /// XEP-0124 §7.2, XEP-0206 §4.
    fn introduction(&mut self, id: &str, payloads: &[String]) -> String {
        self.introduced = true;
        let (wait, hold) = (self.wait.as_secs().to_string(), self.hold.to_string());
        let requests = self.window().to_string();
        let attributes = [
            ("sid", self.sid.as_str()),
            ("authid", id),
            ("wait", &wait),
            ("hold", &hold),
            ("requests", &requests),
            ("inactivity", &INACTIVITY.to_string()),
            ("maxpause", &MAX_PAUSE.to_string()),
            ("ver", "1.11"),
            ("xmpp:version", "1.0"),
            ("xmpp:restartlogic", "true"),
        ];
        response(&attributes, payloads)
    }

    /// A held request has waited long enough, or there is none and the client is gone, or its stream does not end.
    fn time_out(&mut self) {
        if self.asked.is_some() {
            self.end = Some(End::Closed);
        } else if self.held.is_empty() {
            self.end = Some(End::Silent);
        } else {
            self.answer();
        }
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
