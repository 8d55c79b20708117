//! People who chat in a thread of their own, so that what this tool does for others does not delay what they see.

use std::rc::Rc;
use std::thread::JoinHandle;

use anyhow::{Context, Result, anyhow};
use tokio::sync::{oneshot, watch};
use tokio::task::LocalSet;

use super::Trial;
use super::chat::Chat;
use crate::board::Counts;
use crate::histogram::Histogram;
use crate::options::Run;

/// What they do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Chat while nothing else happens.
    Calm,
    /// Chat while it does.
    Busy,
    /// Stop.
    Over,
}

/// The people below a number, who are logged in.
pub(super) struct Apart {
    phase: watch::Sender<Phase>,
    thread: JoinHandle<Result<Seen>>,
}

/// What they saw.
pub(super) struct Seen {
    /// Deliveries before anything happened.
    pub(super) calm: Histogram,
    /// Deliveries while it did.
    pub(super) busy: Histogram,
    /// The same to the acknowledgement.
    pub(super) acks: Histogram,
    /// By how much they themselves were late.
    pub(super) lateness: Histogram,
    /// All of the run.
    pub(super) counts: Counts,
    /// Whether the server acknowledges.
    pub(super) managed: bool,
}

impl Apart {
    /// Logs the first `people` (an even number) in, who then chat at the rate of the options.
    ///
    /// # Errors
    ///
    /// Somebody could not log in.
    pub(super) async fn start(options: &Run, people: u32) -> Result<Self> {
        let mut options = options.clone();
        options.users = people;
        let (phase, phases) = watch::channel(Phase::Calm);
        let (ready, logged_in) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .context("start tokio")?;
            LocalSet::new().block_on(&runtime, chat(options, phases, ready))
        });
        if logged_in.await.is_err() {
            // It has ended, and says why.
            let ended = thread.join().map_err(|_| anyhow!("a thread panicked"))?;
            return Err(ended.err().unwrap_or_else(|| anyhow!("nobody chats")));
        }
        Ok(Self { phase, thread })
    }

    /// From now on it counts.
    pub(super) fn begin(&self) {
        self.phase.send_replace(Phase::Busy);
    }

    /// It counts no longer; what they saw.
    ///
    /// # Errors
    ///
    /// What went wrong in their thread.
    pub(super) async fn finish(self) -> Result<Seen> {
        self.phase.send_replace(Phase::Over);
        let joined = tokio::task::spawn_blocking(|| self.thread.join()).await?;
        joined.map_err(|_| anyhow!("a thread panicked"))?
    }
}

async fn chat(
    options: Run,
    phases: watch::Receiver<Phase>,
    ready: oneshot::Sender<()>,
) -> Result<Seen> {
    let trial = Trial::new(options)?;
    let Trial { crowd, options, .. } = &trial;
    crowd.log_in(options.at_once).await?;
    let crowd = Rc::new(crowd.clone());
    let board = &crowd.board;
    let mut chat = Chat::new(Rc::clone(&crowd), options.users, options.rate)?;
    board.observe(0, u64::MAX);
    if ready.send(()).is_err() {
        return Err(anyhow!("nobody waits for the people who chat"));
    }
    let mut calm = None;
    loop {
        let phase = *phases.borrow();
        match phase {
            Phase::Calm => {}
            Phase::Busy if calm.is_none() => {
                calm = Some(board.delivery.take());
                board.observe(board.now(), u64::MAX);
            }
            Phase::Busy => {}
            Phase::Over => break,
        }
        chat.next().await?;
    }
    crowd.drain().await;
    let seen = Seen {
        calm: calm.unwrap_or_default(),
        busy: board.delivery.take(),
        acks: board.acks.take(),
        lateness: board.lateness.take(),
        counts: board.counts(),
        managed: crowd.acks(),
    };
    crowd.leave();
    // The streams' ends are on their way before their connections are gone.
    tokio::task::yield_now().await;
    Ok(seen)
}

impl Trial {
    /// Notes what they saw, and what went wrong with it.
    pub(super) fn note_seen(&mut self, seen: &Seen) {
        let counts = &seen.counts;
        let o = &mut self.outcome;
        let not_acked = match seen.managed {
            true => counts.sent.saturating_sub(counts.acked),
            false => 0,
        };
        for (name, count) in [
            ("sent", counts.sent),
            ("lost", counts.missing()),
            ("doubled", counts.doubled),
            ("out_of_order", counts.late),
            ("not_acked", not_acked),
            ("errors", counts.errors),
            ("dropped", counts.dropped),
        ] {
            o.figure(name, count as f64);
        }
        o.latency("calm_delivery", &seen.calm);
        o.latency("delivery", &seen.busy);
        o.latency("ack", &seen.acks);
        o.latency("lateness", &seen.lateness);
    }
}
