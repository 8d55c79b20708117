//! What to do when something does not work: connections, the last errors in words, and the support file.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use crate::agent::client::unexpected;
use crate::agent::command::{Answer, Command};
use crate::agent::journal::Line;
use crate::agent::status::BoxStatus;
use crate::agent::support::{Federation, SupportFacts};
use crate::web::Web;
use crate::web::imd::Fault;
use crate::web::page::{self, Page, show as show_page};
use crate::web::pages::errors;
use crate::web::pages::trust::Steps;
use crate::web::texts::Texts;
use crate::web::visitor::{Admin, Sent, Visitor, now};

pub(super) fn routes() -> Router<Arc<Web>> {
    Router::new()
        .route("/admin/support", get(show))
        .route("/admin/support/file", post(file))
}

/// Something that was looked at.
struct Check {
    title: String,
    /// `good`, `bad`, or what a script finds out: `open`.
    state: &'static str,
    /// The name by which the script knows it. Empty: the box has found it out.
    test: &'static str,
    text: String,
    /// What to do if it does not work, for the script to show.
    advice: String,
}

/// An error, in words where it is a known one.
struct Shown {
    time: String,
    words: String,
    from: String,
    text: String,
}

#[derive(Template)]
#[template(path = "support.html")]
struct Support {
    page: Page,
    checks: Vec<Check>,
    light: String,
    clock: i64,
    errors: Vec<Shown>,
}

/// What errors have in them, and the text that says what they mean and what to do.
const KNOWN: [(&str, &str); 11] = [
    ("No space left on device", "support-disk-full"),
    ("database or disk is full", "support-disk-full"),
    ("Undervoltage", "support-power"),
    ("Under-voltage", "support-power"),
    ("EXT4-fs error", "support-disk"),
    ("I/O error", "support-disk"),
    ("mmc0: error", "support-disk"),
    ("Out of memory", "support-memory"),
    ("Failed to start", "support-unit"),
    ("watchdog", "support-hung"),
    ("restore:", "support-restore"),
];

async fn show(State(web): State<Arc<Web>>, Admin { visitor, .. }: Admin) -> Response {
    let asked = web.agent.ask(visitor.actor(), Command::Support).await;
    let (facts, status) = match (asked, web.agent.status().await) {
        (Ok(Answer::Support(facts)), Ok(status)) => (*facts, status),
        (Ok(other), Ok(_)) => return errors::agent(&visitor, &unexpected(&other)),
        (Err(refusal), _) | (_, Err(refusal)) => return errors::agent(&visitor, &refusal),
    };
    let pulse = web.imd.get::<serde_json::Value>("/pulse").await;
    let chat = !matches!(pulse, Err(Fault::Away(_)));
    let steps = Steps::of(&visitor, &status);
    let policy = steps.policy();
    let shown = Support {
        page: Page::of(&visitor),
        checks: checks(&visitor, &status, &facts, chat),
        light: steps.light,
        clock: now(),
        errors: in_words(visitor.t, facts.errors),
    };
    (
        [(CONTENT_SECURITY_POLICY, policy)],
        show_page(visitor.t.0, &shown),
    )
        .into_response()
}

fn checks(visitor: &Visitor, status: &BoxStatus, facts: &SupportFacts, chat: bool) -> Vec<Check> {
    let t = visitor.t;
    let known = |title: &str, is_good: bool, good: String, bad: &str| Check {
        title: t.m(title),
        state: if is_good { "good" } else { "bad" },
        test: "",
        text: if is_good { good } else { t.m(bad) },
        advice: String::new(),
    };
    let open = |title: &str, test: &'static str, advice: &str| Check {
        title: t.m(title),
        state: "open",
        test,
        text: t.m("doctor-script"),
        advice: t.m(advice),
    };
    let missing: Vec<String> = [80, 443, 5222, 5223]
        .into_iter()
        .filter(|port| !facts.ports.contains(&(*port, true)))
        .map(|port: u16| port.to_string())
        .collect();
    let addresses = facts.addresses.join(", ");
    vec![
        known(
            "doctor-name",
            is_own_name(visitor, status),
            t.with("doctor-name-good", &[("host", &visitor.host)]),
            "doctor-name-bad",
        ),
        open(
            "doctor-certificate",
            "certificate",
            "doctor-certificate-bad",
        ),
        open("doctor-websocket", "websocket", "doctor-websocket-bad"),
        open("doctor-clock", "clock", "doctor-clock-bad"),
        known(
            "doctor-chat",
            chat,
            t.m("doctor-chat-good"),
            "doctor-chat-bad",
        ),
        known(
            "doctor-ports",
            missing.is_empty(),
            t.with("doctor-ports-good", &[("addresses", &addresses)]),
            "doctor-ports-bad",
        ),
        known(
            "doctor-time",
            status.clock_is_synchronised,
            t.m("doctor-time-good"),
            "doctor-time-bad",
        ),
        known(
            "doctor-internet",
            facts.resolves,
            t.m("doctor-internet-good"),
            "doctor-internet-bad",
        ),
        federation(t, status, facts.federation),
        push(t, facts.federation),
    ]
}

/// Off is as it should be on most boxes.
fn federation(t: Texts, status: &BoxStatus, federation: Federation) -> Check {
    let text = match federation {
        Federation::Off => "doctor-federation-off",
        Federation::Ready => "doctor-federation-on",
        Federation::NoDomain => "doctor-federation-no-domain",
        Federation::NoPort => "doctor-federation-no-port",
        Federation::NoName => "doctor-federation-no-name",
        Federation::NoCertificate => "doctor-federation-no-certificate",
    };
    let is_good = matches!(federation, Federation::Off | Federation::Ready);
    Check {
        title: t.m("doctor-federation"),
        state: if is_good { "good" } else { "bad" },
        test: "",
        text: t.with(text, &[("domain", &status.domain)]),
        advice: String::new(),
    }
}

/// Notifications go to the servers of apps as stanzas of federation do.
fn push(t: Texts, federation: Federation) -> Check {
    let (state, text) = match federation {
        // Nobody has to wake phones: there is nothing to mend, and nothing that works.
        Federation::Off => ("open", "doctor-push-off"),
        Federation::Ready => ("good", "doctor-push-on"),
        _ => ("bad", "doctor-push-bad"),
    };
    Check {
        title: t.m("doctor-push"),
        state,
        test: "",
        text: t.m(text),
        advice: String::new(),
    }
}

/// Whether the browser has come by a name of the box, and not by a number.
fn is_own_name(visitor: &Visitor, status: &BoxStatus) -> bool {
    let names = [&status.host_name, &status.second_name].map(|name| format!("{name}.local"));
    names.contains(&visitor.host) || visitor.host == status.domain
}

fn in_words(t: Texts, lines: Vec<Line>) -> Vec<Shown> {
    let shown = lines.into_iter().take(20).map(|line| {
        let known = KNOWN.iter().find(|(part, _)| line.text.contains(part));
        Shown {
            time: page::moment(line.at),
            words: t.m(known.map_or("support-unknown", |(_, key)| key)),
            from: line.from,
            text: line.text,
        }
    });
    shown.collect()
}

async fn file(State(web): State<Arc<Web>>, Sent { by, .. }: Sent<Admin>) -> Response {
    let visitor = by.visitor;
    let text = match web.agent.ask(visitor.actor(), Command::SupportFile).await {
        Ok(Answer::SupportFile(text)) => text,
        Ok(other) => return errors::agent(&visitor, &unexpected(&other)),
        Err(refusal) => return errors::agent(&visitor, &refusal),
    };
    let headers = [
        (
            CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        ),
        (
            CONTENT_DISPOSITION,
            HeaderValue::from_static("attachment; filename=\"perch-support.txt\""),
        ),
    ];
    (headers, text).into_response()
}
