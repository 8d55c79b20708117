//! What the task of a session does next.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use imd_proto::xml::StreamEvent;
use tokio::time::Sleep;

use super::ReadError;

/// What a session has to deal with next.
pub(super) enum Turn {
    Heard(Result<Option<StreamEvent>, ReadError>),
    Committed(imd_store::Result<()>),
    /// Something waits for the client, or there is a reason to end.
    Queued,
    Silence,
    Shutdown,
}

/// Wait for what is to be done next. `queue_first`: look at the queue to the client before what comes from it. Absent are
/// bytes that are not to be read now and a commit that nobody waits for. `lasting` is kept from one turn to the next,
/// because entering a timer and a list of waiters costs more than looking at them.
pub(super) async fn next(
    queue_first: bool,
    heard: Option<impl Future<Output = Result<Option<StreamEvent>, ReadError>>>,
    committed: Option<impl Future<Output = imd_store::Result<()>>>,
    queued: impl Future<Output = ()>,
    lasting: (Pin<&mut Sleep>, Pin<&mut impl Future<Output = ()>>),
) -> Turn {
    let mut heard = pin!(heard);
    let mut committed = pin!(committed);
    let mut queued = pin!(queued);
    let (mut silence, mut stop) = lasting;
    poll_fn(|cx| {
        let mut queue = |cx: &mut Context<'_>| queued.as_mut().poll(cx).map(|()| Turn::Queued);
        if queue_first && let Poll::Ready(turn) = queue(cx) {
            return Poll::Ready(turn);
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
        if !queue_first && let Poll::Ready(turn) = queue(cx) {
            return Poll::Ready(turn);
        }
        if silence.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Turn::Silence);
        }
        stop.as_mut().poll(cx).map(|()| Turn::Shutdown)
    })
    .await
}
