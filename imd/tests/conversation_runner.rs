//! The runner of scripted conversations notices what goes wrong in one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    dead_code,
    reason = "a test may fail loudly, and uses a part of what it shares"
)]

mod script;
mod support;

const CHAT: &str = "alice connects\nbob connects\nalice sends:\n  \
    <message to='bob@example.test/main' type='chat' id='1'><body>Hello</body><x xmlns='u'/></message>\n";

async fn failure(steps: &str) -> String {
    match script::run_text(&format!("{CHAT}{steps}")).await {
        Ok(()) => panic!("this passed:\n{steps}"),
        Err(error) => format!("{error:#}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_come_as_expected_fails() {
    for (steps, why) in [
        (
            "bob receives nothing",
            "expected nothing, received <message",
        ),
        ("bob receives:\n <message id='2'/>", "has id='1', not '2'"),
        (
            "bob receives:\n <message lang='de'/>",
            "lacks the attribute lang",
        ),
        (
            "bob receives:\n <message id='{none}'/>",
            "must not be there",
        ),
        ("bob receives:\n <presence/>", "not <presence"),
        (
            "bob receives:\n <message><body>Hullo</body></message>",
            "is \"Hello\", not \"Hullo\"",
        ),
        (
            "bob receives:\n <message><body>{none}</body></message>",
            "<body> must not be there",
        ),
        (
            "bob receives:\n <message><x xmlns='v'/></message>",
            "lacks the child <x xmlns='v'>",
        ),
        (
            "bob receives exactly:\n <message from='{any}' to='{any}' id='1' type='chat'><body>Hello</body></message>",
            "more children",
        ),
        (
            "bob receives:\n <message id='{capture:i}'><body>{i}</body></message>",
            "not \"{i}\"",
        ),
        ("bob is disconnected", "received <message"),
        ("bob cannot resume", "has not lost its connection"),
        ("carol receives nothing", "has not connected"),
        ("carol connects with wrong-password", "not-authorized"),
        (
            "carol cannot connect because not-authorized",
            "the login succeeded",
        ),
        ("bob dances", "is no step"),
        (
            "bob receives:\nbob receives nothing",
            "needs indented lines",
        ),
    ] {
        let error = failure(steps).await;
        assert!(
            error.contains(why),
            "{steps}\nfailed with {error:?}, not {why:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_captured_is_found_again() {
    let steps = "bob receives:\n <message from='alice@{capture:where}/main' id='{capture:number}'/>\nbob sends:\n \
        <message to='alice@{where}/main'><body>{number}</body></message>\nalice receives:\n \
        <message><body>{number}</body></message>";
    script::run_text(&format!("{CHAT}{steps}")).await.unwrap();
}
