//! A session's task: puts requests in order, holds them until there is something to say, and answers a request
//! that comes again with what it was answered before.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use imd_proto::xml::StreamEvent;
use ring::digest;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::body::{Body, response, terminate};
use super::transport::Out;
use super::{Incoming, header};
use crate::server::Server;

/// The longest that a request is held.
const MAX_WAIT: u64 = 60;
/// How long a client may have no request here.
const INACTIVITY: u64 = 60;
/// The longest silence that a client may ask for.
const MAX_PAUSE: u64 = 120;
/// Bytes that wait for the next request; beyond them the stream waits.
const WAITING_BYTES: usize = 512 * 1024;
/// How long the end of a session is kept for a request that hears of it.
const LAST_WORDS: Duration = Duration::from_secs(5);

struct Held {
    rid: u64,
    reply: oneshot::Sender<String>,
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
    /// The session is over, with this condition; an empty one: in order.
    end: Option<&'static str>,
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
        server: &Arc<Server>,
        mut requests: mpsc::Receiver<Incoming>,
        mut stream: mpsc::Receiver<Out>,
    ) {
        let events = self.events.clone();
        while self.end.is_none() {
            let deadline = match self.held.front() {
                Some(held) => held.until,
                None => self.idle_from + self.inactivity,
            };
            let room = self.waiting_bytes < WAITING_BYTES;
            tokio::select! {
                incoming = requests.recv(), if self.received.is_empty() => match incoming {
                    Some(incoming) => self.take(incoming),
                    None => return,
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
        drop(events);
        self.finish(server, requests).await;
    }

    /// A request has come.
    fn take(&mut self, incoming: Incoming) {
        let rid = incoming.body.rid;
        if rid < self.next {
            return self.again(incoming);
        }
        if rid >= self.next + self.window() {
            self.end = Some("item-not-found");
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
            held.reply = incoming.reply;
        } else if let Some((_, text)) = self.answered.iter().find(|(known, _)| *known == rid) {
            // Whoever asked may be gone again.
            let _ = incoming.reply.send(text.clone());
        } else {
            self.end = Some("item-not-found");
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
        if !self.key_fits(&body) {
            self.end = Some("item-not-found");
        }
        self.inactivity = Duration::from_secs(INACTIVITY);
        self.idle_from = Instant::now();
        if body.restart {
            self.received.push_back(header(&body));
        }
        let held = Held {
            rid: body.rid,
            reply,
            until: Instant::now() + self.wait,
        };
        self.held.push_back(held);
        self.received
            .extend(body.payloads.into_iter().map(StreamEvent::Stanza));
        if body.terminate {
            self.received.push_back(StreamEvent::Close);
        }
        if let Some(pause) = body.pause {
            self.inactivity = Duration::from_secs(pause.clamp(1, MAX_PAUSE));
            while !self.held.is_empty() {
                self.answer();
            }
        }
        self.answer_waiting();
        // The first answer tells the session's id, which the stream has to make first.
        while self.held.len() > self.hold && (self.introduced || self.introduce.is_some()) {
            self.answer();
        }
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
            Some(Out::Xml(xml)) => {
                self.waiting_bytes += xml.len();
                self.waiting.push(xml);
            }
            Some(Out::Error(xml)) => {
                self.waiting.push(xml);
                self.end = Some("remote-stream-error");
            }
            Some(Out::Close) | None => self.end = self.end.or(Some("")),
        }
    }

    /// Answer the oldest request, if there is something to say.
    fn answer_waiting(&mut self) {
        if self.end.is_none() && !self.waiting.is_empty() && !self.held.is_empty() {
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
        self.remember(held.rid, text.clone());
        // When the client has gone, it asks for this request again.
        let _ = held.reply.send(text);
        self.idle_from = Instant::now();
    }

    fn remember(&mut self, rid: u64, text: String) {
        self.answered.push_back((rid, text));
        while self.answered.len() as u64 > self.window() {
            self.answered.pop_front();
        }
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

    /// A held request has waited long enough, or there is none and the client is gone.
    fn time_out(&mut self) {
        if self.held.is_empty() {
            self.end = Some("item-not-found");
        } else {
            self.answer();
        }
    }

    /// Tell the client that the session is over, in the requests that are here or in the one that comes next.
    async fn finish(mut self, server: &Arc<Server>, mut requests: mpsc::Receiver<Incoming>) {
        let end = self.end.unwrap_or_default();
        let text = match (end, self.waiting.is_empty()) {
            ("", _) => response(&[("type", "terminate")], &self.waiting),
            (end, true) => terminate(end),
            (end, false) => response(&[("type", "terminate"), ("condition", end)], &self.waiting),
        };
        let early = std::mem::take(&mut self.early);
        let mut told = false;
        let held = self.held.into_iter().map(|held| held.reply);
        for reply in held.chain(early.into_values().map(|early| early.reply)) {
            told |= reply.send(text.clone()).is_ok();
        }
        // Its stream hears that nobody is there any more.
        drop(self.events);
        if told || server.shutdown.is_requested() {
            return;
        }
        if let Ok(Some(incoming)) = tokio::time::timeout(LAST_WORDS, requests.recv()).await {
            let _ = incoming.reply.send(text);
        }
    }
}
