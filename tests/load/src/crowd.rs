//! Many users at once: logging them in at a given pace, keeping them, and waiting for what is on its way.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::ops::Range;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::task::{JoinSet, spawn_local};

use crate::board::Board;
use crate::histogram::Histogram;
use crate::login::{Managed, Server};
use crate::session::Session;
use crate::tally::Tally;

/// How long one login may take.
const LOGIN: Duration = Duration::from_secs(120);
/// How often a login is tried: a server may refuse for a while when all come at once.
const TRIES: u32 = 10;
/// Nothing has come for so long: what is missing is lost.
const SILENCE: Duration = Duration::from_secs(15);
/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// The users of a run.
#[derive(Clone)]
pub struct Crowd {
    /// The server and what logins share.
    pub server: Rc<Server>,
    /// What sessions share.
    pub board: Rc<Board>,
    /// How many there are.
    pub users: u32,
    /// Sessions that have ended, with what the next connection needs.
    gone: Rc<RefCell<Vec<Gone>>>,
    leaving: Rc<Cell<bool>>,
    /// Who has been told to go.
    dismissed: Rc<RefCell<HashSet<u32>>>,
    /// Whether the server acknowledges (XEP-0198).
    acks: Rc<Cell<bool>>,
}

/// What is left of a session.
pub struct Gone {
    /// Whose it was.
    pub user: u32,
    managed: Option<Managed>,
    tallies: Vec<(u32, Tally)>,
}

impl Gone {
    /// Somebody who has no session yet.
    #[must_use]
    pub fn new(user: u32) -> Self {
        Self {
            user,
            managed: None,
            tallies: Vec::new(),
        }
    }
}

/// What a wave of logins took.
#[derive(Default)]
pub struct Logins {
    /// From the connection to the last answer, for each that succeeded, tries before it included.
    pub took: Histogram,
    /// Those that never succeeded.
    pub failed: u64,
    /// Tries that failed.
    pub refused: u64,
    /// Sessions that went on.
    pub resumed: u64,
    /// The last reason for a failure.
    pub reason: Option<String>,
    /// From the first connection to the last answer.
    pub seconds: f64,
}

impl Crowd {
    /// Nobody is there yet.
    #[must_use]
    pub fn new(server: Server, users: u32) -> Self {
        Self {
            server: Rc::new(server),
            board: Rc::new(Board::new(users)),
            users,
            gone: Rc::default(),
            leaving: Rc::default(),
            dismissed: Rc::default(),
            acks: Rc::default(),
        }
    }

    /// Logs everybody in, `at_once` at a time.
    ///
    /// # Errors
    ///
    /// Somebody could not log in.
    pub async fn log_in(&self, at_once: u32) -> Result<Logins> {
        self.log_in_some(0..self.users, at_once).await
    }

    /// The same for some of them.
    ///
    /// # Errors
    ///
    /// Somebody could not log in.
    pub async fn log_in_some(&self, users: Range<u32>, at_once: u32) -> Result<Logins> {
        let all = users.len();
        let logins = self.enter(users.map(Gone::new).collect(), at_once).await;
        if logins.failed > 0 {
            let reason = logins.reason.unwrap_or_default();
            bail!("{} of {all} could not log in: {reason}", logins.failed);
        }
        Ok(logins)
    }

    /// Logs these in, again where they had a session.
    pub async fn enter(&self, who: Vec<Gone>, at_once: u32) -> Logins {
        let began = Instant::now();
        let waiting = Rc::new(RefCell::new(who.into_iter()));
        let logins = Rc::new(RefCell::new(Logins::default()));
        let mut lanes = JoinSet::new();
        for _ in 0..at_once.max(1) {
            let (crowd, waiting, logins) = (self.clone(), waiting.clone(), logins.clone());
            lanes.spawn_local(async move {
                loop {
                    let next = waiting.borrow_mut().next();
                    let Some(gone) = next else { break };
                    crowd.enter_one(gone, &logins).await;
                }
            });
        }
        while lanes.join_next().await.is_some() {}
        let mut logins = logins.take();
        logins.seconds = began.elapsed().as_secs_f64();
        logins
    }

    async fn enter_one(&self, gone: Gone, logins: &RefCell<Logins>) {
        let began = Instant::now();
        for attempt in 1..=TRIES {
            let login = self.server.log_in(gone.user, gone.managed.as_ref());
            let outcome = tokio::time::timeout(LOGIN, login).await;
            match outcome.context("the login took too long").flatten() {
                Ok(logged_in) => {
                    {
                        let mut logins = logins.borrow_mut();
                        logins.took.record(began.elapsed().as_nanos() as u64);
                        logins.resumed += u64::from(logged_in.resumed);
                    }
                    let session = Rc::new(Session::new(gone.user, logged_in));
                    session.take_tallies(gone.tallies);
                    self.keep(session);
                    return;
                }
                Err(error) => {
                    let mut logins = logins.borrow_mut();
                    logins.refused += 1;
                    logins.reason = Some(format!("{error:#}"));
                }
            }
            // As clients do: longer each time, and not all at the same moment.
            let wait = 100 * u64::from(attempt) + u64::from(gone.user % 100);
            tokio::time::sleep(Duration::from_millis(wait)).await;
        }
        logins.borrow_mut().failed += 1;
    }

    fn keep(&self, session: Rc<Session>) {
        self.acks.set(session.managed().is_some());
        self.board.seat(&session);
        let crowd = self.clone();
        spawn_local(async move {
            let partner = |user| crowd.server.jid(crowd.partner(user));
            let error = session.run(&crowd.board, &partner).await;
            if crowd.leaving.get() {
                return;
            }
            if crowd.dismissed.borrow_mut().remove(&session.user()) {
                return crowd.board.leave(session.user());
            }
            if crowd.board.counts().dropped == 0 {
                eprintln!("user {} was dropped: {error}", session.user());
            }
            crowd.board.count(|c| c.dropped += 1);
            crowd.board.leave(session.user());
            crowd.gone.borrow_mut().push(Gone {
                user: session.user(),
                managed: session.managed(),
                tallies: session.tallies(),
            });
        });
    }

    /// Ends a user's stream: that connection was not dropped.
    pub fn dismiss(&self, user: u32) {
        if let Some(session) = self.board.session(user)
            && self.dismissed.borrow_mut().insert(user)
        {
            session.close();
        }
    }

    /// With whom a user talks.
    #[must_use]
    pub fn partner(&self, user: u32) -> u32 {
        let other = user ^ 1;
        // The last of an odd number talks with the first, who so has two senders.
        if other < self.users { other } else { 0 }
    }

    /// Those whose sessions have ended since this was asked last.
    #[must_use]
    pub fn take_gone(&self) -> Vec<Gone> {
        self.gone.take()
    }

    /// Waits until `done`, or until nothing has changed for some seconds.
    pub async fn settle(&self, done: impl Fn(&Board) -> bool) -> bool {
        let (mut seen, mut changed) = (self.board.counts(), Instant::now());
        while !done(&self.board) {
            if self.board.counts() != seen {
                (seen, changed) = (self.board.counts(), Instant::now());
            } else if changed.elapsed() > SILENCE {
                return false;
            }
            tokio::time::sleep(LOOK).await;
        }
        true
    }

    /// Whether the server acknowledges what it has taken.
    #[must_use]
    pub fn acks(&self) -> bool {
        self.acks.get()
    }

    /// Waits for everything that is on its way, and its acknowledgements; false when something is lost.
    pub async fn drain(&self) -> bool {
        self.settle(|board| {
            let counts = board.counts();
            counts.missing() == 0 && (!self.acks() || counts.acked >= counts.sent)
        })
        .await
    }

    /// Ends everybody's stream; connections that end from now on were not dropped.
    pub fn leave(&self) {
        self.leaving.set(true);
        for user in 0..self.users {
            if let Some(session) = self.board.session(user) {
                session.close();
            }
        }
    }
}
