//! Whose turn it is, and whether others have had theirs.

use std::time::Duration;

use super::*;

struct Case {
    outbound: Outbound,
    shutdown: Shutdown,
}

fn case() -> Case {
    Case {
        outbound: Outbound::new("a@b/c".parse().unwrap(), 1000),
        shutdown: Shutdown::default(),
    }
}

type Event = Result<Option<StreamEvent>, ReadError>;

/// The next turn, when something is heard at once (or never), and how many turns are in a row before it is dealt with.
async fn next(case: &Case, in_a_row: &mut InARow, heard: Option<Event>, silence: Duration) -> Turn {
    let mut timer = pin!(tokio::time::sleep(silence));
    let mut stop = pin!(case.shutdown.requested());
    let mut lasting = Lasting::new(timer.as_mut(), stop.as_mut(), &case.shutdown);
    let heard = heard.map(std::future::ready);
    let committed = None::<std::future::Ready<_>>;
    super::next(
        false,
        in_a_row,
        heard,
        committed,
        &case.outbound,
        &mut lasting,
    )
    .await
}

const LONG: Duration = Duration::from_secs(600);

#[tokio::test]
async fn a_flood_has_its_turns_in_a_row() {
    let case = case();
    let mut in_a_row = InARow::default();
    for number in 1..=8 {
        let turn = next(&case, &mut in_a_row, Some(Ok(None)), LONG).await;
        assert!(matches!(turn, Turn::Heard(Ok(None))));
        assert_eq!(in_a_row.is_over(8), number == 8);
    }
    assert!(in_a_row.is_new());
}

#[tokio::test]
async fn who_was_waited_for_begins_anew() {
    let case = case();
    let mut in_a_row = InARow::default();
    for _ in 0..3 {
        let turn = next(&case, &mut in_a_row, None, Duration::from_millis(50)).await;
        assert!(matches!(turn, Turn::Silence));
        assert!(in_a_row.is_new());
        assert!(!in_a_row.is_over(2));
    }
}

#[tokio::test]
async fn a_session_that_waits_is_woken_by_its_queue_and_by_the_shutdown() {
    let case = case();
    let mut in_a_row = InARow::default();
    let (turn, pushed) = tokio::join!(next(&case, &mut in_a_row, None, LONG), async {
        tokio::task::yield_now().await;
        case.outbound
            .push(crate::session::Queued::whole("<iq/>".into()))
    });
    pushed.unwrap();
    assert!(matches!(turn, Turn::Queued));
    let (turn, ()) = tokio::join!(next(&case, &mut in_a_row, None, LONG), async {
        tokio::task::yield_now().await;
        case.shutdown.request();
    });
    assert!(matches!(turn, Turn::Shutdown));
}
