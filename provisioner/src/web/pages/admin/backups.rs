//! Backups: the recovery key, making one, the stick, and whether they can be used.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE, REFRESH};
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};

use super::backup_target::{TargetPanel, explained};
use super::notice::Notice;
use crate::agent::backups::BackupView;
use crate::agent::client::unexpected;
use crate::agent::command::{Answer, Command, Refusal, Why};
use crate::backup::key::ASKED;
use crate::backup::outcome::Outcome;
use crate::backup::shelf;
use crate::web::page::{self, Page, show as show_page};
use crate::web::pages::errors;
use crate::web::texts::Texts;
use crate::web::visitor::{Admin, Sent, Visitor};
use crate::web::{Web, qr};

pub(super) fn routes() -> Router<Arc<Web>> {
    Router::new()
        .route("/admin/backups", get(show))
        .route("/admin/backups/key", post(new_key))
        .route("/admin/backups/confirm", post(confirm))
        .route("/admin/backups/check-key", post(check_key))
        .route("/admin/backups/make", post(make))
        .route("/admin/backups/stick", post(to_stick))
        .route("/admin/backups/drill", post(drill))
        .route("/admin/backups/accept", post(accept))
        .route("/admin/backups/forget", post(forget))
        .route("/admin/backups/file/{name}", get(download))
}

/// A line about what was done last.
pub struct Line {
    /// Whether it worked.
    pub is_good: bool,
    /// What is said.
    pub text: String,
}

/// A backup as the list shows it.
struct Row {
    name: String,
    size: String,
}

/// A stick that could be accepted.
struct StickRow {
    serial: String,
    title: String,
}

#[derive(Template)]
#[template(path = "backups.html")]
struct Backups {
    page: Page,
    notice: Option<String>,
    fault: Option<String>,
    under_way: Option<String>,
    key_made: Option<String>,
    /// The words of the key that are asked for. Absent: none are.
    key_check: Option<[String; 2]>,
    rows: Vec<Row>,
    made: Option<Line>,
    accepted: Option<String>,
    others: Vec<StickRow>,
    on_stick: Option<Line>,
    target: TargetPanel,
    drilled: Option<Line>,
}

#[derive(Template)]
#[template(path = "backup_key.html")]
struct Words {
    page: Page,
    words: Vec<String>,
    code: String,
    asked: [String; 3],
    fault: Option<String>,
}

/// What is known of backups.
///
/// # Errors
/// The agent does not answer.
pub async fn view(web: &Web, visitor: &Visitor) -> Result<BackupView, Refusal> {
    match web.agent.ask(visitor.actor(), Command::Backups).await? {
        Answer::Backups(view) => Ok(*view),
        other => Err(unexpected(&other)),
    }
}

/// What is under way, for people.
pub fn under_way(t: Texts, kind: &str) -> String {
    t.m(match kind {
        "stick" => "backup-busy-stick",
        "target" => "backup-busy-target",
        "look" => "backup-busy-look",
        "look-at-stick" => "backup-busy-look-at-stick",
        "drill" => "backup-busy-drill",
        "target-drill" => "backup-busy-target-drill",
        "restore" => "backup-busy-restore",
        "update" => "backup-busy-update",
        _ => "backup-busy-make",
    })
}

/// A page that shows what is under way is loaded anew by the browser itself.
pub fn again(response: Response) -> Response {
    ([(REFRESH, HeaderValue::from_static("4"))], response).into_response()
}

async fn show(
    State(web): State<Arc<Web>>,
    Query(notice): Query<Notice>,
    Admin { visitor, .. }: Admin,
) -> Response {
    page(&web, &visitor, notice.text(visitor.t), None).await
}

pub(super) async fn page(
    web: &Web,
    visitor: &Visitor,
    notice: Option<String>,
    fault: Option<String>,
) -> Response {
    let view = match view(web, visitor).await {
        Ok(view) => view,
        Err(refusal) => return errors::agent(visitor, &refusal),
    };
    let t = visitor.t;
    let line = |kind: &str, good: &str| {
        let outcome = view.outcomes.0.get(kind)?;
        Some(sentence(t, outcome, good))
    };
    let is_accepted = |serial: &str| view.accepted.as_ref().is_some_and(|a| a.serial == serial);
    let others = view.sticks.iter().filter(|s| !is_accepted(&s.serial));
    let shown = Backups {
        page: Page::of(visitor),
        notice,
        fault,
        under_way: view.under_way.as_deref().map(|kind| under_way(t, kind)),
        key_made: view.key_made.map(page::moment),
        key_check: view.key_check.map(|asked| asked.map(|n| word(t, n))),
        made: line("make", "backup-made"),
        on_stick: line("stick", "backup-stick-made"),
        target: TargetPanel::of(t, &view),
        drilled: line("drill", "backup-drilled"),
        accepted: view.accepted.as_ref().map(|a| titled(&a.model, &a.serial)),
        others: others
            .map(|stick| StickRow {
                title: titled(&stick.model, &stick.serial),
                serial: stick.serial.clone(),
            })
            .collect(),
        rows: view
            .on_the_box
            .iter()
            .map(|lying| Row {
                name: lying.name.clone(),
                size: page::size(lying.bytes),
            })
            .collect(),
    };
    let is_busy = shown.under_way.is_some();
    let response = show_page(t.0, &shown);
    if is_busy { again(response) } else { response }
}

fn titled(model: &str, serial: &str) -> String {
    format!("{model} ({serial})")
}

/// What came of a job; `good` is the key of the text where it worked.
pub(super) fn sentence(t: Texts, outcome: &Outcome, good: &str) -> Line {
    let time = page::moment(outcome.at);
    if let Some(error) = &outcome.error {
        let detail = match outcome.target {
            Some(kind) => explained(t, kind, error),
            None => t.said(error),
        };
        let values = [("time", time.as_str()), ("detail", &detail)];
        return Line {
            is_good: false,
            text: t.with("backup-failed", &values),
        };
    }
    let counts = outcome.counts.clone().unwrap_or_default();
    let (people, messages) = (counts.people.to_string(), counts.messages.to_string());
    let (files, size) = (counts.uploads.to_string(), page::size(outcome.bytes));
    let values = [
        ("time", time.as_str()),
        ("name", &outcome.name),
        ("size", &size),
        ("people", &people),
        ("messages", &messages),
        ("files", &files),
    ];
    Line {
        is_good: true,
        text: t.with(good, &values),
    }
}

async fn new_key(State(web): State<Arc<Web>>, Sent { by, .. }: Sent<Admin>) -> Response {
    words(&web, &by.visitor, None).await
}

/// The words, with the form that confirms them.
async fn words(web: &Web, visitor: &Visitor, fault: Option<String>) -> Response {
    let asked = web
        .agent
        .ask(visitor.actor(), Command::NewRecoveryKey)
        .await;
    let words = match asked {
        Ok(Answer::RecoveryKey(words)) => words,
        Ok(other) => return errors::agent(visitor, &unexpected(&other)),
        Err(refusal) => return errors::agent(visitor, &refusal),
    };
    let t = visitor.t;
    let shown = Words {
        page: Page::of(visitor),
        code: qr::svg(&words.join(" ")),
        asked: ASKED.map(|number| word(t, number)),
        words,
        fault,
    };
    show_page(t.0, &shown)
}

async fn confirm(State(web): State<Arc<Web>>, Sent { by, fields }: Sent<Admin>) -> Response {
    let visitor = by.visitor;
    let command = Command::ConfirmRecoveryKey {
        words: fields.all("word").map(str::to_owned).collect(),
    };
    match web.agent.ask(visitor.actor(), command).await {
        Ok(_) => Redirect::to("/admin/backups?done=key").into_response(),
        Err(refusal) if refusal.why == Why::Invalid => {
            let fault = visitor.t.m("backup-key-wrong");
            words(&web, &visitor, Some(fault)).await
        }
        Err(refusal) => errors::agent(&visitor, &refusal),
    }
}

/// How a word of the key is asked for.
fn word(t: Texts, number: usize) -> String {
    t.with("backup-key-word", &[("n", &number.to_string())])
}

/// Whether the owner still has the key in use.
async fn check_key(State(web): State<Arc<Web>>, Sent { by, fields }: Sent<Admin>) -> Response {
    let visitor = by.visitor;
    let command = Command::CheckRecoveryKey {
        words: fields.all("word").map(str::to_owned).collect(),
    };
    match web.agent.ask(visitor.actor(), command).await {
        Ok(_) => Redirect::to("/admin/backups?done=key-checked").into_response(),
        Err(refusal) if refusal.why == Why::Invalid => {
            let fault = visitor.t.m("backup-key-check-wrong");
            page(&web, &visitor, None, Some(fault)).await
        }
        Err(refusal) => errors::agent(&visitor, &refusal),
    }
}

async fn make(State(web): State<Arc<Web>>, Sent { by, .. }: Sent<Admin>) -> Response {
    give(&web, &by.visitor, Command::MakeBackup, "").await
}

async fn to_stick(State(web): State<Arc<Web>>, Sent { by, .. }: Sent<Admin>) -> Response {
    give(&web, &by.visitor, Command::BackUpToStick, "").await
}

async fn drill(State(web): State<Arc<Web>>, Sent { by, .. }: Sent<Admin>) -> Response {
    give(&web, &by.visitor, Command::RunDrill, "").await
}

async fn accept(State(web): State<Arc<Web>>, Sent { by, fields }: Sent<Admin>) -> Response {
    let serial = fields.get("serial").to_owned();
    give(
        &web,
        &by.visitor,
        Command::AcceptStick { serial },
        "?done=saved",
    )
    .await
}

async fn forget(State(web): State<Arc<Web>>, Sent { by, .. }: Sent<Admin>) -> Response {
    give(&web, &by.visitor, Command::ForgetStick, "?done=saved").await
}

pub(super) async fn give(web: &Web, visitor: &Visitor, command: Command, done: &str) -> Response {
    match web.agent.ask(visitor.actor(), command).await {
        Ok(_) => Redirect::to(&format!("/admin/backups{done}")).into_response(),
        Err(refusal) => {
            let detail = visitor.t.said(&refusal.text);
            let fault = visitor.t.with("backup-refused", &[("detail", &detail)]);
            page(web, visitor, None, Some(fault)).await
        }
    }
}

async fn download(
    State(web): State<Arc<Web>>,
    Admin { visitor, .. }: Admin,
    Path(name): Path<String>,
) -> Response {
    if !shelf::is_name(&name) {
        return errors::absent(&visitor);
    }
    let opened = tokio::fs::File::open(web.backups.join(&name)).await;
    let Ok(file) = opened else {
        return errors::absent(&visitor);
    };
    let length = file.metadata().await.map(|about| about.len());
    let Ok(disposition) = HeaderValue::try_from(format!("attachment; filename=\"{name}\"")) else {
        return errors::absent(&visitor);
    };
    web.record(visitor.actor(), "backup.download", &name, None)
        .await;
    let headers = [
        (
            CONTENT_TYPE,
            HeaderValue::from_static("application/octet-stream"),
        ),
        (CONTENT_DISPOSITION, disposition),
        (CONTENT_LENGTH, length.unwrap_or_default().into()),
        // Not by way of nginx's own files: it may be larger than what is free.
        (
            HeaderName::from_static("x-accel-buffering"),
            HeaderValue::from_static("no"),
        ),
    ];
    (headers, Body::new(crate::web::files::Sending::new(file))).into_response()
}
