//! What the task of a session does next.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use imd_proto::xml::StreamEvent;
use tokio::time::{Instant, Sleep};

use super::ReadError;
use crate::session::Outbound;
use crate::shutdown::Shutdown;

/// What a session has to deal with next.
pub(super) enum Turn {
    Heard(Result<Option<StreamEvent>, ReadError>),
    Committed(imd_store::Result<()>),
    /// Something waits for the client, or there is a reason to end.
    Queued,
    Silence,
    Shutdown,
}

/// How many turns a session has taken since others had theirs.
#[derive(Debug, Default)]
pub(super) struct InARow(u32);

impl InARow {
    /// One turn more. True: with so many at the most, others have theirs now.
    pub(super) fn is_over(&mut self, most: u32) -> bool {
        self.0 += 1;
        let over = self.0 >= most;
        if over {
            self.0 = 0;
        }
        over
    }

    /// Whether none has been taken.
    pub(super) fn is_new(&self) -> bool {
        self.0 == 0
    }
}

/// What a session waits for all the time. Entering a timer and a list of waiters that all sessions share costs more than
/// looking whether there is anything: it is done once, and again only where the time or the task is another.
pub(super) struct Lasting<'a, S> {
    silence: Pin<&'a mut Sleep>,
    stop: Pin<&'a mut S>,
    shutdown: &'a Shutdown,
    /// Whom both wake; absent while they have to be entered.
    entered: Option<Waker>,
}

impl<'a, S: Future<Output = ()>> Lasting<'a, S> {
    /// `silence`: until when it may be silent. `stop` resolves when `shutdown` is requested.
    pub(super) fn new(
        silence: Pin<&'a mut Sleep>,
        stop: Pin<&'a mut S>,
        shutdown: &'a Shutdown,
    ) -> Self {
        Self {
            silence,
            stop,
            shutdown,
            entered: None,
        }
    }

    /// Until when it may be silent from now on.
    pub(super) fn silent_until(&mut self, deadline: Instant) {
        if self.silence.deadline() != deadline {
            self.silence.as_mut().reset(deadline);
            self.entered = None;
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Turn> {
        let entered = self.entered.as_ref();
        if entered.is_some_and(|waker| waker.will_wake(cx.waker())) {
            return match (self.silence.is_elapsed(), self.shutdown.is_requested()) {
                (true, _) => Poll::Ready(Turn::Silence),
                (false, true) => Poll::Ready(Turn::Shutdown),
                (false, false) => Poll::Pending,
            };
        }
        if self.silence.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Turn::Silence);
        }
        if self.stop.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Turn::Shutdown);
        }
        self.entered = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// Wait for what is to be done next. `queue_first`: look at the queue to the client before what comes from it. Absent are
/// bytes that are not to be read now and a commit that nobody waits for. While it is waited others have their turn.
pub(super) async fn next(
    queue_first: bool,
    in_a_row: &mut InARow,
    heard: Option<impl Future<Output = Result<Option<StreamEvent>, ReadError>>>,
    committed: Option<impl Future<Output = imd_store::Result<()>>>,
    outbound: &Outbound,
    lasting: &mut Lasting<'_, impl Future<Output = ()>>,
) -> Turn {
    let mut heard = pin!(heard);
    let mut committed = pin!(committed);
    let turn = poll_fn(|cx| {
        if queue_first && outbound.poll_changed(cx).is_ready() {
            return Poll::Ready(Turn::Queued);
        }
        if let Some(committed) = committed.as_mut().as_pin_mut()
            && let Poll::Ready(outcome) = committed.poll(cx)
        {
            return Poll::Ready(Turn::Committed(outcome));
        }
        if let Some(heard) = heard.as_mut().as_pin_mut()
            && let Poll::Ready(event) = heard.poll(cx)
        {
            return Poll::Ready(Turn::Heard(event));
        }
        if !queue_first && outbound.poll_changed(cx).is_ready() {
            return Poll::Ready(Turn::Queued);
        }
        let turn = lasting.poll(cx);
        if turn.is_pending() {
            *in_a_row = InARow::default();
        }
        turn
    })
    .await;
    outbound.awake();
    turn
}

#[cfg(test)]
#[path = "turn_tests.rs"]
mod tests;
