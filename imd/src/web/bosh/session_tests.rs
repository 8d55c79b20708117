//! A session between requests and a stream that the test plays, on one thread, so that what happens first is known.

use imd_proto::xml::{Limits, parse_document};

use super::*;
use crate::web::bosh::body::HTTPBIND;

struct Rig {
    requests: mpsc::Sender<Incoming>,
    events: mpsc::Receiver<StreamEvent>,
    stream: mpsc::Sender<Out>,
    shutdown: Shutdown,
    task: tokio::task::JoinHandle<()>,
}

fn body(attributes: &str, inner: &str) -> Body {
    let text = format!("<body xmlns='{HTTPBIND}' {attributes}>{inner}</body>");
    Body::read(parse_document(&text, Limits::default()).unwrap()).unwrap()
}

impl Rig {
    /// A session whose first request, 1, has been answered.
    async fn begun() -> Self {
        Self::with(1, |_| {}).await
    }

    /// The same with places for sessions that are over, and other times.
    async fn with(lingering: usize, set: impl FnOnce(&mut Session)) -> Self {
        let (events_in, events) = mpsc::channel(1);
        // One place: what is said next waits until the session has taken what was said before.
        let (stream, out) = mpsc::channel(1);
        let (requests, incoming) = mpsc::channel(4);
        let first = body("rid='1' to='d' wait='60' hold='1'", "");
        let mut session = Session::new("sid".to_owned(), &first, events_in);
        set(&mut session);
        let shutdown = Shutdown::default();
        let stop = shutdown.clone();
        let task = tokio::spawn(async move {
            let places = Semaphore::new(lingering);
            session.run(&stop, &places, incoming, out).await;
        });
        let mut rig = Self {
            requests,
            events,
            stream,
            shutdown,
            task,
        };
        let begun = rig.ask("rid='1' to='d'", "").await;
        assert!(matches!(
            rig.events.recv().await,
            Some(StreamEvent::Open(_))
        ));
        rig.say(Out::Open("id".to_owned())).await;
        rig.say(Out::Xml("<features/>".to_owned())).await;
        assert!(begun.await.unwrap().contains("<features/>"));
        rig
    }

    async fn ask(&mut self, attributes: &str, inner: &str) -> oneshot::Receiver<String> {
        let (reply, answer) = oneshot::channel();
        let body = body(attributes, inner);
        self.requests.send(Incoming { body, reply }).await.unwrap();
        answer
    }

    async fn say(&self, out: Out) {
        self.stream.send(out).await.unwrap();
    }
}

/// Type, condition and the names of what is in it.
fn parts(answer: &str) -> (Option<String>, Option<String>, Vec<String>) {
    let body = parse_document(answer, Limits::default()).unwrap();
    let attribute = |name| body.attr(name).map(str::to_owned);
    let names = body.children().map(|c| c.name().to_owned()).collect();
    (attribute("type"), attribute("condition"), names)
}

fn is(answer: &str, kind: &str, condition: &str, names: &[&str]) {
    let (found_kind, found_condition, found) = parts(answer);
    let found_kind = found_kind.unwrap_or_default();
    let found_condition = found_condition.unwrap_or_default();
    assert_eq!(
        (found_kind.as_str(), found_condition.as_str(), found),
        (
            kind,
            condition,
            names.iter().map(|&n| n.to_owned()).collect()
        ),
        "{answer}"
    );
}

#[tokio::test]
async fn the_terminating_request_is_answered_last_whatever_the_stream_still_says() {
    let mut rig = Rig::begun().await;
    let held = rig.ask("rid='2' sid='sid'", "").await;
    let ending = rig
        .ask("rid='3' sid='sid' type='terminate'", "<presence/>")
        .await;
    let after = rig.ask("rid='4' sid='sid'", "<message/>").await;
    is(&held.await.unwrap(), "", "", &[]);
    assert!(matches!(
        rig.events.recv().await,
        Some(StreamEvent::Stanza(_))
    ));
    assert!(matches!(rig.events.recv().await, Some(StreamEvent::Close)));
    rig.say(Out::Xml("<echo/>".to_owned())).await;
    rig.say(Out::Xml("<more/>".to_owned())).await;
    rig.say(Out::Close).await;
    is(&ending.await.unwrap(), "terminate", "", &["echo", "more"]);
    is(&after.await.unwrap(), "terminate", "item-not-found", &[]);
    assert!(
        rig.events.recv().await.is_none(),
        "the message came too late"
    );
}

#[tokio::test]
async fn an_answer_that_was_lost_is_given_again_after_the_end() {
    let mut rig = Rig::begun().await;
    let lost = rig.ask("rid='2' sid='sid' type='terminate'", "").await;
    drop(lost);
    assert!(matches!(rig.events.recv().await, Some(StreamEvent::Close)));
    rig.say(Out::Xml("<last/>".to_owned())).await;
    rig.say(Out::Close).await;
    for _ in 0..2 {
        let again = rig.ask("rid='2' sid='sid' type='terminate'", "").await;
        is(&again.await.unwrap(), "terminate", "", &["last"]);
    }
    let first = rig.ask("rid='1' to='d'", "").await;
    is(&first.await.unwrap(), "", "", &["features"]);
}

#[tokio::test]
async fn the_end_waits_for_the_next_request_and_is_told_once() {
    let mut rig = Rig::begun().await;
    rig.say(Out::Error("<error/>".to_owned())).await;
    let told = rig.ask("rid='2' sid='sid'", "").await;
    is(
        &told.await.unwrap(),
        "terminate",
        "remote-stream-error",
        &["error"],
    );
    let next = rig.ask("rid='3' sid='sid'", "").await;
    is(&next.await.unwrap(), "terminate", "item-not-found", &[]);
}

#[tokio::test]
async fn an_error_of_the_stream_goes_to_the_first_request_and_others_hear_of_it() {
    let mut rig = Rig::begun().await;
    // 3 has overtaken 2 and is early, then 4 is beyond the window: nothing was held before.
    let early = rig.ask("rid='3' sid='sid'", "").await;
    let beyond = rig.ask("rid='9' sid='sid'", "").await;
    is(&early.await.unwrap(), "terminate", "other-request", &[]);
    is(&beyond.await.unwrap(), "terminate", "item-not-found", &[]);
    let mut rig = Rig::begun().await;
    let held = rig.ask("rid='2' sid='sid'", "").await;
    let early = rig.ask("rid='4' sid='sid'", "").await;
    // Answered from memory, so the two before have been taken.
    let known = rig.ask("rid='1' to='d'", "").await;
    is(&known.await.unwrap(), "", "", &["features"]);
    rig.say(Out::Error("<error/>".to_owned())).await;
    is(
        &held.await.unwrap(),
        "terminate",
        "remote-stream-error",
        &["error"],
    );
    is(&early.await.unwrap(), "terminate", "other-request", &[]);
}

#[tokio::test]
async fn a_pause_is_answered_without_payloads() {
    let mut rig = Rig::begun().await;
    rig.say(Out::Xml("<waits/>".to_owned())).await;
    let pause = rig.ask("rid='2' sid='sid' pause='60'", "").await;
    is(&pause.await.unwrap(), "", "", &[]);
    let next = rig.ask("rid='3' sid='sid'", "").await;
    is(&next.await.unwrap(), "", "", &["waits"]);
}

#[tokio::test]
async fn a_held_request_that_comes_again_is_answered_where_it_came_last() {
    let mut rig = Rig::begun().await;
    let broken = rig.ask("rid='2' sid='sid'", "").await;
    let again = rig.ask("rid='2' sid='sid'", "").await;
    is(&broken.await.unwrap(), "error", "", &[]);
    rig.say(Out::Xml("<news/>".to_owned())).await;
    is(&again.await.unwrap(), "", "", &["news"]);
}

#[tokio::test]
async fn a_silent_client_finds_its_session_no_more_and_nobody_waits_for_ever() {
    let mut rig = Rig::begun().await;
    let silence = rig.ask("rid='2' sid='sid' pause='1'", "").await;
    is(&silence.await.unwrap(), "", "", &[]);
    rig.task.await.unwrap();
    // A stream that does not come to its end does not keep the client that asked for it.
    let mut rig = Rig::with(1, |session| session.goodbye = Duration::from_millis(20)).await;
    let ending = rig.ask("rid='2' sid='sid' type='terminate'", "").await;
    is(&ending.await.unwrap(), "terminate", "", &[]);
    rig.task.await.unwrap();
}

#[tokio::test]
async fn a_session_that_is_over_lingers_only_while_there_is_a_place_and_no_shutdown() {
    let rig = Rig::with(0, |_| {}).await;
    rig.say(Out::Close).await;
    rig.task.await.unwrap();
    let rig = Rig::begun().await;
    rig.say(Out::Close).await;
    rig.shutdown.request();
    rig.task.await.unwrap();
}
