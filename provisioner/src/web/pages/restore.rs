//! Becoming what a backup says: in the wizard, and on a page of the administrators.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Multipart, State};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_LENGTH;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};

use super::admin::backup_target::explained;
use super::admin::backups::{again, under_way, view};
use super::admin::power::UnderWay;
use super::errors;
use crate::agent::backups::{BackupView, TargetCommand};
use crate::agent::command::{Command, Why};
use crate::backup::job::Source;
use crate::backup::key::{KeyFault, RecoveryKey, WORDS};
use crate::backup::open::FaultKind;
use crate::backup::outcome::Outcome;
use crate::backup::shelf::Lying;
use crate::backup::{restore, shelf};
use crate::web::files::receive;
use crate::web::page::{Page, show as show_page, size};
use crate::web::texts::Texts;
use crate::web::visitor::{Admin, Owner, Sent, Visitor};
use crate::web::{Web, page};

pub(super) fn routes() -> Router<Arc<Web>> {
    // A backup is as large as what is on the box.
    let unlimited = DefaultBodyLimit::disable;
    let admin = get(show_admin).post(sent_admin).layer(unlimited());
    let setup = get(show_setup).post(sent_setup).layer(unlimited());
    Router::new()
        .route("/admin/backups/restore", admin)
        .route("/setup/restore", setup)
        .route("/admin/backups/restore/stick", post(look_admin))
        .route("/setup/restore/stick", post(look_setup))
}

/// Before the name of a backup on the target; no backup's name has a colon.
const ON_TARGET: &str = "target:";

/// A backup that lies where the box finds it.
struct Choice {
    value: String,
    title: String,
}

#[derive(Template)]
#[template(path = "restore.html")]
struct Restore {
    page: Page,
    /// Where the form goes, and where one gets back to.
    back: &'static str,
    choices: Vec<Choice>,
    /// Whether there is a stick on which nobody has looked.
    may_look: bool,
    fault: Option<String>,
    is_new: bool,
}

#[derive(Template)]
#[template(path = "restore_busy.html")]
struct Busy {
    page: Page,
    text: String,
}

async fn show_admin(State(web): State<Arc<Web>>, Admin { visitor, .. }: Admin) -> Response {
    show(&web, &visitor, false).await
}

async fn show_setup(State(web): State<Arc<Web>>, Owner { visitor, .. }: Owner) -> Response {
    show(&web, &visitor, true).await
}

async fn sent_admin(
    State(web): State<Arc<Web>>,
    Admin { visitor, .. }: Admin,
    headers: HeaderMap,
    form: Multipart,
) -> Response {
    sent(&web, &visitor, false, length(&headers), form).await
}

async fn sent_setup(
    State(web): State<Arc<Web>>,
    Owner { visitor, .. }: Owner,
    headers: HeaderMap,
    form: Multipart,
) -> Response {
    sent(&web, &visitor, true, length(&headers), form).await
}

/// How much is being sent, which is a little more than the file. `None`: the browser does not say.
fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

async fn look_admin(State(web): State<Arc<Web>>, Sent { by, .. }: Sent<Admin>) -> Response {
    give(&web, &by.visitor, false, Command::LookAtStick).await
}

async fn look_setup(State(web): State<Arc<Web>>, Sent { by, .. }: Sent<Owner>) -> Response {
    give(&web, &by.visitor, true, Command::LookAtStick).await
}

/// Where the form is.
fn path(is_new: bool) -> &'static str {
    if is_new {
        "/setup/restore"
    } else {
        "/admin/backups/restore"
    }
}

/// What is under way, or what came of the last attempt, with the form.
async fn show(web: &Web, visitor: &Visitor, is_new: bool) -> Response {
    let view = match view(web, visitor).await {
        Ok(view) => view,
        Err(refusal) => return errors::agent(visitor, &refusal),
    };
    let t = visitor.t;
    if view.is_restoring {
        let shown = UnderWay {
            page: Page::of(visitor),
            title: t.m("restore-restarting"),
            text: t.m("restore-restarting-how"),
            comes_back: true,
        };
        return show_page(t.0, &shown);
    }
    if let Some(kind) = &view.under_way {
        let shown = Busy {
            page: Page::of(visitor),
            text: under_way(t, kind),
        };
        return again(show_page(t.0, &shown));
    }
    if is_new && is_unseen(&view) {
        // Nobody can press a button for it yet: the target is in the card's settings.
        let look = Command::Target(TargetCommand::Look);
        if web.agent.ask(visitor.actor(), look).await.is_ok() {
            let shown = Busy {
                page: Page::of(visitor),
                text: under_way(t, "look"),
            };
            return again(show_page(t.0, &shown));
        }
    }
    let outcome = |kind: &str| failed(t, view.outcomes.0.get(kind)?);
    let looked = || outcome("look").filter(|_| is_new && view.target.is_some());
    let fault = outcome("look-at-stick")
        .or_else(|| outcome("restore"))
        .or_else(looked);
    form_page(visitor, &view, is_new, fault)
}

/// Whether there is a target that nobody has looked at.
fn is_unseen(view: &BackupView) -> bool {
    let is_tried = view.outcomes.0.contains_key("look");
    let target = view.target.as_ref();
    !is_tried && target.is_some_and(|target| target.looked.is_none())
}

fn failed(t: Texts, last: &Outcome) -> Option<String> {
    let detail = last.error.as_deref()?;
    if let Some(kind) = last.target {
        let values = [
            ("time", page::moment(last.at)),
            ("detail", explained(t, kind, detail)),
        ];
        let values = values.each_ref().map(|(key, value)| (*key, value.as_str()));
        return Some(t.with("restore-failed", &values));
    }
    let key = match last.fault {
        Some(FaultKind::Foreign) => "restore-foreign",
        Some(FaultKind::WrongKey) => "restore-wrong-key",
        Some(FaultKind::Damaged) => "restore-damaged",
        Some(FaultKind::Newer) => "restore-newer",
        Some(FaultKind::Box) | None => "restore-failed",
    };
    let time = page::moment(last.at);
    Some(t.with(key, &[("detail", &t.said(detail)), ("time", &time)]))
}

fn form_page(
    visitor: &Visitor,
    view: &BackupView,
    is_new: bool,
    fault: Option<String>,
) -> Response {
    let t = visitor.t;
    let mut choices: Vec<Choice> = view
        .on_the_box
        .iter()
        .map(|lying| Choice {
            title: format!("{} ({})", lying.name, size(lying.bytes)),
            value: lying.name.clone(),
        })
        .collect();
    let mut fault = fault;
    if let Some(stick) = view.sticks.first() {
        choices.push(Choice {
            title: t.with("restore-from-stick", &[("model", &stick.model)]),
            value: ON_STICK.to_owned(),
        });
        let found = view.on_the_stick.iter().flatten();
        choices.extend(found.map(|lying| on_stick(t, lying)));
        if fault.is_none() && view.on_the_stick.as_ref().is_some_and(Vec::is_empty) {
            fault = Some(t.m("restore-stick-none"));
        }
    }
    for lying in view.target.iter().flat_map(|target| &target.lying) {
        let values = [("name", lying.name.as_str()), ("size", &size(lying.bytes))];
        choices.push(Choice {
            title: t.with("restore-from-target", &values),
            value: format!("{ON_TARGET}{}", lying.name),
        });
    }
    let shown = Restore {
        page: Page::of(visitor),
        back: path(is_new),
        choices,
        may_look: !view.sticks.is_empty(),
        fault,
        is_new,
    };
    show_page(t.0, &shown)
}

/// What stands for the newest backup on the stick, and before the names of the others.
const ON_STICK: &str = "stick";

fn on_stick(t: Texts, lying: &Lying) -> Choice {
    let values = [("name", lying.name.as_str()), ("size", &size(lying.bytes))];
    Choice {
        title: t.with("restore-stick-one", &values),
        value: format!("{ON_STICK}/{}", lying.name),
    }
}

async fn refuse(web: &Web, visitor: &Visitor, is_new: bool, fault: String) -> Response {
    match view(web, visitor).await {
        Ok(view) => form_page(visitor, &view, is_new, Some(fault)),
        Err(refusal) => errors::agent(visitor, &refusal),
    }
}

async fn sent(
    web: &Web,
    visitor: &Visitor,
    is_new: bool,
    length: Option<u64>,
    form: Multipart,
) -> Response {
    let (from, words) = match read(web, visitor, length, form).await {
        Ok(read) => read,
        Err(Unread::Foreign) => return errors::foreign_form(visitor),
        Err(Unread::Text(fault)) => return refuse(web, visitor, is_new, fault).await,
    };
    give(web, visitor, is_new, Command::Restore { from, words }).await
}

async fn give(web: &Web, visitor: &Visitor, is_new: bool, command: Command) -> Response {
    match web.agent.ask(visitor.actor(), command).await {
        Ok(_) => Redirect::to(path(is_new)).into_response(),
        Err(refusal) if refusal.why == Why::Failed => {
            let detail = visitor.t.said(&refusal.text);
            let fault = visitor.t.with("backup-refused", &[("detail", &detail)]);
            refuse(web, visitor, is_new, fault).await
        }
        Err(refusal) => errors::agent(visitor, &refusal),
    }
}

/// Why a form cannot be used.
enum Unread {
    Foreign,
    Text(String),
}

/// Where the backup is that somebody has chosen: none of their names has a colon or a slash.
fn source_of(chosen: &str) -> Source {
    let on_stick = chosen.strip_prefix(ON_STICK);
    let on_stick = on_stick.and_then(|rest| rest.strip_prefix('/'));
    match (on_stick, chosen.strip_prefix(ON_TARGET)) {
        (Some(name), _) => Source::OnStick {
            name: name.to_owned(),
        },
        (None, Some(name)) => Source::Target {
            name: name.to_owned(),
        },
        (None, None) => Source::Box {
            name: chosen.to_owned(),
        },
    }
}

/// The fields in the order in which the form has them; the file, which is long, comes last and after all else is good.
async fn read(
    web: &Web,
    visitor: &Visitor,
    length: Option<u64>,
    mut form: Multipart,
) -> Result<(Source, String), Unread> {
    let t = visitor.t;
    let unreadable = || Unread::Text(t.m("error-unreadable"));
    let (mut is_ours, mut words, mut chosen) = (false, String::new(), String::new());
    while let Some(field) = form.next_field().await.map_err(|_| unreadable())? {
        match field.name().unwrap_or_default() {
            "token" => {
                let token = field.text().await.map_err(|_| unreadable())?;
                is_ours = visitor.holds(web, &token);
            }
            _ if !is_ours => return Err(Unread::Foreign),
            "words" => words = field.text().await.map_err(|_| unreadable())?,
            "from" => chosen = field.text().await.map_err(|_| unreadable())?,
            "file" => {
                RecoveryKey::of_words(&words).map_err(|fault| Unread::Text(explain(t, &fault)))?;
                if !chosen.is_empty() {
                    continue;
                }
                if field.file_name().is_none_or(str::is_empty) {
                    return Err(Unread::Text(t.m("restore-no-file")));
                }
                let folder = web.backups.join("in");
                if let (Some(bytes), Ok(free)) = (length, shelf::free(&folder))
                    && let Some(needed) = restore::without_room(bytes, free)
                {
                    let values = [("needed", size(needed)), ("free", size(free))];
                    let values = values.each_ref().map(|(key, text)| (*key, text.as_str()));
                    return Err(Unread::Text(t.with("restore-no-room", &values)));
                }
                let place = folder.join("uploaded.age");
                let came = receive(field, &place).await;
                came.map_err(|detail| {
                    Unread::Text(t.with("restore-not-sent", &[("detail", &detail)]))
                })?;
                return Ok((Source::Uploaded, words));
            }
            _ => {}
        }
    }
    if !is_ours {
        return Err(Unread::Foreign);
    }
    RecoveryKey::of_words(&words).map_err(|fault| Unread::Text(explain(t, &fault)))?;
    match chosen.as_str() {
        "" => Err(Unread::Text(t.m("restore-no-file"))),
        ON_STICK => Ok((Source::Stick, words)),
        chosen => Ok((source_of(chosen), words)),
    }
}

fn explain(t: Texts, fault: &KeyFault) -> String {
    match fault {
        KeyFault::Count(found) => {
            let (found, wanted) = (found.to_string(), WORDS.to_string());
            t.with(
                "restore-words-count",
                &[("found", &found), ("wanted", &wanted)],
            )
        }
        KeyFault::Unknown { number, word } => {
            let number = number.to_string();
            t.with(
                "restore-words-unknown",
                &[("number", &number), ("word", word)],
            )
        }
        KeyFault::Checksum => t.m("restore-words-order"),
    }
}
